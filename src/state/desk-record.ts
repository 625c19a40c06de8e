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
    for (const each of decisions) {
      this.table.write(
        'INSERT OR IGNORE INTO desk_decisions (at_ms, key, incident, decision, why, severity, reason, message, message_id, pass_id, rules_digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
        [
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
        ],
      )
    }
    const newest = decisions.at(-1)
    if (newest !== undefined) this.table.write('DELETE FROM desk_decisions WHERE at_ms < ?', [newest.atMs - KEEP_DAYS * DAY_MS])
  }

  /** @throws StateWriteFailed */
  putSnapshot(snapshot: DeskSnapshot): void {
    writeDurably('the word of the alert desk', join(this.dir, STATE_NAMES.desk), `${JSON.stringify(snapshot)}\n`)
  }

  snapshot(): DeskSnapshot | undefined {
    return readDeskFile(this.dir)
  }
}

/** Decisions about keys that contain `about`, until `untilMs`, newest first. */
export function decisionsAbout(table: Pick<Table, 'read'>, about: string, untilMs: number, most: number): Decision[] {
  const rows = table.read('SELECT * FROM desk_decisions WHERE instr(key, ?) > 0 AND at_ms <= ? ORDER BY at_ms DESC, rowid DESC LIMIT ?', [about, untilMs, most])
  return rows.map((row) => ({
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
  }))
}

function textOrNull(row: unknown, name: string): string | null {
  const value = column(row, name)
  return typeof value === 'string' ? value : null
}
