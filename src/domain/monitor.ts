/** What the monitor's workflow and its activities say to each other: small, plain JSON, constant in the number of targets. */
import type { ConnectionReason, Instant, Reason, Severity } from './status.js'

/** Input of `backupMonitor`. An operator types `{}`. */
export interface BackupMonitorInput {
  /** Why this pass was started, shown in the Temporal UI. */
  readonly note?: string
}

/** What one pass is about to do. */
export interface PassPlan {
  readonly passId: string
  readonly estate: string
  readonly rulesDigest: string
  readonly sites: readonly SitePlan[]
  readonly enabledTargets: number
  /** A watcher at another site expects marks. Only in histories of before the alert desk left them. */
  readonly isWatched?: true
}

export interface SitePlan {
  readonly site: string
  readonly hostCount: number
  /** Task queue of the site's own worker; absent = read by this estate's common worker. */
  readonly taskQueue?: string
  /**
   * The reading list for a worker that has no state folder (gzip, base64). The common worker takes it from its own runbooks.
   * This and `SiteReading.observations` are the only things whose size grows with the estate, and only for sites with their own worker.
   */
  readonly packedPlans?: string
  readonly deadlineSeconds: number
}

/** What came back from reading one site. */
export interface SiteReading {
  readonly site: string
  readonly hostCount: number
  /** Hosts that could not be read: how many, and the first few of them with the reason. */
  readonly unreadable: { readonly count: number; readonly first: readonly { readonly host: string; readonly reason: Reason }[] }
  /** The host that took longest, milliseconds. */
  readonly slowestMs: number
  /** Of which the slowest connection, milliseconds; 0 when all were kept from before. */
  readonly slowestConnectMs: number
  /** SHA-256 over the observations. */
  readonly digest: string
  /** Packed observations when the reading worker has no state folder; else they are in the state folder under the pass id. */
  readonly packedObservations?: string
}

/** A site that nobody read, and why. */
export interface SiteUnread {
  readonly site: string
  readonly unread: { readonly reason: ConnectionReason; readonly message: string }
}

/** The result of a pass: enough to act on, small whatever the size of the estate. */
export interface PassResult {
  readonly passId: string
  readonly takenAt: Instant
  readonly verdict: Severity
  readonly expected: number
  readonly seen: number
  readonly counts: Readonly<Record<Severity, number>>
  /** The worst, at most `MOST_FINDINGS_IN_RESULT`. */
  readonly findings: readonly { readonly subject: string; readonly reason: Reason; readonly severity: Severity; readonly message: string }[]
  readonly findingsTotal: number
  readonly findingsDigest: string
  readonly statusDigest: string
  /** False when a newer pass had already written its status. */
  readonly written: boolean
  /** Markdown for the run's current details. */
  readonly details: string
  readonly receipt: { readonly number: number; readonly sha256: string } | null
  /** Milliseconds that judging and writing took. */
  readonly stageMs: { readonly judge: number; readonly write: number }
}

export const MOST_FINDINGS_IN_RESULT = 12
export const MOST_HOSTS_IN_READING = 5
