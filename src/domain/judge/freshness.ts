/**
 * Judges one set of artifacts: is the newest thing complete, did the last attempt fail, is it fresh enough, is it late.
 * Shared by targets and by guests that no target names, so that both say the same.
 */
import type { Instant, Reason, State, TargetStatus } from '../status.js'
import type { Artifact, ArtifactSet } from './artifacts.js'
import { GRACE_SECONDS } from './lateness.js'
import type { HostView, Pass } from './pass.js'
import { isoOf } from './pass.js'
import type { JobView, ProxmoxView } from './proxmox.js'
import { coveringJobs, failedBeforeAnyGuest } from './proxmox.js'
import { onHost } from './report.js'
import { ageInWords, limitInWords, sizeInWords, timeInWords } from './words.js'

/** An artifact may be dated this far ahead of the host's clock (a share's server has a clock of its own) and still be taken as new. */
export const FUTURE_TOLERANCE_SECONDS = 60

export interface Freshness {
  readonly state: State
  readonly reason: Reason
  readonly message: string
  readonly next: string | null
  readonly artifact: TargetStatus['artifact']
  readonly ageSeconds: number | null
  readonly dueAt: Instant | null
  readonly lastGood: TargetStatus['lastGood']
  /** The job's finding tells this cause already. */
  readonly told?: boolean
  /** The newest artifact that counts, for memory. */
  readonly good: Artifact | null
}

export interface FreshnessQuestion {
  readonly pass: Pass
  /** Where the files are. */
  readonly view: HostView
  readonly set: ArtifactSet
  readonly limitSeconds: number
  readonly basePath: string
  readonly glob: string
  /** The guest that is backed up, with the Proxmox host that does it, when the set is one guest's vzdump archives. */
  readonly guest: { readonly own: ProxmoxView; readonly vmid: number } | null
  /** Something was here in an earlier pass. */
  readonly seenBefore: { readonly path: string; readonly mtime: number } | null
  /** First due time of a guest that never had an artifact, from memory. */
  readonly firstDueSeconds: number | null
}

export function judgeFreshness(question: FreshnessQuestion): Freshness {
  const { set, view, guest } = question
  const newest = set.artifacts[0] ?? null
  const good = set.artifacts.find((artifact) => artifact.problem === null && artifact.mtimeSeconds <= view.clockSeconds + FUTURE_TOLERANCE_SECONDS) ?? null
  const jobs = guest ? coveringJobs(guest.own, guest.vmid) : []
  const base = {
    artifact: newest
      ? { path: newest.path, sizeBytes: newest.sizeBytes, modifiedAt: isoOf(newest.mtimeSeconds - (view.clockSeconds - question.pass.nowSeconds)) }
      : null,
    ageSeconds: good ? ageOf(view, good) : null,
    dueAt: dueAtOf(question, jobs, good),
    lastGood: good ? { path: good.path, ageSeconds: ageOf(view, good), proof: 1 } : null,
    good,
  }
  return { ...base, ...verdictOf(question, jobs, newest, good) }
}

type Words = Pick<Freshness, 'state' | 'reason' | 'message' | 'next' | 'told'>

const ageOf = (view: HostView, artifact: Artifact): number => Math.max(0, view.clockSeconds - artifact.mtimeSeconds)

function dueAtOf(question: FreshnessQuestion, jobs: readonly JobView[], good: Artifact | null): Instant | null {
  const skew = question.view.clockSeconds - question.pass.nowSeconds
  const late = jobs.find((job) => job.timing.late && job.timing.lastDueSeconds !== null)
  if (late) return isoOf((late.timing.lastDueSeconds ?? 0) + late.timing.usualSeconds - skew)
  if (!good && question.firstDueSeconds !== null) return isoOf(question.firstDueSeconds - skew)
  const next = jobs.flatMap(({ timing }) => (timing.nextRunSeconds === null ? [] : [timing.nextRunSeconds + timing.usualSeconds]))
  if (next.length > 0) return isoOf(Math.min(...next) - skew)
  return good ? isoOf(good.mtimeSeconds + question.limitSeconds - skew) : null
}

