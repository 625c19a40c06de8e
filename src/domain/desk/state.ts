/**
 * What the alert desk knows: plain JSON, bounded, carried from run to run by continue-as-new. Times are milliseconds since the epoch (`…AtMs`).
 */
import type { Severity } from '../status.js'
import type { DeskContract } from './contract.js'
import type { OutgoingMail } from './delivery.js'
import type { DeskFinding, SoonStale } from './report.js'
import type { SecondChannelState } from './second-channel.js'

export interface Incident extends DeskFinding {
  /** Eight hex digits: what people type. */
  readonly id: string
  readonly key: string
  readonly scope: string
  readonly openedAtMs: number
  /** Since when it is bad enough for a mail; outage lengths count from here. */
  readonly brokenAtMs: number
  readonly seenAtMs: number
  /** Found by the first pass ever. */
  readonly isAdopted: boolean
  /** The problem mail: its thread, and when something was last said in it. */
  readonly told: Told | null
  readonly ack: { readonly by: string; readonly reason: string; readonly atMs: number } | null
  /** It could not be looked at in the latest report: nothing changes until it can. `by`: the subject whose silence is the cause. */
  readonly held: { readonly by: string | null; readonly why: string } | null
  /** Not found any more, but flapping: it stays open until it has settled. */
  readonly isAbsent: boolean
  readonly flappingSinceMs: number | null
  /** The latest decision, so that the record holds only changes. */
  readonly decision: string
}

export interface Told {
  readonly threadId: string
  /** Message-IDs so far, oldest first, at most `MOST_REFERENCES`. */
  readonly references: readonly string[]
  readonly lastAtMs: number
  readonly repeats: number
  readonly sender: string
  readonly recipients: readonly string[]
}

export interface Silence {
  readonly id: string
  /** An incident's id or key, a subject, or a pattern over subjects with `*`. */
  readonly matching: string
  readonly by: string
  readonly reason: string
  readonly fromMs: number
  readonly untilMs: number
}

/** Alert intents of an earlier system that were never sent: listed once, closed by a person's decision. */
export interface AdoptedQueue {
  readonly name: string
  readonly count: number
  readonly oldest: string | null
  readonly adoptedBy: string
  readonly adoptedAtMs: number
}

export interface OutboxEntry {
  readonly mail: OutgoingMail
  readonly kind: MailKind
  readonly severity: Severity
  readonly queuedAtMs: number
  readonly attempts: number
  readonly nextAttemptAtMs: number
  /** An attempt of which nobody knows what came. `mayBeDouble`: the mailbox could not tell, and it is sent once more. */
  readonly unknownSinceMs: number | null
  readonly mayBeDouble: boolean
  /** Refused by its recipients and kept because there is no second channel: tried again, and nothing waits for it. */
  readonly isRefused: boolean
  readonly lastReply: string | null
}

export type MailKind = 'problem' | 'repeat' | 'recovery' | 'digest' | 'silence' | 'adoption' | 'canary' | 'folded'

export interface NoticeEntry {
  readonly id: string
  readonly title: string
  readonly text: string
  readonly severity: Severity
  readonly queuedAtMs: number
  readonly attempts: number
  readonly nextAttemptAtMs: number
}

export interface ScopeState {
  readonly passId: string
  readonly takenAtMs: number
  readonly receivedAtMs: number
  readonly recent: readonly string[]
  readonly periodSeconds: number | null
  readonly rulesDigest: string
}

/** What the last canary showed. */
export interface CanaryState {
  readonly messageId: string
  readonly askedAtMs: number
  readonly sentAtMs: number | null
  readonly arrivedAtMs: number | null
  readonly state: 'waiting' | 'arrived' | 'lost' | 'cannot_tell'
  readonly detail: string
}

