/**
 * The durable outbox: what is sent next, what becomes of each attempt. At least once, in order for each recipient, within the server's limit.
 * A message leaves it only when each recipient has it, or the second channel carries it.
 */
import { sha256Hex } from '../canonical.js'
import type { DeliveredAnswer, SendResult, WebhookResult } from './delivery.js'
import { foldNotices, MOST_PART_CHARACTERS } from './fold.js'
import { noteSecondChannel } from './second-channel.js'
import type { DeskState, NoticeEntry, OutboxEntry } from './state.js'
import { headerText } from './text.js'
import { Turn } from './turn.js'

const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000
/** Minutes until the next attempt, by how many there were; the last one stays. */
const BACKOFF_MINUTES = [1, 2, 5, 10, 15]
/** A wrong password is tried seldom: mail servers ban who tries often. */
const REFUSED_AUTH_MS = HOUR_MS
const REFUSED_WAY_MS = 15 * MINUTE_MS
/** An attempt whose outcome nobody can tell is asked after for so long. */
const GIVE_UP_ASKING_MS = 24 * HOUR_MS
const MOST_UNCONFIRMED = 20

export type NextSend =
  | { readonly kind: 'send'; readonly entry: OutboxEntry; readonly deliverTo: readonly string[] }
  /** An attempt whose answer was lost: the mailbox is asked before anything else happens. */
  | { readonly kind: 'ask'; readonly entry: OutboxEntry }
  | { readonly kind: 'wait'; readonly untilMs: number | null }

const backoffMs = (attempts: number): number => (BACKOFF_MINUTES[Math.min(attempts, BACKOFF_MINUTES.length) - 1] ?? 1) * MINUTE_MS

/**
 * What to do now. A recipient with an older message waiting gets nothing newer before it.
 * @param isPaced false: until the limit is reached nothing waits (runs of before 0.2)
 */
export function nextSend(state: DeskState, nowMs: number, isPaced = true): NextSend {
  let untilMs: number | null = null
  const wait = (ms: number) => {
    untilMs = untilMs === null ? ms : Math.min(untilMs, ms)
  }
  const unsure = state.outbox.find((each) => each.unknownSinceMs !== null && each.nextAttemptAtMs <= nowMs)
  if (unsure !== undefined) return { kind: 'ask', entry: unsure }
  if (state.shut !== null && state.shut.untilMs > nowMs) return { kind: 'wait', untilMs: state.shut.untilMs }
  const blocked = new Set<string>()
  for (const entry of state.outbox) {
    const isAside = entry.isRefused || (entry.unknownSinceMs !== null && entry.mayBeDouble)
    if (entry.nextAttemptAtMs > nowMs || entry.unknownSinceMs !== null) wait(Math.max(entry.nextAttemptAtMs, nowMs + 1))
    else {
      const free = entry.mail.deliverTo.filter((address) => !blocked.has(address))
      const open = free.filter((address) => limitedUntilMs(state, address, nowMs, isPaced) === null)
      if (open.length > 0) return { kind: 'send', entry, deliverTo: open }
      for (const address of free) wait(limitedUntilMs(state, address, nowMs, isPaced) ?? nowMs)
    }
    if (!isAside) for (const address of entry.mail.deliverTo) blocked.add(address)
  }
  return { kind: 'wait', untilMs }
}

/** The last quarter of an hour's limit is spread over the hour: then nothing waits for as long as a quarter of an hour. */
const FAST_PART = 0.75

const hourLimit = (state: DeskState): number => state.contract?.limits.mailsPerHour ?? 20
const sentLately = (state: DeskState, address: string, nowMs: number): number[] => (state.sent[address] ?? []).filter((time) => time > nowMs - HOUR_MS)

/** True when somebody has been sent so much within the hour that what follows is spread. */
export function isNearingLimit(state: DeskState, nowMs: number): boolean {
  return Object.keys(state.sent).some((address) => sentLately(state, address, nowMs).length >= Math.ceil(hourLimit(state) * FAST_PART))
}

/** When the recipient may be sent something again; null: now. */
function limitedUntilMs(state: DeskState, address: string, nowMs: number, isPaced: boolean): number | null {
  const limit = hourLimit(state)
  const recent = sentLately(state, address, nowMs)
  if (recent.length >= limit) return (recent[recent.length - limit] ?? nowMs) + HOUR_MS + 1
  const fast = Math.ceil(limit * FAST_PART)
  if (!isPaced || recent.length < fast) return null
  const nextMs = Math.min((recent.at(-1) ?? nowMs) + HOUR_MS / (limit - fast), (recent[recent.length - fast] ?? nowMs) + HOUR_MS + 1)
  return nextMs > nowMs ? nextMs : null
}

