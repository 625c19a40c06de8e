/** What the desk last said about itself, kept in the state folder: for `nightshift alerts`, for the marks in the status, for whoever watches the desk. */
import { withFindings } from '../judge/runbook-findings.js'
import type { Finding, Instant, Severity, StatusDocument } from '../status.js'
import { deskStatusOf, withSilences } from './marks.js'
import type { SecondChannelState } from './second-channel.js'
import { isSilencedBy } from './silences.js'
import type { AdoptedQueue, CanaryState, DeskState, Incident, Silence } from './state.js'

export interface IncidentRow {
  readonly id: string
  readonly key: string
  readonly subject: string
  readonly condition: string
  readonly severity: Severity
  readonly reason: string
  readonly message: string
  readonly next: string | null
  readonly since: Instant
  readonly mailedAt: Instant | null
  readonly lastSaidAt: Instant | null
  readonly repeats: number
  readonly acknowledgedBy: string | null
  readonly silencedUntil: Instant | null
  readonly inhibitedBy: string | null
  readonly isFlapping: boolean
  readonly lastGood: { readonly path: string; readonly at: Instant } | null
  /** Why it was or was not said: the latest decision. */
  readonly decision: string
}

export interface DeskSnapshot {
  readonly schema: 'nightshift.desk/1'
  readonly estate: string
  readonly takenAt: Instant
  readonly workflowId: string
  readonly runId: string
  /** The last pass of the monitor that the desk took. */
  readonly passId: string | null
  readonly passTakenAt: Instant | null
  /** How often a pass is due; absent in snapshots of before 0.2. */
  readonly periodSeconds?: number | null
  readonly incidents: readonly IncidentRow[]
  readonly silences: readonly {
    readonly id: string
    readonly matching: string
    readonly by: string
    readonly reason: string
    readonly from: Instant
    readonly until: Instant
  }[]
  readonly adopted: readonly AdoptedQueue[]
  readonly outbox: OutboxFigures
  readonly canary: CanaryState | null
  /** Absent until the second channel was tried. */
  readonly secondChannel?: SecondChannelState
  readonly refused: DeskState['refused']
  readonly totals: DeskState['totals']
}

export interface OutboxFigures {
  readonly depth: number
  readonly oldestAt: Instant | null
  readonly lastReply: string | null
  readonly lastSentAt: Instant | null
  /** From queueing to the server's 250, of the last message; milliseconds of the attempt. */
  readonly lastLatencyMs: number | null
  readonly secondChannelDepth: number
  readonly shutSince: Instant | null
}

const iso = (ms: number): Instant => new Date(ms).toISOString()
const isoOrNull = (ms: number | null | undefined): Instant | null => (ms === null || ms === undefined ? null : iso(ms))

export function snapshotOf(state: DeskState, nowMs: number, run: { workflowId: string; runId: string }): DeskSnapshot {
  const monitor = state.scopes.monitor
  return {
    schema: 'nightshift.desk/1',
    estate: state.estate,
    takenAt: iso(nowMs),
    ...run,
    passId: monitor?.passId ?? null,
    passTakenAt: isoOrNull(monitor?.takenAtMs),
    periodSeconds: monitor?.periodSeconds ?? null,
    incidents: Object.values(state.incidents).map((incident) => rowOf(incident, state.silences, nowMs)),
    silences: state.silences.map(({ id, matching, by, reason, fromMs, untilMs }) => ({ id, matching, by, reason, from: iso(fromMs), until: iso(untilMs) })),
    adopted: state.queues,
    outbox: {
      depth: state.outbox.length,
      oldestAt: isoOrNull(state.outbox[0]?.queuedAtMs),
      lastReply: state.shut?.reply ?? state.outbox[0]?.lastReply ?? state.lastSent?.reply ?? null,
      lastSentAt: isoOrNull(state.lastSent?.atMs),
      lastLatencyMs: state.lastSent?.latencyMs ?? null,
      secondChannelDepth: state.notices.length,
      shutSince: isoOrNull(state.shut?.sinceMs),
    },
    canary: state.canary,
    ...(state.secondChannel === undefined ? {} : { secondChannel: state.secondChannel }),
    refused: state.refused,
    totals: state.totals,
  }
}

