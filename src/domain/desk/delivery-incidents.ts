/**
 * That mail does not go out is itself an incident, told by the second channel. It is open from a refusal on, or when the oldest unsent message has waited too long,
 * until mail goes out again.
 */
import { mailProblems, mailRecoveries, mailRepeat } from './mails.js'
import { keyOf } from './report.js'
import type { DeskState, Incident } from './state.js'
import { bullet, lengthText, paragraph } from './text.js'
import type { Turn } from './turn.js'

/** Longest that a message may wait before that is an incident. */
export const LATE_AFTER_MS = 15 * 60_000
const REPEAT_MS = 24 * 3_600_000

/** Incidents of the desk about its own delivery: never told by the way that fails; by mail only that the second channel does. */
export const isOwnDelivery = (incident: Pick<Incident, 'scope' | 'condition'>): boolean => incident.scope === 'desk' && incident.condition === 'delivery'

interface Trouble {
  readonly id: string
  readonly reason: string
  readonly message: string
  readonly sinceMs: number
}

export function watchDelivery(turn: Turn): void {
  const troubles = new Map(
    troublesOf(turn.state, turn.nowMs).map((trouble) => [keyOf({ subject: `${turn.state.estate}/delivery/${trouble.id}`, condition: 'delivery' }), trouble]),
  )
  for (const [key, trouble] of troubles) {
    const known = turn.incidents[key]
    if (known === undefined) open(turn, key, trouble)
    else again(turn, turn.put(known, { reason: trouble.reason, message: trouble.message, seenAtMs: turn.nowMs }))
  }
  for (const incident of turn.all()) if (isOwnDelivery(incident) && !troubles.has(incident.key)) end(turn, incident)
  if (turn.state.unconfirmed != null && ![...troubles.values()].some(({ id }) => id === 'unconfirmed')) turn.patch({ unconfirmed: null })
}

function troublesOf(state: DeskState, nowMs: number): Trouble[] {
  const refused = Object.entries(state.refusals).map(([address, { sinceMs, reply }]) => ({
    id: address,
    reason: 'recipient_refused',
    message: `the mail server refuses ${address}: ${reply}`,
    sinceMs,
  }))
  const { canary } = state
  const lost =
    canary !== null && (canary.state === 'lost' || canary.state === 'cannot_tell')
      ? [
          {
            id: 'canary',
            reason: canary.state === 'lost' ? 'canary_lost' : 'canary_unseen',
            message: `the canary: ${canary.detail}`,
            sinceMs: canary.askedAtMs,
          },
        ]
      : []
  const { unconfirmed } = state
  const unseen =
    unconfirmed == null || (state.lastSent !== null && state.lastSent.atMs > unconfirmed.atMs)
      ? []
      : [
          {
            id: 'unconfirmed',
            reason: 'unconfirmed',
            message: `${unconfirmed.why}. Sent twice and given up: ${unconfirmed.subjects.join('; ')}`,
            sinceMs: unconfirmed.atMs,
          },
        ]
  const mail = wayTrouble(state, nowMs)
  return [...(mail === null ? [] : [mail]), ...unseen, ...lost, ...secondChannelTrouble(state, nowMs), ...refused]
}

const SECOND_CHANNEL = 'second_channel_failed'

/** Its weekly test was refused, or nobody has taken it for as long as a mail may wait. */
function secondChannelTrouble({ contract, secondChannel: test }: DeskState, nowMs: number): Trouble[] {
  if (test === undefined || contract?.hasSecondChannel !== true || test.state === 'taken') return []
  if (test.state === 'waiting' && nowMs - test.askedAtMs < LATE_AFTER_MS) return []
  const message = `the second channel did not take its test: ${test.detail}; when mail fails too, nobody is told`
  return [{ id: 'second-channel', reason: SECOND_CHANNEL, message, sinceMs: test.askedAtMs }]
}

function wayTrouble(state: DeskState, nowMs: number): Trouble | null {
  const { shut } = state
  const oldest = state.outbox.find((each) => !each.isRefused)
  const isMoving = state.lastSent !== null && nowMs - state.lastSent.atMs < LATE_AFTER_MS
  const isLate = oldest !== undefined && !isMoving && nowMs - oldest.queuedAtMs >= LATE_AFTER_MS
  if (shut !== null && (shut.isRefusal || isLate || nowMs - shut.sinceMs >= LATE_AFTER_MS)) {
    return { id: 'mail', reason: shut.isRefusal ? 'mail_refused' : 'mail_unreachable', message: `mail does not go out: ${shut.reply}`, sinceMs: shut.sinceMs }
  }
  if (!isLate) return null
  return {
    id: 'mail',
    reason: 'mail_late',
    message: `${state.outbox.length} messages wait, the oldest for ${lengthText(oldest.queuedAtMs, nowMs)}${oldest.lastReply === null ? '' : `: ${oldest.lastReply}`}`,
    sinceMs: oldest.queuedAtMs,
  }
}

