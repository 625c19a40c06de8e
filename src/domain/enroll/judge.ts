/**
 * Has the first scheduled artifact come? One look at a host, judged for each guest that is waited for. Pure.
 *
 * Scheduled means: the run stands in the job's state file on the node, or it began when the job was due and its log fits the job. Everything else is
 * a backup by hand, or by another job, and proves nothing about the schedule.
 */
import { type Artifact, examine } from '../judge/artifacts.js'
import type { Attempt } from '../judge/attempts.js'
import { GRACE_SECONDS, UNKNOWN_DURATION_SECONDS } from '../judge/lateness.js'
import { percentile } from '../judge/memory.js'
import { timeInWords } from '../judge/words.js'
import { isZone } from '../judge/zone.js'
import type { GuestSeen, HostObservation, JobSeen, ProxmoxObservation } from '../observation.js'
import { fits, followRuns, type JobRun, missedRuns, readHead, runsOf } from './runs.js'
import type { EnrollmentLook, EnrollmentQuestion, EnrollmentVerdict, GuestIdentity, GuestQuestion, KnownRuns, MissedRun, ScheduledArtifact } from './types.js'

/** Most archives that do not count are named. */
const MOST_NOT_COUNTED = 3

/** Where nothing else says when to look again. */
const LOOK_AGAIN_SECONDS = 900

/** Longer waits are cut, so that a job that is changed meanwhile is noticed. */
const LONGEST_WAIT_SECONDS = 86_400

/** After a due time the scheduler has started the run within this, and the shortest run is over soon after. */
const FIRST_LOOK_SECONDS = 120

interface Sight {
  readonly seen: HostObservation
  readonly proxmox: ProxmoxObservation
  readonly node: string
  readonly job: string
  readonly row: JobSeen | undefined
  readonly guests: readonly GuestSeen[]
  readonly runs: KnownRuns
  readonly found: readonly JobRun[]
  readonly usualSeconds: number | null
  readonly nowSeconds: number
  readonly zone: string
  readonly say: (seconds: number) => string
}

/** @param node the node name that `estate.yaml` declares; lists under another name are not believed */
export function judgeEnrollment(seen: HostObservation, node: string, question: EnrollmentQuestion): EnrollmentLook {
  const blind = whyBlind(seen, node)
  if (blind !== null || seen.proxmox === null || !seen.clock.ok || !seen.proxmox.guests.ok || !seen.proxmox.jobs.ok) {
    return {
      nowSeconds: null,
      runs: question.runs,
      usualSeconds: null,
      lookAgainInSeconds: LOOK_AGAIN_SECONDS,
      verdicts: question.guests.map((guest) => unseenVerdict(guest, blind ?? 'the host could not be looked at')),
      words: {},
    }
  }
  const { proxmox } = seen
  const zone = seen.clock.value.zone !== null && isZone(seen.clock.value.zone) ? seen.clock.value.zone : 'UTC'
  const nowSeconds = Math.floor(seen.clock.value.epochSeconds)
  const row = seen.proxmox.jobs.value.find(({ id }) => id === question.job)
  const runs = followRuns(question.runs, row, proxmox, nowSeconds)
  const found = runsOf(question.job, proxmox, row, runs)
  const took = found.flatMap(({ task }) => (task.endSeconds === null || task.running ? [] : [task.endSeconds - task.startSeconds]))
  const sight: Sight = {
    seen,
    proxmox,
    node,
    job: question.job,
    row,
    guests: seen.proxmox.guests.value,
    runs,
    found,
    usualSeconds: took.length > 0 ? percentile(took, 0.95) : null,
    nowSeconds,
    zone,
    say: (seconds) => timeInWords(seconds, zone),
  }
  const verdicts = question.guests.map((guest) => judgeGuest(sight, guest))
  const times = [...runs.told.slice(0, 1), ...verdicts.flatMap((verdict) => timesOf(verdict))]
  return {
    nowSeconds,
    runs,
    usualSeconds: sight.usualSeconds,
    lookAgainInSeconds: lookAgain(sight, verdicts),
    verdicts,
    words: Object.fromEntries(times.map((seconds) => [String(seconds), sight.say(seconds)])),
  }
}

