/** Makes one message of many: folded, never dropped. What every one of them was about is listed; their texts follow as far as there is room, the newest at the end. */
import { sha256Hex } from '../canonical.js'
import { worstSeverity } from '../status.js'
import { idsShown, MORE_INCIDENTS } from './mails.js'
import type { DeskState, NoticeEntry, OutboxEntry } from './state.js'
import { atText, headerText, paragraph } from './text.js'
import { Turn } from './turn.js'

const HOUR_MS = 3_600_000
/** More than this that wait become one. */
const MOST_WAITING = 30
/** Texts that wait and are longer than this together become one too: the outbox travels from run to run in one message (2 MiB). */
const MOST_WAITING_CHARACTERS = 200_000
const MOST_NOTICES = 30
/** Listed by their subjects; older ones are counted. */
const MOST_LISTED = 300
const MOST_LISTED_NOTICES = 30
const MOST_LINE_CHARACTERS = 100
/** Of the text of one message, and of all texts together. */
export const MOST_PART_CHARACTERS = 3_000
const MOST_TEXT_CHARACTERS = 30_000

const LISTED = '- '
const TEXTS = '\n\nThe messages themselves:\n'

/**
 * Folds where the limit is near, or many wait, or they are long, for each group of recipients by itself and in order.
 * Messages that were tried already stay as they are while they are few: the server may have them.
 * @param foldsLong whether length counts; asked only where it makes a difference. False: as runs of before 0.2 did
 */
export function foldOutbox(state: DeskState, nowMs: number, foldsLong: () => boolean = () => true): DeskState {
  const characters = state.outbox.reduce((sum, { mail }) => sum + mail.text.length, 0)
  const isLong = state.outbox.length > 1 && characters > MOST_WAITING_CHARACTERS && foldsLong()
  const groups = new Map<string, OutboxEntry[]>()
  for (const entry of state.outbox) {
    if (entry.unknownSinceMs !== null || entry.mayBeDouble || entry.kind === 'canary') continue
    if (entry.attempts > 0 && state.outbox.length <= MOST_WAITING && !isLong) continue
    const key = JSON.stringify([entry.mail.from, entry.mail.deliverTo])
    groups.set(key, [...(groups.get(key) ?? []), entry])
  }
  let next = state
  for (const group of groups.values()) {
    const [first] = group
    if (first === undefined || group.length < 2) continue
    if (group.length <= MOST_WAITING && !isLong && !isNearLimit(state, first.mail.deliverTo, nowMs)) continue
    next = { ...next, outbox: next.outbox.flatMap((entry) => (entry === first ? [folded(state, group, nowMs)] : group.includes(entry) ? [] : [entry])) }
  }
  return next
}

function isNearLimit(state: DeskState, addresses: readonly string[], nowMs: number): boolean {
  const limit = state.contract?.limits.mailsPerHour ?? 20
  return addresses.some((address) => (state.sent[address] ?? []).filter((time) => time > nowMs - HOUR_MS).length >= Math.ceil(limit / 2))
}

const plainSubject = (subject: string): string => subject.replace(/^Re: /, '').replace(/^\[nightshift [^\]]*\] /, '')

