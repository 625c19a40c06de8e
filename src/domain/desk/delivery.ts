/**
 * What the alert desk and the activities that deliver for it say to each other (`src/activities/mail.ts`).
 * The desk decides what is sent, to whom and when it is tried again; the activities do one attempt and tell exactly what came of it.
 *
 * None of these activities throws for what a server answered or did not answer: that is an outcome. They throw only for what no attempt can mend
 * (`InvalidRunbooks`). They run on the state queue, where the secrets are; nothing here carries one. The two that send are never retried by Temporal.
 */
import type { Instant, Severity } from '../status.js'

/** One message, complete: an attempt adds nothing to it, so every attempt sends the same bytes. No field holds a line break except `text`. */
export interface OutgoingMail {
  /** `<left@right>`; the same in every attempt, so that a mail client folds a duplicate. */
  readonly messageId: string
  readonly inReplyTo: string | null
  /** Oldest first. */
  readonly references: readonly string[]
  /** Header and envelope sender: the `sender` of alerts.yaml. */
  readonly from: string
  /** Header recipients; envelope recipients are `deliverTo`. */
  readonly to: readonly string[]
  /** Who still has to get it: `to`, less those who have it already from an earlier attempt. */
  readonly deliverTo: readonly string[]
  readonly subject: string
  /** Plain text, lines end with `\n`. */
  readonly text: string
  /** `Auto-Submitted`, `X-Nightshift-…`; names are tokens, values printable ASCII. */
  readonly headers: Readonly<Record<string, string>>
  /** The `Date` header: when the desk decided, not when it was tried. */
  readonly date: Instant
}

/**
 * What became of one attempt.
 * `sent`: every recipient of `deliverTo` was accepted and the data was answered with 2xx.
 * `refused`: nothing was accepted, for good (5xx; credentials refused; certificate not valid; no mail server in alerts.yaml).
 * `deferred`: nothing was accepted, for now (4xx; not reachable; connection lost before the end of DATA).
 * `unknown`: the data was sent whole and the answer was lost: the message may have been taken.
 * `partial`: the data was taken for some recipients; `perRecipient` tells of each.
 */
export type SendOutcome = 'sent' | 'refused' | 'deferred' | 'unknown' | 'partial'

/** How far an attempt came. Up to `auth` the whole way is shut; from `sender` on it may be this message alone. */
export type SendStage = 'configuration' | 'connect' | 'tls' | 'auth' | 'sender' | 'recipients' | 'data' | 'done'

export interface RecipientOutcome {
  readonly address: string
  readonly outcome: 'accepted' | 'refused' | 'deferred'
  /** SMTP reply code, null where none came. */
  readonly code: number | null
  /** The server's words, one line, redacted, at most 300 characters. */
  readonly reply: string
}

export interface SendResult {
  readonly outcome: SendOutcome
  readonly stage: SendStage
  /** One row for every member of `deliverTo`. */
  readonly perRecipient: readonly RecipientOutcome[]
  readonly code: number | null
  /** The server's words, or the cause in ours; one line, redacted, at most 300 characters. */
  readonly reply: string
  /** Where it went: `host:port`. */
  readonly server: string
  /** From the start of the attempt to its answer, milliseconds. */
  readonly latencyMs: number
}

export interface DeliveredQuestion {
  readonly messageId: string
  /** Only what arrived from then on is looked at (less a few minutes for clocks that differ). */
  readonly since: Instant
  /** Recipients of the message: a mailbox that belongs to none of them cannot tell. */
  readonly recipients: readonly string[]
  /** Look again until found or this time is over: a message that was taken may still be in the server's queue. */
  readonly waitSeconds: number
}

/** What the mailbox says. `cannot_tell`: it could not be read, or it is no recipient's. */
export interface DeliveredAnswer {
  readonly answer: 'yes' | 'no' | 'cannot_tell'
  /** When the server filed it (INTERNALDATE); null unless `yes`. */
  readonly arrivedAt: Instant | null
  /** Which mailbox was asked, in words: `ronny@… INBOX on mail:993`. */
  readonly mailbox: string
  /** Whose it is: a message that is there says nothing of its other recipients. Absent in answers of before 0.2. */
  readonly address?: string
  /** Why it cannot tell; null otherwise. One line, redacted. */
  readonly why: string | null
  readonly latencyMs: number
}

/** A short message for the second channel (a webhook that ntfy understands). */
export interface WebhookNotice {
  /** Stable: the same notice in every attempt. */
  readonly id: string
  readonly title: string
  readonly text: string
  readonly severity: Severity
}

export interface WebhookResult {
  readonly outcome: 'sent' | 'refused' | 'deferred' | 'unknown'
  /** HTTP status, null where none came. */
  readonly status: number | null
  /** One line, redacted, at most 300 characters. */
  readonly reply: string
  readonly latencyMs: number
}

/** The activities that deliver, as the desk calls them. */
export interface DeliveryActivities {
  sendMail(mail: OutgoingMail): Promise<SendResult>
  wasDelivered(question: DeliveredQuestion): Promise<DeliveredAnswer>
  sendWebhook(notice: WebhookNotice): Promise<WebhookResult>
}

/** Longest that each may take, so that the desk's time-outs and theirs agree; seconds. */
export const DELIVERY_DEADLINE_SECONDS = { sendMail: 90, wasDelivered: 180, sendWebhook: 30 } as const
