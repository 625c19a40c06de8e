/** What people order: acknowledge, silence, end a silence, close an adopted queue. Each refuses with the reason, before anything changes. */
import { sha256Hex } from '../canonical.js'
import { quoteForPeople } from '../judge/report.js'
import { isSilencedBy } from './silences.js'
import type { AdoptedQueue, DeskState, Incident, Silence } from './state.js'
import { bullet, entry, headerText, paragraph } from './text.js'
import { type DeskStep, Turn } from './turn.js'

export interface AckOrder {
  /** Id or key of an incident. */
  readonly incident: string
  readonly by: string
  readonly reason: string
}

export interface SilenceOrder {
  /** Id, key, subject, or a pattern over subjects with `*`. */
  readonly matching: string
  readonly by: string
  readonly reason: string
  /** Instant; mandatory: what is silenced for ever is forgotten. */
  readonly until: string
}

export interface UnsilenceOrder {
  readonly silence: string
  readonly by: string
  readonly reason: string
}

export interface AdoptOrder {
  readonly name: string
  readonly by: string
  readonly count: number
  readonly oldest?: string | null
  /** What the mail lists, a line each. */
  readonly lines?: readonly string[]
}

export interface CloseAdoptedOrder {
  readonly name: string
  readonly by: string
  readonly reason: string
}

const MOST_SILENCES = 200
const MOST_QUEUES = 20
const MOST_LISTED = 200
const MOST_LINE_CHARACTERS = 200
export const LONGEST_SILENCE_DAYS = 90

/** @returns why the order is refused, or null */
export function refusalOfAck(state: DeskState, order: unknown): string | null {
  const wrong = refusalOfTexts(order, { incident: 500, by: 64, reason: 300 })
  if (wrong !== null) return wrong
  const { incident } = order as AckOrder
  const found = findIncident(state, incident)
  if (found === undefined) return `there is no open incident ${incident}: nightshift alerts list shows them`
  return found.ack === null ? null : `incident ${found.id} is acknowledged already, by ${found.ack.by}`
}

export function ack(state: DeskState, order: AckOrder, nowMs: number): DeskStep & { readonly incident: Incident } {
  const turn = new Turn(state, nowMs)
  const found = findIncident(state, order.incident)
  if (found === undefined) throw new RangeError(`no open incident ${order.incident}`)
  const incident = turn.put(found, { ack: { by: order.by, reason: order.reason, atMs: nowMs } })
  turn.decide(incident, 'acknowledged', `no repeats until it is over: ${order.by}: ${order.reason}`)
  return { ...turn.end(), incident }
}

export function refusalOfSilence(state: DeskState, order: unknown, nowMs: number): string | null {
  const wrong = refusalOfTexts(order, { matching: 500, by: 64, reason: 300, until: 40 })
  if (wrong !== null) return wrong
  const { until, matching } = order as SilenceOrder
  const untilMs = Date.parse(until)
  if (!/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}/.test(until) || !Number.isFinite(untilMs)) return `until is not an instant such as 2026-02-13T08:00:00Z: ${until}`
  if (untilMs <= nowMs) return `until ${until} is over already`
  if (untilMs > nowMs + LONGEST_SILENCE_DAYS * 86_400_000)
    return `until ${until} is more than ${LONGEST_SILENCE_DAYS} days away: a waiver in the runbook files is for that`
  if (/^[*/]*$/.test(matching)) return 'a silence over everything is no silence but a monitor that is switched off'
  if (state.silences.length >= MOST_SILENCES) return `there are ${MOST_SILENCES} silences already`
  return null
}

export function silence(state: DeskState, order: SilenceOrder, nowMs: number): DeskStep & { readonly silence: Silence } {
  const turn = new Turn(state, nowMs)
  const untilMs = Date.parse(order.until)
  const id = sha256Hex(`${order.matching}\n${order.by}\n${untilMs}\n${nowMs}`).slice(0, 8)
  const made = { id, matching: order.matching, by: order.by, reason: order.reason, fromMs: nowMs, untilMs }
  turn.patch({ silences: [...state.silences, made] })
  for (const incident of turn.all()) {
    if (isSilencedBy(incident, made)) turn.decide(incident, 'silenced', `by ${order.by} until ${new Date(untilMs).toISOString()}: ${order.reason}`)
  }
  return { ...turn.end(), silence: made }
}

export function refusalOfUnsilence(state: DeskState, order: unknown): string | null {
  const wrong = refusalOfTexts(order, { silence: 500, by: 64, reason: 300 })
  if (wrong !== null) return wrong
  const { silence } = order as UnsilenceOrder
  return findSilence(state, silence) === undefined ? `there is no silence ${silence}: nightshift alerts list shows them` : null
}

