/** Reads the record of the alert desk beside the worker that writes it. Takes no lock and changes nothing: SQLite lets readers in while one writes. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'libsql'
import type { Decision } from '../domain/desk/state.js'
import { type DecisionQuestion, decisionsAbout, type Heard, heardAround } from './desk-record.js'
import { StateUnusable } from './errors.js'
import { STATE_NAMES } from './location.js'
import type { Table } from './table.js'

export interface DeskHistory {
  /** The latest decision of each key, newest first. */
  readonly latest: readonly Decision[]
  readonly before: readonly Decision[]
  readonly heard: Heard
}

/**
 * What the record says about something until a time; nothing when nothing was ever recorded.
 * @param slackMs after the last pass that was taken: so long the next one is not late
 * @throws StateUnusable when the record cannot be read
 */
export function readDeskHistory(dir: string, question: DecisionQuestion, most: number, slackMs: number): DeskHistory {
  const path = join(dir, STATE_NAMES.database)
  if (!existsSync(path)) return { latest: [], before: [], heard: { span: null, lastBeforeMs: null, firstAfterMs: null } }
  try {
    const database = new Database(path, { readonly: true, timeout: 2000 })
    const table: Pick<Table, 'read'> = { read: (sql, values) => database.prepare(sql).all(...values) }
    try {
      return { ...decisionsAbout(table, question, most), heard: heardAround(table, question.untilMs, slackMs) }
    } finally {
      database.close()
    }
  } catch (error) {
    throw new StateUnusable(
      `${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      'start the worker once (nightshift up), as the user of this command',
    )
  }
}
