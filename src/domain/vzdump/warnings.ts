/** What to read before approving a plan of jobs: nothing of it stops the plan, and nothing of it counts in the digest. */
import type { PlanWarning } from '../change/plan.js'
import type { Classification, RunbookSet } from '../estate.js'
import { ageInWords, listInWords } from '../judge/words.js'
import { isZone, localTime } from '../judge/zone.js'
import type { VzdumpHost, WantedJob } from '../vzdump-runbook.js'
import { guestOfTarget } from './gone.js'
import type { GuestNow, VzdumpObservation } from './observation.js'
import { isLegacyCron, isTrue, vmidsOf } from './observation.js'
import { effectiveRetention } from './plan-job-steps.js'
import { isScheduled, mostKept } from './wanted.js'

/** How long a run is taken to last when none is on record. */
const UNKNOWN_RUN_SECONDS = 3600
const HOUR = 3600
/** Daily, with room for the hour that summer time adds. */
const DAILY_GAP_SECONDS = 25 * HOUR
const WEEKLY_GAP_SECONDS = (7 * 24 + 1) * HOUR

/** @param today YYYY-MM-DD in the estate's zone */
export function warningsOf(seen: VzdumpObservation, set: RunbookSet, entry: VzdumpHost, today: string): PlanWarning[] {
  const there = new Map(seen.guests.map((guest) => [guest.vmid, guest]))
  return [
    ...remarks(seen),
    ...legacyCron(seen),
    ...brokenJobs(seen),
    ...entry.jobs.flatMap((job) => scheduleTraps(seen, job)),
    ...sameWindow(seen, entry, new Set(there.keys())),
    ...entry.jobs.flatMap((job) => tooFewKept(seen, set, entry, job)),
    ...[...new Set(entry.jobs.flatMap((job) => job.guests))].flatMap((vmid) => ofGuest(there.get(vmid))),
    ...inNoJob(seen, set, entry, today),
    ...overdueWaivers(seen.host, set, today),
  ]
}

function remarks(seen: VzdumpObservation): PlanWarning[] {
  // pvesh answers with exit code 0 although lines of a file could not be read (pve-common SectionConfig).
  return seen.remarks.map((said) => ({ code: 'host_said', message: `${seen.host} says while answering: ${said}` }))
}

function legacyCron(seen: VzdumpObservation): PlanWarning[] {
  if (seen.legacyCronLines.length === 0) return []
  const message = `${seen.host} still runs ${seen.legacyCronLines.length} ${seen.legacyCronLines.length === 1 ? 'line' : 'lines'} of the old /etc/pve/vzdump.cron, which nightshift never changes: make them jobs`
  return [{ code: 'legacy_cron', message }]
}

/** Jobs that stay and name a storage or node that is not there are told here; those that can be removed are steps. */
function brokenJobs(seen: VzdumpObservation): PlanWarning[] {
  return seen.jobs.flatMap((row) => {
    const id = String(row.id)
    const warnings: PlanWarning[] = []
    if (row.storage !== undefined && row.dumpdir === undefined && !seen.storages.some((storage) => storage.id === row.storage))
      warnings.push({ code: 'job_without_storage', message: `job ${id} writes to storage ${String(row.storage)}, which does not exist on ${seen.host}` })
    if (row.node !== undefined && !seen.nodes.includes(String(row.node)))
      warnings.push({ code: 'job_without_node', message: `job ${id} runs on node ${String(row.node)} only, which does not exist` })
    return warnings
  })
}

/** The widest gap between two of the host's own next runs; endless when the host does not tell. */
export function largestGap(seen: VzdumpObservation, schedule: string): number {
  return Math.max(...gaps(seen, schedule), 0) || Number.POSITIVE_INFINITY
}

function gaps(seen: VzdumpObservation, schedule: string): number[] {
  const runs = runsOf(seen, schedule)
  return runs.slice(1).map((run, index) => run - (runs[index] ?? run))
}

function runsOf(seen: VzdumpObservation, schedule: string): readonly number[] {
  const answer = seen.schedules.find((each) => each.schedule === schedule)?.runs
  return answer?.ok ? answer.value : []
}