function open(turn: Turn, key: string, trouble: Trouble): void {
  const incident = turn.begin({
    subject: `${turn.state.estate}/delivery/${trouble.id}`,
    condition: 'delivery',
    key,
    scope: 'desk',
    site: turn.state.estate,
    host: null,
    severity: 'critical',
    reason: trouble.reason,
    message: trouble.message,
    next:
      trouble.reason === SECOND_CHANNEL
        ? 'mend second_channel in alerts.yaml, then nightshift run alertCanary'
        : 'nightshift doctor; nightshift alerts list shows what waits',
    since: new Date(trouble.sinceMs).toISOString(),
    lastGood: null,
    brokenAtMs: trouble.sinceMs,
    isAdopted: false,
  })
  tell(turn, incident, 0)
}

/** A day later, still. */
function again(turn: Turn, incident: Incident): void {
  if (incident.ack !== null || turn.silenceOf(incident) !== undefined) return
  // a second channel may have been named since
  if (incident.told === null) tell(turn, incident, 0)
  else if (turn.nowMs - incident.told.lastAtMs >= REPEAT_MS) tell(turn, incident, incident.told.repeats + 1)
}

function tell(turn: Turn, incident: Incident, repeats: number): void {
  if (incident.reason === SECOND_CHANNEL) {
    if (repeats > 0) mailRepeat(turn, [incident])
    else mailProblems(turn, [incident], byDefault(turn), { isAdoption: false })
    return
  }
  const waiting = turn.state.outbox.map(({ mail }) => mail.subject)
  const isQueued = turn.notice({
    id: `${incident.id}.${repeats}`,
    title: `[nightshift ${turn.state.estate}] ${repeats > 0 ? 'STILL ' : ''}no mail: ${incident.reason.replaceAll('_', ' ')}`,
    text: [
      paragraph(incident.message),
      ...(waiting.length === 0 ? [] : [`${waiting.length} messages wait:`, ...waiting.slice(0, 10).map((subject) => bullet(subject))]),
    ].join('\n'),
    severity: 'critical',
  })
  if (!isQueued) {
    turn.decide(incident, 'waiting', 'alerts.yaml names no second channel: shown by nightshift status and alerts list only')
    return
  }
  const told = turn.put(incident, { told: { threadId: incident.id, references: [], lastAtMs: turn.nowMs, repeats, sender: '', recipients: [] } })
  turn.decide(told, 'by second channel', incident.message)
}

/** Told by both ways: by mail too, because that it works again is best seen there. */
function end(turn: Turn, incident: Incident): void {
  turn.remove(incident)
  if (incident.reason === SECOND_CHANNEL) {
    const isThere = turn.state.contract?.hasSecondChannel === true
    const message = isThere ? 'the second channel takes messages again' : 'alerts.yaml names no second channel any more'
    mailRecoveries(turn, [{ incident, why: isThere ? 'recovered' : 'not_watched', message }])
    return
  }
  const lasted = lengthText(incident.brokenAtMs, turn.nowMs)
  const address = incident.subject.slice(incident.subject.lastIndexOf('/') + 1)
  const isNamed = [turn.state.contract?.defaultRoute, ...(turn.state.contract?.rules ?? [])].some((route) => route?.recipients.includes(address))
  const what = incident.reason === 'recipient_refused' ? `${address} is ${isNamed ? 'taken again' : 'named in alerts.yaml no more'}` : 'mail goes out again'
  const text = `${what}, after ${lasted}. It was: ${incident.message}`
  if (incident.told !== null) {
    turn.notice({ id: `${incident.id}.over`, title: `[nightshift ${turn.state.estate}] RECOVERED ${what}`, text: paragraph(text), severity: 'ok' })
  }
  const { contract } = turn.state
  if (contract === null) return
  const messageId = turn.mail({
    kind: 'recovery',
    severity: 'ok',
    sender: contract.sender,
    recipients: contract.defaultRoute.recipients,
    subject: `[nightshift ${turn.state.estate}] RECOVERED ${what} after ${lasted}`,
    text: `${paragraph(text)}\n`,
    thread: [],
    identity: ['recovery', incident.id],
    about: { State: 'recovered', Incident: incident.id, Subject: incident.subject, Condition: 'delivery' },
  })
  turn.decide(incident, 'recovered', `lasted ${lasted}`, messageId)
}

function byDefault(turn: Turn): { sender: string; recipients: readonly string[] } {
  const { contract } = turn.state
  if (contract === null) throw new RangeError('no contract yet')
  return { sender: contract.sender, recipients: contract.defaultRoute.recipients }
}
