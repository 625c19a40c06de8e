/** What servers say, made fit for a history: one line, without secrets, short. */
import type { Redact } from '../../domain/redact.js'

const MOST_CHARACTERS = 300

export function briefly(text: string, redact: Redact): string {
  return redact(text.replace(/[\u0000-\u001f\u007f]+/g, ' ').trim()).slice(0, MOST_CHARACTERS)
}

/** Node's codes for a certificate that is not to be trusted: no later attempt mends that. */
export const CERTIFICATE_ERRORS: ReadonlySet<string> = new Set([
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_REVOKED',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'HOSTNAME_MISMATCH',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'ERR_SSL_WRONG_VERSION_NUMBER',
])
