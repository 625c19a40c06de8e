/** Takes a report: opens, changes and closes incidents of its scope. What is then mailed is decided by `review`. */
import { sha256Hex } from '../canonical.js'
import { hasDismissed, readdressed } from './addresses.js'
import { mailRecoveries } from './mails.js'
import { type DeskFinding, type DeskReport, keyOf } from './report.js'
import { review } from './review.js'
import { type DeskState, type Incident, MOST_RECENT_PASSES } from './state.js'
import { type DeskStep, Turn } from './turn.js'

/** A report from further ahead than this was made by a clock that was wrong; later ones are not older than it. */
const FUTURE_TOLERANCE_MS = 120_000

export type Reception = 'taken' | 'duplicate' | 'older' | 'unsure'

/** A summary that a report puts off by more than this was not moved by anybody: the clock of the pass is ahead. */
const MOST_PUT_OFF_MS = 20 * 3_600_000

/** What `receive` may be told beside the report. */
export interface ReceiveOptions {
  /** `changed` is everything that the scope finds, read whole because what we knew did not agree. */
  readonly isWhole: boolean
  /** Whether clocks may be wrong; asked only where that makes a difference. False: as runs of before 0.2 decided. True unless told. */
  readonly doubtsClocks?: () => boolean
  /** Whether who is named no more in alerts.yaml is written to no more; asked only where somebody is not. True unless told. */
  readonly readdresses?: () => boolean
}

/**
 * One report, in. A duplicate or an older one changes nothing. When what we then know has another digest than the scope's own set, nothing changes either
 * except that the scope is marked `unsure`: the whole set has to be read. So it is after an older one: either it was late, and the whole set is known,
 * or the clock that dates the passes was put back, and what counts is what is read.
 */
export function receive(
  state: DeskState,
  report: DeskReport,
  nowMs: number,
  options: ReceiveOptions = { isWhole: false },
): DeskStep & { readonly reception: Reception } {
  const { scope, passId } = report
  const takenAtMs = Date.parse(report.takenAt)
  const last = state.scopes[scope]
  const doubtsClocks = options.doubtsClocks ?? (() => true)
  const unsure = [...new Set([...state.unsure, scope])]
  const dropped = (reception: Reception, change: Partial<DeskState> = {}) => ({
    // what was asked for is no message of anybody
    state: options.isWhole ? state : { ...state, ...change, totals: { ...state.totals, dropped: state.totals.dropped + 1 } },
    decisions: [],
    reception,
  })
  if (last?.recent.includes(passId)) return dropped('duplicate')
  const isOlder = last !== undefined && takenAtMs < last.takenAtMs && last.takenAtMs <= nowMs + FUTURE_TOLERANCE_MS
  if (isOlder && !doubtsClocks()) return dropped('older')
  if (isOlder && !options.isWhole) return dropped('older', { unsure })

  const isReaddressed = hasDismissed(state.contract, report.contract) && (options.readdresses ?? (() => true))()
  const turn = new Turn(isReaddressed ? { ...state, ...readdressed(state, report.contract, nowMs) } : state, nowMs)
  turn.patch({
    contract: report.contract,
    estate: report.estate,
    underChange: report.underChange,
    scopes: {
      ...state.scopes,
      [scope]: {
        passId,
        takenAtMs,
        receivedAtMs: nowMs,
        recent: [...(last?.recent ?? []), passId].slice(-MOST_RECENT_PASSES),
        periodSeconds: report.periodSeconds,
        rulesDigest: report.rulesDigest,
      },
    },
    unsure: state.unsure.filter((each) => each !== scope),
    totals: { ...state.totals, reports: state.totals.reports + 1 },
    digestDueAtMs: digestDue(state.digestDueAtMs, Date.parse(report.digestDueAt), nowMs, doubtsClocks),
    ...(report.seen === null ? {} : { seen: report.seen, soonStale: report.soonStale }),
  })

  for (const finding of report.changed) take(turn, report, finding)
  const closing = closingOf(turn, report, options.isWhole)
  const remaining = turn.all().filter((incident) => incident.scope === scope && !incident.isAbsent && !closing.has(incident.key))
  if (!options.isWhole && setDigest(remaining) !== report.set.digest) {
    return { state: { ...state, unsure }, decisions: [], reception: 'unsure' }
  }

  hold(turn, report, closing)
  mailRecoveries(turn, close(turn, closing))
  const isAdoption = state.adoptedAtMs === null && scope === 'monitor'
  if (isAdoption) turn.patch({ adoptedAtMs: nowMs })
  review(turn, { isAdoption, passId, scope })
  return { ...turn.end(), reception: 'taken' }
}

