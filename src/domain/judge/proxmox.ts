/**
 * One Proxmox host as the judges see it: which guests exist, which jobs cover them, what ran, whether its own answers can be
 * believed. Coverage is decided × configured: only enabled jobs count, for the right node, onto a storage that exists.
 */
import type { GuestConfig, GuestSeen, JobSeen, ProxmoxObservation } from '../observation.js'
import type { Attempt, TaskView } from './attempts.js'
import { viewTasks } from './attempts.js'
import type { Timing } from './lateness.js'
import { timingOf } from './lateness.js'
import type { HostView, Pass } from './pass.js'
import { listInWords } from './words.js'

export interface GuestView {
  readonly seen: GuestSeen
  readonly config: GuestConfig | null
  /** Archives begun before this are of an earlier guest with the same number; null when nothing tells. */
  readonly bornSeconds: number | null
}

export interface JobView {
  readonly seen: JobSeen
  readonly key: string
  /** Existing guests of this node that the job would back up, whether or not it is enabled. */
  readonly covers: ReadonlySet<number>
  /** Guests that the job names and that exist nowhere. */
  readonly vanished: readonly number[]
  /** Why an enabled job backs up nothing: its storage does not exist, another node, … */
  readonly broken: 'no_such_storage' | 'wrong_node' | 'no_such_pool' | 'never_fires' | null
  readonly lastTask: TaskView | null
  readonly timing: Timing
}

export interface ProxmoxView {
  readonly view: HostView
  readonly node: string
  readonly seen: ProxmoxObservation
  /** Why the host's lists of guests are not believed, or null. */
  readonly disbelief: string | null
  /** Null when the lists could not be read or are not believed. */
  readonly guests: ReadonlyMap<number, GuestView> | null
  /** Null when they could not be read. */
  readonly jobs: readonly JobView[] | null
  /** Null when the tasks could not be read. Newest first. */
  readonly tasks: readonly TaskView[] | null
  readonly isRunning: (vmid: number) => boolean | null
  readonly latestAttempt: (vmid: number) => Attempt | null
}

/** By host name; only Proxmox hosts that answered. */
export type ProxmoxViews = ReadonlyMap<string, ProxmoxView>

export function viewProxmox(pass: Pass): ProxmoxViews {
  const views = new Map<string, ProxmoxView>()
  for (const view of pass.hosts.values()) {
    if (view.host.kind === 'proxmox' && view.up && view.seen?.proxmox) views.set(view.host.name, viewNode(pass, view, view.seen.proxmox))
  }
  return views
}

function viewNode(pass: Pass, view: HostView, seen: ProxmoxObservation): ProxmoxView {
  const node = view.host.node ?? view.host.name
  const tasks = seen.tasks.ok || seen.taskLogs.ok ? viewTasks(seen.tasks.ok ? seen.tasks.value : [], seen.taskLogs.ok ? seen.taskLogs.value : []) : null
  const disbelief = disbeliefOf(view, node, seen)
  const guests = disbelief === null && seen.guests.ok ? viewGuests(pass, view, node, seen, seen.guests.value) : null
  const jobs = seen.jobs.ok ? seen.jobs.value.map((job) => viewJob(pass, view, node, seen, job, guests, tasks)) : null
  const attempts = new Map<number, Attempt>()
  for (const task of tasks ?? []) for (const attempt of task.attempts) if (!attempts.has(attempt.vmid)) attempts.set(attempt.vmid, attempt)
  return {
    view,
    node,
    seen,
    disbelief,
    guests,
    jobs,
    tasks,
    isRunning: (vmid) => (seen.tasks.ok ? runsNow(tasks ?? [], vmid) : null),
    latestAttempt: (vmid) => attempts.get(vmid) ?? null,
  }
}

/** A running task of exactly this guest, or of several guests that has not yet closed this one. */
function runsNow(tasks: readonly TaskView[], vmid: number): boolean {
  return tasks.some((task) => {
    if (!task.running) return false
    const single = /:vzdump:(\d+):/.exec(task.upid)?.[1]
    if (single !== undefined) return Number(single) === vmid
    const attempt = task.attempts.find((one) => one.vmid === vmid)
    return !task.logRead || attempt?.outcome === 'running'
  })
}

