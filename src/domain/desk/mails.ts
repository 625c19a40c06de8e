/** What the desk writes: problem, repeat, recovery, end of a silence, daily summary. Plain text, the most important line first. */
import type { Severity } from '../status.js'
import { worstSeverity } from '../status.js'
import { routeOf } from './contract.js'
import type { Incident, Silence } from './state.js'
import { atText, bullet, commandLine, entry, headerText, lengthText, paragraph } from './text.js'
import type { Turn } from './turn.js'
import { toldBy } from './turn.js'

/** Incidents written out in one mail; the rest is counted, and `nightshift alerts list` has all. */
const MOST_WRITTEN_OUT = 40

export interface Addressed {
  readonly sender: string
  readonly recipients: readonly string[]
}

/** How people call the thing: the last part of the subject. */
export function nameOf(incident: Pick<Incident, 'subject'>): string {
  const [, , ...rest] = incident.subject.split('/')
  return rest.join('/') || incident.subject
}

/** What is wrong with it, its name in front. */
function toldOf(incident: Incident): string {
  const name = nameOf(incident)
  return incident.message.startsWith(name) ? incident.message : `${name}: ${incident.message}`
}

/** What is wrong with it, below its name. */
function whatOf(incident: Incident): string {
  const name = `${nameOf(incident)}: `
  return incident.message.startsWith(name) ? incident.message.slice(name.length) : incident.message
}

const severityWord: Readonly<Record<Severity, string>> = { critical: 'CRITICAL', unknown: 'UNKNOWN', warning: 'WARNING', ok: 'OK' }

function heading(estate: string, site: string | null): string {
  return site === null || site === estate ? `[nightshift ${estate}]` : `[nightshift ${estate}/${site}]`
}

/** A name in a subject leaves room for what is wrong with it. */
const MOST_NAME_CHARACTERS = 60
const subjectName = (incident: Pick<Incident, 'subject'>): string => headerText(nameOf(incident), MOST_NAME_CHARACTERS)

function named(incidents: readonly Incident[], most = 3): string {
  const names = incidents.slice(0, most).map(subjectName)
  return incidents.length > most ? `${names.join(', ')} and ${incidents.length - most} more` : names.join(', ')
}

export const worstFirst = (incidents: readonly Incident[]): Incident[] => {
  const rank: Readonly<Record<Severity, number>> = { critical: 0, unknown: 1, warning: 2, ok: 3 }
  return [...incidents].sort((a, b) => rank[a.severity] - rank[b.severity] || (a.key < b.key ? -1 : 1))
}

const siteOf = (incidents: readonly Incident[]): string | null => {
  const sites = [...new Set(incidents.map(({ site }) => site))]
  return sites.length === 1 ? (sites[0] ?? null) : null
}

/** Stands in the header for those that are not named there. */
export const MORE_INCIDENTS = 'more'
export const idsShown = (ids: readonly string[]): string => [...ids.slice(0, 5), ...(ids.length > 5 ? [MORE_INCIDENTS] : [])].join(',')

const aboutOf = (incidents: readonly Incident[], what: string): Record<string, string> => ({
  State: what,
  Incident: idsShown(incidents.map(({ id }) => id)),
  Subject: incidents
    .slice(0, 2)
    .map(({ subject }) => subject)
    .join(','),
  Condition: [...new Set(incidents.map(({ condition }) => condition))].join(','),
  ...(siteOf(incidents) === null ? {} : { Site: siteOf(incidents) ?? '' }),
})

/** Everything that a person on a phone needs about one incident. */
function paragraphOf(incident: Incident, nowMs: number): string {
  const flapping = incident.flappingSinceMs === null ? [] : [entry('Flapping', 'it comes and goes; told once until it has settled')]
  return [
    paragraph(`${severityWord[incident.severity]}  ${nameOf(incident)}`),
    entry('What', whatOf(incident)),
    entry('Cause', `${incident.reason.replaceAll('_', ' ')} (${incident.condition})`),
    entry('Since', `${atText(incident.brokenAtMs)}, ${lengthText(incident.brokenAtMs, nowMs)} ago`),
    ...lastGoodOf(incident),
    ...flapping,
    entry('Do', incident.next ?? 'nothing more is known: nightshift status shows it beside the rest'),
    entry('More', `nightshift alerts show ${incident.id}`),
  ].join('\n')
}