/** One attempt came back. */
export function settleSend(state: DeskState, messageId: string, deliverTo: readonly string[], result: SendResult, nowMs: number): DeskState {
  const entry = state.outbox.find(({ mail }) => mail.messageId === messageId)
  if (entry === undefined) return state
  if (result.outcome === 'unknown') {
    return replaced(state, {
      ...entry,
      attempts: entry.attempts + 1,
      unknownSinceMs: entry.unknownSinceMs ?? nowMs,
      nextAttemptAtMs: nowMs,
      lastReply: result.reply,
    })
  }
  if (result.outcome !== 'sent' && result.outcome !== 'partial' && isWholeWay(result)) return shut(state, entry, result, nowMs)
  const byOutcome = (outcome: string) =>
    deliverTo.filter((address) => (result.perRecipient.find((each) => each.address === address)?.outcome ?? wholeOutcome(result)) === outcome)
  const accepted = byOutcome('accepted')
  const refused = byOutcome('refused')
  const replyOf = (address: string) => result.perRecipient.find((each) => each.address === address)?.reply || result.reply
  let next: DeskState = { ...state, shut: null }
  if (accepted.length > 0) next = noteAccepted(next, entry, accepted, result, nowMs)
  next = noteRefused(
    next,
    refused.map((address) => [address, replyOf(address)] as const),
    nowMs,
  )

  const isCarried = refused.length > 0 && next.contract?.hasSecondChannel === true
  const left = entry.mail.deliverTo.filter((address) => !accepted.includes(address) && !(isCarried && refused.includes(address)))
  if (isCarried) next = carry(next, entry, refused, `the mail server refused ${refused.join(', ')}: ${headerText(replyOf(refused[0] ?? ''), 200)}`, nowMs)
  if (left.length === 0) return { ...next, outbox: next.outbox.filter(({ mail }) => mail.messageId !== messageId) }
  const attempts = entry.attempts + 1
  const isRefused = left.every((address) => refused.includes(address) || (entry.isRefused && !accepted.includes(address)))
  const wasTried = left.some((address) => deliverTo.includes(address))
  return replaced(next, {
    ...entry,
    attempts,
    isRefused,
    nextAttemptAtMs: !wasTried ? nowMs : isRefused ? nowMs + HOUR_MS : nowMs + backoffMs(attempts),
    lastReply: result.reply,
    mail: { ...entry.mail, deliverTo: left },
  })
}

/** The mailbox answered. */
export function settleAsked(state: DeskState, messageId: string, answer: DeliveredAnswer, nowMs: number): DeskState {
  const entry = state.outbox.find(({ mail }) => mail.messageId === messageId)
  if (entry === undefined) return state
  if (answer.answer === 'yes') {
    const reply = `found in ${answer.mailbox}`
    const result = { outcome: 'sent', stage: 'done', perRecipient: [], code: null, reply, server: '', latencyMs: answer.latencyMs } as const
    const isTold = (address: string) => answer.address === undefined || address.toLowerCase() === answer.address.toLowerCase()
    const told = entry.mail.deliverTo.filter(isTold)
    const open = entry.mail.deliverTo.filter((address) => !isTold(address))
    const settled = settleSend({ ...state, shut: null }, messageId, told, result, nowMs)
    return open.length === 0
      ? settled
      : sentOnceMore(settled, { ...entry, mail: { ...entry.mail, deliverTo: open } }, `${reply}; of ${open.join(', ')} it tells nothing`, nowMs)
  }
  if (answer.answer === 'no')
    // The look was the pause before the first repetition.
    return replaced(state, {
      ...entry,
      unknownSinceMs: null,
      nextAttemptAtMs: entry.attempts > 1 ? nowMs + backoffMs(entry.attempts - 1) : nowMs,
      lastReply: `not in ${answer.mailbox}`,
    })
  const why = `nobody can tell whether it arrived: ${answer.why ?? 'the mailbox cannot be read'}`
  if (!entry.mayBeDouble) return sentOnceMore(state, { ...entry, nextAttemptAtMs: nowMs + backoffMs(entry.attempts) }, why, nowMs)
  // sent twice and never confirmed: a third time would make more doubles than one; it is asked after, and never sent again
  if (nowMs - (entry.unknownSinceMs ?? nowMs) > GIVE_UP_ASKING_MS) return givenUp(state, entry, why, nowMs)
  return replaced(state, { ...entry, nextAttemptAtMs: nowMs + REFUSED_WAY_MS, lastReply: why })
}

/** Nobody can tell whether these recipients have it: they get it once more, and may have it twice. */
function sentOnceMore(state: DeskState, entry: OutboxEntry, why: string, nowMs: number): DeskState {
  if (entry.mayBeDouble) return givenUp(state, entry, why, nowMs)
  const totals = { ...state.totals, duplicatesPossible: state.totals.duplicatesPossible + 1 }
  return replaced({ ...state, totals }, { ...entry, unknownSinceMs: null, mayBeDouble: true, lastReply: headerText(why, 300) })
}

