/** The secrets of an estate by value, for the one who takes them out of texts. Only programs that hold them anyway call this. */
import { readFileSync } from 'node:fs'
import type { RunbookSet } from '../domain/estate.js'
import type { KnownSecret } from '../domain/redact.js'

/** Reads what can be read; a secret that is not there cannot leak, and `doctor` says that it is missing. */
export function knownSecrets(set: RunbookSet): KnownSecret[] {
  const { mail, secondChannel } = set.alerts
  const references = [
    { name: 'receipt signing key', reference: `file:${set.estate.receipts.signingKeyPath}` },
    { name: 'mail password', reference: mail?.password },
    { name: 'mailbox password', reference: mail?.mailbox?.password },
    { name: 'relay password', reference: set.emailRelay?.relay.password },
    { name: 'second channel', reference: secondChannel?.url },
    { name: 'second channel token', reference: secondChannel?.token },
  ]
  return references.flatMap(({ name, reference }) => {
    const value = reference === undefined ? undefined : secretOf(reference)
    return value === undefined || value.trim() === '' ? [] : [{ name, value: name === 'receipt signing key' ? value : value.trim() }]
  })
}

/** Undefined for what is no reference, and for what cannot be read. */
function secretOf(reference: string): string | undefined {
  if (reference.startsWith('env:')) return process.env[reference.slice('env:'.length)]
  if (!reference.startsWith('file:')) return undefined
  try {
    return readFileSync(reference.slice('file:'.length), 'utf8')
  } catch {
    return undefined
  }
}
