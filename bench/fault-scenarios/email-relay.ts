/**
 * proxmox-home, from mailing a personal inbox to the relay, with a mail that waits in its queue and is deleted by a decision of its own. A scheduled job runs and
 * packages change while that decision is waited for, so that the watch has seen both when it begins. Each test mail may be in the mailbox only once.
 */

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseDocument } from 'yaml'
import { applyState } from '../../lab/estate/index.js'
import { ACCOUNTS, MAIL_HOST } from '../../lab/mail/names.js'
import { emptyMailboxes } from '../../lab/mail/server-files.js'
import { playJob } from '../../lab/play-job.js'
import { workflowIds } from '../../src/domain/ids.js'
import type { EmailRelayResult } from '../../src/workflows/email-relay.js'
import { answerEverything } from '../fault-client.js'
import type { FaultPlace, FaultScenario } from '../fault-scenario.js'
import { endOf, mailsIn, PROXMOX_FOLDERS } from './common.js'

const HOST = 'proxmox-home'
const JOB = 'soon'
const [, RONNY, PERSONAL] = ACCOUNTS
const LOOK_EVERY_MS = 200

export const emailRelayFaults: FaultScenario = {
  hosts: [HOST, MAIL_HOST],
  changes: { [HOST]: [...PROXMOX_FOLDERS, '/etc/postfix', '/etc/aliases', '/etc/aliases.db', '/root/.forward'] },
  workflows: ['emailRelay', 'applyChange'],
  async prepare(lab) {
    await applyState(lab, 'as-found')
    const host = lab.host(HOST)
    await host.exec(['sed', '-i', '-E', 's/"([0-9]+)":[0-9.]+([,}])/"\\1":2000000\\2/g', '/etc/nightshift-lab/pve.json'])
    const job = ['--id', JOB, '--schedule', '21:00', '--storage', 'synology-backups', '--vmid', '105', '--enabled', '1']
    await host.exec(['pvesh', 'create', '/cluster/backup', ...job])
    const path = join(lab.paths.config, 'email-relay.yaml')
    const document = parseDocument(readFileSync(path, 'utf8'))
    document.delete('watcher')
    document.set('hosts', document.createNode([{ host: HOST, mode: 'relay', old_queue: 'delete' }]))
    writeFileSync(path, document.toString({ lineWidth: 0 }))
  },
  async start({ lab, client, taskQueue }) {
    await lab.host(MAIL_HOST).exec(['sh', '-c', `postsuper -d ALL 2>/dev/null; ${emptyMailboxes()}`])
    // Nobody listens there, so this one waits.
    const waiting = `someone@[${lab.record.subnet}.1]`
    const script = `postfix reload 2>/dev/null; postsuper -d ALL 2>/dev/null; printf 'Subject: of before\\n\\nx\\n' | sendmail -i "$1"`
    await lab.host(HOST).exec(['sh', '-c', script, 'sh', waiting])
    await until(async () => (await lab.host(HOST).exec(['postqueue', '-j'])).stdout.includes('"deferred"'))
    return await client.workflow.start('emailRelay', { workflowId: workflowIds.relay(HOST), taskQueue, args: [{ host: HOST, requestedBy: 'ronny' }] })
  },
  async meanwhile(place, handle, over) {
    const { lab } = place
    const host = lab.host(HOST)
    const proven = new AbortController()
    const first = answerEverything(handle, 'approve', 'ronny', AbortSignal.any([over, proven.signal]))
    const isThere = async () => (await mailsIn(lab, RONNY)).some(({ subject }) => subject === 'Test notification')
    await until(async () => over.aborted || (await isThere()))
    proven.abort()
    await first
    if (over.aborted) return
    await host.exec(['touch', '/var/lib/dpkg/status'])
    await playJob(host, JOB)
    await until(async () => over.aborted || (await mailsIn(lab, RONNY)).some(({ subject }) => subject.startsWith('vzdump backup status')))
    await answerEverything(handle, 'approve', 'ronny', over)
  },
  async finalState({ lab }, result) {
    const { proof, ...end } = endOf(result) as { planDigest: string; proof: Record<string, Record<string, unknown>> | null }
    const host = lab.host(HOST)
    const way = (each: Record<string, unknown> | undefined) => [each?.subject, each?.path, each?.protocol, each?.sender]
    return {
      end: { ...end, planDigest: null },
      proof: [way(proof?.mailToRoot), way(proof?.notification), way(proof?.job), proof?.oldQueue?.decision, proof?.oldQueue?.state],
      gate: (result as EmailRelayResult).gate?.state,
      host: (await host.exec(['sh', '-c', WAYS])).stdout,
      mails: [await mailsOf(lab, RONNY), await mailsOf(lab, PERSONAL)],
    }
  },
}

const mailsOf = async (lab: FaultPlace['lab'], address: string) => (await mailsIn(lab, address)).map(({ subject, copies }) => [subject, copies])

/** What decides where a mail of the host goes, and what waits there. */
const WAYS = `postconf -n | sed 's/ *$//'; cat /etc/aliases /root/.forward; ls -l /etc/postfix | awk '{print $1, $3, $NF}'; postalias -s hash:/etc/aliases | grep -v YP_
cat /etc/pve/notifications.cfg; postqueue -j`

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await delay(LOOK_EVERY_MS)
}