function verdictOf(question: FreshnessQuestion, jobs: readonly JobView[], newest: Artifact | null, good: Artifact | null): Words {
  const { set, view } = question
  const lastGood = good ? `the last good one is ${good.name}, ${ageInWords(ageOf(view, good))} old` : 'there is no good one'
  if (newest && newest.mtimeSeconds > view.clockSeconds + FUTURE_TOLERANCE_SECONDS) {
    return {
      state: 'UNKNOWN',
      reason: 'future_mtime',
      message: `${newest.name} is dated ${ageInWords(newest.mtimeSeconds - view.clockSeconds)} in the future (${timeInWords(newest.mtimeSeconds, view.zone)} by the clock of ${view.host.name}), so its age is unknown; ${lastGood}`,
      next: `compare ${onHost(view.host.sshAlias, `date; stat ${newest.path}`)}; put the clock or the file's date right`,
    }
  }
  const half = set.halfDone
  if (half && !half.inProgress) {
    const locked = question.guest?.own.guests?.get(question.guest.vmid)?.seen.lock === 'backup'
    const unlock = locked ? `; the guest is still locked: ${onHost(question.guest?.own.view.host.sshAlias ?? '', `qm unlock ${question.guest?.vmid}`)}` : ''
    return {
      state: 'PARTIAL',
      reason: 'log_incomplete',
      message: `the newest thing is unfinished: ${half.name}${half.sizeBytes > 0 ? ` (${sizeInWords(half.sizeBytes)})` : ''} is a temporary name that nothing works on any more; ${lastGood}`,
      next: `run that backup again, then remove ${question.basePath}/${half.name}${unlock}`,
    }
  }
  const failure = failureOf(question, jobs, newest)
  if (failure) return { state: 'FAILED', reason: 'job_failed', message: `${failure.text}; ${lastGood}`, next: failure.next, told: failure.told }
  if (!newest) return nothingThere(question, jobs)
  if (newest.problem) {
    return {
      state: 'PARTIAL',
      reason: newest.problem.reason,
      message: `${newest.problem.text}; ${lastGood}`,
      next: `run that backup again, and do not count on ${newest.path}`,
    }
  }
  return aged(question, jobs, newest)
}

/** The last attempt failed, and nothing newer is there. */
function failureOf(question: FreshnessQuestion, jobs: readonly JobView[], newest: Artifact | null): { text: string; next: string; told?: boolean } | null {
  const { set, guest, view } = question
  const attempt = guest?.own.latestAttempt(guest.vmid) ?? null
  const done = newest?.startedSeconds ?? 0
  const zone = guest?.own.view.zone ?? view.zone
  const alias = guest?.own.view.host.sshAlias ?? view.host.sshAlias
  if (guest && attempt && (attempt.outcome === 'failed' || attempt.outcome === 'lost') && !attempt.pruneFailed && attempt.startSeconds > done) {
    const cause = attempt.outcome === 'lost' ? 'it was cut off without a result' : attempt.cause
    return {
      text: `the backup of ${guest.vmid} at ${timeInWords(attempt.startSeconds, zone)} failed: ${cause}`,
      next: `read the log: ${onHost(alias, `pvesh get /nodes/${guest.own.node}/tasks/${attempt.upid}/log --limit 0`)}`,
    }
  }
  // a manual run that worked after the failed one counts: then the log without an archive is history
  if (set.failedRun && set.failedRun.startedSeconds > done) {
    return {
      text: `the backup of ${set.failedRun.vmid} at ${timeInWords(set.failedRun.startedSeconds, view.zone)} failed: ${set.failedRun.text}`,
      next: `read its log in ${question.basePath}`,
    }
  }
  const whole = jobs.find((job) => failedBeforeAnyGuest(job.lastTask) && (job.lastTask?.startSeconds ?? 0) > done)
  if (whole?.lastTask) {
    return {
      text: `the run of job ${whole.seen.id} at ${timeInWords(whole.lastTask.startSeconds, zone)} failed before any guest: ${whole.lastTask.status}`,
      next: `see job ${whole.seen.id}`,
      told: true,
    }
  }
  if (guest && attempt?.outcome === 'finished' && attempt.archivePath !== null && missingOnDisk(question, attempt.archivePath, attempt.startSeconds)) {
    return {
      text: `Proxmox says that the backup of ${guest.vmid} at ${timeInWords(attempt.startSeconds, zone)} went well, but ${attempt.archivePath} is not there`,
      next: `find out who removed it: ${onHost(alias, `ls -la ${question.basePath}`)}`,
    }
  }
  return null
}

function missingOnDisk(question: FreshnessQuestion, path: string, startSeconds: number): boolean {
  if (!path.startsWith(`${question.basePath}/`)) return false
  const { artifacts } = question.set
  return !artifacts.some((artifact) => artifact.path === path) && !artifacts.some((artifact) => artifact.startedSeconds >= startSeconds)
}

