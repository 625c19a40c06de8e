/**
 * Which backup runs a job has made up to now: when each guest was archived, how big it became, under which task.
 * Pure and always the same for the same `now`. A run that would still be going at `now` is told as if the storage had
 * been as quick as needed, so that what lies on the disk is whole at whatever minute a lab is made.
 */
import { chance, wobble } from './chance.js'
import type { LabGuest } from './guests.js'
import { guestOf } from './guests.js'
import type { LabJob } from './jobs.js'
import { weekdayOf, type Zone } from './zone.js'

export interface GuestRun {
  readonly guest: LabGuest
  /** Seconds since 1970; the time in the archive's name. */
  readonly start: number
  /** The archive's mtime. */
  readonly end: number
  /** Archive file name without folder; undefined when this guest's backup failed. */
  readonly archive: string | undefined
  readonly sizeBytes: number
  /** Why it failed. */
  readonly error?: string
}

export interface JobRun {
  readonly node: string
  readonly storage: string
  /** undefined: started by hand. */
  readonly job: LabJob | undefined
  readonly keepLast: number | 'all'
  readonly start: number
  readonly end: number
  readonly guests: readonly GuestRun[]
  readonly upid: string
  /** `OK` or `job errors`. */
  readonly status: string
}

export interface RunContext {
  /** Seconds since 1970. */
  readonly now: number
  readonly zone: Zone
  readonly node: string
  readonly guests: readonly LabGuest[]
  /** Retention of the storage where the job has none of its own. */
  readonly storageKeepLast: number | 'all'
  /** How far back, days. */
  readonly days: number
}

const DAY = 86_400
/** Bytes a second into a backup storage: a ZFS pool of disks at the shop, NFS over gigabit at home. */
const BYTES_PER_SECOND = 62_000_000
/** Nights that went wrong long ago, by days before `now`: a VM was still locked. The history of a real host has some. */
const BAD_NIGHTS: ReadonlySet<number> = new Set([97, 203])
const LOCKED_THEN = 209

/** Oldest first. */
export function planJobRuns(job: LabJob, context: RunContext): JobRun[] {
  if (!job.enabled) return []
  const scheduled: { at: number; daysAgo: number }[] = []
  for (let daysAgo = Math.min(context.days, job.sinceDays); daysAgo >= 0; daysAgo--) {
    const day = context.zone.dayBefore(context.now, daysAgo)
    if (job.schedule.weekday !== undefined && weekdayOf(day) !== job.schedule.weekday) continue
    const at = context.zone.instantOf(day, job.schedule.hour, job.schedule.minute)
    if (at !== undefined && at <= context.now) scheduled.push({ at, daysAgo })
  }
  const runs: JobRun[] = []
  const periodSeconds = job.schedule.weekday === undefined ? DAY : 7 * DAY
  scheduled.forEach(({ at, daysAgo }, index) => {
    runs.push(planRun(job, at, context, { byHand: false, daysAgo }))
    const byHandAt = startByHand(at, scheduled[index + 1]?.at ?? context.now, periodSeconds)
    if (byHandAt !== undefined) runs.push(planRun(job, byHandAt, context, { byHand: true, daysAgo }))
  })
  return runs
}

/**
 * When the clocks change a daily run can be left out (its hour is skipped) and a week can have 169 hours:
 * the operator of this estate then starts the run by hand, so that no promise is broken. Undefined when not needed (yet).
 */
function startByHand(previous: number, next: number, periodSeconds: number): number | undefined {
  const daily = periodSeconds === DAY
  const tooLong = daily ? DAY + 3600 : periodSeconds
  const byHand = previous + (daily ? DAY + 3600 : periodSeconds - 3600)
  return next - previous > tooLong && next >= byHand ? byHand : undefined
}

