/** The secrets of an estate by value, for the one who takes them out of texts. Only programs that hold them anyway call this. */
import { readFileSync } from 'node:fs'
import type { RunbookSet } from '../domain/estate.js'
import type { KnownSecret } from '../domain/redact.js'

/** Reads what can be read; a secret that is not there cannot leak, and `doctor` says that it is missing. */
export function knownSecrets(set: RunbookSet): KnownSecret[] {
  const files = [{ name: 'receipt signing key', path: set.estate.receipts.signingKeyPath }]
  return files.flatMap(({ name, path }) => {
    try {
      return [{ name, value: readFileSync(path, 'utf8') }]
    } catch {
      return []
    }
  })
}