function timesOf(verdict: EnrollmentVerdict): number[] {
  const all = [verdict.expectedBySeconds, verdict.overdueSinceSeconds, verdict.artifact?.runStartSeconds, verdict.artifact?.dueSeconds]
  return [...all, ...verdict.missed.map((missed) => missed.dueSeconds)].filter((seconds) => seconds != null)
}

/** Why the host's lists are not there or not believed (a wrong node name empties every list). */
function whyBlind(seen: HostObservation, node: string): string | null {
  if (!seen.outcome.ok) return seen.outcome.message
  if (seen.proxmox === null) return `${seen.host} is no Proxmox host`
  if (!seen.clock.ok) return `its clock could not be read: ${seen.clock.why}`
  const { jobs, guests, configs, tasks, nodes } = seen.proxmox
  for (const [what, reading] of [
    ['jobs', jobs],
    ['guests', guests],
    ['guest configurations', configs],
    ['tasks', tasks],
  ] as const)
    if (!reading.ok) return `its ${what} could not be read: ${reading.why}`
  if (nodes.ok && !nodes.value.includes(node)) return `it has no node ${node} (there: ${nodes.value.join(', ')})`
  return null
}

function unseenVerdict(guest: GuestQuestion, why: string): EnrollmentVerdict {
  return {
    vmid: guest.vmid,
    name: null,
    type: null,
    isRunning: null,
    state: 'unreachable',
    message: `could not be looked at: ${why}`,
    artifact: null,
    missed: [],
    notCounted: [],
    identity: guest.identity,
    expectedBySeconds: null,
    overdueSinceSeconds: null,
  }
}

function judgeGuest(sight: Sight, question: GuestQuestion): EnrollmentVerdict {
  const { vmid } = question
  const guest = sight.guests.find((one) => one.vmid === vmid)
  const configured = sight.proxmox.configs.ok && sight.proxmox.configs.value.some((config) => config.vmid === vmid)
  if (guest === undefined) {
    const where = configured ? 'is on another node of the cluster by now' : 'does not exist any more'
    return { ...unseenVerdict(question, ''), state: configured ? 'unreachable' : 'guest_gone', message: `guest ${vmid} ${where}` }
  }
  const identity = identityOf(sight, question)
  const since = Math.max(question.sinceSeconds, identity.bornSeconds ?? 0)
  const archives = archivesOf(sight, guest, identity)
  const attempts = sight.found
    .flatMap((run) => run.task.attempts.filter((attempt) => attempt.vmid === vmid).map((attempt) => ({ run, attempt })))
    .filter(({ run }) => run.task.startSeconds >= since)
    .reverse()
  const missed = missedRuns(sight.job, sight.proxmox, sight.found, sight.runs, since, sight.nowSeconds, sight.say)
  const settled = settle(sight, question, guest, { archives, attempts, missed })
  const artifact = settled.state === 'produced' ? settled.artifact : null
  const { expectedBySeconds, overdueSinceSeconds } = expectation(sight, since, settled.state)
  return {
    vmid,
    name: guest.name,
    type: guest.type,
    isRunning: guest.status === 'running',
    state: settled.state,
    message: settled.message,
    artifact,
    missed: artifact ? missed.filter(({ dueSeconds }) => dueSeconds < artifact.runStartSeconds) : missed.slice(-10),
    notCounted: notCounted(
      sight,
      archives,
      attempts.map(({ attempt }) => attempt),
    ),
    identity,
    expectedBySeconds,
    overdueSinceSeconds,
  }
}

