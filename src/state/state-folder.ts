/**
 * The state folder of one estate, opened by its one owner.
 *
 * What a pass writes, and in which order:
 *   1. one SQLite transaction: the judge's memory, the row of the pass with the whole status document, pruning of old passes
 *   2. `status.json`, replaced durably
 * A crash before 1 is committed: nothing of the pass is there, the old status and the memory it belongs to are; the activity is repeated.
 * A crash between 1 and 2: the memory is the new one, the file still the old one; the next open writes the file from the row (`mendStatusFile`),
 * and a repeated activity does the same. The other order could publish a status whose memory (usual sizes, `since`) is lost.
 * A full disk is like a crash at that point, told as StateWriteFailed.
 */
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { canonicalJson, sha256Hex } from '../domain/canonical.js'
import type { GatesDocument } from '../domain/gates.js'
import type { StatusDocument } from '../domain/status.js'
import { Applies } from './applies.js'
import { inTransaction, openDatabase, type StateDatabase } from './database.js'
import { DeskRecord } from './desk-record.js'
import { removeLeftovers, writeDurably } from './durable-file.js'
import { OpenEnrollments } from './enrollments.js'
import { errorCode, StateUnusable, StateWriteFailed } from './errors.js'
import { markFolder, prepareFolder } from './folder.js'
import { STATE_NAMES } from './location.js'
import { acquireLock, type StateLock } from './lock.js'
import { Marks } from './marks.js'
import { isOlderPass, type PassKey } from './pass-order.js'
import { Proofs } from './proofs.js'
import { type AppendedReceipt, ReceiptChain, type ReceiptSettings } from './receipts/chain.js'
import type { Head } from './receipts/chain-files.js'
import { readPending, removePending } from './receipts/pending.js'
import { monitorReceipt, type ReceiptBody } from './receipts/receipt.js'
import { lastMonitorReceipt, receiptDue } from './receipts/receipt-due.js'
import { readStatusFile } from './status-file.js'
import { blob, integer, type Table, text } from './table.js'

/** Passes whose observations are kept unless told otherwise: six hours at one pass in ten minutes. */
const DEFAULT_KEEP_PASSES = 36
const MEMORY_KEY = 'judge'
const RECEIPT_HEAD_KEY = 'receipt-head'

export interface OpenStateOptions {
  /** Absolute path of the state folder (`stateDirectory` says which). */
  readonly dir: string
  readonly estateId: string
  /** Passes (and their observations) to keep; at least 1. */
  readonly keepPasses?: number
  /** The wall clock; tests give their own. */
  readonly now?: () => Date
}

/** One observation as stored: `digest` is the SHA-256 of its canonical JSON, `bytes` its length. */
export interface StoredObservation {
  readonly key: string
  readonly digest: string
  readonly bytes: number
  readonly value: unknown
}

export interface PassRow extends PassKey {
  readonly verdict: string
  readonly expected: number
  readonly seen: number
  readonly observationsDigest: string
}

export type WritePassResult =
  | { readonly written: true; readonly statusDigest: string }
  | { readonly written: false; readonly reason: 'older_pass'; readonly newer: PassKey }

/**
 * Opens the state folder of an estate and locks it until `close()` or the end of the process, however it ends.
 * @throws StateLocked, StateOfAnotherEstate, StateUnusable, StateWriteFailed
 */
export async function openState(options: OpenStateOptions): Promise<StateFolder> {
  const now = options.now ?? (() => new Date())
  prepareFolder(options.dir, options.estateId)
  const lock = acquireLock(options.dir, now())
  try {
    // Whoever waited for nothing here may have been refused by a mark that the first owner wrote meanwhile: look again under the lock.
    prepareFolder(options.dir, options.estateId)
    removeLeftovers(join(options.dir, STATE_NAMES.estate))
    removeLeftovers(join(options.dir, STATE_NAMES.status))
    removeLeftovers(join(options.dir, STATE_NAMES.desk))
    markFolder(options.dir, options.estateId, now())
    const notices: string[] = []
    const database = openDatabase(options.dir, now(), notices)
    const folder = new StateFolder(options.dir, options.estateId, Math.max(1, options.keepPasses ?? DEFAULT_KEEP_PASSES), now, lock, database, notices)
    folder.mendStatusFile()
    return folder
  } catch (error) {
    lock.release()
    throw error
  }
}

