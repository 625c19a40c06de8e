/**
 * What the state folder keeps for the alert desk: what was told to it last (so that only changes travel), its last word about itself (`desk.json`),
 * and the record of its decisions. Lost, the desk is told everything anew.
 */
import { join } from 'node:path'
import type { Told } from '../domain/desk/monitor-report.js'
import { NOTHING_TOLD } from '../domain/desk/monitor-report.js'
import type { DeskReport } from '../domain/desk/report.js'
import type { DeskSnapshot } from '../domain/desk/snapshot.js'
import type { Decision } from '../domain/desk/state.js'
import { readDeskFile } from './desk-file.js'
import { writeDurably } from './durable-file.js'
import { STATE_NAMES } from './location.js'
import { column, integer, type Table, text } from './table.js'

/** Decisions are kept so long: "why no alert last Tuesday" is asked within weeks. */
const KEEP_DAYS = 400
const DAY_MS = 86_400_000

export interface ToldScope {
  readonly told: Told
  /** The report as it was sent, so that a desk that lost its way can be told all of it. Absent for the monitor: its status is kept anyway. */
  readonly report?: DeskReport
}

export class DeskRecord {
  constructor(
    private readonly dir: string,
    private readonly table: Table,
  ) {}

  told(scope: string): ToldScope {
    const [row] = this.table.read('SELECT json FROM desk_told WHERE scope = ?', [scope])
    return row === undefined ? { told: NOTHING_TOLD } : (JSON.parse(text(row, 'json')) as ToldScope)
  }

  /** @throws StateWriteFailed */
  putTold(scope: string, told: ToldScope): void {
    this.table.write('INSERT OR REPLACE INTO desk_told (scope, json) VALUES (?, ?)', [scope, JSON.stringify(told)])
  }

  /** Adds decisions; the same decision written again (a repeated activity) is one. @throws StateWriteFailed */
  addDecisions(decisions: readonly Decision[]): void {
    if (decisions.length === 0) return
    this.table.writeEach(
      'INSERT OR IGNORE INTO desk_decisions (at_ms, key, incident, decision, why, severity, reason, message, message_id, pass_id, rules_digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
      decisions.map((each) => [
        each.atMs,
        each.key,
        each.incidentId,
        each.decision,
        each.why,
        each.severity,
        each.reason,
        each.message,
        each.messageId,
        each.passId,
        each.rulesDigest,
      ]),
    )
    const newest = decisions.at(-1)
    if (newest !== undefined) this.table.write('DELETE FROM desk_decisions WHERE at_ms < ?', [newest.atMs - KEEP_DAYS * DAY_MS])
  }

  /** @throws StateWriteFailed */
  putSnapshot(snapshot: DeskSnapshot): void {
    writeDurably('the word of the alert desk', join(this.dir, STATE_NAMES.desk), `${JSON.stringify(snapshot)}\n`)
    if (snapshot.passTakenAt !== null) this.noteHeard(Date.parse(snapshot.passTakenAt), longestGapMs(snapshot.periodSeconds))
  }

  /** That nothing was decided tells something only of a time at which passes were taken. */
  private noteHeard(atMs: number, gapMs: number): void {
    const [last] = this.table.read('SELECT from_ms, until_ms FROM desk_heard WHERE from_ms <= ? ORDER BY from_ms DESC LIMIT 1', [atMs])
    const untilMs = last === undefined ? Number.NEGATIVE_INFINITY : integer(last, 'until_ms')
    if (atMs <= untilMs) return
    if (last !== undefined && atMs - untilMs <= gapMs)
      this.table.write('UPDATE desk_heard SET until_ms = ? WHERE from_ms = ?', [atMs, integer(last, 'from_ms')])
    else this.table.write('INSERT INTO desk_heard (from_ms, until_ms) VALUES (?, ?)', [atMs, atMs])
    this.table.write('DELETE FROM desk_heard WHERE until_ms < ?', [atMs - KEEP_DAYS * DAY_MS])
  }

  snapshot(): DeskSnapshot | undefined {
    return readDeskFile(this.dir)
  }
}

/** Longer than this without a pass, and nobody knows what was between: three periods, half an hour at least. */
export const longestGapMs = (periodSeconds: number | null | undefined): number => Math.max(30 * 60_000, 3 * (periodSeconds ?? 600) * 1000)

/** What is asked of the record: keys that contain `about`, the incident of that id, the keys of these subjects. */
export interface DecisionQuestion {
  readonly about: string
  readonly subjects: readonly string[]
  readonly untilMs: number
}

/** What was decided about something: the latest of each key, and what was before those, newest first. */
export function decisionsAbout(
  table: Pick<Table, 'read'>,
  { about, subjects, untilMs }: DecisionQuestion,
  most: number,
): { latest: Decision[]; before: Decision[] } {
  const isAsked = ['instr(key, ?) > 0', 'incident = ?', ...subjects.map(() => "instr(key, ? || ' ') = 1")].join(' OR ')
  const ranked = `SELECT *, rowid AS place, row_number() OVER (PARTITION BY key ORDER BY at_ms DESC, rowid DESC) AS rank FROM desk_decisions WHERE (${isAsked}) AND at_ms <= ?`
  const rows = (rank: string) =>
    table.read(`SELECT * FROM (${ranked}) WHERE rank ${rank} ORDER BY at_ms DESC, place DESC LIMIT ?`, [about, about, ...subjects, untilMs, most])
  return { latest: rows('= 1').map(decisionOf), before: rows('> 1').map(decisionOf) }
}

/** From when to when passes were taken around a time; what is null was not. */
export interface Heard {
  /** The span that the time lies in. */
  readonly span: { readonly fromMs: number; readonly untilMs: number } | null
  readonly lastBeforeMs: number | null
  readonly firstAfterMs: number | null
}

export function heardAround(table: Pick<Table, 'read'>, atMs: number, slackMs: number): Heard {
  const [before] = table.read('SELECT from_ms, until_ms FROM desk_heard WHERE from_ms <= ? ORDER BY from_ms DESC LIMIT 1', [atMs])
  const [after] = table.read('SELECT from_ms FROM desk_heard WHERE from_ms > ? ORDER BY from_ms LIMIT 1', [atMs])
  const untilMs = before === undefined ? null : integer(before, 'until_ms')
  const isHeard = before !== undefined && untilMs !== null && atMs <= untilMs + (after === undefined ? slackMs : 0)
  return {
    span: isHeard ? { fromMs: integer(before, 'from_ms'), untilMs } : null,
    lastBeforeMs: untilMs,
    firstAfterMs: after === undefined ? null : integer(after, 'from_ms'),
  }
}

function decisionOf(row: unknown): Decision {
  return {
    atMs: integer(row, 'at_ms'),
    key: text(row, 'key'),
    incidentId: text(row, 'incident'),
    decision: text(row, 'decision') as Decision['decision'],
    why: text(row, 'why'),
    severity: text(row, 'severity') as Decision['severity'],
    reason: text(row, 'reason'),
    message: text(row, 'message'),
    messageId: textOrNull(row, 'message_id'),
    passId: textOrNull(row, 'pass_id'),
    rulesDigest: textOrNull(row, 'rules_digest'),
  }
}

function textOrNull(row: unknown, name: string): string | null {
  const value = column(row, name)
  return typeof value === 'string' ? value : null
}
