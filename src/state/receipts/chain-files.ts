/**
 * The files of a chain: `receipts/000001.json` (exactly the canonical JSON) and `000001.json.sig` (what `ssh-keygen -Y sign` says), so that any copy of the
 * folder can be checked with `ssh-keygen -Y verify` alone. And the head mirror: number and hash of the last one, kept outside of the state folder.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { errorCode } from '../errors.js'

export interface Head {
  readonly number: number
  readonly sha256: string
}

export type Mirror = { readonly state: 'there'; readonly head: Head } | { readonly state: 'missing' } | { readonly state: 'unreadable'; readonly why: string }

const MIRROR_SCHEMA = 'nightshift.receipt-head/1'

export function receiptPath(dir: string, number: number): string {
  return join(dir, `${String(number).padStart(6, '0')}.json`)
}

/** The numbers of the receipts in the folder, ascending; none when there is no folder. */
export function receiptNumbers(dir: string): number[] {
  return namesIn(dir)
    .flatMap((name) => (/^(\d{6,15})\.json$/.test(name) ? [Number(name.slice(0, -'.json'.length))] : []))
    .sort((a, b) => a - b)
}

export function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir)
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return []
    throw error
  }
}

/** The text of a file; undefined when it is not there. */
export function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  }
}

export function mirrorText(estate: string, head: Head): string {
  return `${JSON.stringify({ schema: MIRROR_SCHEMA, estate, number: head.number, sha256: head.sha256 })}\n`
}

/** What the mirror says about the chain of `estate`. */
export function readMirror(path: string, estate: string): Mirror {
  let text: string | undefined
  try {
    text = readIfThere(path)
  } catch (error) {
    return { state: 'unreadable', why: error instanceof Error ? error.message : String(error) }
  }
  if (text === undefined) return { state: 'missing' }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return { state: 'unreadable', why: 'it is not JSON' }
  }
  if (typeof value !== 'object' || value === null) return { state: 'unreadable', why: 'it is not a head' }
  const mirror = value as Record<string, unknown>
  if (mirror.schema !== MIRROR_SCHEMA || !Number.isSafeInteger(mirror.number) || typeof mirror.sha256 !== 'string')
    return { state: 'unreadable', why: 'it is not a head' }
  if (mirror.estate !== estate) return { state: 'unreadable', why: `it is of estate ${JSON.stringify(mirror.estate)}` }
  return { state: 'there', head: { number: mirror.number as number, sha256: mirror.sha256 } }
}