export class StateFolder {
  private openChain: ReceiptChain | undefined

  /** How well artifacts are proven. */
  readonly proofs: Proofs
  /** What is being changed on which host. */
  readonly applies: Applies
  /** The guests whose first scheduled artifact a run waits for. */
  readonly enrollments: OpenEnrollments
  /** What is kept for the alert desk. */
  readonly desk: DeskRecord
  /** Where the watchers of nightshift were left no mark. */
  readonly marks: Marks

  constructor(
    readonly dir: string,
    readonly estateId: string,
    private readonly keepPasses: number,
    private readonly now: () => Date,
    private readonly lock: StateLock,
    private readonly database: StateDatabase,
    /** What opening had to put right, in sentences for the log. */
    readonly notices: string[],
  ) {
    const table: Table = {
      write: (sql, values) => void this.inTransaction(() => this.database.prepare(sql).run(...values)),
      writeEach: (sql, rows) =>
        this.inTransaction(() => {
          const statement = this.database.prepare(sql)
          for (const values of rows) statement.run(...values)
        }),
      read: (sql, values) => this.database.prepare(sql).all(...values),
    }
    this.proofs = new Proofs(table)
    this.applies = new Applies(table)
    this.enrollments = new OpenEnrollments(table)
    this.desk = new DeskRecord(dir, table)
    this.marks = new Marks(table)
  }

  /** The judge's memory as the last pass left it; undefined before the first one. */
  readMemory<T = unknown>(): T | undefined {
    const row = this.database.prepare('SELECT json FROM memory WHERE key = ?').get(MEMORY_KEY)
    return row === undefined ? undefined : (JSON.parse(text(row, 'json')) as T)
  }

  /** The published status document; undefined before the first pass, and when the file cannot be understood (the next pass writes a new one). */
  readStatus(): StatusDocument | undefined {
    try {
      return readStatusFile(this.dir)
    } catch (error) {
      if (error instanceof StateUnusable) return undefined
      throw error
    }
  }

  /**
   * Publishes a pass. An older pass than the newest one written changes nothing (neither status nor memory); the same pass may be written again.
   * @throws StateWriteFailed: what was published before is intact, and the next pass heals
   */
  writePass(pass: { readonly status: StatusDocument; readonly memory: unknown; readonly observationsDigest: string }): WritePassResult {
    const { status } = pass
    if (status.estate !== this.estateId) throw new Error(`a status of estate "${status.estate}" does not belong into the state of "${this.estateId}"`)
    const document = `${JSON.stringify(status)}\n`
    const newer = this.inTransaction(() => {
      const current = this.newestPass()
      if (current !== undefined && isOlderPass(status, current, this.now())) return current
      // Rows from the future (a clock that was ahead) would win every later comparison.
      this.database.prepare('DELETE FROM passes WHERE taken_at > ?').run(status.takenAt)
      this.database
        .prepare('INSERT OR REPLACE INTO passes (pass_id, taken_at, verdict, expected, seen, observations_digest, status_gzip) VALUES (?, ?, ?, ?, ?, ?, ?)')
        .run(status.passId, status.takenAt, status.verdict, status.expected, status.seen, pass.observationsDigest, gzipSync(document))
      this.database.prepare('INSERT OR REPLACE INTO memory (key, json) VALUES (?, ?)').run(MEMORY_KEY, JSON.stringify(pass.memory ?? null))
      this.prune()
      return undefined
    })
    if (newer !== undefined) return { written: false, reason: 'older_pass', newer: { passId: newer.passId, takenAt: newer.takenAt } }
    writeDurably('the status', join(this.dir, STATE_NAMES.status), document)
    return { written: true, statusDigest: sha256Hex(document) }
  }

