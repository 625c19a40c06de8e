/**
 * The status document (`nightshift.status/1`): what one pass of the monitor found. It is the contract between the judge,
 * the state folder, `nightshift status --json` and everybody's scripts; fields are only ever added.
 */
import type { GateResult } from './gates.js'

export type State = 'OK' | 'LATE' | 'STALE' | 'FAILED' | 'MISSING' | 'PARTIAL' | 'UNKNOWN' | 'DISABLED'

/** What a state means for whoever is on call. Worst wins: critical > unknown > warning > ok. */
export type Severity = 'ok' | 'warning' | 'unknown' | 'critical'

/** Why a host could not be looked at. All of them make state UNKNOWN. */
export type ConnectionReason =
  | 'unknown_host'
  | 'connect_refused'
  | 'connect_timeout'
  | 'auth_denied'
  | 'host_key_mismatch'
  | 'host_key_unknown'
  | 'host_key_revoked'
  | 'name_unresolved'
  | 'connection_lost'
  | 'output_too_large'
  | 'deadline'
  | 'probe_failed'
  | 'no_worker'
  | 'unsupported_ssh_config'
  | 'bad_ssh_key'

export type TargetReason =
  | 'ok'
  | 'late'
  | 'stale'
  | 'no_matches'
  | 'path_missing'
  | 'path_unreadable'
  | 'empty'
  | 'too_small'
  | 'in_progress'
  | 'job_failed'
  | 'log_incomplete'
  | 'future_mtime'
  | 'no_such_job'
  | 'not_in_any_job'
  | 'never_synced'
  | 'producer_gone'
  | 'awaiting_first_artifact'
  | 'overdue'
  | 'disabled'
  | 'waived'
  | 'decommissioned'
  | 'not_looked_at'
  | ConnectionReason

/** Guests, jobs, storages, hosts and findings use reasons of their own beside those of targets; snake_case, stable once published. */
export type Reason = TargetReason | (string & {})

/** UTC, `2026-02-12T08:30:00.000Z`. */
export type Instant = string

export interface TargetStatus {
  id: string
  site: string
  host: string
  enabled: boolean
  classification: string
  state: State
  reason: Reason
  severity: Severity
  /** The operator's governance band by age of the newest good artifact: < 24 h OK, 24–48 h WARNING, > 48 h CRITICAL. Shown, never a verdict. */
  band: 'OK' | 'WARNING' | 'CRITICAL' | null
  since: Instant
  /** One sentence with the true cause. */
  message: string
  /** What to do about it, or null. */
  next: string | null
  artifact: { path: string; sizeBytes: number; modifiedAt: Instant } | null
  ageSeconds: number | null
  limitSeconds: number
  dueAt: Instant | null
  lastGood: { path: string; ageSeconds: number; proof: number } | null
  inhibitedBy: string | null
  silencedUntil: Instant | null
}

export interface GuestStatus {
  site: string
  host: string
  node: string
  vmid: number
  name: string
  type: 'qemu' | 'lxc'
  state: State
  reason: Reason
  severity: Severity
  message: string
  next: string | null
  jobs: string[]
}

export interface JobStatus {
  site: string
  host: string
  id: string
  state: State
  reason: Reason
  severity: Severity
  message: string
  next: string | null
  nextRunAt: Instant | null
}

export interface StorageStatus {
  site: string
  host: string
  id: string
  state: State
  reason: Reason
  severity: Severity
  message: string
  next: string | null
  freeBytes: number | null
}

export interface HostStatus {
  host: string
  node: string | null
  site: string
  state: State
  reason: Reason
  severity: Severity
  message: string
  next: string | null
  /** Host's clock minus the worker's, seconds; null when it could not be read. */
  clockSkewSeconds: number | null
}

export interface Finding {
  /** `site/kind/id`: kind is target, guest, job, storage, host, monitor, delivery. */
  subject: string
  condition: 'freshness' | 'job-result' | 'integrity' | 'coverage' | 'blind' | 'space' | 'config' | 'clock' | 'delivery' | 'proof'
  severity: Severity
  reason: Reason
  message: string
  next: string | null
}

export interface StatusDocument {
  schema: 'nightshift.status/1'
  estate: string
  takenAt: Instant
  passId: string
  workflowId: string
  runId: string
  rulesDigest: string
  periodSeconds: number
  stale: boolean
  verdict: Severity
  /** Enabled targets. */
  expected: number
  /** Enabled targets that could be looked at in this pass. */
  seen: number
  targets: TargetStatus[]
  guests: GuestStatus[]
  jobs: JobStatus[]
  storages: StorageStatus[]
  hosts: HostStatus[]
  findings: Finding[]
  /** How the alert desk stands, as far as it said; absent before it ever did. */
  desk?: DeskStatus
  /** What the gates said when they were last looked at (`driftGates`); no part of the verdict. Added when the status is shown. */
  gates?: GateResult[]
}

/** What the alert desk last wrote about itself. */
export interface DeskStatus {
  takenAt: Instant
  /** The last pass that it took. */
  passId: string | null
  open: number
  silences: number
  outbox: {
    depth: number
    oldestAt: Instant | null
    lastReply: string | null
    lastSentAt: Instant | null
    lastLatencyMs: number | null
    secondChannelDepth: number
    shutSince: Instant | null
  }
  canary: { state: string; sentAt: Instant | null; arrivedAt: Instant | null; detail: string } | null
  /** The last weekly test of the second channel; absent until there was one. */
  secondChannel?: { state: string; askedAt: Instant; settledAt: Instant | null; detail: string }
}

/** Exit codes of `status` and `npm start -- --once`: the monitoring-plugin convention. */
export const EXIT_CODE_BY_SEVERITY: Readonly<Record<Severity, 0 | 1 | 2 | 3>> = { ok: 0, warning: 1, critical: 2, unknown: 3 }

const RANK: Readonly<Record<Severity, number>> = { ok: 0, warning: 1, unknown: 2, critical: 3 }

/** The worst of them; `ok` for an empty list (callers decide what an empty list means: it is never good news by itself). */
export function worstSeverity(severities: Iterable<Severity>): Severity {
  let worst: Severity = 'ok'
  for (const severity of severities) if (RANK[severity] > RANK[worst]) worst = severity
  return worst
}
