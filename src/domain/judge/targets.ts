/** Judges every target of the inventory, the disabled ones too. */
import type { Target } from '../estate.js'
import { normaliseFolder } from '../probe/plan.js'
import type { Finding, Reason, State, TargetStatus } from '../status.js'
import type { ArtifactSet } from './artifacts.js'
import { examine } from './artifacts.js'
import type { Freshness } from './freshness.js'
import { judgeFreshness } from './freshness.js'
import type { GuestMemory, TargetMemory } from './memory.js'
import { MOST_SIZES } from './memory.js'
import type { HostView, Pass } from './pass.js'
import { bandOf, directoryOf, severityOf, subjectOf } from './pass.js'
import type { ProducerState } from './producers.js'
import { guestOfTarget, producerStateOf } from './producers.js'
import type { ProxmoxView, ProxmoxViews } from './proxmox.js'
import { coveringJobs, isGone, uncoveredBecause } from './proxmox.js'
import { enrollCommand, onHost, report } from './report.js'
import { isMounted, storageOfPath, storageSubject } from './storages.js'
import { waiverState } from './waivers.js'

export interface JudgedTarget {
  readonly row: TargetStatus
  readonly target: Target
  readonly guest: { readonly host: string; readonly vmid: number } | null
  /** It was looked at (an age of unknown meaning still counts as looked at). */
  readonly looked: boolean
}

interface Verdict {
  readonly state: State
  readonly reason: Reason
  readonly message: string
  readonly next: string | null
  readonly inhibitedBy?: string
  /** Some other subject's finding tells this cause. */
  readonly told?: boolean
  readonly looked: boolean
}

const REASONS_BY_CONDITION: readonly (readonly [Finding['condition'], readonly Reason[]])[] = [
  ['freshness', ['late', 'stale', 'no_matches', 'path_missing', 'never_synced', 'overdue', 'awaiting_first_artifact']],
  ['job-result', ['job_failed', 'producer_gone', 'transfer_refused']],
  ['integrity', ['empty', 'too_small', 'log_incomplete']],
  ['coverage', ['not_in_any_job', 'no_such_job']],
]

export function conditionOf(state: State, reason: Reason): Finding['condition'] {
  if (state === 'UNKNOWN') return 'blind'
  return REASONS_BY_CONDITION.find(([, reasons]) => reasons.includes(reason))?.[0] ?? 'config'
}

export function judgeTargets(pass: Pass, proxmox: ProxmoxViews): JudgedTarget[] {
  return pass.runbooks.inventory.targets.map((target) => judgeTarget(pass, proxmox, target))
}

function judgeTarget(pass: Pass, proxmox: ProxmoxViews, target: Target): JudgedTarget {
  const view = pass.hosts.get(target.host)
  const guest = guestOfTarget(pass, target)
  const own = guest ? (proxmox.get(guest.host) ?? null) : null
  const seen = view ? lookAt(pass, view, target, own, guest) : null
  const freshness = seen && 'set' in seen ? freshnessOf(pass, view as HostView, target, own, guest, seen.set) : null
  const verdict =
    target.decommissioned || !target.enabled
      ? { ...asleep(pass, target, freshness, own, guest), told: own !== null && guest !== null && isGone(own, guest.vmid) }
      : awake(pass, target, view, own, guest, seen, freshness)
  const subject = subjectOf(view?.host.site ?? pass.runbooks.estate.id, 'target', target.id)
  const severity = verdict.state === 'DISABLED' && verdict.reason !== 'disabled' ? 'ok' : severityOf(verdict.state, target.classification === 'rebuildable')
  if (!verdict.inhibitedBy && !verdict.told)
    report(pass, subject, conditionOf(verdict.state, verdict.reason), { ...verdict, severity, message: `${target.id}: ${verdict.message}` })
  const row: TargetStatus = {
    id: target.id,
    site: view?.host.site ?? '',
    host: target.host,
    enabled: target.enabled && !target.decommissioned,
    classification: target.classification,
    state: verdict.state,
    reason: verdict.reason,
    severity,
    band: bandOf(freshness?.ageSeconds ?? null),
    since: remember(pass, target, verdict, freshness, seen && 'set' in seen ? seen.set : null),
    message: verdict.message,
    next: verdict.next,
    artifact: freshness?.artifact ?? null,
    ageSeconds: freshness?.ageSeconds ?? null,
    limitSeconds: target.limitSeconds,
    dueAt: target.enabled ? (freshness?.dueAt ?? null) : null,
    lastGood: freshness?.lastGood ?? null,
    inhibitedBy: verdict.inhibitedBy ?? null,
    silencedUntil: null,
  }
  return { row, target, guest, looked: verdict.looked }
}