/** Only a target has copies; that no good one is known has to be said. */
function lastGoodOf({ subject, lastGood }: Incident): string[] {
  if (lastGood !== null) return [entry('Last good', `${lastGood.path}, of ${atText(Date.parse(lastGood.at))}`)]
  return subject.split('/')[1] === 'target' ? [entry('Last good', 'none is known')] : []
}

function written(incidents: readonly Incident[], nowMs: number): string[] {
  const shown = incidents.slice(0, MOST_WRITTEN_OUT)
  const left = incidents.length - shown.length
  return [
    ...shown.flatMap((incident) => [paragraphOf(incident, nowMs), '']),
    ...(left > 0 ? [paragraph(`and ${left} more:`), commandLine('nightshift alerts list'), ''] : []),
  ]
}

const quietHint = (incidents: readonly Incident[]): string[] => [
  entry(
    'Quiet',
    incidents.length === 1 ? `nightshift alerts ack ${incidents[0]?.id ?? ''} --as NAME --reason TEXT` : 'nightshift alerts ack ID --as NAME --reason TEXT',
  ),
  '',
]

/** The one problem mail of these incidents: they share it, and its thread. */
export function mailProblems(turn: Turn, found: readonly Incident[], to: Addressed, options: { isAdoption: boolean }): void {
  const incidents = worstFirst(found)
  const [first] = incidents
  if (first === undefined) return
  const { estate } = turn.state
  const severity = worstSeverity(incidents.map((incident) => incident.severity))
  const subject = options.isAdoption
    ? `${heading(estate, null)} found at adoption: ${incidents.length} ${incidents.length === 1 ? 'problem' : 'problems'}`
    : incidents.length === 1
      ? `${heading(estate, first.site)} ${severityWord[severity]} ${subjectName(first)}: ${first.reason.replaceAll('_', ' ')}`
      : `${heading(estate, siteOf(incidents))} ${severityWord[severity]} ${incidents.length} problems: ${named(incidents)}`
  const intro = options.isAdoption
    ? [paragraph('This is what the first look found. Each of these is told again only when it is over, and once a day while it lasts.'), '']
    : []
  const messageId = turn.mail({
    kind: options.isAdoption ? 'adoption' : 'problem',
    severity,
    ...to,
    subject,
    text: [...intro, ...written(incidents, turn.nowMs), ...quietHint(incidents)].join('\n'),
    thread: [],
    identity: ['open', ...incidents.map(({ id }) => id)],
    about: aboutOf(incidents, 'open'),
  })
  for (const incident of incidents) {
    const told = turn.put(incident, { told: toldBy(null, { messageId, ...to, nowMs: turn.nowMs }, false) })
    turn.decide(told, 'mailed', toWhom(turn, told, to), messageId)
  }
}

/** For the record: who was told, and which rule says so. */
function toWhom(turn: Turn, incident: Incident, { recipients }: Addressed): string {
  const { contract } = turn.state
  return `to ${recipients.join(', ')}${contract === null ? '' : `, by ${routeOf(contract, incident).by}`}`
}

/** The daily repeat in a thread. */
export function mailRepeat(turn: Turn, due: readonly Incident[]): void {
  const incidents = worstFirst(due)
  const [first] = incidents
  const told = first?.told
  if (first === undefined || !told) return
  const to = { sender: told.sender, recipients: told.recipients }
  const messageId = turn.mail({
    kind: 'repeat',
    severity: worstSeverity(incidents.map((incident) => incident.severity)),
    ...to,
    subject:
      incidents.length === 1
        ? `${heading(turn.state.estate, first.site)} STILL ${severityWord[first.severity]} ${subjectName(first)}: ${first.reason.replaceAll('_', ' ')}`
        : `${heading(turn.state.estate, siteOf(incidents))} STILL ${incidents.length} problems: ${named(incidents)}`,
    text: [
      paragraph('Told before, and still so. It is said again until it is over or acknowledged.'),
      '',
      ...written(incidents, turn.nowMs),
      ...quietHint(incidents),
    ].join('\n'),
    thread: told.references,
    identity: ['repeat', told.threadId, turn.nowMs],
    about: aboutOf(incidents, 'open'),
  })
  for (const incident of incidents) {
    const next = turn.put(incident, { told: toldBy(incident.told, { messageId, ...to, nowMs: turn.nowMs }, true) })
    turn.decide(next, 'repeated', toWhom(turn, next, to), messageId)
  }
}