/** I8: with a wrong node name every list comes back empty and every job finds nothing; such answers are not believed. */
function disbeliefOf(view: HostView, node: string, seen: ProxmoxObservation): string | null {
  const hostname = view.seen?.hostname.ok ? (view.seen.hostname.value.split('.')[0] ?? '') : null
  const nodes = seen.nodes.ok ? seen.nodes.value : null
  if (hostname !== null && nodes !== null && !nodes.includes(hostname)) {
    const there = nodes.map((name) => `/etc/pve/nodes/${name}`).join(', ') || 'none'
    return `the host calls itself ${hostname}, but /etc/pve/nodes/${hostname} does not exist (there: ${there}), so Proxmox looks for guests under a node that is not there`
  }
  if (hostname !== null && hostname !== node)
    return `the node is named ${hostname}, estate.yaml declares ${node}; the paths used were /nodes/${node}/… and /etc/pve/nodes/${node}`
  const configured = seen.configs.ok ? seen.configs.value.filter((config) => config.node === node).length : 0
  if (seen.guests.ok && seen.guests.value.length === 0 && configured > 0) {
    return `/nodes/${node}/qemu and /nodes/${node}/lxc list no guest, but /etc/pve/nodes/${node} holds the configuration of ${configured}`
  }
  return null
}

function viewGuests(pass: Pass, view: HostView, node: string, seen: ProxmoxObservation, listed: readonly GuestSeen[]): ReadonlyMap<number, GuestView> {
  const configs = new Map(seen.configs.ok ? seen.configs.value.filter((config) => config.node === node).map((config) => [config.vmid, config]) : [])
  const creations = new Map(seen.creations.ok ? seen.creations.value.map((creation) => [creation.vmid, creation.startSeconds]) : [])
  return new Map(
    listed.map((guest) => {
      const config = configs.get(guest.vmid) ?? null
      return [guest.vmid, { seen: guest, config, bornSeconds: bornSeconds(pass, view, guest, config, creations.get(guest.vmid) ?? null) }]
    }),
  )
}

/**
 * Since when the guest with this number is this guest: `meta` ctime (kept by a restore), for containers and older VMs the
 * creation task while the task index still has it, and the moment at which we saw the smbios UUID change.
 */
function bornSeconds(pass: Pass, view: HostView, guest: GuestSeen, config: GuestConfig | null, createdByTask: number | null): number | null {
  const known = pass.memory.guests[`${view.host.name}/${guest.vmid}`]?.incarnation
  const id = config?.smbiosUuid
  const changed = known && id && known.id !== id ? pass.nowSeconds : (known?.since ?? 0)
  const born = Math.max(config?.createdSeconds ?? createdByTask ?? 0, changed)
  return born > 0 ? born : null
}

function viewJob(
  pass: Pass,
  view: HostView,
  node: string,
  seen: ProxmoxObservation,
  job: JobSeen,
  guests: ReadonlyMap<number, GuestView> | null,
  tasks: readonly TaskView[] | null,
): JobView {
  const pool = job.pool === null ? null : seen.pools.ok ? (seen.pools.value.find(({ id }) => id === job.pool) ?? null) : null
  const named = selection(job, pool?.vmids ?? null, guests)
  const elsewhere = new Set(seen.configs.ok ? seen.configs.value.map((config) => config.vmid) : [])
  const covers = new Set(named.filter((vmid) => guests?.has(vmid)))
  const lookedEverywhere = guests !== null && seen.configs.ok
  const lastTask = lastTaskOf(seen, job, tasks)
  return {
    seen: job,
    key: `${view.host.name}/${job.id}`,
    covers,
    vanished: lookedEverywhere && job.pool === null ? named.filter((vmid) => !guests.has(vmid) && !elsewhere.has(vmid)) : [],
    broken: brokenBecause(node, seen, job, pool !== null),
    lastTask,
    timing: timingOf(pass, view, seen, job, lastTask, tasks),
  }
}

