/** The embedded database of the state folder: opening, schema versions, transactions. What is in the tables is `state-folder.ts`' business. */
import { existsSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'libsql'
import { errorCode, StateUnusable, StateWriteFailed } from './errors.js'
import { STATE_NAMES } from './location.js'

export type StateDatabase = Database.Database

/** Step n brings a database of version n to n + 1. Published steps are never edited, only followed by new ones. */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE memory (
     key  TEXT PRIMARY KEY,
     json TEXT NOT NULL
   ) STRICT;
   CREATE TABLE passes (
     pass_id             TEXT PRIMARY KEY,
     taken_at            TEXT NOT NULL,      -- instant, UTC, sorts as text
     verdict             TEXT NOT NULL,
     expected            INTEGER NOT NULL,
     seen                INTEGER NOT NULL,
     observations_digest TEXT NOT NULL,
     status_gzip         BLOB NOT NULL       -- the whole document: a status file that was not written is mended from here
   ) STRICT;
   CREATE INDEX passes_in_order ON passes (taken_at, pass_id);
   CREATE TABLE observations (
     pass_id   TEXT NOT NULL,
     key       TEXT NOT NULL,
     digest    TEXT NOT NULL,                -- SHA-256 of the JSON text
     json_gzip BLOB NOT NULL,
     stored_at TEXT NOT NULL,
     PRIMARY KEY (pass_id, key)
   ) STRICT;
   CREATE TABLE proofs (
     site        TEXT NOT NULL,
     volid       TEXT NOT NULL,
     size_bytes  INTEGER NOT NULL,
     modified_at TEXT NOT NULL,              -- another file under the same name is another artifact
     level       INTEGER NOT NULL,           -- 0 listed, 1 complete, 2 readable, 3 restored, 4 probed
     sha256      TEXT,
     proven_at   TEXT NOT NULL,
     PRIMARY KEY (site, volid, size_bytes, modified_at)
   ) STRICT;`,
  `CREATE TABLE desk_told (
     scope TEXT PRIMARY KEY,                 -- what the alert desk was told last, by scope
     json  TEXT NOT NULL
   ) STRICT;
   CREATE TABLE desk_decisions (
     at_ms        INTEGER NOT NULL,
     key          TEXT NOT NULL,             -- subject and condition
     incident     TEXT NOT NULL,
     decision     TEXT NOT NULL,
     why          TEXT NOT NULL,
     severity     TEXT NOT NULL,
     reason       TEXT NOT NULL,
     message      TEXT NOT NULL,
     message_id   TEXT,
     pass_id      TEXT,
     rules_digest TEXT,
     UNIQUE (at_ms, incident, decision, why)
   ) STRICT;
   CREATE INDEX desk_decisions_in_order ON desk_decisions (at_ms);`,
  `CREATE TABLE desk_heard (
     from_ms  INTEGER PRIMARY KEY,           -- the desk took one pass after the other from here
     until_ms INTEGER NOT NULL               -- to here, without a gap
   ) STRICT;`,
]

/**
 * Opens (creates, migrates) `state.db` in `dir`: WAL, synchronous FULL. A database that is damaged is set aside under another name and a new one begun:
 * lost state is safe by design (usual sizes are learned again, proof falls to 0), a monitor that does not run is not.
 * @param notices gets a sentence when that happened
 * @throws StateUnusable when a newer nightshift wrote it, StateWriteFailed when the disk is full
 */
export function openDatabase(dir: string, now: Date, notices: string[]): StateDatabase {
  const path = join(dir, STATE_NAMES.database)
  try {
    return openAndMigrate(path)
  } catch (error) {
    if (!isDamaged(error)) throw asStateError(path, error)
    const aside = setAside(path, now)
    notices.push(`${path} was damaged; it was set aside as ${aside} and a new one begun: usual sizes and durations are learned anew`)
    try {
      return openAndMigrate(path)
    } catch (again) {
      throw asStateError(path, again)
    }
  }
}

/**
 * Runs `work` in one immediate transaction: all of it is on disk when this returns, or nothing.
 * (The library's own `transaction()` loses the cause when SQLite has rolled back by itself, as it does on a full disk.)
 */
export function inTransaction<T>(database: StateDatabase, work: () => T): T {
  database.exec('BEGIN IMMEDIATE')
  try {
    const result = work()
    database.exec('COMMIT')
    return result
  } catch (error) {
    if (database.inTransaction) database.exec('ROLLBACK')
    throw error
  }
}

function openAndMigrate(path: string): StateDatabase {
  const database = new Database(path, { timeout: 2000 })
  try {
    database.pragma('journal_mode = WAL')
    database.pragma('synchronous = FULL')
    const check = database.pragma('quick_check(1)')
    if (!Array.isArray(check) || !isOkRow(check[0])) throw Object.assign(new Error('quick_check failed'), { code: 'SQLITE_CORRUPT' })
    const version = readVersion(database)
    if (version > MIGRATIONS.length) {
      throw new StateUnusable(
        `${path} was written by a newer nightshift (schema ${version}, this program knows ${MIGRATIONS.length})`,
        'run the newer program, or move the file away: usual sizes and proofs are then learned anew',
      )
    }
    for (const [index, migration] of MIGRATIONS.entries()) {
      if (index < version) continue
      inTransaction(database, () => {
        database.exec(migration)
        database.exec(`PRAGMA user_version = ${index + 1}`)
      })
    }
    return database
  } catch (error) {
    database.close()
    throw error
  }
}

function readVersion(database: StateDatabase): number {
  const row = database.prepare('SELECT user_version FROM pragma_user_version').get()
  if (typeof row === 'object' && row !== null && 'user_version' in row && typeof row.user_version === 'number') return row.user_version
  throw new Error('no user_version')
}

function isOkRow(row: unknown): boolean {
  return typeof row === 'object' && row !== null && Object.values(row)[0] === 'ok'
}

function isDamaged(error: unknown): boolean {
  const code = errorCode(error)
  return code !== undefined && (code.startsWith('SQLITE_CORRUPT') || code.startsWith('SQLITE_NOTADB'))
}

function setAside(path: string, now: Date): string {
  const suffix = `.damaged-${now.toISOString().replace(/[:.]/g, '-')}`
  for (const part of ['', '-wal', '-shm']) if (existsSync(path + part)) renameSync(path + part, path + suffix + part)
  return path + suffix
}

function asStateError(path: string, error: unknown): Error {
  if (error instanceof StateUnusable) return error
  if (errorCode(error)?.startsWith('SQLITE_')) return new StateWriteFailed('the state database', path, error)
  return new StateUnusable(`${path} cannot be opened: ${error instanceof Error ? error.message : String(error)}`, `check the permissions of ${path}`, {
    cause: error,
  })
}
