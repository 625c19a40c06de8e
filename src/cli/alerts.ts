/** `nightshift alerts`: what is open and why it was or was not said, from the state folder; orders go to the desk as updates, which answer or refuse. */
import { readFileSync } from 'node:fs'
import { ConfigError } from '../domain/config-error.js'
import type { DeskSnapshot, IncidentRow } from '../domain/desk/snapshot.js'
import type { Decision } from '../domain/desk/state.js'
import { workflowIds } from '../domain/ids.js'
import { inert } from '../domain/render/inert.js'
import { instant } from '../domain/render/quantities.js'
import { readDeskFile } from '../state/desk-file.js'
import { stateDirectory } from '../state/location.js'
import { readDeskHistory } from '../state/read-decisions.js'
import { estateIdOf } from './estate-id.js'
import { plainCause } from './plain-cause.js'
import { UsageError } from './usage-error.js'

export const MOST_DECISIONS = 50
/** Longest that the desk may take to answer an order. */
const ANSWER_WITHIN_MS = 15_000

/** The desk said no: exit code 1, like every other refusal. */
class Refused extends Error {
  readonly exitCode = 1
  readonly next = 'nightshift alerts list shows what there is'
}

/** @throws ConfigError when the desk never said anything */
export async function deskOf(config: string): Promise<DeskSnapshot> {
  const { dir } = await stateOf(config)
  const snapshot = readDeskFile(dir)
  if (snapshot === undefined)
    throw new ConfigError(`the alert desk has not said anything yet in ${dir}`, 'start it: nightshift up; the first pass of the monitor starts the desk')
  return snapshot
}

export interface Shown {
  readonly incident: IncidentRow
  readonly decisions: readonly Decision[]
}

/** @throws UsageError when there is no such incident */
export async function showIncident(config: string, which: string): Promise<Shown> {
  const snapshot = await deskOf(config)
  const incident = snapshot.incidents.find(({ id, key, subject }) => [id, key, subject].includes(which))
  if (incident === undefined)
    throw new UsageError(`there is no open incident ${which}`, 'nightshift alerts list shows them; nightshift alerts why NAME tells of those that are over')
  const { dir } = await stateOf(config)
  const { latest, before } = readDeskHistory(dir, { about: incident.id, subjects: [], untilMs: Number.MAX_SAFE_INTEGER }, MOST_DECISIONS, 0)
  return { incident, decisions: [...latest, ...before] }
}

/**
 * Gives an order to the desk.
 * @returns what it answered @throws Refused with its reason; ConfigError when it cannot be reached
 */
export async function order(config: string, name: string, argument?: object): Promise<string> {
  const { estate } = await stateOf(config)
  // Only who orders something needs a client; what is open stands in a file.
  const [{ WorkflowUpdateFailedError }, { connectEstate }] = await Promise.all([import('@temporalio/client'), import('./estate-client.js')])
  const temporal = await connectEstate(estate)
  const workflowId = workflowIds.alertDesk(estate)
  try {
    const handle = temporal.client.workflow.getHandle(workflowId)
    const answer = () => (argument === undefined ? handle.executeUpdate<string, []>(name) : handle.executeUpdate<string, [object]>(name, { args: [argument] }))
    return await temporal.client.withDeadline(Date.now() + ANSWER_WITHIN_MS, answer)
  } catch (error) {
    if (error instanceof WorkflowUpdateFailedError) throw new Refused(plainCause(error.cause ?? error))
    throw new ConfigError(
      `the alert desk of ${estate} does not answer: ${plainCause(error)}`,
      `start it: nightshift up; then look at ${workflowId} in the Temporal UI`,
    )
  } finally {
    await temporal.close()
  }
}

/** `[{…}, …]` or one entry a line: what an earlier system queued. @throws UsageError */
export function readQueue(path: string): { count: number; oldest: string | null; lines: string[] } {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new UsageError(`${path} cannot be read: ${plainCause(error)}`, 'name the file with the queued alerts: a JSON list, or one alert a line')
  }
  const entries = asList(text) ?? text.split('\n').filter((line) => line.trim() !== '')
  if (entries.length === 0) throw new UsageError(`${path} holds no alert`, 'name the file with the queued alerts: a JSON list, or one alert a line')
  const lines = entries.map((entry) => inert(inWords(entry)).slice(0, 200))
  const times = lines.flatMap((line) => /\d{4}-\d{2}-\d{2}(T[\d:.]+Z?)?/.exec(line)?.[0] ?? [])
  return { count: entries.length, oldest: times.sort()[0] ?? null, lines }
}