function nothingThere(question: FreshnessQuestion, jobs: readonly JobView[]): Words {
  const { set, view, seenBefore, basePath, glob } = question
  const where = `${basePath} on ${view.host.name}`
  const earlier = set.ofEarlierGuest > 0 ? `; ${set.ofEarlierGuest} archives there are of an earlier guest with this number and do not count` : ''
  const [job] = jobs
  if (job && seenBefore === null && question.firstDueSeconds !== null) {
    const due = timeInWords(question.firstDueSeconds, view.zone)
    const inProgress = set.halfDone?.inProgress ? ' (being written right now)' : ''
    if (view.clockSeconds <= question.firstDueSeconds) {
      return {
        state: 'LATE',
        reason: 'awaiting_first_artifact',
        message: `waits for its first backup, due by ${due} from job ${job.seen.id}${inProgress}${earlier}`,
        next: null,
      }
    }
    if (!set.halfDone?.inProgress) {
      return {
        state: 'MISSING',
        reason: 'overdue',
        message: `its first backup was due by ${due} from job ${job.seen.id} and is not there${earlier}`,
        next: `look at the job's last run: ${onHost(view.host.sshAlias, `pvesh get /nodes/${question.guest?.own.node ?? 'localhost'}/tasks --typefilter vzdump --limit 5`)}`,
      }
    }
  }
  const before = seenBefore ? `; the last one seen was ${seenBefore.path}, ${ageInWords(view.clockSeconds - seenBefore.mtime)} old by now` : ''
  return {
    state: 'MISSING',
    reason: 'no_matches',
    message: `nothing in ${where} matches ${glob}${before}${earlier}`,
    next: `look there: ${onHost(view.host.sshAlias, `ls -la ${basePath}`)}`,
  }
}

function aged(question: FreshnessQuestion, jobs: readonly JobView[], newest: Artifact): Words {
  const { view, limitSeconds, set } = question
  const age = ageOf(view, newest)
  const writing = set.halfDone?.inProgress ? '; the next one is being written' : ''
  const late = jobs.find((job) => job.timing.late)
  if (age > limitSeconds && !isWithinItsTurn(question, jobs, newest)) {
    return {
      state: 'STALE',
      reason: 'stale',
      message: `${newest.name} is ${ageInWords(age, age - limitSeconds < 60)} old; the limit is ${limitInWords(limitSeconds)}${lateWords(late, view)}${writing}`,
      next: nextForStale(question, late),
    }
  }
  if (late && !set.halfDone?.inProgress && newest.startedSeconds < (late.timing.lastDueSeconds ?? 0) - 120) {
    return {
      state: 'LATE',
      reason: 'late',
      message: `${newest.name} is ${ageInWords(age)} old${lateWords(late, view)}`,
      next: onHost(view.host.sshAlias, 'systemctl status pvescheduler'),
    }
  }
  const reason = set.halfDone?.inProgress ? 'in_progress' : 'ok'
  return { state: 'OK', reason, message: `${newest.name}, ${ageInWords(age)} old${writing}`, next: null }
}

function lateWords(late: JobView | undefined, view: HostView): string {
  return late?.timing.lastDueSeconds != null
    ? `; job ${late.seen.id} was due at ${timeInWords(late.timing.lastDueSeconds, view.zone)} and has not run since`
    : ''
}

function nextForStale(question: FreshnessQuestion, late: JobView | undefined): string {
  const { view, guest } = question
  if (late && guest) return `is the scheduler up? ${onHost(guest.own.view.host.sshAlias, 'systemctl status pvescheduler')}`
  if (guest) return `look at the last runs: ${onHost(guest.own.view.host.sshAlias, `pvesh get /nodes/${guest.own.node}/tasks --typefilter vzdump --limit 5`)}`
  return `find out why nothing newer arrives: ${onHost(view.host.sshAlias, `ls -la ${question.basePath}`)}`
}

/**
 * A limit that is no longer than the job's own interval (168 h for a weekly job) is passed by some minutes in every turn, while
 * the new run is still at work. Within the run's usual time that is no broken promise.
 */
function isWithinItsTurn(question: FreshnessQuestion, jobs: readonly JobView[], newest: Artifact): boolean {
  return jobs.some(({ timing }) => {
    const { intervalSeconds, lastDueSeconds, usualSeconds } = timing
    if (intervalSeconds === null || lastDueSeconds === null || question.limitSeconds > intervalSeconds) return false
    const turnEnds = lastDueSeconds + usualSeconds + GRACE_SECONDS
    return question.view.clockSeconds <= turnEnds && newest.mtimeSeconds >= lastDueSeconds - intervalSeconds - 3600
  })
}