/** What Proxmox accepts and people do not mean: the host's own next runs are compared with what the text seems to say. */
function scheduleTraps(seen: VzdumpObservation, job: WantedJob): PlanWarning[] {
  const runs = runsOf(seen, job.schedule)
  if (runs.length < 2) return []
  const warnings: PlanWarning[] = []
  const between = gaps(seen, job.schedule)
  const zone = /UTC\s*$/.test(job.schedule) ? 'UTC' : seen.zone
  const [shortest, longest] = [Math.min(...between), Math.max(...between)]
  const trap = (message: string) => warnings.push({ code: 'schedule_trap', message: `schedule "${job.schedule}" of job ${job.id} (${job.place}) ${message}` })
  if (shortest <= HOUR) trap(`fires every ${ageInWords(shortest)}: a number without an hour is a minute of every hour`)
  else {
    const missed = timesNamed(job.schedule).filter((time) => !localTimes(zone, runs).has(time))
    if (missed.length > 0 && localTimes(zone, runs).size > 0)
      trap(`seems to name ${listInWords(missed)}, and does not fire then; the host's next runs: ${listInWords([...localTimes(zone, runs)])}`)
    else if (shortest < 12 * HOUR) trap(`fires ${ageInWords(shortest)} after it fired`)
  }
  const most = job.tier === 'P2' ? WEEKLY_GAP_SECONDS : DAILY_GAP_SECONDS
  if (job.scheduled && longest > most)
    warnings.push({
      code: 'tier_schedule',
      message: `job ${job.id} is ${job.tier} (${job.tier === 'P2' ? 'weekly' : 'daily'}) and stays without a run for ${ageInWords(longest)}`,
    })
  return warnings
}

/** `HH:MM` as people read it, whatever Proxmox makes of it. */
function timesNamed(schedule: string): string[] {
  return [...schedule.matchAll(/(?<![\d:])(\d{1,2}):(\d{2})(?![\d:])/g)].map(([, hour, minute]) => `${String(hour).padStart(2, '0')}:${minute}`)
}

/** Wall-clock times of the runs on the host; empty when its zone is not known. `UTC` at the end of a schedule means just that. */
function localTimes(zone: string | null, runs: readonly number[]): ReadonlySet<string> {
  if (zone === null || !isZone(zone)) return new Set()
  const two = (value: number) => String(value).padStart(2, '0')
  return new Set(runs.map((run) => localTime(run, zone)).map(({ hour, minute }) => `${two(hour)}:${two(minute)}`))
}

/** Jobs that will run, as they will be: the wanted ones, and what else is switched on. */
function sameWindow(seen: VzdumpObservation, entry: VzdumpHost, there: ReadonlySet<number>): PlanWarning[] {
  const wanted = entry.jobs
    .filter((job) => job.scheduled && job.guests.some((vmid) => there.has(vmid)))
    .map(({ id, storage, schedule }) => ({ id, storage, schedule }))
  const others = seen.jobs
    .filter((row) => isScheduled(row) && !isLegacyCron(row) && !entry.jobs.some((job) => job.id === row.id))
    .map((row) => ({ id: String(row.id), storage: String(row.storage ?? ''), schedule: String(row.schedule ?? '') }))
  const jobs = [...wanted, ...others].map((job) => ({ ...job, seconds: seen.lastRuns.find((run) => run.job === job.id)?.seconds ?? null }))
  return jobs.flatMap((job, index) =>
    jobs.slice(index + 1).flatMap((other) => {
      if (job.storage !== other.storage) return []
      const lasts = (of: typeof job) => of.seconds ?? UNKNOWN_RUN_SECONDS
      const clash = runsOf(seen, job.schedule).some((at) => runsOf(seen, other.schedule).some((then) => at < then + lasts(other) && then < at + lasts(job)))
      if (!clash) return []
      const known = (of: typeof job) => (of.seconds === null ? 'no run on record, an hour assumed' : `last run ${ageInWords(of.seconds)}`)
      const message = `jobs ${job.id} (${known(job)}) and ${other.id} (${known(other)}) write to ${job.storage} in one window: the second waits for the first`
      return [{ code: 'same_window', message }]
    }),
  )
}

