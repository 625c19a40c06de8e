/** What a run changed on a Proxmox host and in the runbook files, without what differs from run to run. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { LabHost } from '../../lab/host.js'
import type { Lab } from '../../lab/lab.js'
import { MAIL_HOST } from '../../lab/mail/names.js'
import type { ChangeResult } from '../../src/domain/change/apply.js'
import type { FaultPlace } from '../fault-scenario.js'

/** Where Proxmox keeps jobs, storages and guests, and the state of its jobs. */
export const PROXMOX_FOLDERS = ['/etc/pve', '/var/lib/pve-manager', '/run/nightshift-verify'] as const

const RUNBOOK_FILES = ['vzdump.yaml', 'inventory.yaml', 'calendar.yaml'] as const

/** Files as Proxmox wrote them: every byte counts. */
export async function proxmoxFiles(host: LabHost): Promise<Record<string, string>> {
  const read = async (path: string) => [path, (await host.exec(['sh', '-c', 'cat "$1" 2>/dev/null || :', 'sh', path])).stdout] as const
  return Object.fromEntries(await Promise.all(['/etc/pve/jobs.cfg', '/etc/pve/storage.cfg'].map(read)))
}

export async function runbookFiles({ config }: FaultPlace): Promise<Record<string, string>> {
  return Object.fromEntries(await Promise.all(RUNBOOK_FILES.map(async (file) => [file, await readFile(join(config, file), 'utf8')] as const)))
}

/** How the run ended, for whoever reads its result. */
export function endOf(result: unknown): unknown {
  const { state, message, planDigest, steps, proof } = result as ChangeResult
  return { state, message, planDigest, steps, proof }
}

export interface MailInBox {
  readonly subject: string
  /** Messages with this Message-ID. */
  readonly copies: number
  /** Whether it answers another one that is there. */
  readonly thread: 'begins' | 'goes on'
}

/** What really lies in a mailbox of the lab's mail server, by subject. */
export async function mailsIn(lab: Lab, address: string): Promise<MailInBox[]> {
  const folder = `/var/mail/lab/${address.split('@').reverse().join('/')}/Maildir`
  const script = `for f in "$1"/new/* "$1"/cur/*; do [ -e "$f" ] && sed '/^\r*$/q' "$f" && echo '--- end ---'; done; true`
  const { stdout } = await lab.host(MAIL_HOST).exec(['sh', '-c', script, 'sh', folder])
  const heads = stdout.split('--- end ---\n').filter((head) => head.trim() !== '')
  const of = (head: string, name: string) => new RegExp(`^${name}:[ \t]*(.*)$`, 'im').exec(head.replace(/\r?\n[ \t]+/g, ' '))?.[1]?.trim() ?? ''
  const ids = heads.map((head) => of(head, 'Message-ID'))
  return heads
    .filter((_, index) => ids.indexOf(ids[index] ?? '') === index)
    .map((head): MailInBox => {
      const id = of(head, 'Message-ID')
      return {
        subject: of(head, 'Subject'),
        copies: ids.filter((each) => each === id).length,
        thread: ids.includes(of(head, 'In-Reply-To')) ? 'goes on' : 'begins',
      }
    })
    .sort((a, b) => (a.subject < b.subject ? -1 : 1))
}