type Look = { readonly set: ArtifactSet } | { readonly unseen: Omit<Verdict, 'looked'> } | { readonly absent: 'missing' | 'not_a_directory' }

function lookAt(pass: Pass, view: HostView, target: Target, own: ProxmoxView | null, guest: { vmid: number } | null): Look {
  const basePath = normaliseFolder(target.basePath)
  const { name, sshAlias } = view.host
  if (!view.up) {
    const said = view.seen && !view.seen.outcome.ok ? view.seen.outcome.message : `${name} was not looked at in this pass`
    return { unseen: { state: 'UNKNOWN', reason: view.reason, message: `could not be looked at: ${said}`, next: null, inhibitedBy: view.subject } }
  }
  const folder = directoryOf(view, basePath, target.glob.startsWith('vzdump-'))
  if (!folder?.reading.ok) {
    const why = folder && !folder.reading.ok ? folder.reading : null
    return {
      unseen: {
        state: 'UNKNOWN',
        reason: why?.code === 'timed_out' ? 'deadline' : why ? 'probe_failed' : 'not_looked_at',
        message: `${basePath} on ${name} could not be read: ${why?.why ?? 'it was not asked about in this pass'}`,
        next: null,
        inhibitedBy: view.subject,
      },
    }
  }
  const storage = own && own.view === view ? storageOfPath(own, basePath) : null
  if (own && storage && !isMounted(own, storage)) {
    return {
      unseen: {
        state: 'UNKNOWN',
        reason: 'storage_not_mounted',
        message: `its archives cannot be seen: storage ${storage.id} on ${name} is not mounted`,
        next: null,
        inhibitedBy: storageSubject(view, storage.id),
      },
    }
  }
  const { state } = folder.reading.value
  if (state === 'unreadable') {
    return {
      unseen: {
        state: 'UNKNOWN',
        reason: 'path_unreadable',
        message: `${basePath} on ${name} may not be read by this user`,
        next: `let it be read: ${onHost(sshAlias, `ls -ld ${basePath}`)}; \`sudo: true\` in estate.yaml if the user may use sudo`,
      },
    }
  }
  if (state !== 'present') return { absent: state }
  const globIndex = target.glob.startsWith('vzdump-') ? -1 : folder.globs.indexOf(target.glob)
  return {
    set: examine(folder.reading.value, {
      basePath,
      glob: target.glob,
      globIndex,
      hostNowSeconds: view.clockSeconds,
      zone: view.zone,
      ownDumpFolder: view.host.kind === 'proxmox',
      running: (vmid) => own?.isRunning(vmid) ?? null,
      belongs: (vmid, startedSeconds) => {
        const born = guest?.vmid === vmid ? own?.guests?.get(vmid)?.bornSeconds : undefined
        return born == null || startedSeconds >= born
      },
      remembered: pass.memory.targets[target.id]?.sizes ?? {},
    }),
  }
}

function freshnessOf(
  pass: Pass,
  view: HostView,
  target: Target,
  own: ProxmoxView | null,
  guest: { host: string; vmid: number } | null,
  set: ArtifactSet,
): Freshness {
  const known = pass.memory.targets[target.id]
  return judgeFreshness({
    pass,
    view,
    set,
    limitSeconds: target.limitSeconds,
    basePath: normaliseFolder(target.basePath),
    glob: target.glob,
    guest: own && guest && own.guests?.has(guest.vmid) ? { own, vmid: guest.vmid } : null,
    seenBefore: known?.lastGood && set.ofEarlierGuest === 0 ? known.lastGood : null,
    firstDueSeconds: own && guest ? firstDueOf(pass, own, guest.vmid, set) : null,
  })
}

/** The due time of a guest's very first artifact; kept once it is known, so that it can pass. */
export function firstDueOf(pass: Pass, own: ProxmoxView, vmid: number, set: ArtifactSet): number | null {
  const key = `${own.view.host.name}/${vmid}`
  const known: GuestMemory | undefined = pass.memory.guests[key]
  if (set.artifacts.length > 0) return null
  const jobs = coveringJobs(own, vmid)
  if (jobs.length === 0) return null
  const next = jobs.flatMap(({ timing }) => (timing.nextRunSeconds === null ? [] : [timing.nextRunSeconds + timing.usualSeconds + 900]))
  const due = known?.firstDueAt ?? (next.length > 0 ? Math.min(...next) : null)
  const draft = pass.draft.guests[key] ?? known
  const guest = own.guests?.get(vmid)?.seen
  if (due !== null && guest) pass.draft.guests[key] = { ...draft, name: guest.name, type: guest.type, firstDueAt: due }
  return due
}