export interface Over {
  readonly incident: Incident
  readonly why: 'recovered' | 'not_watched'
  readonly message: string
}

/** Whoever was told of a problem is told of its end, with how long it lasted: one mail for each thread. */
export function mailRecoveries(turn: Turn, over: readonly Over[]): void {
  const threads = new Map<string, Over[]>()
  for (const each of over) {
    const threadId = each.incident.told?.threadId
    if (threadId === undefined) turn.decide(each.incident, 'closed', `${each.why.replace('_', ' ')}; its beginning was never mailed: ${each.incident.decision}`)
    else threads.set(threadId, [...(threads.get(threadId) ?? []), each])
  }
  for (const group of threads.values()) mailRecovery(turn, group)
}

function mailRecovery(turn: Turn, group: readonly Over[]): void {
  const [first] = group
  const told = first?.incident.told
  if (first === undefined || !told) return
  const isWatched = group.every(({ why }) => why === 'recovered')
  const lengthOf = ({ incident }: Over): string => lengthText(incident.brokenAtMs, turn.nowMs)
  const words = isWatched ? 'RECOVERED' : 'CLOSED'
  const site = siteOf(group.map(({ incident }) => incident))
  const messageId = turn.mail({
    kind: 'recovery',
    severity: 'ok',
    sender: told.sender,
    recipients: told.recipients,
    subject:
      group.length === 1
        ? `${heading(turn.state.estate, site)} ${words} ${subjectName(first.incident)} after ${lengthOf(first)}`
        : `${heading(turn.state.estate, site)} ${words} ${group.length} problems: ${named(group.map(({ incident }) => incident))}`,
    text: group
      .slice(0, MOST_WRITTEN_OUT)
      .flatMap((each) => [
        paragraph(`${each.why === 'recovered' ? 'RECOVERED' : 'NO LONGER WATCHED'}  ${nameOf(each.incident)}`),
        entry('Now', each.message),
        entry('Was', `${each.incident.reason.replaceAll('_', ' ')} (${each.incident.condition})`),
        entry('Lasted', `${lengthOf(each)}, from ${atText(each.incident.brokenAtMs)} to ${atText(turn.nowMs)}`),
        '',
      ])
      .concat(group.length > MOST_WRITTEN_OUT ? [`and ${group.length - MOST_WRITTEN_OUT} more`, ''] : [])
      .join('\n'),
    thread: told.references,
    identity: ['recovery', told.threadId, ...group.map(({ incident }) => incident.id)],
    about: aboutOf(
      group.map(({ incident }) => incident),
      isWatched ? 'recovered' : 'closed',
    ),
  })
  for (const { incident, why } of group)
    turn.decide(incident, why === 'recovered' ? 'recovered' : 'closed', `lasted ${lengthText(incident.brokenAtMs, turn.nowMs)}`, messageId)
}