/** What was silenced is mailed at the next look like anything that is new; the end of a silence before its time is announced to nobody. */
export function unsilence(state: DeskState, order: UnsilenceOrder, nowMs: number): DeskStep & { readonly silence: Silence } {
  const turn = new Turn(state, nowMs)
  const found = findSilence(state, order.silence)
  if (found === undefined) throw new RangeError(`no silence ${order.silence}`)
  turn.patch({ silences: state.silences.filter(({ id }) => id !== found.id) })
  for (const incident of turn.all()) {
    if (isSilencedBy(incident, found) && turn.silenceOf(incident) === undefined)
      turn.decide(incident, 'silence over', `taken away by ${order.by}: ${order.reason}`)
  }
  return { ...turn.end(), silence: found }
}

export function refusalOfAdopt(state: DeskState, order: unknown): string | null {
  const wrong = refusalOfTexts(order, { name: 100, by: 64 })
  if (wrong !== null) return wrong
  const { name, count, lines, oldest } = order as AdoptOrder
  if (oldest !== undefined && oldest !== null && !isShortLine(oldest)) return 'oldest is not a text on one line'
  if (!Number.isSafeInteger(count) || count < 1) return 'count is not a whole number of at least 1'
  if (lines !== undefined && (!Array.isArray(lines) || lines.some((line) => typeof line !== 'string'))) return 'lines is not a list of texts'
  if (state.queues.some((queue) => queue.name === name)) return `the queue ${name} is adopted already`
  if (state.contract === null) return 'no pass has been reported yet, so nobody is known who could be told'
  return state.queues.length >= MOST_QUEUES ? `there are ${MOST_QUEUES} adopted queues already` : null
}

/** Lists a queue of an earlier system once. Nothing in it is sent again: what it spoke of is judged anew by the monitor. */
export function adopt(state: DeskState, order: AdoptOrder, nowMs: number): DeskStep & { readonly queue: AdoptedQueue } {
  const turn = new Turn(state, nowMs)
  const { contract } = state
  if (contract === null) throw new RangeError('no contract yet')
  const queue: AdoptedQueue = { name: order.name, count: order.count, oldest: order.oldest ?? null, adoptedBy: order.by, adoptedAtMs: nowMs }
  turn.patch({ queues: [...state.queues, queue] })
  const lines = (order.lines ?? []).slice(0, MOST_LISTED).map((line) => headerText(line, MOST_LINE_CHARACTERS))
  const left = order.count - lines.length
  turn.mail({
    kind: 'adoption',
    severity: 'warning',
    sender: contract.sender,
    recipients: contract.defaultRoute.recipients,
    subject: `[nightshift ${state.estate}] ${order.count} alerts of ${order.name} were never sent`,
    text: [
      paragraph(
        `The queue ${order.name} held ${order.count} alerts that never left it${queue.oldest === null ? '' : `, the oldest of ${queue.oldest}`}. They are listed here once and not sent again: what is wrong now is told by nightshift itself.`,
      ),
      '',
      ...lines.map((line) => bullet(line)),
      ...(left > 0 && lines.length > 0 ? [`and ${left} more`] : []),
      '',
      entry('Close', `nightshift alerts close-adopted ${quoteForPeople(order.name)} --as NAME --reason TEXT`),
      '',
    ].join('\n'),
    thread: [],
    identity: ['queue', order.name, nowMs],
    about: { Queue: order.name },
  })
  return { ...turn.end(), queue }
}

export function refusalOfCloseAdopted(state: DeskState, order: unknown): string | null {
  const wrong = refusalOfTexts(order, { name: 100, by: 64, reason: 300 })
  if (wrong !== null) return wrong
  const { name } = order as CloseAdoptedOrder
  return state.queues.some((queue) => queue.name === name) ? null : `there is no adopted queue ${name}`
}

export function closeAdopted(state: DeskState, order: CloseAdoptedOrder): DeskStep & { readonly queue: AdoptedQueue } {
  const queue = state.queues.find(({ name }) => name === order.name)
  if (queue === undefined) throw new RangeError(`no adopted queue ${order.name}`)
  return { state: { ...state, queues: state.queues.filter(({ name }) => name !== order.name) }, decisions: [], queue }
}

export function findIncident(state: DeskState, which: string): Incident | undefined {
  return state.incidents[which] ?? Object.values(state.incidents).find(({ id }) => id === which)
}

function findSilence(state: DeskState, which: string): Silence | undefined {
  return state.silences.find(({ id, matching }) => id === which || matching === which)
}

const isShortLine = (value: unknown): boolean => typeof value === 'string' && value.length <= 64 && !/[\u0000-\u001f\u007f]/.test(value)

/** Every field a text on one line, not empty, of bounded length: an author and a reason are what makes an order one. */
function refusalOfTexts(order: unknown, fields: Readonly<Record<string, number>>): string | null {
  if (typeof order !== 'object' || order === null || Array.isArray(order)) return `give one object with ${Object.keys(fields).join(', ')}`
  for (const [name, most] of Object.entries(fields)) {
    const value = (order as Record<string, unknown>)[name]
    if (typeof value !== 'string' || value.trim() === '') return `${name} is missing`
    if (/[\u0000-\u001f\u007f]/.test(value)) return `${name} is not on one line`
    if (value.length > most) return `${name} is longer than ${most} characters`
  }
  return null
}