/** A target that is switched off or gone for good: shown, with what is there. */
function asleep(pass: Pass, target: Target, freshness: Freshness | null, own: ProxmoxView | null, guest: { vmid: number } | null): Verdict {
  const there = freshness?.good ? ` (newest: ${freshness.good.name})` : ''
  if (target.decommissioned)
    return {
      state: 'DISABLED',
      reason: 'decommissioned',
      message: `gone since ${target.decommissioned.date}: ${target.decommissioned.reason}${there}`,
      next: null,
      looked: true,
    }
  const waiver = waiverState(pass, target.waiver)
  if (waiver.valid)
    return { state: 'DISABLED', reason: 'waived', message: `waived until ${target.waiver?.until}: ${target.waiver?.reason}${there}`, next: null, looked: true }
  const host = own?.view.host.name
  const open = pass.enrollments.find((each) => each.host === host && each.vmid === guest?.vmid)
  if (open !== undefined) {
    const message = `is disabled until its first scheduled backup is proven, which ${open.workflowId} waits for${there}`
    return { state: 'DISABLED', reason: 'disabled', message, next: `nightshift plan ${open.workflowId}`, looked: true }
  }
  // Backed up, and nobody waits for the proof: an enrollment that was ended half-way looks like this.
  const isCovered = own !== null && guest !== null && coveringJobs(own, guest.vmid).length > 0
  const enable = isCovered ? `let its backups be proven and it be enabled: ${enrollCommand(own.view.host.name, guest.vmid)}` : 'enable it'
  return {
    state: 'DISABLED',
    reason: 'disabled',
    message: waiver.expired ? `is disabled, and its waiver ended on ${target.waiver?.until}${there}` : `is disabled without a waiver${there}`,
    next: `${enable}, or add waiver: {reason, until} at ${target.place}`,
    looked: true,
  }
}

function awake(
  pass: Pass,
  target: Target,
  view: HostView | undefined,
  own: ProxmoxView | null,
  guest: { host: string; vmid: number; job: string | null } | null,
  seen: Look | null,
  freshness: Freshness | null,
): Verdict {
  if (!view)
    return {
      state: 'UNKNOWN',
      reason: 'unknown_host',
      message: `host ${target.host} is not in estate.yaml`,
      next: `add ${target.host} to hosts in estate.yaml, or put host: right at ${target.place}`,
      looked: false,
    }
  if (seen && 'unseen' in seen) return { ...seen.unseen, looked: false }
  const producer = producerStateOf(pass, target)
  if (producer.state === 'none') {
    report(pass, subjectOf(view.host.site, 'target', target.id), 'config', {
      reason: 'no_producer',
      severity: 'warning',
      message: producer.text,
      next: producer.next,
    })
  }
  const uncovered = own && guest ? uncoveredVerdict(pass, own, guest, target) : null
  if (uncovered) return uncovered
  const source = sourceVerdict(pass, view, target, producer, seen, freshness)
  if (source) return { ...source, looked: true }
  if (seen && 'absent' in seen) {
    const what = seen.absent === 'missing' ? 'does not exist' : 'is not a folder'
    return {
      state: 'MISSING',
      reason: 'path_missing',
      message: `${target.basePath} on ${view.host.name} ${what}`,
      next: `make it, or put base_path right at ${target.place}`,
      looked: true,
    }
  }
  if (!freshness) return { state: 'UNKNOWN', reason: 'not_looked_at', message: 'was not looked at', next: null, looked: false }
  const unsure = producer.state === 'unknown' && freshness.state !== 'OK' ? `; ${producer.text}` : ''
  return {
    state: freshness.state,
    reason: freshness.reason,
    message: `${freshness.message}${unsure}`,
    next: freshness.next,
    told: freshness.told,
    looked: true,
  }
}