function planRun(job: LabJob, at: number, context: RunContext, { byHand, daysAgo }: { byHand: boolean; daysAgo: number }): JobRun {
  const { now, node, zone } = context
  const guests = (job.vmids ?? context.guests.map((guest) => guest.vmid)).map((vmid) => guestOf(context.guests, vmid))
  // The scheduler looks once a minute and its worker needs a moment.
  const start = Math.min(now, at + 1 + Math.floor(4 * chance('tick', node, job.id, at)))
  const natural = guests.map((guest) => naturalRun(guest, node, at, now))
  const naturalTotal = natural.reduce((sum, one) => sum + one.seconds + 1, 1)
  const quicker = Math.min(1, Math.max(0, now - 1 - start) / naturalTotal)
  let clock = start
  const runs = guests.map((guest, index): GuestRun => {
    const { seconds, sizeBytes } = natural[index] as { seconds: number; sizeBytes: number }
    const guestStart = Math.floor(clock)
    if (BAD_NIGHTS.has(daysAgo) && guest.vmid === LOCKED_THEN) {
      return { guest, start: guestStart, end: guestStart, archive: undefined, sizeBytes: 0, error: 'VM is locked (backup)' }
    }
    const end = Math.floor(clock + seconds * quicker)
    clock += (seconds + 1) * quicker
    return { guest, start: guestStart, end, archive: archiveName(guest, guestStart, zone), sizeBytes }
  })
  const end = Math.min(now, Math.floor(clock))
  const only = guests.length === 1 ? guests[0] : undefined
  return {
    node,
    storage: job.storage,
    job: byHand ? undefined : job,
    keepLast: job.keepLast ?? context.storageKeepLast,
    start,
    end,
    guests: runs,
    upid: upidOf(node, 'vzdump', only === undefined ? '' : String(only.vmid), start),
    status: runs.some((run) => run.error !== undefined) ? 'job errors' : 'OK',
  }
}

function naturalRun(guest: LabGuest, node: string, at: number, now: number): { seconds: number; sizeBytes: number } {
  const yearsAgo = (now - at) / (365 * DAY)
  const grown = 1 - 0.22 * yearsAgo
  const sizeBytes = Math.round(guest.archiveBytes * grown * wobble(0.012, 'size', node, guest.vmid, at))
  return { sizeBytes, seconds: 9 + (sizeBytes / BYTES_PER_SECOND) * wobble(0.07, 'speed', node, guest.vmid, at) }
}

/** `vzdump-qemu-204-2026_11_21-02_52_10.vma.zst` */
export function archiveName(guest: { readonly type: 'qemu' | 'lxc'; readonly vmid: number }, start: number, zone: Zone): string {
  return `vzdump-${guest.type}-${guest.vmid}-${zone.archiveStamp(start)}.${guest.type === 'qemu' ? 'vma' : 'tar'}.zst`
}

/** The id of a finished task (pve-common `PVE::UPID`): process numbers belong to the start time. */
export function upidOf(node: string, type: string, id: string, start: number, user = 'root@pam'): string {
  const hex = (value: number) => Math.floor(value).toString(16).toUpperCase().padStart(8, '0')
  const pid = 2_000 + 2_000_000 * chance('pid', node, type, id, start)
  const bootedAt = 1_700_000_000
  const ticks = ((start - bootedAt) * 100) % 0xffffffff
  return `UPID:${node}:${hex(pid)}:${hex(Math.abs(ticks))}:${hex(start)}:${type}:${id}:${user}:`
}

/**
 * What is still on the storage after each run has pruned its guest's older archives (keep-last), newest first.
 * @param runs of all jobs of one storage, any order
 */
export function keptArchives(runs: readonly JobRun[]): (GuestRun & { archive: string })[] {
  const kept = new Map<number, (GuestRun & { archive: string })[]>()
  for (const run of [...runs].sort((a, b) => a.start - b.start)) {
    for (const made of run.guests) {
      if (made.archive === undefined) continue
      const all = [{ ...made, archive: made.archive }, ...(kept.get(made.guest.vmid) ?? [])]
      kept.set(made.guest.vmid, run.keepLast === 'all' ? all : all.slice(0, run.keepLast))
    }
  }
  return [...kept.values()].flat()
}