export interface DeskState {
  readonly version: 1
  readonly estate: string
  readonly contract: DeskContract | null
  /** Null until the first report of the monitor: that one is the adoption. */
  readonly adoptedAtMs: number | null
  readonly scopes: Readonly<Record<string, ScopeState>>
  /** By key. */
  readonly incidents: Readonly<Record<string, Incident>>
  /** When an incident of this key opened or closed lately, oldest first. */
  readonly changes: Readonly<Record<string, readonly number[]>>
  readonly silences: readonly Silence[]
  readonly queues: readonly AdoptedQueue[]
  readonly underChange: readonly string[]
  readonly soonStale: readonly SoonStale[]
  readonly seen: { readonly expected: number; readonly seen: number } | null
  readonly digestDueAtMs: number | null
  readonly outbox: readonly OutboxEntry[]
  readonly notices: readonly NoticeEntry[]
  /** When each recipient was sent something within the last hour. */
  readonly sent: Readonly<Record<string, readonly number[]>>
  /** The whole way to the server is shut until then. */
  readonly shut: {
    readonly untilMs: number
    readonly sinceMs: number
    readonly attempts: number
    /** Refused for good (credentials, certificate, configuration), not only out of reach. */
    readonly isRefusal: boolean
    readonly reply: string
  } | null
  /** Recipients that the server refuses, until it takes them again. */
  readonly refusals: Readonly<Record<string, { readonly sinceMs: number; readonly reply: string }>>
  readonly lastSent: { readonly messageId: string; readonly atMs: number; readonly latencyMs: number; readonly reply: string } | null
  readonly canary: CanaryState | null
  /** Messages of which nobody can ever tell whether they arrived, given up at `atMs`; until mail is known to go out again. Absent in states of before 0.2. */
  readonly unconfirmed?: { readonly atMs: number; readonly subjects: readonly string[]; readonly why: string } | null
  /** What the desk decides cannot be written down. Absent in states of before 0.2. */
  readonly unwritten?: { readonly sinceMs: number; readonly why: string } | null
  /** The last test of the second channel; absent until there was one. */
  readonly secondChannel?: SecondChannelState
  /** Scopes whose whole set has to be read, because what we know does not agree with what they say. */
  readonly unsure: readonly string[]
  /** Orders by signal that were refused, newest last. */
  readonly refused: readonly { readonly atMs: number; readonly order: string; readonly why: string }[]
  readonly totals: { readonly mails: number; readonly reports: number; readonly dropped: number; readonly duplicatesPossible: number }
}

/** One line of the record: why something was, or was not, said. */
export interface Decision {
  readonly atMs: number
  readonly key: string
  readonly incidentId: string
  readonly decision: DecisionWord
  readonly why: string
  readonly severity: Severity
  readonly reason: string
  readonly message: string
  readonly messageId: string | null
  readonly passId: string | null
  readonly rulesDigest: string | null
}

export type DecisionWord =
  | 'mailed'
  | 'repeated'
  | 'recovered'
  | 'closed'
  | 'summary only'
  | 'waiting'
  | 'silenced'
  | 'silence over'
  | 'inhibited'
  | 'under change'
  | 'flapping'
  | 'settled'
  | 'acknowledged'
  | 'held'
  | 'judged again'
  | 'by second channel'

export const MOST_REFERENCES = 10
export const MOST_RECENT_PASSES = 12

export function newDesk(estate: string): DeskState {
  return {
    version: 1,
    estate,
    contract: null,
    adoptedAtMs: null,
    scopes: {},
    incidents: {},
    changes: {},
    silences: [],
    queues: [],
    underChange: [],
    soonStale: [],
    seen: null,
    digestDueAtMs: null,
    outbox: [],
    notices: [],
    sent: {},
    shut: null,
    refusals: {},
    lastSent: null,
    canary: null,
    unconfirmed: null,
    unwritten: null,
    unsure: [],
    refused: [],
    totals: { mails: 0, reports: 0, dropped: 0, duplicatesPossible: 0 },
  }
}