  /** Publishes what the gates said. @throws StateWriteFailed: what was published before is intact */
  putGates(document: GatesDocument): void {
    writeDurably('the gates', join(this.dir, STATE_NAMES.gates), `${JSON.stringify(document)}\n`)
  }

  /** Keeps one reading (any JSON) of a pass under a key (a host's name). Writing the same again replaces it. @throws StateWriteFailed */
  putObservation(passId: string, key: string, value: unknown): { digest: string; bytes: number } {
    const json = canonicalJson(value)
    const digest = sha256Hex(json)
    this.inTransaction(() =>
      this.database
        .prepare('INSERT OR REPLACE INTO observations (pass_id, key, digest, json_gzip, stored_at) VALUES (?, ?, ?, ?, ?)')
        .run(passId, key, digest, gzipSync(json), this.now().toISOString()),
    )
    return { digest, bytes: Buffer.byteLength(json) }
  }

  /** All readings of a pass, by key. An empty list means that nothing was stored, or that it is pruned by now. */
  getObservations(passId: string): StoredObservation[] {
    const rows = this.database.prepare('SELECT key, digest, json_gzip FROM observations WHERE pass_id = ? ORDER BY key').all(passId)
    return rows.map((row) => {
      const json = gunzipSync(blob(row, 'json_gzip')).toString('utf8')
      return { key: text(row, 'key'), digest: text(row, 'digest'), bytes: Buffer.byteLength(json), value: JSON.parse(json) as unknown }
    })
  }

  /** One reading of a pass; undefined when it was not stored, or is pruned by now. */
  getObservation<T = unknown>(passId: string, key: string): T | undefined {
    const row = this.database.prepare('SELECT json_gzip FROM observations WHERE pass_id = ? AND key = ?').get(passId, key)
    return row === undefined ? undefined : (JSON.parse(gunzipSync(blob(row, 'json_gzip')).toString('utf8')) as T)
  }

  /** The passes that are kept, newest first. */
  passes(): PassRow[] {
    return this.database.prepare(`SELECT ${PASS_COLUMNS} FROM passes ORDER BY taken_at DESC, pass_id DESC`).all().map(passRow)
  }

  /** Puts the status file right when a crash or a full disk left it behind the database. */
  mendStatusFile(): void {
    const row = this.database.prepare(`SELECT ${PASS_COLUMNS}, status_gzip FROM passes ORDER BY taken_at DESC, pass_id DESC LIMIT 1`).get()
    if (row === undefined) return
    const newest = passRow(row)
    let published: StatusDocument | undefined
    try {
      published = readStatusFile(this.dir)
    } catch (error) {
      if (!(error instanceof StateUnusable)) throw error
      this.notices.push(error.message)
    }
    if (published?.passId === newest.passId) return
    if (published !== undefined && isOlderPass(newest, published, this.now())) return
    try {
      writeDurably('the status', join(this.dir, STATE_NAMES.status), gunzipSync(blob(row, 'status_gzip')).toString('utf8'))
      this.notices.push(`the status of pass ${newest.passId} was decided but not published; it is now`)
    } catch (error) {
      if (!(error instanceof StateWriteFailed)) throw error
      this.notices.push(error.message)
    }
  }