function tooFewKept(seen: VzdumpObservation, set: RunbookSet, entry: VzdumpHost, job: WantedJob): PlanWarning[] {
  const storage = entry.storages.find((each) => each.id === job.storage)?.retention
  const live = seen.storages.find((each) => each.id === job.storage)?.retention
  const kept = mostKept(job.retention ?? storage ?? effectiveRetention(seen, null, live))
  const short = job.guests.flatMap((vmid) => {
    const wanted = set.vzdump?.retention.provenCopies[classOf(set, seen.host, vmid)] ?? 0
    return kept < wanted ? [`${vmid} (${wanted})`] : []
  })
  if (short.length === 0) return []
  return [{ code: 'too_few_kept', message: `job ${job.id} keeps at most ${kept} of a guest, fewer than the proven copies wanted of ${listInWords(short)}` }]
}

/** By the estate's decision about the guest, else by its target of the inventory. */
export function classOf(set: RunbookSet, host: string, vmid: number): Classification {
  const decided = set.estate.guests.find((guest) => guest.host === host && guest.vmid === vmid)?.classification
  return decided ?? set.inventory.targets.find((target) => guestOfTarget(set, host, target) === vmid)?.classification ?? 'important'
}

function ofGuest(guest: GuestNow | undefined): PlanWarning[] {
  if (guest === undefined) return []
  const warnings: PlanWarning[] = []
  if (guest.type === 'qemu' && !guest.agent)
    warnings.push({
      code: 'no_agent',
      message: `guest ${guest.vmid} (${guest.name}) has no guest agent: its file systems are not frozen for a backup, which is then as after a power cut`,
    })
  if (guest.leftOut.length > 0)
    warnings.push({ code: 'disk_left_out', message: `backups of guest ${guest.vmid} (${guest.name}) leave out ${listInWords(guest.leftOut)} (backup=0)` })
  return warnings
}

/** Guests that nobody backs up and nobody decided about. */
function inNoJob(seen: VzdumpObservation, set: RunbookSet, entry: VzdumpHost, today: string): PlanWarning[] {
  const wanted = new Set(entry.jobs.flatMap((job) => job.guests))
  const stays = seen.jobs.filter((row) => isScheduled(row) && !entry.jobs.some((job) => job.id === row.id))
  const elsewhere = new Set(stays.flatMap((row) => vmidsOf(row.vmid)))
  const byAll = stays.some((row) => isTrue(row.all) && (row.storage === undefined || seen.storages.some((storage) => storage.id === row.storage)))
  return seen.guests.flatMap((guest) => {
    if (guest.template || byAll || wanted.has(guest.vmid) || elsewhere.has(guest.vmid)) return []
    const waiver = set.estate.guests.find((each) => each.host === seen.host && each.vmid === guest.vmid)?.waiver
    if (waiver !== undefined && waiver.until >= today) return []
    const message = `guest ${guest.vmid} (${guest.name}) on ${seen.host} is in no job of vzdump.yaml: enroll it, or waive it in estate.yaml with a reason and an end`
    return [{ code: 'not_in_any_job', message }]
  })
}

function overdueWaivers(host: string, set: RunbookSet, today: string): PlanWarning[] {
  const over = (what: string, until: string, reason: string): PlanWarning => ({
    code: 'waiver_over',
    message: `the waiver of ${what} ended on ${until} ("${reason}"): decide again`,
  })
  const guests = set.estate.guests.filter((guest) => guest.host === host && guest.waiver !== undefined && guest.waiver.until < today)
  const targets = set.inventory.targets.filter((target) => target.host === host && target.waiver !== undefined && target.waiver.until < today)
  return [
    ...guests.map(({ vmid, waiver }) => over(`guest ${vmid}`, waiver?.until ?? '', waiver?.reason ?? '')),
    ...targets.map(({ id, waiver }) => over(`target ${id}`, waiver?.until ?? '', waiver?.reason ?? '')),
  ]
}