function identityOf(sight: Sight, { vmid, identity }: GuestQuestion): GuestIdentity {
  const config = sight.proxmox.configs.ok ? sight.proxmox.configs.value.find((one) => one.vmid === vmid) : undefined
  const created = sight.proxmox.creations.ok ? sight.proxmox.creations.value.find((one) => one.vmid === vmid)?.startSeconds : undefined
  const smbiosUuid = config?.smbiosUuid ?? null
  const replaced = identity !== null && identity.smbiosUuid !== null && smbiosUuid !== null && identity.smbiosUuid !== smbiosUuid
  const born = Math.max(config?.createdSeconds ?? created ?? 0, replaced ? sight.nowSeconds : (identity?.bornSeconds ?? 0))
  return { smbiosUuid, bornSeconds: born > 0 ? born : null }
}

interface Archives {
  readonly all: readonly (Artifact & { readonly storage: string })[]
  readonly ofEarlierGuest: number
}

function archivesOf(sight: Sight, guest: GuestSeen, identity: GuestIdentity): Archives {
  const storages = sight.proxmox.storageConfigs.ok ? sight.proxmox.storageConfigs.value : []
  const all: (Artifact & { storage: string })[] = []
  let ofEarlierGuest = 0
  for (const { basePath, vzdump, reading } of sight.seen.directories) {
    if (!vzdump || !reading.ok || reading.value.state !== 'present') continue
    const storage = storages.find(({ path }) => path !== null && basePath.startsWith(`${path.replace(/\/+$/, '')}/`))
    if (storage === undefined) continue
    const set = examine(reading.value, {
      basePath,
      glob: `vzdump-${guest.type}-${guest.vmid}-*`,
      globIndex: -1,
      hostNowSeconds: sight.nowSeconds,
      zone: sight.zone,
      ownDumpFolder: true,
      running: () => sight.found.some(({ task }) => task.running),
      belongs: (_, startedSeconds) => identity.bornSeconds === null || startedSeconds >= identity.bornSeconds,
      remembered: {},
    })
    all.push(...set.artifacts.map((artifact) => ({ ...artifact, storage: storage.id })))
    ofEarlierGuest += set.ofEarlierGuest
  }
  return { all, ofEarlierGuest }
}

interface Evidence {
  readonly archives: Archives
  /** Earliest first. */
  readonly attempts: readonly { readonly run: JobRun; readonly attempt: Attempt }[]
  readonly missed: readonly MissedRun[]
}

type Settled = Pick<EnrollmentVerdict, 'message' | 'artifact'> & { readonly state: EnrollmentVerdict['state'] }

function settle(sight: Sight, question: GuestQuestion, guest: GuestSeen, evidence: Evidence): Settled {
  const outcomes = evidence.attempts.map((each) => outcomeOf(sight, question, evidence.archives, each.run, each.attempt))
  const first = outcomes.find((outcome) => outcome.state === 'produced')
  if (first) return first
  const running = sight.found.find(({ task, guests }) => task.running && (guests === null || guests.includes(guest.vmid)))
  const turnOver = running?.task.attempts.some((attempt) => attempt.vmid === guest.vmid && attempt.outcome !== 'running')
  if (running && !turnOver)
    return { state: 'running', message: `the run of ${sight.job} that began at ${sight.say(running.task.startSeconds)} is at work`, artifact: null }
  const broken = whyJobGone(sight, guest.vmid)
  if (broken !== null) return { state: 'job_gone', message: broken, artifact: null }
  const last = outcomes.at(-1) ?? wholeRunFailed(sight, question)
  const lastStart = evidence.attempts.at(-1)?.run.task.startSeconds ?? (last ? (sight.found[0]?.task.startSeconds ?? 0) : 0)
  const missed = evidence.missed.at(-1)
  if (missed && missed.dueSeconds > lastStart)
    return { state: 'missed', message: `the run due at ${sight.say(missed.dueSeconds)} was missed: ${missed.why}`, artifact: null }
  if (last) return last
  const next = sight.runs.told[0]
  return {
    state: 'not_due',
    message: next === undefined ? `${sight.job} names no next run` : `the next run of ${sight.job} is due at ${sight.say(next)}`,
    artifact: null,
  }
}