/** A vzdump target whose guest is gone, or in no job that works. The guest's own finding tells it. */
function uncoveredVerdict(pass: Pass, own: ProxmoxView, guest: { host: string; vmid: number; job: string | null }, target: Target): Verdict | null {
  if (own.guests === null || own.jobs === null) return null
  const { vmid } = guest
  if (!own.guests.has(vmid)) {
    const elsewhere = own.seen.configs.ok && own.seen.configs.value.some((config) => config.vmid === vmid)
    if (elsewhere || !own.seen.configs.ok) return null
    return {
      state: 'MISSING',
      reason: 'vanished_guest',
      message: `guest ${vmid} no longer exists on ${guest.host}`,
      next: `add decommissioned: {reason, date} at ${target.place}`,
      told: true,
      looked: true,
    }
  }
  const decision = pass.runbooks.estate.guests.find((entry) => entry.host === guest.host && entry.vmid === vmid)
  if (waiverState(pass, decision?.waiver).valid) return null
  if (guest.job !== null && !own.jobs.some((job) => job.seen.id === guest.job)) {
    return {
      state: 'MISSING',
      reason: 'no_such_job',
      message: `job ${guest.job}, which is to make it, does not exist on ${guest.host}`,
      next: `put produced_by right in estate.yaml, or create the job`,
      looked: true,
    }
  }
  if (coveringJobs(own, vmid).length > 0) return null
  return {
    state: 'MISSING',
    reason: 'not_in_any_job',
    message: `guest ${vmid} on ${guest.host} is in no enabled job: ${uncoveredBecause(own, vmid)}`,
    next: null,
    told: true,
    looked: true,
  }
}

function sourceVerdict(
  pass: Pass,
  view: HostView,
  target: Target,
  producer: ProducerState,
  seen: Look | null,
  freshness: Freshness | null,
): Omit<Verdict, 'looked'> | null {
  if (producer.state !== 'gone' && producer.state !== 'refused') return null
  const nothing = !freshness || (freshness.good === null && freshness.artifact === null)
  const last = freshness?.good ? `; what is there: ${freshness.message.split(';')[0]}` : ''
  if (producer.producer?.kind === 'transfer' && nothing) {
    const before = pass.memory.targets[target.id]?.lastGood
    const what = `${before ? 'by what is on the hosts, ' : ''}nothing has ever arrived in ${target.basePath} on ${view.host.name}${before ? ` (an earlier pass saw ${before.path})` : ''}`
    const path = seen && 'absent' in seen ? ' (the folder does not exist)' : ''
    return { state: 'MISSING', reason: 'never_synced', message: `${what}${path}: ${producer.text}`, next: producer.next }
  }
  if (producer.state === 'refused')
    return { state: 'FAILED', reason: 'transfer_refused', message: `${producer.text}, so nothing newer can arrive${last}`, next: producer.next }
  return { state: 'FAILED', reason: 'producer_gone', message: `what made it is gone: ${producer.text}${last}`, next: producer.next }
}

/** Keeps what later passes need; tells since when this state lasts. */
function remember(pass: Pass, target: Target, verdict: Verdict, freshness: Freshness | null, set: ArtifactSet | null): string {
  const known = pass.memory.targets[target.id]
  const since = known && known.state === verdict.state && known.reason === verdict.reason ? known.since : pass.now
  const good = freshness?.good
  const memory: TargetMemory = {
    state: verdict.state,
    reason: verdict.reason,
    since,
    lastGood: good ? { path: good.path, mtime: good.mtimeSeconds } : known?.lastGood,
    sizes: set ? mergeSizes(known?.sizes ?? {}, set) : known?.sizes,
  }
  pass.draft.targets[target.id] = memory
  return since
}

/** Sizes that look wrong are kept too: after a week of them they are the usual ones (a service that really shrank). */
function mergeSizes(known: NonNullable<TargetMemory['sizes']>, set: ArtifactSet): NonNullable<TargetMemory['sizes']> {
  const merged = new Map<string, Map<number, number>>(Object.entries(known).map(([series, sizes]) => [series, new Map(sizes)]))
  for (const artifact of set.artifacts) {
    if (artifact.sizeBytes === 0 || artifact.problem?.reason === 'log_incomplete') continue
    const series = merged.get(artifact.series) ?? new Map<number, number>()
    series.set(artifact.mtimeSeconds, artifact.sizeBytes)
    merged.set(artifact.series, series)
  }
  return Object.fromEntries(
    [...merged].sort(([a], [b]) => (a < b ? -1 : 1)).map(([series, sizes]) => [series, [...sizes].sort(([a], [b]) => a - b).slice(-MOST_SIZES)]),
  )
}