/** SHA-256 over what is wrong, not over how it is worded. */
export function setDigest(
  findings: readonly { readonly subject: string; readonly condition: string; readonly severity: string; readonly reason: string }[],
): string {
  const lines = findings.map((finding) => `${keyOf(finding)}\t${finding.severity}\t${finding.reason}`)
  return sha256Hex(lines.sort().join('\n'))
}

function take(turn: Turn, report: DeskReport, finding: DeskFinding): void {
  const key = keyOf(finding)
  const known = turn.incidents[key]
  if (known !== undefined) {
    if (known.isAbsent) changed(turn, key)
    turn.put(known, { ...finding, scope: report.scope, seenAtMs: turn.nowMs, isAbsent: false, brokenAtMs: known.brokenAtMs })
    return
  }
  changed(turn, key)
  const sinceMs = finding.since === null ? turn.nowMs : Math.min(turn.nowMs, Date.parse(finding.since))
  turn.begin({
    ...finding,
    key,
    scope: report.scope,
    brokenAtMs: sinceMs,
    isAdopted: turn.state.adoptedAtMs === null,
  })
}

interface Closing {
  readonly why: 'recovered' | 'not_watched'
  readonly message: string
}

/** What this report closes. Of a whole set: also what is in it no more without a word. */
function closingOf(turn: Turn, report: DeskReport, isWhole: boolean): Map<string, Closing> {
  const closing = new Map<string, Closing>()
  for (const { key, why, message } of report.closed) if (turn.incidents[key]?.scope === report.scope) closing.set(key, { why, message })
  if (!isWhole) return closing
  const there = new Set([...report.changed.map(keyOf), ...report.held.map(({ key }) => key)])
  for (const incident of turn.all()) {
    if (incident.scope !== report.scope || there.has(incident.key) || closing.has(incident.key) || incident.isAbsent) continue
    closing.set(incident.key, { why: 'recovered', message: 'it is not found any more' })
  }
  return closing
}

function hold(turn: Turn, report: DeskReport, closing: ReadonlyMap<string, Closing>): void {
  const held = new Map(report.held.map(({ key, by, why }) => [key, { by, why }]))
  for (const incident of turn.all()) {
    if (incident.scope !== report.scope) continue
    const hold = held.get(incident.key) ?? null
    if (hold === null && incident.held === null) continue
    const next = turn.put(incident, { held: hold })
    if (hold !== null) turn.decide(next, hold.by === null ? 'held' : 'inhibited', hold.by === null ? hold.why : `by ${hold.by}: ${hold.why}`)
    else if (!closing.has(incident.key)) turn.decide(next, 'judged again', 'it could be looked at, and it is still wrong')
  }
}

/** @returns the incidents that are over, with how it is now */
function close(turn: Turn, closing: ReadonlyMap<string, Closing>): (Closing & { incident: Incident })[] {
  const over: (Closing & { incident: Incident })[] = []
  for (const [key, how] of closing) {
    const incident = turn.incidents[key]
    if (incident === undefined) continue
    if (!incident.isAbsent) changed(turn, key)
    if (how.why === 'recovered' && incident.flappingSinceMs !== null) {
      turn.put(incident, { isAbsent: true, message: how.message })
      continue
    }
    turn.remove(incident)
    over.push({ incident, ...how })
  }
  return over
}

/** Notes that a key came or went. */
function changed(turn: Turn, key: string): void {
  const most = (turn.state.contract?.flapping.enterChanges ?? 6) + 1
  turn.changes[key] = [...(turn.changes[key] ?? []), turn.nowMs].slice(-most)
}

/** A summary that is due and not sent yet is not put off by a later report, one that was sent is not due again, and none is left out: whatever clock a pass has. */
function digestDue(known: number | null, reported: number, nowMs: number, doubtsClocks: () => boolean): number | null {
  if (!Number.isFinite(reported)) return known
  if (known === null) return reported
  if (known <= nowMs) return known
  const isDoubtful = reported <= nowMs || reported - known > MOST_PUT_OFF_MS
  return isDoubtful && doubtsClocks() ? known : reported
}
