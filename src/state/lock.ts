/**
 * One owner at a time: an open SQLite transaction, `BEGIN EXCLUSIVE`, on `lock.db`. Its lock is an fcntl(2) record lock: the kernel gives it back when
 * the process ends in whatever way, and children do not inherit it. Nothing else may open `lock.db` (closing a second descriptor would drop the lock).
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'libsql'
import { errorCode, StateLocked, StateUnusable } from './errors.js'
import { STATE_NAMES } from './location.js'

export interface StateLock {
  /** Gives the folder free; harmless when repeated. */
  release(): void
}

/**
 * Takes the lock of a state folder at once or not at all.
 * @throws StateLocked with the holder's process id and since when, StateUnusable when lock.db cannot be opened
 */
export function acquireLock(dir: string, now: Date): StateLock {
  const holderPath = join(dir, STATE_NAMES.holder)
  let database: Database.Database | undefined
  try {
    database = new Database(join(dir, STATE_NAMES.lock), { timeout: 0 })
    database.exec('PRAGMA journal_mode = MEMORY') // nothing is ever written: no journal file beside it
    database.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    database?.close()
    if (errorCode(error)?.startsWith('SQLITE_BUSY')) throw lockedBy(dir, holderPath)
    throw new StateUnusable(
      `the lock of the state folder, ${join(dir, STATE_NAMES.lock)}, cannot be taken: ${error instanceof Error ? error.message : String(error)}`,
      'it is an empty file of nightshift: check its permissions; when no worker runs it may be deleted',
      { cause: error },
    )
  }
  try {
    writeFileSync(holderPath, JSON.stringify({ pid: process.pid, since: now.toISOString() }), { mode: 0o600 })
  } catch {
    // Only a courtesy to whoever comes second; the lock itself holds without it (a full disk must not keep the monitor from starting).
  }
  const held = database
  return {
    release() {
      if (!held.open) return
      rmSync(holderPath, { force: true })
      held.exec('ROLLBACK')
      held.close()
    },
  }
}

function lockedBy(dir: string, holderPath: string): StateLocked {
  try {
    const holder: unknown = JSON.parse(readFileSync(holderPath, 'utf8'))
    if (typeof holder === 'object' && holder !== null && 'pid' in holder && 'since' in holder && typeof holder.pid === 'number') {
      // The file of an earlier holder that was killed may still be there while a new one has the lock but has not written yet.
      if (isAlive(holder.pid)) return new StateLocked(dir, holder.pid, typeof holder.since === 'string' ? holder.since : null)
    }
  } catch {
    // not written yet, or just removed
  }
  return new StateLocked(dir, null, null)
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return errorCode(error) === 'EPERM'
  }
}
