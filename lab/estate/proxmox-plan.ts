/**
 * Everything that lies on one Proxmox host because of its guests and its backup jobs: configuration, archives with their logs
 * and notes, task index and logs, the scheduler's state. Pure.
 */
import type { HostPlan, PlannedFile, PlannedFolder } from './file-plan.js'
import type { LabGuest } from './guests.js'
import type { LabJob, LabStorage } from './jobs.js'
import { DATACENTER_CFG, guestConf, jobsCfg, storageCfg, USER_CFG } from './pve-files.js'
import { type GuestRun, type JobRun, keptArchives, planJobRuns } from './vzdump-runs.js'
import { guestLog, taskLog } from './vzdump-text.js'
import type { Zone } from './zone.js'

export interface ProxmoxSite {
  readonly node: string
  readonly guests: readonly LabGuest[]
  readonly jobs: readonly LabJob[]
  readonly storage: LabStorage
}

export interface ProxmoxPlan {
  readonly plan: Partial<HostPlan>
  readonly runs: readonly JobRun[]
  readonly archives: readonly (GuestRun & { readonly archive: string })[]
}

/** A year of runs stays in the task index; the logs of older ones have been thrown away, as on a host that is tidied. */
const HISTORY_DAYS = 365
const TASK_LOG_DAYS = 45
const INDEX_LIMIT_BYTES = 50_000

const DIRECTORIES_OF_PVE: readonly PlannedFolder[] = ['/etc/pve', '/etc/pve/priv', '/var/log/pve/tasks', '/var/lib/pve-manager/jobs', '/var/log/vzdump'].map(
  (path) => ({ path }),
)

/** @param now seconds since 1970 */
export function planProxmox(site: ProxmoxSite, now: number, zone: Zone): ProxmoxPlan {
  const context = { now, zone, node: site.node, guests: site.guests, storageKeepLast: site.storage.keepLast, days: HISTORY_DAYS }
  const runs = site.jobs.flatMap((job) => planJobRuns(job, context)).sort((a, b) => a.start - b.start)
  const archives = keptArchives(runs)
  const plan = {
    emptied: [
      '/etc/pve/nodes',
      `${site.storage.path}/dump`,
      '/var/log/pve/tasks',
      '/var/lib/pve-manager/jobs',
      '/var/log/vzdump',
      '/var/lib/vz/images',
      POWER_STATES,
    ],
    folders: [...DIRECTORIES_OF_PVE, { path: `${site.storage.path}/dump` }, ...nodeFolders(site.node)],
    files: [
      ...configFiles(site, now),
      ...diskFiles(site.guests, now),
      ...powerFiles(site.guests, now),
      ...archiveFiles(site, archives, runs, zone),
      ...taskFiles(site, runs, now, zone),
      ...stateFiles(site, runs, now),
    ],
  }
  return { plan, runs, archives }
}

function nodeFolders(node: string): PlannedFolder[] {
  return ['qemu-server', 'lxc', 'priv'].map((name) => ({ path: `/etc/pve/nodes/${node}/${name}` }))
}

function configFiles(site: ProxmoxSite, now: number): PlannedFile[] {
  return [
    { path: '/etc/pve/jobs.cfg', content: jobsCfg(site.jobs) },
    { path: '/etc/pve/storage.cfg', content: storageCfg([site.storage]) },
    { path: '/etc/pve/user.cfg', content: USER_CFG },
    { path: '/etc/pve/datacenter.cfg', content: DATACENTER_CFG },
    { path: '/etc/vzdump.conf', content: '# vzdump default settings\n\n#storage: STORAGE_ID\n#mode: snapshot|suspend|stop\n' },
    ...site.guests.map((guest) => ({ path: guestConfPath(site.node, guest), content: guestConf(guest, now), mtime: now - 20 * 86_400 })),
  ]
}

export function guestConfPath(node: string, guest: Pick<LabGuest, 'type' | 'vmid'>): string {
  return `/etc/pve/nodes/${node}/${guest.type === 'qemu' ? 'qemu-server' : 'lxc'}/${guest.vmid}.conf`
}

/** Whether a guest runs: no file of Proxmox holds it, so the emulated `qm` and `pct` keep it here. */
const POWER_STATES = '/var/lib/nightshift-lab/guests'

export function powerStatePath(vmid: number): string {
  return `${POWER_STATES}/${vmid}.json`
}

function powerFiles(guests: readonly LabGuest[], now: number): PlannedFile[] {
  return guests
    .filter((guest) => guest.running)
    .map((guest) => ({
      path: powerStatePath(guest.vmid),
      content: JSON.stringify({ status: 'running', since: now - 12 * 86_400, pid: 2000 + guest.vmid, agent: 'alive' }),
    }))
}

/** The guest's configuration tells its true size. The emulated vma is Perl and looks at every 64 KiB, which for 60 GiB takes seconds; a read of them back as long. */
const MOST_IMAGE_GIB = 1

