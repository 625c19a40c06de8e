/**
 * One canonical text for a JSON value (RFC 8785), and SHA-256 over it: digests of rules, plans and receipts.
 * Pure JavaScript, because workflow code has no `crypto`.
 */
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import canonicalize from 'canonicalize'

/** RFC 8785 text of a plain JSON value. Throws TypeError for what JSON cannot say (undefined, functions, NaN, Infinity, lone surrogates). */
export function canonicalJson(value: unknown): string {
  let text: string | undefined
  try {
    text = canonicalize(value)
  } catch (error) {
    throw new TypeError(`not a JSON value: ${error instanceof Error ? error.message : String(error)}`)
  }
  if (text === undefined) throw new TypeError('not a JSON value: nothing to write')
  return text
}

/** SHA-256, lower-case hex, of bytes or of a text's UTF-8 form. */
export function sha256Hex(content: string | Uint8Array): string {
  return bytesToHex(sha256(typeof content === 'string' ? utf8ToBytes(content) : content))
}
