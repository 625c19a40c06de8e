/**
 * What the alert desk is told: one report for each pass of the monitor, and for each run of another runbook that finds something.
 * A report names its scope; the desk changes nothing outside of it.
 */
import type { AlertCondition } from '../estate.js'
import type { Instant, Reason, Severity } from '../status.js'
import type { DeskContract } from './contract.js'

/** One thing that is wrong, as the desk sees it. `subject` and `condition` are its identity; everything else may change inside. */
export interface DeskFinding {
  readonly subject: string
  readonly condition: AlertCondition
  readonly site: string
  /** The host whose silence makes this unknowable; null where there is none. */
  readonly host: string | null
  readonly severity: Severity
  readonly reason: Reason
  /** One line, at most `MOST_MESSAGE_BYTES` as JSON. */
  readonly message: string
  readonly next: string | null
  /** Since when it is so, where the monitor knows; else the time of the report. */
  readonly since: Instant | null
  readonly lastGood: { readonly path: string; readonly at: Instant } | null
}

/** A finding that was told before and is no more. */
export interface ClosedFinding {
  readonly key: string
  /** `recovered`: looked at, and good. `not_watched`: gone from the runbooks, disabled or waived. */
  readonly why: 'recovered' | 'not_watched'
  /** How it is now, one line. */
  readonly message: string
}

/** Something that is fine and soon will not be. */
export interface SoonStale {
  readonly subject: string
  readonly message: string
}

export interface DeskReport {
  /** What this report speaks of in full: `monitor`, `gates`, `relay/pve`. */
  readonly scope: string
  readonly passId: string
  readonly takenAt: Instant
  readonly estate: string
  readonly rulesDigest: string
  /** Seconds after which the next report of this scope is due; null: none is. */
  readonly periodSeconds: number | null
  readonly contract: DeskContract
  /** The next time for the daily summary; worked out where the zone is known. */
  readonly digestDueAt: Instant
  /** Findings that are new or changed since the last report of this scope that the desk took. */
  readonly changed: readonly DeskFinding[]
  readonly closed: readonly ClosedFinding[]
  /** Of everything that this scope finds wrong now, what is held included: a desk that arrives at another digest asks for the whole set. */
  readonly set: { readonly digest: string; readonly count: number }
  /** Findings told before whose truth could not be looked at now: they neither change nor recover. `by`: the subject whose silence is the cause. */
  readonly held: readonly { readonly key: string; readonly by: string | null; readonly why: string }[]
  /** Hosts that a changing run of ours is applying to. */
  readonly underChange: readonly string[]
  readonly soonStale: readonly SoonStale[]
  readonly seen: { readonly expected: number; readonly seen: number } | null
}

export const MOST_MESSAGE_BYTES = 240
/** A signal bigger than this is cut to its frame; the desk then reads the whole set. Bytes. */
export const MOST_REPORT_BYTES = 256 * 1024
export const MOST_SOON_STALE = 20

export const keyOf = (finding: { readonly subject: string; readonly condition: string }): string => `${finding.subject} ${finding.condition}`