function folded(state: DeskState, group: readonly OutboxEntry[], nowMs: number): OutboxEntry {
  const [first] = group
  if (first === undefined) throw new RangeError('nothing to fold')
  const contents = group.map(contentOf)
  const lines = contents.flatMap((each) => each.lines)
  const older = contents.reduce((sum, each) => sum + each.older, Math.max(0, lines.length - MOST_LISTED))
  const count = lines.length + contents.reduce((sum, each) => sum + each.older, 0)
  // what was over before it could be said is listed, and is nothing to wake up for
  const ended = new Set(
    group
      .filter(({ kind }) => kind === 'recovery')
      .flatMap(incidentsOf)
      .filter((id) => id !== MORE_INCIDENTS),
  )
  const isOver = (entry: OutboxEntry) => entry.kind !== 'recovery' && incidentsOf(entry).length > 0 && incidentsOf(entry).every((id) => ended.has(id))
  const open = group.filter((entry) => !isOver(entry))
  const severity = worstSeverity(open.map((entry) => entry.severity))
  const worst = open.findLast((entry) => entry.severity === severity) ?? first
  const about = worst.kind === 'folded' ? worst.mail.subject.replace(/^.*? messages in one: /, '') : plainSubject(worst.mail.subject)
  const turn = new Turn({ ...state, outbox: [] }, nowMs)
  turn.mail({
    kind: 'folded',
    severity,
    sender: first.mail.from,
    recipients: first.mail.to,
    subject: `[nightshift ${state.estate}] ${count} messages in one: ${about}`,
    text: [
      paragraph('More was to be said than the mail server takes in an hour, or it took nothing for a while. What it was about, oldest first:'),
      '',
      ...(older > 0 ? [`(${older} older ones are not listed: nightshift alerts list, nightshift alerts why NAME)`] : []),
      lines.slice(-MOST_LISTED).join('\n') + TEXTS,
      lastOf(contents.map(({ texts }) => texts).join('\n')),
    ].join('\n'),
    thread: [],
    identity: group.map(({ mail }) => mail.messageId),
    about: {
      State: 'folded',
      Count: String(count),
      Incident: idsShown(
        group
          .filter(({ kind }) => kind !== 'recovery')
          .flatMap(incidentsOf)
          .filter((id) => !ended.has(id)),
      ),
    },
  })
  const [made] = turn.end().state.outbox
  if (made === undefined) throw new RangeError('nothing to fold')
  const references = group.flatMap(({ kind, mail }) => (kind === 'folded' ? mail.references : [mail.messageId])).slice(-10)
  return { ...made, queuedAtMs: first.queuedAtMs, mail: { ...made.mail, deliverTo: first.mail.deliverTo, references } }
}

/** Ids of the incidents that a mail speaks of. */
const incidentsOf = ({ mail }: OutboxEntry): string[] => (mail.headers['X-Nightshift-Incident'] ?? '').split(',').filter((id) => id !== '')

interface Content {
  readonly lines: readonly string[]
  /** Not among the lines any more. */
  readonly older: number
  readonly texts: string
}

/** What a message brings into a fold: itself, or all that was folded into it before. */
function contentOf({ kind, mail, queuedAtMs }: OutboxEntry): Content {
  if (kind === 'folded') {
    const at = mail.text.indexOf(TEXTS)
    const head = mail.text.slice(0, at)
    return {
      lines: head.split('\n').filter((line) => line.startsWith(LISTED)),
      older: Number(/^\((\d+) older ones/m.exec(head)?.[1] ?? 0),
      texts: mail.text.slice(at + TEXTS.length),
    }
  }
  const about = plainSubject(mail.subject)
  const text = mail.text.length <= MOST_PART_CHARACTERS ? mail.text : `${mail.text.slice(0, MOST_PART_CHARACTERS)}\n(cut; nightshift alerts list has all)\n`
  return {
    lines: [`${LISTED}${atText(queuedAtMs)}  ${headerText(about, MOST_LINE_CHARACTERS)}`],
    older: 0,
    texts: `\n== ${about}\n== ${atText(queuedAtMs)}\n\n${text}`,
  }
}

function lastOf(texts: string): string {
  if (texts.length <= MOST_TEXT_CHARACTERS) return texts
  const from = texts.indexOf('\n== ', texts.length - MOST_TEXT_CHARACTERS)
  return `\n(older ones are cut)\n${from < 0 ? '' : texts.slice(from)}`
}

/** Notices of the second channel, which carries few and short messages, become one that lists them. */
export function foldNotices(state: DeskState): DeskState {
  if (state.notices.length <= MOST_NOTICES) return state
  const [first] = state.notices
  if (first === undefined) return state
  const lines = state.notices.flatMap(({ id, title, text }) =>
    isFolded(id) ? text.split('\n').filter((line) => line.startsWith(LISTED)) : [`${LISTED}${headerText(plainSubject(title), MOST_LINE_CHARACTERS)}`],
  )
  const before = state.notices.reduce((sum, { id, text }) => sum + (isFolded(id) ? Number(/^\((\d+) older ones/.exec(text)?.[1] ?? 0) : 0), 0)
  const older = before + Math.max(0, lines.length - MOST_LISTED_NOTICES)
  const text = [...(older > 0 ? [`(${older} older ones: nightshift alerts list)`] : []), ...lines.slice(-MOST_LISTED_NOTICES)].join('\n')
  const made: NoticeEntry = {
    ...first,
    id: `folded.${sha256Hex(state.notices.map(({ id }) => id).join('\n')).slice(0, 16)}`,
    title: `[nightshift ${state.estate}] ${before + lines.length} messages in one`,
    text,
    severity: 'critical',
  }
  return { ...state, notices: [made] }
}

const isFolded = (id: string): boolean => id.startsWith('folded.')