function outcomeOf(sight: Sight, question: GuestQuestion, archives: Archives, run: JobRun, attempt: Attempt): Settled {
  const at = `the run of ${sight.say(run.task.startSeconds)}`
  if (attempt.outcome === 'running') return { state: 'running', message: `${at} is at work on it`, artifact: null }
  if (attempt.outcome === 'lost') return { state: 'failed', message: `${at} was cut off without a result`, artifact: null }
  if (attempt.outcome === 'failed' && !attempt.pruneFailed) return { state: 'failed', message: `${at} failed: ${attempt.cause}`, artifact: null }
  const archive = archives.all.find(({ path }) => path === attempt.archivePath)
  if (archive === undefined)
    return {
      state: 'produced_incomplete',
      message: `the log of ${at} says that it was made, but ${attempt.archivePath ?? 'the archive'} is not there`,
      artifact: null,
    }
  if (archive.problem) return { state: 'produced_incomplete', message: archive.problem.text, artifact: null }
  const rejected = question.rejected.find(({ path }) => path === archive.path)
  if (rejected) return { state: 'produced_incomplete', message: `${archive.name} is damaged: ${rejected.why}`, artifact: null }
  const artifact: ScheduledArtifact = {
    volid: `${archive.storage}:backup/${archive.name}`,
    storage: archive.storage,
    path: archive.path,
    sizeBytes: archive.sizeBytes,
    modifiedSeconds: archive.mtimeSeconds,
    upid: run.task.upid,
    runStartSeconds: run.task.startSeconds,
    dueSeconds: run.dueSeconds,
    tie: run.tie,
  }
  return { state: 'produced', message: `${archive.name} was made by ${at} (told by the ${run.tie})`, artifact }
}

/** A run that ended badly before it came to any guest. */
function wholeRunFailed(sight: Sight, question: GuestQuestion): Settled | null {
  const [run] = sight.found
  if (!run || run.task.running || !run.task.logRead || run.task.startSeconds < question.sinceSeconds) return null
  if (run.task.attempts.length > 0 || run.task.status === 'OK' || run.task.status.startsWith('WARNINGS')) return null
  return { state: 'failed', message: `the run of ${sight.say(run.task.startSeconds)} failed before any guest: ${run.task.status}`, artifact: null }
}

function whyJobGone(sight: Sight, vmid: number): string | null {
  const { row, job } = sight
  if (row === undefined) return `job ${job} does not exist any more`
  if (!row.enabled) return `job ${job} is disabled`
  if (row.node !== null && row.node !== sight.node) return `job ${job} runs on node ${row.node} only`
  const pool = row.pool === null ? null : sight.proxmox.pools.ok ? (sight.proxmox.pools.value.find(({ id }) => id === row.pool)?.vmids ?? []) : null
  const names =
    row.pool !== null
      ? pool === null || pool.includes(vmid)
      : row.vmids !== null && row.vmids.length > 0
        ? row.vmids.includes(vmid)
        : row.all && !row.exclude.includes(vmid)
  return names ? null : `job ${job} does not name guest ${vmid} any more`
}

/** Seconds after a due time within which the artifact has to be there. */
const roomOf = (sight: Sight): number => (sight.usualSeconds ?? UNKNOWN_DURATION_SECONDS) + GRACE_SECONDS