  /**
   * Writes the receipts that are due after a published pass: those that other commands left for the owner, and this pass's own when a verdict changed or a day
   * is over (`receiptDue`). The same run never gets a second one.
   * @returns the receipt of this pass; null when it needs none
   * @throws ConfigError (signing key), StateWriteFailed, StateUnusable; the pass stays published, and the next one writes what is due
   */
  async receiptForPass(pass: {
    readonly status: StatusDocument
    readonly observationsDigest: string
    readonly settings: ReceiptSettings
    readonly version: string
  }): Promise<Head | null> {
    await this.appendPending(pass.settings)
    const last = this.chain().last('monitor')
    const previous = lastMonitorReceipt(last)
    const isRepeated = last?.run.workflowId === pass.status.workflowId && last.run.runId === pass.status.runId
    const why = isRepeated ? 'first' : receiptDue(previous, pass.status)
    if (why === null) return null
    const { status, observationsDigest, version } = pass
    const body = monitorReceipt({ status, observationsDigest, why, previousVerdict: previous?.verdict ?? null, version })
    const { number, sha256 } = await this.appendReceipt(body, pass.settings)
    return { number, sha256 }
  }

  /** Takes up the receipts that other commands left for the owner. @throws as `appendReceipt` */
  async appendPending(settings: ReceiptSettings): Promise<void> {
    for (const pending of readPending(join(this.dir, STATE_NAMES.pendingReceipts), this.notices)) {
      await this.appendReceipt(pending.body, settings)
      removePending(pending)
    }
  }

  /** Appends one receipt, or finds the one that this run has. @throws ConfigError, StateWriteFailed, StateUnusable */
  appendReceipt(body: ReceiptBody, settings: ReceiptSettings): Promise<AppendedReceipt> {
    return this.chain().append(body, settings)
  }

  /** Gives the folder free. Harmless when repeated. */
  close(): void {
    if (this.database.open) this.database.close()
    this.lock.release()
  }

  private chain(): ReceiptChain {
    this.openChain ??= ReceiptChain.open(
      join(this.dir, STATE_NAMES.receipts),
      this.estateId,
      {
        read: () => {
          const row = this.database.prepare('SELECT json FROM memory WHERE key = ?').get(RECEIPT_HEAD_KEY)
          return row === undefined ? undefined : (JSON.parse(text(row, 'json')) as Head)
        },
        write: (head) =>
          void this.inTransaction(() =>
            this.database.prepare('INSERT OR REPLACE INTO memory (key, json) VALUES (?, ?)').run(RECEIPT_HEAD_KEY, JSON.stringify(head)),
          ),
      },
      this.now,
    )
    return this.openChain
  }

  private newestPass(): PassRow | undefined {
    const row = this.database.prepare(`SELECT ${PASS_COLUMNS} FROM passes ORDER BY taken_at DESC, pass_id DESC LIMIT 1`).get()
    return row === undefined ? undefined : passRow(row)
  }

  /** Keeps the newest passes and their observations; observations of passes that never came to an end go when they are older than all that is kept. */
  private prune(): void {
    this.database
      .prepare('DELETE FROM passes WHERE pass_id NOT IN (SELECT pass_id FROM passes ORDER BY taken_at DESC, pass_id DESC LIMIT ?)')
      .run(this.keepPasses)
    this.database.prepare('DELETE FROM observations WHERE pass_id NOT IN (SELECT pass_id FROM passes) AND stored_at < (SELECT min(taken_at) FROM passes)').run()
  }

  private inTransaction<T>(work: () => T): T {
    try {
      return inTransaction(this.database, work)
    } catch (error) {
      if (errorCode(error)?.startsWith('SQLITE_')) throw new StateWriteFailed('the state of this pass', join(this.dir, STATE_NAMES.database), error)
      throw error
    }
  }
}

const PASS_COLUMNS = 'pass_id, taken_at, verdict, expected, seen, observations_digest'

function passRow(row: unknown): PassRow {
  return {
    passId: text(row, 'pass_id'),
    takenAt: text(row, 'taken_at'),
    verdict: text(row, 'verdict'),
    expected: integer(row, 'expected'),
    seen: integer(row, 'seen'),
    observationsDigest: text(row, 'observations_digest'),
  }
}