/** A silence is over: what it held back is said now. */
export function mailSilenceOver(turn: Turn, silence: Silence, still: readonly Incident[], to: Addressed): void {
  const incidents = worstFirst(still)
  const messageId = turn.mail({
    kind: 'silence',
    severity: worstSeverity(incidents.map(({ severity }) => severity)),
    ...to,
    subject: `${heading(turn.state.estate, null)} silence over: ${headerText(silence.matching, 80)}${incidents.length === 0 ? ', nothing is wrong there' : `, ${incidents.length} still wrong`}`,
    text: [
      paragraph(
        `The silence ${silence.id} over ${silence.matching}, by ${silence.by} from ${atText(silence.fromMs)} to ${atText(silence.untilMs)}, is over. Its reason was: ${silence.reason}`,
      ),
      '',
      ...(incidents.length === 0 ? ['Nothing that it held back is wrong now.', ''] : [...written(incidents, turn.nowMs), ...quietHint(incidents)]),
    ].join('\n'),
    thread: [],
    identity: ['silence', silence.id],
    about: { State: 'silence-over', Silence: silence.id },
  })
  for (const incident of incidents) {
    // an incident that was told before keeps its thread; for one that was not this is its problem mail
    const told = incident.told === null ? toldBy(null, { messageId, ...to, nowMs: turn.nowMs }, false) : { ...incident.told, lastAtMs: turn.nowMs }
    const next = turn.put(incident, { told })
    turn.decide(next, incident.told === null ? 'mailed' : 'repeated', `a silence by ${silence.by} is over`, messageId)
  }
}

/** Once a day: broken, unknown, silenced, soon stale, in that order. A green day sends it too: that it comes is a sign of life. */
export function mailDigest(turn: Turn, to: Addressed, dueAtMs: number): void {
  const { state } = turn
  const all = worstFirst(turn.all())
  const isQuiet = (incident: Incident) => turn.silenceOf(incident) !== undefined
  const silenced = all.filter(isQuiet)
  const loud = all.filter((incident) => !isQuiet(incident))
  const broken = loud.filter(({ severity, held }) => severity !== 'unknown' && held === null)
  const unknown = loud.filter(({ severity, held }) => severity === 'unknown' || held !== null)
  const critical = broken.filter(({ severity }) => severity === 'critical').length
  const line = (incident: Incident) =>
    bullet(
      `${toldOf(incident)} (${lengthText(incident.brokenAtMs, turn.nowMs)}${incident.ack === null ? '' : `, acknowledged by ${incident.ack.by}`}${incident.held === null ? '' : ', could not be looked at since'})`,
    )
  const section = (title: string, lines: readonly string[]): string[] => {
    if (lines.length === 0) return []
    const left = lines.length - MOST_WRITTEN_OUT
    return [`${title} (${lines.length})`, ...lines.slice(0, MOST_WRITTEN_OUT), ...(left > 0 ? [`and ${left} more: nightshift alerts list`] : []), '']
  }
  const oldest = state.outbox[0]
  const counts = `${broken.length} broken, ${unknown.length} unknown, ${silenced.length} silenced`
  turn.mail({
    kind: 'digest',
    severity: worstSeverity(loud.map(({ severity }) => severity)),
    ...to,
    subject: `${heading(state.estate, null)} daily summary: ${all.length === 0 ? 'nothing is wrong' : `${counts}${critical > 0 ? ` (${critical} critical)` : ''}`}`,
    text: [
      ...(all.length === 0 ? ['Nothing is wrong.', ''] : []),
      ...section('Broken', broken.map(line)),
      ...section('Unknown', unknown.map(line)),
      ...section(
        'Silenced',
        silenced.map((incident) => {
          const silence = turn.silenceOf(incident)
          return bullet(`${nameOf(incident)}: by ${silence?.by ?? '?'} until ${atText(silence?.untilMs ?? 0)}: ${silence?.reason ?? ''}`)
        }),
      ),
      ...section(
        'Soon stale',
        state.soonStale.map(({ message }) => bullet(message)),
      ),
      ...section(
        'Alerts of an earlier system, not yet decided on',
        state.queues.map(({ name, count }) => bullet(`${name}: ${count}; nightshift alerts close-adopted ${name} --as NAME --reason TEXT`)),
      ),
      ...(state.seen === null ? [] : [paragraph(`${state.seen.seen} of ${state.seen.expected} targets were looked at in the last pass.`)]),
      ...(oldest === undefined ? [] : [paragraph(`${state.outbox.length} messages wait in the outbox, the oldest since ${atText(oldest.queuedAtMs)}.`)]),
      ...(all.length === 0 ? [] : [entry('More', 'nightshift alerts list')]),
      '',
    ].join('\n'),
    thread: [],
    identity: ['digest', dueAtMs],
    about: { State: 'summary' },
  })
}