/** pve-manager PVE/VZDump.pm get_included_guests: the pool, else the list, else all minus the excluded. */
function selection(job: JobSeen, pool: readonly number[] | null, guests: ReadonlyMap<number, GuestView> | null): number[] {
  if (job.pool !== null) return [...(pool ?? [])]
  if (job.vmids !== null && job.vmids.length > 0) return [...new Set(job.vmids)].sort((a, b) => a - b)
  if (job.all) return [...(guests?.keys() ?? [])].filter((vmid) => !job.exclude.includes(vmid))
  return []
}

function brokenBecause(node: string, seen: ProxmoxObservation, job: JobSeen, poolExists: boolean): JobView['broken'] {
  if (job.node !== null && job.node !== node) return 'wrong_node'
  if (job.storage !== null && seen.storageConfigs.ok && !seen.storageConfigs.value.some(({ id }) => id === job.storage)) return 'no_such_storage'
  if (job.pool !== null && seen.pools.ok && !poolExists) return 'no_such_pool'
  const runs = seen.schedules.find(({ schedule }) => schedule === job.schedule)?.runs
  if (job.schedule === null || (runs?.ok && runs.value.length === 0)) return 'never_fires'
  return null
}

/** A job's latest run: by its state file, the only tie between the two (pve-manager PVE/Jobs.pm). */
function lastTaskOf(seen: ProxmoxObservation, job: JobSeen, tasks: readonly TaskView[] | null): TaskView | null {
  const state = seen.jobStates.ok ? seen.jobStates.value.find(({ jobId }) => jobId === job.id) : undefined
  if (!state?.upid || tasks === null) return null
  return tasks.find((task) => task.upid === state.upid) ?? null
}

/** No such guest on any node, by lists and configuration files that were both read. */
export function isGone(own: ProxmoxView, vmid: number): boolean {
  return own.guests !== null && own.seen.configs.ok && !own.guests.has(vmid) && !own.seen.configs.value.some((config) => config.vmid === vmid)
}

/** Jobs that really back this guest up: enabled, able to run here. */
export function coveringJobs(proxmox: ProxmoxView, vmid: number): readonly JobView[] {
  return (proxmox.jobs ?? []).filter((job) => job.seen.enabled && job.broken === null && job.covers.has(vmid))
}

/** A run that ended badly before it came to any guest: then none of the job's guests was backed up. */
export function failedBeforeAnyGuest(task: TaskView | null): boolean {
  return task?.logRead === true && !task.running && task.attempts.length === 0 && task.status !== 'OK' && !task.status.startsWith('WARNINGS')
}

/** Why a guest that no job covers is not covered, in words. */
export function uncoveredBecause(proxmox: ProxmoxView, vmid: number): string {
  const named = (proxmox.jobs ?? []).filter((job) => job.covers.has(vmid))
  const disabled = named.filter((job) => !job.seen.enabled)
  const broken = named.filter((job) => job.seen.enabled && job.broken !== null)
  const first = broken[0]
  if (first?.broken === 'no_such_storage') return `its job ${first.seen.id} writes to storage ${first.seen.storage}, which does not exist`
  if (first?.broken === 'wrong_node') return `its job ${first.seen.id} runs on node ${first.seen.node} only`
  if (first?.broken === 'never_fires') return `its job ${first.seen.id} has a schedule that never comes (${first.seen.schedule ?? 'none'})`
  const asleep = disabled.map((job) => job.seen.id)
  if (asleep.length > 0) return `its ${asleep.length === 1 ? 'job' : 'jobs'} ${listInWords(asleep)} ${asleep.length === 1 ? 'is' : 'are'} disabled`
  const excluded = (proxmox.jobs ?? []).find((job) => job.seen.enabled && job.seen.exclude.includes(vmid))
  if (excluded) return `job ${excluded.seen.id} excludes it`
  return 'no job names it'
}