/** An entry on one line: a text as it is, of an object its texts and numbers. */
function inWords(entry: unknown): string {
  if (typeof entry === 'string') return entry
  const values = typeof entry === 'object' && entry !== null ? Object.values(entry).filter((value) => ['string', 'number'].includes(typeof value)) : []
  return values.length > 0 ? values.join('  ') : JSON.stringify(entry)
}

function asList(text: string): unknown[] | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return Array.isArray(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** The estate of a configuration folder, and where its state lies. */
export async function stateOf(config: string): Promise<{ estate: string; dir: string }> {
  const estate = await estateIdOf(config)
  return { estate, dir: stateDirectory(estate) }
}

export const time = (at: string | null): string => (at === null ? 'never' : instant(at))

export function listLines(snapshot: DeskSnapshot): string[] {
  const { incidents, silences, outbox, adopted, refused } = snapshot
  const order = ['critical', 'unknown', 'warning', 'ok']
  const rows = [...incidents].sort((a, b) => order.indexOf(a.severity) - order.indexOf(b.severity) || (a.key < b.key ? -1 : 1))
  return [
    ...(rows.length === 0 ? ['Nothing is wrong.'] : []),
    ...rows.map((row) => `${row.id}  ${row.severity.toUpperCase().padEnd(8)}  ${inert(row.subject)}  ${inert(row.message)}${marks(row)}`),
    ...silences.map(({ id, matching, by, until, reason }) => `${id}  SILENCE   ${inert(matching)}  by ${inert(by)} until ${time(until)}: ${inert(reason)}`),
    ...adopted.map(({ name, count }) => `-         ADOPTED   ${inert(name)}: ${count} unsent alerts of an earlier system, to be closed by decision`),
    ...refused.map(({ order: name, why }) => `-         REFUSED   ${inert(name)} by signal: ${inert(why)}`),
    `Outbox ${outbox.depth}${outbox.oldestAt === null ? '' : `, the oldest since ${time(outbox.oldestAt)}`}; last mail ${time(outbox.lastSentAt)}${outbox.lastReply === null ? '' : `; ${inert(outbox.lastReply)}`}`,
    `As of ${time(snapshot.takenAt)}, pass ${snapshot.passId ?? 'none'}.`,
  ]
}

function marks(row: IncidentRow): string {
  const words = [
    row.acknowledgedBy === null ? '' : `acknowledged by ${row.acknowledgedBy}`,
    row.silencedUntil === null ? '' : `silenced until ${time(row.silencedUntil)}`,
    row.inhibitedBy === null ? '' : `inhibited by ${row.inhibitedBy}`,
    row.isFlapping ? 'flapping' : '',
  ].filter((word) => word !== '')
  return words.length === 0 ? '' : `  [${inert(words.join(', '))}]`
}

export function decisionLine(decision: Decision): string {
  const { atMs, key, severity, reason, why, message } = decision
  return `${instant(new Date(atMs).toISOString())}  ${decision.decision.toUpperCase().padEnd(12)}  ${inert(key)}  ${severity} ${inert(reason)}: ${inert(message)}\n  → ${inert(why)}`
}

export function showLines({ incident, decisions }: Shown): string[] {
  return [
    `${incident.id}  ${incident.severity.toUpperCase()}  ${inert(incident.key)}${marks(incident)}`,
    `What       ${inert(incident.message)}`,
    `Cause      ${inert(incident.reason)}`,
    `Since      ${time(incident.since)}`,
    `Last good  ${incident.lastGood === null ? 'none known' : `${inert(incident.lastGood.path)}, of ${time(incident.lastGood.at)}`}`,
    `Do         ${inert(incident.next ?? 'nothing is known')}`,
    `Said       ${incident.lastSaidAt === null ? 'never' : `last ${time(incident.lastSaidAt)}, ${incident.repeats} repeats`}`,
    ...decisions.map(decisionLine),
  ]
}