function rowOf(incident: Incident, silences: readonly Silence[], nowMs: number): IncidentRow {
  const until = silences.filter((silence) => silence.untilMs > nowMs && isSilencedBy(incident, silence)).map(({ untilMs }) => untilMs)
  return {
    id: incident.id,
    key: incident.key,
    subject: incident.subject,
    condition: incident.condition,
    severity: incident.severity,
    reason: incident.reason,
    message: incident.message,
    next: incident.next,
    since: iso(incident.brokenAtMs),
    mailedAt: incident.told === null ? null : iso(incident.openedAtMs),
    lastSaidAt: isoOrNull(incident.told?.lastAtMs),
    repeats: incident.told?.repeats ?? 0,
    acknowledgedBy: incident.ack?.by ?? null,
    silencedUntil: until.length === 0 ? null : iso(Math.max(...until)),
    inhibitedBy: incident.held?.by ?? null,
    isFlapping: incident.flappingSinceMs !== null,
    lastGood: incident.lastGood,
    decision: incident.decision,
  }
}

/** Older than this, and the message is late: half an hour, as the watcher at the other site counts it. */
export const OUTBOX_LATE_SECONDS = 30 * 60

/** The first published pass that the desk has not taken; null when it has them all. While nightshift itself was down there was none to take. */
export function firstUntaken(passes: readonly { readonly takenAt: Instant }[], snapshot: DeskSnapshot | undefined): Instant | null {
  const taken = snapshot?.passTakenAt
  if (taken === undefined || taken === null) return null
  return (
    passes
      .map(({ takenAt }) => takenAt)
      .filter((at) => at > taken)
      .sort()[0] ?? null
  )
}

/**
 * Puts the desk's marks into a judged status: until when a target is silenced, how the outbox stands, and a finding when mail does not go out or the desk has gone silent.
 * No verdict of the judge changes by it.
 * @param snapshot what the desk last said; undefined before it ever did
 * @param untakenSince `firstUntaken`
 */
export function withDeskMarks(status: StatusDocument, snapshot: DeskSnapshot | undefined, untakenSince: Instant | null = null): StatusDocument {
  if (snapshot === undefined) return status
  const now = Date.parse(status.takenAt)
  const marked: StatusDocument = {
    ...status,
    targets: withSilences(status.targets, snapshot, now),
    desk: deskStatusOf(snapshot),
  }
  return withFindings(marked, deskFindings(status, snapshot, untakenSince, now))
}

function deskFindings(status: StatusDocument, snapshot: DeskSnapshot, untakenSince: Instant | null, now: number): Finding[] {
  const { outbox } = snapshot
  const silentAfter = Math.max(3 * status.periodSeconds, OUTBOX_LATE_SECONDS)
  const findings: Finding[] = []
  if (untakenSince !== null && now - Date.parse(untakenSince) > silentAfter * 1000) {
    findings.push({
      subject: `${status.estate}/delivery/desk`,
      condition: 'delivery',
      severity: 'critical',
      reason: 'desk_silent',
      message: `the alert desk took no pass since that of ${snapshot.passTakenAt ?? 'ever'}: nobody is mailed`,
      next: `look at workflow desk/${status.estate} in the Temporal UI`,
    })
  }
  if (outbox.oldestAt !== null && now - Date.parse(outbox.oldestAt) > OUTBOX_LATE_SECONDS * 1000) {
    findings.push({
      subject: `${status.estate}/delivery/mail`,
      condition: 'delivery',
      severity: 'critical',
      reason: 'outbox_late',
      message: `${outbox.depth} messages wait to be mailed, the oldest since ${outbox.oldestAt}${outbox.lastReply === null ? '' : `: ${outbox.lastReply}`}`,
      next: 'nightshift doctor checks the mail server',
    })
  }
  return findings
}
