/** Reads the record of the alert desk beside the worker that writes it. Takes no lock and changes nothing: SQLite lets readers in while one writes. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'libsql'
import type { Decision } from '../domain/desk/state.js'
import { decisionsAbout } from './desk-record.js'
import { StateUnusable } from './errors.js'
import { STATE_NAMES } from './location.js'

/**
 * Decisions about keys that contain `about`, until `untilMs`, newest first; none when nothing was ever recorded.
 * @throws StateUnusable when the record cannot be read
 */
export function readDecisions(dir: string, about: string, untilMs: number, most: number): Decision[] {
  const path = join(dir, STATE_NAMES.database)
  if (!existsSync(path)) return []
  try {
    const database = new Database(path, { readonly: true, timeout: 2000 })
    try {
      return decisionsAbout({ read: (sql, values) => database.prepare(sql).all(...values) }, about, untilMs, most)
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
