/** What to read before approving a plan of jobs: nothing of it stops the plan, and nothing of it counts in the digest. */
import type { PlanWarning } from '../change/plan.js'
import type { Classification, RunbookSet } from '../estate.js'
import { ageInWords, listInWords } from '../judge/words.js'
import { isZone } from '../judge/zone.js'
import { PROVEN_LEVEL } from '../retention/archive.js'
import { foreseenPruning, type PrunedByJob } from '../retention/foresee.js'
import type { ProofOnRecord } from '../retention/groups.js'
import { mostKept } from '../retention/keep.js'
import type { VzdumpHost } from '../vzdump-runbook.js'
import { guestOfTarget } from './gone.js'
import type { ArchiveNow, GuestNow, VzdumpObservation } from './observation.js'
import { archivesOf } from './plan-job-steps.js'
import { runsOf, scheduleTraps } from './schedules.js'
import { type JobToCome, jobsToCome } from './selection.js'

/** How long a run is taken to last when none is on record. */
const UNKNOWN_RUN_SECONDS = 3600

/**
 * @param today YYYY-MM-DD in the estate's zone
 * @param proofs what is on record about the archives of the host's site
 */
export function warningsOf(seen: VzdumpObservation, set: RunbookSet, entry: VzdumpHost, today: string, proofs: readonly ProofOnRecord[]): PlanWarning[] {
  const coming = jobsToCome(seen, entry)
  const covered = new Set(coming.flatMap(({ guests }) => guests ?? []))
  return [
    ...remarks(seen),
    ...legacyCron(seen),
    ...brokenJobs(seen),
    ...coming.flatMap((job) => scheduleTraps(seen, job)),
    ...sameWindow(seen, coming),
    ...coming.flatMap((job) => tooFewKept(seen, set, job)),
    ...twoBadNights(seen, set, coming, proofs),
    ...seen.guests.filter(({ vmid }) => covered.has(vmid)).flatMap(ofGuest),
    ...inNoJob(seen, set, entry, coming, today),
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
    if (row.pool !== undefined && seen.pools !== null && !seen.pools.some((pool) => pool.id === row.pool))
      warnings.push({ code: 'job_without_pool', message: `job ${id} backs up pool ${String(row.pool)}, which does not exist: every run of it fails` })
    return warnings
  })
}

/** Two jobs that write to one storage at one time. */
function sameWindow(seen: VzdumpObservation, coming: readonly JobToCome[]): PlanWarning[] {
  const jobs = coming
    .filter(({ runsBySchedule }) => runsBySchedule)
    .map((job) => ({ ...job, seconds: seen.lastRuns.find((run) => run.job === job.id)?.seconds ?? null }))
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

function tooFewKept(seen: VzdumpObservation, set: RunbookSet, { id, guests, retention }: JobToCome): PlanWarning[] {
  const kept = retention === null ? null : mostKept(retention)
  const short = (guests ?? []).flatMap((vmid) => {
    const wanted = set.vzdump?.retention.provenCopies[classOf(set, seen.host, vmid)] ?? 0
    return kept !== null && kept < wanted ? [`${vmid} (${wanted})`] : []
  })
  if (short.length === 0) return []
  return [{ code: 'too_few_kept', message: `job ${id} keeps at most ${kept} of a guest, fewer than the proven copies wanted of ${listInWords(short)}` }]
}

/**
 * I17: what the jobs' own pruning leaves after two bad nights. A good archive is a proven one where any is proven, else any that has a size, was not found
 * damaged, and is of the guest that has the number now.
 */
function twoBadNights(seen: VzdumpObservation, set: RunbookSet, coming: readonly JobToCome[], proofs: readonly ProofOnRecord[]): PlanWarning[] {
  const levelOf = ({ volid, sizeBytes }: ArchiveNow) => proofs.find((proof) => proof.volid === volid && proof.sizeBytes === sizeBytes)?.level ?? null
  const pruned = coming.flatMap(({ id, storage, schedule, runsBySchedule, guests, retention }): PrunedByJob[] => {
    if (!runsBySchedule || retention === null) return []
    return (guests ?? []).map((vmid) => {
      const born = seen.guests.find((guest) => guest.vmid === vmid)?.createdSeconds ?? 0
      const own = archivesOf(seen, storage)
        .filter((archive) => archive.vmid === vmid && (archive.createdSeconds ?? 0) >= born)
        .map((archive) => ({ archive, level: levelOf(archive) }))
      const anyProven = own.some(({ level }) => (level ?? 0) >= PROVEN_LEVEL)
      const archives = own.map(({ archive, level }) => ({
        startedSeconds: archive.createdSeconds ?? 0,
        isProtected: archive.protected,
        isGood: anyProven ? (level ?? 0) >= PROVEN_LEVEL : level !== 0 && (archive.sizeBytes ?? 0) > 0,
      }))
      return { job: id, storage, vmid, options: retention, nextRuns: runsOf(seen, schedule), archives }
    })
  })
  return foreseenPruning(pruned, seen.zone !== null && isZone(seen.zone) ? seen.zone : set.estate.timezone)
}

/** By the estate's decision about the guest, else by its target of the inventory. */
export function classOf(set: RunbookSet, host: string, vmid: number): Classification {
  const decided = set.estate.guests.find((guest) => guest.host === host && guest.vmid === vmid)?.classification
  return decided ?? set.inventory.targets.find((target) => guestOfTarget(set, host, target) === vmid)?.classification ?? 'important'
}

function ofGuest(guest: GuestNow): PlanWarning[] {
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
function inNoJob(seen: VzdumpObservation, set: RunbookSet, entry: VzdumpHost, coming: readonly JobToCome[], today: string): PlanWarning[] {
  // What vzdump.yaml lists is decided, also for a job that only runs by hand; a job of somebody else has to run.
  const covered = new Set(entry.jobs.flatMap((job) => job.guests))
  for (const job of coming) if (job.wanted === null && job.runsBySchedule) for (const vmid of job.guests ?? []) covered.add(vmid)
  const unknown = coming.filter(({ guests }) => guests === null).map(({ id }) => id)
  const perhaps = unknown.length === 0 ? '' : ` (perhaps in ${listInWords(unknown)}: the members of its pool could not be read)`
  return seen.guests.flatMap((guest) => {
    if (guest.template || covered.has(guest.vmid)) return []
    const waiver = set.estate.guests.find((each) => each.host === seen.host && each.vmid === guest.vmid)?.waiver
    if (waiver !== undefined && waiver.until >= today) return []
    const message = `guest ${guest.vmid} (${guest.name}) on ${seen.host} is in no job of vzdump.yaml${perhaps}: enroll it, or waive it in estate.yaml with a reason and an end`
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