/** Sent twice, and nobody can tell whether it arrived: it leaves the outbox by the second channel, and as an incident (`delivery-incidents.ts`). */
function givenUp(state: DeskState, entry: OutboxEntry, why: string, nowMs: number): DeskState {
  const next = carry(
    { ...state, outbox: state.outbox.filter(({ mail }) => mail.messageId !== entry.mail.messageId) },
    entry,
    entry.mail.deliverTo,
    headerText(why, 250),
    nowMs,
  )
  const subjects = [...(state.unconfirmed?.subjects ?? []), entry.mail.subject].slice(-MOST_UNCONFIRMED)
  return { ...next, unconfirmed: { atMs: nowMs, subjects, why: headerText(why, 300) } }
}

const WAY_STAGES = ['configuration', 'connect', 'tls', 'auth']
const isWholeWay = (result: SendResult): boolean => WAY_STAGES.includes(result.stage)
const wholeOutcome = (result: SendResult): string => (result.outcome === 'sent' ? 'accepted' : result.outcome === 'partial' ? 'deferred' : result.outcome)

function replaced(state: DeskState, entry: OutboxEntry): DeskState {
  return { ...state, outbox: state.outbox.map((each) => (each.mail.messageId === entry.mail.messageId ? entry : each)) }
}

/** Not this message's fault: everything waits, and nothing is tried meanwhile. */
function shut(state: DeskState, entry: OutboxEntry, result: SendResult, nowMs: number): DeskState {
  const isRefusal = result.outcome === 'refused'
  const attempts = (state.shut?.attempts ?? 0) + 1
  const pauseMs = !isRefusal ? backoffMs(attempts) : result.stage === 'auth' ? REFUSED_AUTH_MS : REFUSED_WAY_MS
  return {
    ...replaced(state, { ...entry, attempts: entry.attempts + 1, lastReply: result.reply }),
    shut: { untilMs: nowMs + pauseMs, sinceMs: state.shut?.sinceMs ?? nowMs, attempts, isRefusal, reply: headerText(result.reply, 300) },
  }
}

function noteAccepted(state: DeskState, entry: OutboxEntry, accepted: readonly string[], result: SendResult, nowMs: number): DeskState {
  const sent = { ...state.sent }
  const refusals = { ...state.refusals }
  for (const address of accepted) {
    sent[address] = [...(sent[address] ?? []).filter((time) => time > nowMs - HOUR_MS), nowMs]
    delete refusals[address]
  }
  const isCanary = state.canary?.messageId === entry.mail.messageId
  return {
    ...state,
    sent,
    refusals,
    lastSent: { messageId: entry.mail.messageId, atMs: nowMs, latencyMs: result.latencyMs, reply: headerText(result.reply, 300) },
    totals: { ...state.totals, mails: state.totals.mails + 1 },
    ...(isCanary && state.canary !== null ? { canary: { ...state.canary, sentAtMs: nowMs } } : {}),
  }
}

function noteRefused(state: DeskState, refused: readonly (readonly [string, string])[], nowMs: number): DeskState {
  if (refused.length === 0) return state
  const refusals = { ...state.refusals }
  for (const [address, reply] of refused) refusals[address] = { sinceMs: refusals[address]?.sinceMs ?? nowMs, reply: headerText(reply, 300) }
  return { ...state, refusals }
}

/** What mail does not get to a recipient goes by the second channel, with the reason. */
function carry(state: DeskState, entry: OutboxEntry, recipients: readonly string[], why: string, nowMs: number): DeskState {
  const turn = new Turn(state, nowMs)
  turn.notice({
    id: `mail.${sha256Hex(entry.mail.messageId + recipients.join()).slice(0, 16)}`,
    title: headerText(entry.mail.subject, 180),
    text: `${entry.mail.text.slice(0, MOST_PART_CHARACTERS)}\n(${why})`,
    severity: entry.severity,
  })
  return foldNotices(turn.end().state)
}

export type NextNotice = { readonly kind: 'send'; readonly notice: NoticeEntry } | { readonly kind: 'wait'; readonly untilMs: number | null }

export function nextNotice(state: DeskState, nowMs: number): NextNotice {
  const [first] = state.notices
  if (first === undefined) return { kind: 'wait', untilMs: null }
  return first.nextAttemptAtMs <= nowMs ? { kind: 'send', notice: first } : { kind: 'wait', untilMs: first.nextAttemptAtMs }
}

/** At least once: a notice whose outcome is not known is sent again, with the same id; at once when it is the first time. */
export function settleNotice(before: DeskState, id: string, result: WebhookResult, nowMs: number): DeskState {
  const state = noteSecondChannel(before, id, result, nowMs)
  if (result.outcome === 'sent') return { ...state, notices: state.notices.filter((each) => each.id !== id) }
  const pause = (attempts: number) => (result.outcome === 'refused' ? HOUR_MS : result.outcome === 'unknown' && attempts === 1 ? 0 : backoffMs(attempts))
  const notices = state.notices.map((each) =>
    each.id === id ? { ...each, attempts: each.attempts + 1, nextAttemptAtMs: nowMs + pause(each.attempts + 1) } : each,
  )
  return foldNotices({ ...state, notices })
}