function diskFiles(guests: readonly LabGuest[], now: number): PlannedFile[] {
  return guests.flatMap((guest) => [
    ...guest.disks.map((disk, index) => ({
      path: `/var/lib/vz/images/${guest.vmid}/vm-${guest.vmid}-disk-${index}.raw`,
      sizeBytes: Math.min(disk.sizeGib, MOST_IMAGE_GIB) * 2 ** 30,
      mtime: now - 30,
      mode: 0o640,
    })),
    // What the emulated vzdump reads of a container.
    ...(guest.type === 'lxc' ? [{ path: `/var/lib/nightshift-lab/ct/${guest.vmid}/rootfs/etc/hostname`, content: `${guest.name}\n` }] : []),
  ])
}

/** Which archives a guest's run removed: what was kept before it and is not any more. */
export function prunedBy(runs: readonly JobRun[]): (made: GuestRun) => readonly string[] {
  const removed = new Map<GuestRun, string[]>()
  const present = new Map<number, string[]>()
  for (const run of runs) {
    for (const made of run.guests) {
      if (made.archive === undefined) continue
      const all = [...(present.get(made.guest.vmid) ?? []), made.archive]
      const surplus = run.keepLast === 'all' ? 0 : Math.max(0, all.length - run.keepLast)
      removed.set(made, all.slice(0, surplus))
      present.set(made.guest.vmid, all.slice(surplus))
    }
  }
  return (made) => removed.get(made) ?? []
}

function archiveFiles(site: ProxmoxSite, archives: ProxmoxPlan['archives'], runs: readonly JobRun[], zone: Zone): PlannedFile[] {
  const folder = `${site.storage.path}/dump`
  const pruned = prunedBy(runs)
  return archives.flatMap((made): PlannedFile[] => {
    const run = runs.find((one) => one.guests.some((guest) => guest.archive === made.archive)) as JobRun
    const original = run.guests.find((guest) => guest.archive === made.archive) as GuestRun
    const base = made.archive.replace(/\.(vma|tar)\.zst$/, '')
    return [
      { path: `${folder}/${made.archive}`, sizeBytes: made.sizeBytes, mtime: made.end },
      { path: `${folder}/${made.archive}.notes`, content: made.guest.name, mtime: made.end },
      { path: `${folder}/${base}.log`, content: guestLog(run, original, site.storage, pruned(original), zone), mtime: made.end },
    ]
  })
}

function taskFiles(site: ProxmoxSite, runs: readonly JobRun[], now: number, zone: Zone): PlannedFile[] {
  const pruned = prunedBy(runs)
  const hex = (epoch: number) => epoch.toString(16).toUpperCase().padStart(8, '0')
  // The end that the index shows is when somebody looked: pvestatd comes round about every ten seconds.
  const lines = runs.map((run) => `${run.upid} ${hex(Math.min(now, run.end + 4))} ${run.status}\n`)
  const logs = runs
    .filter((run) => run.start > now - TASK_LOG_DAYS * 86_400)
    .map((run) => ({ path: taskLogPath(run.upid, run.start), content: taskLog(run, site.storage, pruned, zone), mtime: run.end, mode: 0o640 }))
  const current = lines.slice(-Math.floor(INDEX_LIMIT_BYTES / 100)).join('')
  return [
    { path: '/var/log/pve/tasks/index', content: current, mode: 0o640 },
    {
      path: '/var/log/pve/tasks/active',
      content: runs
        .slice(-8)
        .map((run) => `${run.upid} 1 ${hex(Math.min(now, run.end + 4))} ${run.status}\n`)
        .reverse()
        .join(''),
    },
    ...logs,
  ]
}

/** Below the last digit of the start time (pve-common `PVE::UPID`). */
export function taskLogPath(upid: string, start: number): string {
  return `/var/log/pve/tasks/${(start % 16).toString(16).toUpperCase()}/${upid}`
}

/** `/var/lib/pve-manager/jobs/vzdump-<id>.json`: the only place that ties a task to a job. */
function stateFiles(site: ProxmoxSite, runs: readonly JobRun[], now: number): PlannedFile[] {
  return site.jobs.map((job) => {
    const last = runs.filter((run) => run.job?.id === job.id).at(-1)
    const config = { schedule: job.schedule.event, enabled: job.enabled ? 1 : 0 }
    const state =
      last === undefined
        ? { state: 'created', time: now - 3 * 3600, config }
        : { state: 'stopped', msg: last.status, upid: last.upid, updated: Math.min(now, last.end + 30), config }
    return { path: jobStatePath(job.id), content: JSON.stringify(state) }
  })
}

export function jobStatePath(jobId: string): string {
  return `/var/lib/pve-manager/jobs/vzdump-${jobId}.json`
}
