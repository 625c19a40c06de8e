/** Lets a scheduled job of a lab's Proxmox host run now, by the host's own scheduler, without waiting for its time. */
import { PVE_FOLDER } from './catalog.js'
import { LabError } from './errors.js'
import type { LabHost } from './host.js'

/** @returns when it was due, seconds. @throws LabError `failed` when the job has no next run */
export async function playJob(host: LabHost, job: string): Promise<number> {
  const { stdout } = await host.exec(['pvesh', 'get', '/cluster/backup', '--output-format', 'json'])
  const due = (JSON.parse(stdout) as { id: string; 'next-run'?: number }[]).find(({ id }) => id === job)?.['next-run']
  if (due === undefined) throw new LabError('failed', `job ${job} of ${host.name} has no next run`, 'name one that is on')
  await host.exec([`${PVE_FOLDER}/bin/nightshift-lab-pve`, 'play', String(due - 60), String(due + 120)], { env: { NIGHTSHIFT_LAB_NOW: String(due - 60) } })
  return due
}
