/**
 * A guest into the job of pve, up to its proven first scheduled artifact. The night comes when the run waits for it: the host's own scheduler plays it,
 * the host's clock jumps behind it, and the run is told to look.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { PVE_FOLDER } from '../../lab/catalog.js'
import { setClock } from '../../lab/clock.js'
import { applyState } from '../../lab/estate/index.js'
import type { LabHost } from '../../lab/host.js'
import type { Lab } from '../../lab/lab.js'
import type { ScheduledArtifact } from '../../src/domain/enroll/types.js'
import { workflowIds } from '../../src/domain/ids.js'
import { retrying } from '../fault-client.js'
import type { FaultScenario } from '../fault-scenario.js'
import { endOf, PROXMOX_FOLDERS, proxmoxFiles, runbookFiles } from './common.js'

const HOST = 'pve'
const JOB = 'backup-pve-daily'
const VMID = 213
const FOLDER = '/tank/backups/vzdump/dump'

export const vzdumpEnrollmentFaults: FaultScenario = {
  hosts: [HOST],
  changes: { [HOST]: [...PROXMOX_FOLDERS, FOLDER, '/var/log/pve', '/var/log/vzdump'] },
  workflows: ['vzdumpEnrollment', 'awaitFirstArtifacts', 'applyChange'],
  approver: 'ronny',
  async prepare(lab) {
    await applyState(lab, 'as-found')
    // Archives that are read to their end within a second.
    await lab.host(HOST).exec(['sed', '-i', '-E', 's/"([0-9]+)":[0-9.]+([,}])/"\\1":2000000\\2/g', '/etc/nightshift-lab/pve.json'])
  },
  async start({ client, taskQueue }) {
    return await client.workflow.start('vzdumpEnrollment', {
      workflowId: workflowIds.enroll(HOST, JOB),
      taskQueue,
      args: [{ host: HOST, guests: [VMID], job: JOB, requestedBy: 'ronny' }],
    })
  },
  async meanwhile({ lab, client }, handle, over) {
    const workflowId = workflowIds.firstArtifacts(workflowIds.enroll(HOST, JOB))
    const isWaiting = async () => {
      const { status, runId } = await client.workflow.getHandle(workflowId).describe()
      // The one of the run before has ended.
      if (status.name !== 'RUNNING') return false
      const { events } = await client.workflow.getHandle(workflowId, runId).fetchHistory()
      return events?.some((event) => event.timerStartedEventAttributes != null) ?? false
    }
    while (!(await isWaiting().catch(() => false))) {
      if (over.aborted) return
      await delay(200)
    }
    await playTheNight(lab)
    await retrying(() => handle.signal('look'), over)
  },
  async finalState(place, result) {
    const { proof, ...end } = endOf(result) as { message: string; proof: { guests?: Record<string, unknown>[] } | null }
    const guests = proof?.guests?.map(({ vmid, outcome, level, artifact, missed, written }) => ({
      vmid,
      outcome,
      level,
      artifact: artifact ? sameEachTime(artifact as ScheduledArtifact) : null,
      missed,
      written,
    }))
    const files = await proxmoxFiles(place.lab.host(HOST))
    return { end: { ...end, message: null }, guests, files, runbooks: await runbookFiles(place) }
  },
}

/** How big an archive of just now is, what it hashes to, and under which process it was made, differ from run to run. */
function sameEachTime({ volid, path, runStartSeconds, dueSeconds, tie }: ScheduledArtifact): Partial<ScheduledArtifact> {
  return { volid, path, runStartSeconds, dueSeconds, tie }
}

async function playTheNight(lab: Lab): Promise<void> {
  const host = lab.host(HOST)
  const due = await dueSeconds(host)
  await host.exec([`${PVE_FOLDER}/bin/nightshift-lab-pve`, 'play', String(due - 60), String(due + 120)], { env: { NIGHTSHIFT_LAB_NOW: String(due - 60) } })
  await setClock(host, due + 600 - Math.floor(Date.now() / 1000))
}

async function dueSeconds(host: LabHost): Promise<number> {
  const { stdout } = await host.exec(['pvesh', 'get', '/cluster/backup', '--output-format', 'json'])
  const job = (JSON.parse(stdout) as { id: string; 'next-run'?: number }[]).find(({ id }) => id === JOB)
  if (job?.['next-run'] === undefined) throw new Error(`${JOB} has no next run`)
  return job['next-run']
}
