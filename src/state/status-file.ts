/** Reads the published status document. Nothing but `node:fs` and `node:path`: `nightshift status` has to start at once and work when all else is down. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { StatusDocument } from '../domain/status.js'
import { errorCode, StateUnusable } from './errors.js'
import { STATE_NAMES } from './location.js'

/**
 * The last document that a pass wrote into the state folder `dir`; undefined when there is none yet. Takes no lock: the file is replaced as a whole.
 * @throws StateUnusable when it is there and cannot be read or understood
 */
export function readStatusFile(dir: string): StatusDocument | undefined {
  const path = join(dir, STATE_NAMES.status)
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return undefined
    throw new StateUnusable(`${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`, 'run this as the user of the worker', {
      cause: error,
    })
  }
  try {
    const document: unknown = JSON.parse(text)
    if (isStatusDocument(document)) return document
  } catch {
    // falls to the one refusal below
  }
  throw new StateUnusable(`${path} is not a status document (nightshift.status/1)`, 'the next pass writes a new one; start the worker (nightshift up)')
}

const LISTS = ['targets', 'guests', 'jobs', 'storages', 'hosts', 'findings'] as const

function isStatusDocument(value: unknown): value is StatusDocument {
  if (typeof value !== 'object' || value === null) return false
  const document = value as Partial<Record<keyof StatusDocument, unknown>>
  return (
    document.schema === 'nightshift.status/1' &&
    typeof document.estate === 'string' &&
    typeof document.takenAt === 'string' &&
    Number.isFinite(Date.parse(document.takenAt)) &&
    typeof document.passId === 'string' &&
    typeof document.periodSeconds === 'number' &&
    (document.verdict === 'ok' || document.verdict === 'warning' || document.verdict === 'critical' || document.verdict === 'unknown') &&
    LISTS.every((list) => Array.isArray(document[list]))
  )
}