function expectation(sight: Sight, since: number, state: EnrollmentVerdict['state']): Pick<EnrollmentVerdict, 'expectedBySeconds' | 'overdueSinceSeconds'> {
  const room = roomOf(sight)
  const dues = sight.runs.passed.filter((due) => due >= since)
  const pending = dues.findLast((due) => sight.nowSeconds <= due + room)
  const next = (state === 'failed' || state === 'missed' ? undefined : pending) ?? sight.runs.told[0]
  const [first] = dues
  const isOverdue = state !== 'produced' && state !== 'running' && first !== undefined && sight.nowSeconds > first + room
  return { expectedBySeconds: next === undefined || state === 'job_gone' ? null : next + room, overdueSinceSeconds: isOverdue ? first + room : null }
}

function notCounted(sight: Sight, archives: Archives, scheduled: readonly Attempt[]): EnrollmentVerdict['notCounted'] {
  const ours = new Set(scheduled.map((attempt) => attempt.archivePath))
  const others = archives.all.filter(({ path }) => !ours.has(path)).slice(0, MOST_NOT_COUNTED)
  const named = others.map((archive) => ({ name: archive.name, why: whyNotCounted(sight, archive) }))
  if (archives.ofEarlierGuest === 0) return named
  return [...named, { name: `${archives.ofEarlierGuest} more`, why: 'of an earlier guest with the same number' }]
}

function whyNotCounted(sight: Sight, archive: Artifact): string {
  const logs = sight.proxmox.taskLogs.ok ? sight.proxmox.taskLogs.value : []
  const log = logs.find(({ lines }) => lines.some((line) => line.includes(`'${archive.path}'`)))
  const at = sight.say(archive.startedSeconds)
  if (log === undefined) return `nothing shows that a scheduled run of ${sight.job} made it at ${at}`
  if (sight.found.some(({ task }) => task.upid === log.name)) return `a run of ${sight.job} made it at ${at}, before this guest was waited for`
  const head = readHead(log.lines)
  if (head !== null && sight.row !== undefined && !fits(head, sight.row)) return `made at ${at} by hand or by another job: its log does not fit ${sight.job}`
  return `made at ${at} by hand: ${sight.job} was not due then, and its state file does not name that run`
}

function lookAgain(sight: Sight, verdicts: readonly EnrollmentVerdict[]): number {
  const waits = verdicts.filter(({ state }) => state !== 'produced' && state !== 'guest_gone').map((verdict) => waitOf(sight, verdict))
  // From then on it is overdue, and the monitor has to hear it.
  const overdueAt = sight.runs.passed.map((due) => due + roomOf(sight) + 1).find((at) => at > sight.nowSeconds)
  return Math.max(30, Math.min(...waits, overdueAt === undefined ? LONGEST_WAIT_SECONDS : overdueAt - sight.nowSeconds, LONGEST_WAIT_SECONDS))
}

/** Seconds until a look at this guest can see something new. */
function waitOf(sight: Sight, verdict: EnrollmentVerdict): number {
  const { nowSeconds, usualSeconds, runs } = sight
  if (verdict.state === 'job_gone' || verdict.state === 'unreachable') return LOOK_AGAIN_SECONDS
  const running = sight.found.find(({ task }) => task.running)
  if (running) {
    const left = running.task.startSeconds + (usualSeconds ?? 0) - nowSeconds
    return Math.max(left, Math.min(LOOK_AGAIN_SECONDS, Math.max(60, (nowSeconds - running.task.startSeconds) / 4)))
  }
  const last = runs.passed.at(-1)
  const hasBegun = last !== undefined && sight.found.some(({ task }) => task.startSeconds >= last - 5)
  if (last !== undefined && !hasBegun && nowSeconds <= last + 600) return FIRST_LOOK_SECONDS
  // the log is copied beside the archive last, after pruning
  if (verdict.state === 'produced_incomplete' && last !== undefined && nowSeconds <= last + LOOK_AGAIN_SECONDS) return FIRST_LOOK_SECONDS
  const next = runs.told[0]
  return next === undefined ? LOOK_AGAIN_SECONDS : next - nowSeconds + Math.max(FIRST_LOOK_SECONDS, usualSeconds ?? 0)
}
