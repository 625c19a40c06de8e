/** What the parts of the state database share: guarded reading and writing, and columns of the type they must have. */
import { types } from 'node:util'

/** Access to the one database, with its errors told as the state folder's own. */
export interface Table {
  /** One statement in a transaction of its own. @throws StateWriteFailed */
  write(sql: string, values: readonly (string | number | null)[]): void
  /** One statement for each row, all in one transaction: the disk is waited for once. @throws StateWriteFailed */
  writeEach(sql: string, rows: readonly (readonly (string | number | null)[])[]): void
  read(sql: string, values: readonly (string | number)[]): unknown[]
}

export function column(row: unknown, name: string): unknown {
  return typeof row === 'object' && row !== null ? (row as Record<string, unknown>)[name] : undefined
}

export function text(row: unknown, name: string): string {
  const value = column(row, name)
  if (typeof value !== 'string') throw new Error(`state database: column ${name} is not text`)
  return value
}

export function integer(row: unknown, name: string): number {
  const value = column(row, name)
  if (typeof value !== 'number') throw new Error(`state database: column ${name} is not a number`)
  return value
}

/** The library answers with a Buffer from `get()` and with an ArrayBuffer (of another realm under vitest) from `all()`. */
export function blob(row: unknown, name: string): Uint8Array {
  const value = column(row, name)
  if (types.isUint8Array(value)) return value
  if (types.isArrayBuffer(value)) return new Uint8Array(value)
  throw new Error(`state database: column ${name} is not binary`)
}
