/**
 * Guards the dev server's database file: one server at a time (a kernel lock that dies with its holder), and one CLI version
 * for its whole life, because the dev server makes its schema once and never migrates it.
 */

import { readFile, stat } from 'node:fs/promises'
import { execa } from 'execa'
import { ConfigError } from '../domain/config-error.js'
import { replaceFile } from '../files/replace-file.js'
import type { TemporalVersion } from './server-version.js'

/** The exit code by which `flock` says "somebody else holds it"; not one that the server itself uses. */
export const LOCK_HELD_EXIT_CODE = 99

export function lockPathOf(databasePath: string): string {
  return `${databasePath}.lock`
}

function recordPathOf(databasePath: string): string {
  return `${databasePath}.version.json`
}

/** The refusal of a second server on one file: SQLite would let both in, and neither would see what the other does. */
export async function databaseInUse(databasePath: string): Promise<ConfigError> {
  const pid = await lockHolder(lockPathOf(databasePath))
  const who = pid === undefined ? 'another process (its pid cannot be seen from here)' : `pid ${pid}`
  const stop = pid === undefined ? 'stop the other nightshift or lab' : `stop the nightshift or lab that started it, or: kill ${pid}`
  return new ConfigError(`the Temporal database ${databasePath} is already being served by ${who}; two servers on one file lose data`, stop)
}

/** Looks whether a server holds the file, without keeping the lock. */
export async function isDatabaseInUse(databasePath: string): Promise<boolean> {
  const probe = await execa('flock', ['--nonblock', '--conflict-exit-code', String(LOCK_HELD_EXIT_CODE), lockPathOf(databasePath), 'true'], { reject: false })
  if (probe.exitCode === LOCK_HELD_EXIT_CODE) return true
  if (probe.exitCode === 0) return false
  throw new ConfigError(
    `cannot lock the Temporal database ${databasePath}: ${probe.stderr || probe.shortMessage || 'flock failed'}`,
    'check that the folder is writable and on a file system with locks, and that util-linux is installed: apt-get install util-linux',
  )
}

/** The pid that holds a flock on the file, by its inode in /proc/locks (proc(5)); undefined when it is not visible. */
async function lockHolder(lockPath: string): Promise<number | undefined> {
  const { ino } = await stat(lockPath)
  const lines = (await readFile('/proc/locks', 'utf8')).split('\n')
  for (const line of lines) {
    const [, kind, , , pid, file] = line.trim().split(/\s+/)
    if (kind === 'FLOCK' && file?.split(':')[2] === String(ino) && Number(pid) > 0) return Number(pid)
  }
  return undefined
}

/**
 * Compares the version that made the database with the one that wants to serve it; a new database gets its record now.
 * @throws ConfigError when they differ, or when a database has no record
 */
export async function checkDatabaseVersion(databasePath: string, version: TemporalVersion): Promise<void> {
  const recordPath = recordPathOf(databasePath)
  const record = await readRecord(recordPath)
  const exists = await stat(databasePath).then(
    () => true,
    () => false,
  )
  if (!exists) {
    replaceFile(recordPath, `${JSON.stringify(version)}\n`)
    return
  }
  if (record?.cli === version.cli && record.server === version.server) return
  const madeBy =
    record === undefined ? 'an unknown version of the Temporal CLI (its record is missing)' : `Temporal CLI ${record.cli} (server ${record.server})`
  const open = await openRuns(databasePath)
  throw new ConfigError(
    [
      `the Temporal database ${databasePath} was made by ${madeBy}; this is CLI ${version.cli} (server ${version.server}), and there is no migration`,
      ...open,
    ].join('\n'),
    [
      record === undefined
        ? `look at its runs with the CLI version that made it: temporal server start-dev --db-filename ${databasePath}`
        : `to look at or finish those runs: install Temporal CLI ${record.cli} and run: temporal server start-dev --db-filename ${databasePath}`,
      `to begin anew: mv ${databasePath} ${databasePath}.${record?.cli ?? 'old'}`,
    ].join('\n'),
  )
}

async function readRecord(path: string): Promise<TemporalVersion | undefined> {
  try {
    const value: unknown = JSON.parse(await readFile(path, 'utf8'))
    if (value === null || typeof value !== 'object') return undefined
    const { cli, server } = value as Record<string, unknown>
    return typeof cli === 'string' && typeof server === 'string' ? { cli, server } : undefined
  } catch {
    return undefined
  }
}

/** The most open runs that an error lists. */
const MOST_RUNS_SHOWN = 20

/** What would be lost: the open runs, read straight from the visibility table (status 1 = running); one line each. */
async function openRuns(databasePath: string): Promise<string[]> {
  try {
    const { default: Database } = await import('libsql')
    const database = new Database(databasePath, { readonly: true })
    try {
      const rows: unknown[] = database
        .prepare(
          `SELECT n.name AS namespace, v.workflow_type_name AS type, v.workflow_id AS id, v.start_time AS started
             FROM executions_visibility v JOIN namespaces n ON lower(hex(n.id)) = lower(replace(v.namespace_id, '-', '')) OR n.id = v.namespace_id
            WHERE v.status = 1 AND n.name <> 'temporal-system' ORDER BY v.start_time LIMIT ${MOST_RUNS_SHOWN + 1}`,
        )
        .all()
      if (rows.length === 0) return ['it has no open runs']
      const lines = rows.slice(0, MOST_RUNS_SHOWN).map((row) => {
        const { namespace, type, id, started } = row as Record<string, unknown>
        return `  ${String(namespace)}: ${String(type)} ${String(id)} since ${String(started)}`
      })
      return ['its open runs:', ...lines, ...(rows.length > MOST_RUNS_SHOWN ? ['  and more'] : [])]
    } finally {
      database.close()
    }
  } catch (error) {
    return [`its open runs could not be listed: ${error instanceof Error ? error.message : String(error)}`]
  }
}
