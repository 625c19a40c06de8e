/** `nightshift alerts why`: what was decided about a thing at a time, from the record. That nothing was decided is no answer unless somebody looked. */
import { ConfigError } from '../domain/config-error.js'
import type { Decision } from '../domain/desk/state.js'
import { inert } from '../domain/render/inert.js'
import { EXIT_CODE_BY_SEVERITY, type StatusDocument } from '../domain/status.js'
import { didYouMean } from '../runbooks/suggest.js'
import { readDeskFile } from '../state/desk-file.js'
import { longestGapMs } from '../state/desk-record.js'
import { readDeskHistory } from '../state/read-decisions.js'
import { readStatusFile } from '../state/status-file.js'
import { decisionLine, MOST_DECISIONS, stateOf, time } from './alerts.js'
import { UsageError } from './usage-error.js'

/** Clocks of two machines may differ by so much. */
const FUTURE_TOLERANCE_MS = 60_000
const MOST_SUBJECTS = 50
/** Of a host or site that cannot be looked at: these end it. */
const ENDS: readonly Decision['decision'][] = ['recovered', 'closed']

export interface Why {
  readonly schema: 'nightshift.why/1'
  readonly about: string
  readonly at: string
  /** `unknown`: no pass was taken at that time, and nothing was decided before it. */
  readonly answer: 'decided' | 'nothing_wrong' | 'unknown'
  /** From when to when passes were taken around that time; null: none was taken then. */
  readonly heard: { readonly from: string; readonly until: string } | null
  /** What that means, in words. */
  readonly because: string
  /** The decision in force then, for each incident that the name fits, newest first. */
  readonly inForce: readonly Decision[]
  /** Hosts and sites that could not be looked at then, and stood in the way. */
  readonly hiddenBy: readonly Decision[]
  readonly before: readonly Decision[]
}

/**
 * What was decided about a thing at a time, and what came before.
 * @throws UsageError when `at` is no instant or still to come, or nothing of that name is or was watched; ConfigError before the first pass
 */
export async function whyOf(config: string, about: string, at: string | undefined, now: Date): Promise<Why> {
  if (about.trim() === '')
    throw new UsageError('a name is missing', 'nightshift alerts why NAME: a target, guest, job, storage or host, or the id of an incident')
  const untilMs = at === undefined ? now.getTime() : Date.parse(at)
  if (!Number.isFinite(untilMs)) throw new UsageError(`${at} is no time`, 'write it like 2026-02-10T07:00:00Z')
  if (untilMs > now.getTime() + FUTURE_TOLERANCE_MS) throw new UsageError(`${at} is still to come`, 'ask about a time that is over')
  const { dir } = await stateOf(config)
  const snapshot = readDeskFile(dir)
  const status = readStatusFile(dir)
  if (snapshot === undefined && status === undefined)
    throw new ConfigError(`nothing was ever watched in ${dir}`, 'start it: nightshift up; the first pass of the monitor starts the record')

  const things = status === undefined ? [] : thingsOf(status)
  const meant = things.filter(({ name, subject }) => name.includes(about) || subject.includes(about)).slice(0, MOST_SUBJECTS)
  const slackMs = longestGapMs(snapshot?.periodSeconds)
  const ask = (asked: string, subjects: readonly string[], until: number) =>
    readDeskHistory(dir, { about: asked, subjects, untilMs: until }, MOST_DECISIONS, slackMs)
  const named = meant.map(({ subject }) => subject)
  const { latest, before, heard } = ask(about, named, untilMs)
  if (meant.length === 0 && latest.length === 0 && ask(about, [], Number.MAX_SAFE_INTEGER).latest.length === 0) {
    const names = [...things.map(({ name }) => name), ...things.map(({ subject }) => subject)]
    throw new UsageError(
      `nothing called ${about} is watched, and the record knows of none`,
      didYouMean(about, names) ?? 'nightshift status --all shows what is watched',
    )
  }
  const inTheWay = [...new Set(meant.flatMap(({ behind }) => behind))].filter((subject) => !latest.some(({ key }) => key === `${subject} blind`))
  const hiddenBy = inTheWay.flatMap((subject) => ask(`${subject} blind`, [], untilMs).latest).filter(({ decision }) => !ENDS.includes(decision))
  const iso = (ms: number) => new Date(ms).toISOString()
  const base = { schema: 'nightshift.why/1', about, at: iso(untilMs), inForce: latest, hiddenBy, before } as const
  if (heard.span !== null) {
    const { fromMs, untilMs: lastMs } = heard.span
    const span = { from: iso(fromMs), until: iso(lastMs) }
    const because = `passes were taken from ${time(span.from)} to ${time(span.until)}`
    return { ...base, answer: latest.length + hiddenBy.length > 0 ? 'decided' : 'nothing_wrong', heard: span, because }
  }
  const after = heard.firstAfterMs === null ? 'none since' : `the next one at ${time(iso(heard.firstAfterMs))}`
  const because =
    heard.lastBeforeMs === null
      ? `the record of passes begins ${heard.firstAfterMs === null ? 'with the next one' : `at ${time(iso(heard.firstAfterMs))}`}`
      : `no pass was taken at that time: the last one before at ${time(iso(heard.lastBeforeMs))}, ${after}`
  return { ...base, answer: latest.length + hiddenBy.length > 0 ? 'decided' : 'unknown', heard: null, because }
}

/** 0, or that of UNKNOWN. */
export const whyExitCode = ({ answer }: Why): number => (answer === 'unknown' ? EXIT_CODE_BY_SEVERITY.unknown : 0)

interface Thing {
  /** How people call it. */
  readonly name: string
  readonly subject: string
  /** Subjects whose silence hides it. */
  readonly behind: readonly string[]
}

function thingsOf(status: StatusDocument): Thing[] {
  const behind = (site: string, host: string) => [`${site}/host/${host}`, `${site}/monitor/${site}`]
  const at = (kind: string) => (row: { site: string; host: string; id: string }) => ({
    name: row.id,
    subject: `${row.site}/${kind}/${row.host}/${row.id}`,
    behind: behind(row.site, row.host),
  })
  return [
    ...status.targets.map(({ id, site, host }) => ({ name: id, subject: `${site}/target/${id}`, behind: behind(site, host) })),
    ...status.guests.map(({ site, host, vmid, name }) => ({ name, subject: `${site}/guest/${host}/${vmid}`, behind: behind(site, host) })),
    ...status.jobs.map(at('job')),
    ...status.storages.map(at('storage')),
    ...status.hosts.map(({ site, host }) => ({ name: host, subject: `${site}/host/${host}`, behind: [`${site}/monitor/${site}`] })),
    ...status.findings.map(({ subject }) => ({ name: subject.split('/').slice(2).join('/'), subject, behind: [] })),
  ]
}

export function whyLines(why: Why): string[] {
  const { inForce, hiddenBy, before } = why
  const about = inert(why.about)
  if (why.answer === 'nothing_wrong') return [`Nothing about ${about} was wrong at ${time(why.at)}: ${why.because}, and nothing was found.`]
  if (why.answer === 'unknown') return [`Nobody knows about ${about} at ${time(why.at)}: ${why.because}.`]
  return [
    `In force at ${time(why.at)}:`,
    ...inForce.map(decisionLine),
    ...(hiddenBy.length === 0 ? [] : ['Hidden by what could not be looked at:', ...hiddenBy.map(decisionLine)]),
    ...(why.heard === null ? [`Decided before, and nobody looked then: ${why.because}.`] : []),
    ...(before.length === 0 ? [] : ['Before:', ...before.map(decisionLine)]),
  ]
}
