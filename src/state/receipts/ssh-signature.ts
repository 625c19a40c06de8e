/**
 * SSH signatures: made by `ssh-keygen -Y sign`, checked here without any program, so that a chain of years is checked in a second.
 * Format: OpenSSH PROTOCOL.sshsig. Only Ed25519: there is one encoding of each signature and key, so every changed bit is noticed.
 */
import { createHash, createPublicKey, verify } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { execa } from 'execa'
import { ConfigError } from '../../domain/config-error.js'
import { errorCode } from '../errors.js'

export const RECEIPT_NAMESPACE = 'nightshift-receipt'

const BEGIN = '-----BEGIN SSH SIGNATURE-----'
const END = '-----END SSH SIGNATURE-----'
const LINE_LENGTH = 70
const MAGIC = Buffer.from('SSHSIG')
const KEY_TYPE = 'ssh-ed25519'
const SIGN_TIMEOUT_MS = 20_000

/** The public half of a key: `blob` is what `known_hosts` and `.pub` files hold in base64. */
export interface TrustedKey {
  readonly blob: Buffer
}

export type SignatureVerdict =
  | { readonly ok: true }
  /** `not_ours`: a right signature of this message by a key that is not trusted. */
  | { readonly ok: false; readonly kind: 'broken' | 'not_ours'; readonly why: string }

/**
 * Signs `message` with the private key in the file `keyPath`. The message goes in by stdin, the key is named by its path: no secret in arguments.
 * @throws ConfigError when the key is missing, has a passphrase, is not Ed25519, or ssh-keygen is not there
 */
export async function signMessage(message: string, keyPath: string): Promise<string> {
  const result = await execa('ssh-keygen', ['-Y', 'sign', '-n', RECEIPT_NAMESPACE, '-f', keyPath], {
    input: message,
    stripFinalNewline: false,
    reject: false,
    timeout: SIGN_TIMEOUT_MS,
    // A key with a passphrase must fail, not wait for somebody to type; an agent must not sign with another key.
    env: { SSH_ASKPASS: '/bin/false', SSH_ASKPASS_REQUIRE: 'force', SSH_AUTH_SOCK: undefined, LC_ALL: 'C' },
  })
  if (errorCode(result.cause) === 'ENOENT' || errorCode(result) === 'ENOENT')
    throw new ConfigError('ssh-keygen is not on this machine', 'install it: apt-get install openssh-client')
  if (result.failed) {
    throw new ConfigError(
      `the receipt could not be signed with ${keyPath}: ${result.timedOut ? 'ssh-keygen did not end' : lastLine(result.stderr)}`,
      `a key without passphrase is needed, readable by this user only: ssh-keygen -t ed25519 -N '' -C nightshift-receipts -f ${keyPath}`,
    )
  }
  return result.stdout
}

/**
 * The keys whose signatures count: the lines of `<keyPath>.pub`. The first is the one in use; keys that were used earlier may follow it.
 * @throws ConfigError when there is no such file or no Ed25519 key in it
 */
export function readTrustedKeys(keyPath: string): TrustedKey[] {
  const path = `${keyPath}.pub`
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new ConfigError(
      `the public half of the receipt key, ${path}, ${errorCode(error) === 'ENOENT' ? 'is not there' : `cannot be read: ${error instanceof Error ? error.message : String(error)}`}`,
      `make a key (ssh-keygen -t ed25519 -N '' -C nightshift-receipts -f ${keyPath}), or take it from the private one: ssh-keygen -y -f ${keyPath} > ${path}`,
      { cause: error },
    )
  }
  const keys = text.split('\n').flatMap((line) => {
    const [type, base64] = line.trim().split(/\s+/)
    return type === KEY_TYPE && base64 !== undefined && ed25519Raw(Buffer.from(base64, 'base64')) !== undefined ? [{ blob: Buffer.from(base64, 'base64') }] : []
  })
  if (keys.length === 0)
    throw new ConfigError(
      `${path} holds no ${KEY_TYPE} key`,
      `receipts are signed with Ed25519: ssh-keygen -t ed25519 -N '' -C nightshift-receipts -f ${keyPath}`,
    )
  return keys
}

/** Whether `armored` is, bit by bit, a signature of `message` by one of the `trusted` keys in the namespace of receipts. */
export function checkSignature(message: string | Uint8Array, armored: string, trusted: readonly TrustedKey[]): SignatureVerdict {
  const blob = unarmor(armored)
  if (blob === undefined) return { ok: false, kind: 'broken', why: 'the signature file is damaged' }
  const parts = parseBlob(blob)
  if (parts === undefined) return { ok: false, kind: 'broken', why: 'the signature is damaged' }
  const raw = ed25519Raw(parts.publicKey)
  if (raw === undefined) return { ok: false, kind: 'broken', why: `the signature is not by an ${KEY_TYPE} key` }
  const digest = createHash(parts.hash).update(message).digest()
  const signed = Buffer.concat([MAGIC, ...[Buffer.from(RECEIPT_NAMESPACE), Buffer.alloc(0), Buffer.from(parts.hash), digest].map(asString)])
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: raw.toString('base64url') }, format: 'jwk' })
  if (!verify(null, signed, key, parts.signature)) return { ok: false, kind: 'broken', why: 'the signature does not fit the receipt' }
  if (!trusted.some((each) => each.blob.equals(parts.publicKey)))
    return { ok: false, kind: 'not_ours', why: `it was signed by another key (${fingerprint(parts.publicKey)})` }
  return { ok: true }
}

/** `SHA256:…` as ssh-keygen shows it. */
export function fingerprint(publicKey: Uint8Array): string {
  return `SHA256:${createHash('sha256').update(publicKey).digest('base64').replace(/=+$/, '')}`
}

/** The bytes in the armour; undefined unless it is spelled exactly as ssh-keygen does, so that no changed byte goes unnoticed. */
function unarmor(armored: string): Buffer | undefined {
  const match = new RegExp(`^${BEGIN}\n([A-Za-z0-9+/=\n]+)\n${END}\n$`).exec(armored)
  if (match?.[1] === undefined) return undefined
  const blob = Buffer.from(match[1].replaceAll('\n', ''), 'base64')
  const lines = blob.toString('base64').match(new RegExp(`.{1,${LINE_LENGTH}}`, 'g')) ?? []
  return armored === `${BEGIN}\n${lines.join('\n')}\n${END}\n` ? blob : undefined
}

function parseBlob(blob: Buffer): { publicKey: Buffer; hash: 'sha256' | 'sha512'; signature: Buffer } | undefined {
  const reader = new WireReader(blob)
  const magic = reader.bytes(MAGIC.length)
  const version = reader.uint32()
  const [publicKey, namespace, reserved, hash, signature] = [reader.string(), reader.string(), reader.string(), reader.string(), reader.string()]
  if (!magic?.equals(MAGIC) || version !== 1 || !reader.isAtEnd || !publicKey || !namespace || !reserved || !hash || !signature) return undefined
  if (namespace.toString('latin1') !== RECEIPT_NAMESPACE || reserved.length > 0) return undefined
  const inner = new WireReader(signature)
  const [type, raw] = [inner.string(), inner.string()]
  if (type?.toString('latin1') !== KEY_TYPE || raw?.length !== 64 || !inner.isAtEnd) return undefined
  const hashName = hash.toString('latin1')
  return hashName === 'sha512' || hashName === 'sha256' ? { publicKey, hash: hashName, signature: raw } : undefined
}

function ed25519Raw(blob: Buffer): Buffer | undefined {
  const reader = new WireReader(blob)
  const [type, raw] = [reader.string(), reader.string()]
  return type?.toString('latin1') === KEY_TYPE && raw?.length === 32 && reader.isAtEnd ? raw : undefined
}

/** RFC 4251 §5 `string`. */
function asString(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}

/** Reads RFC 4251 §5 data types; everything past the end is undefined. */
class WireReader {
  private at = 0
  constructor(private readonly buffer: Buffer) {}

  get isAtEnd(): boolean {
    return this.at === this.buffer.length
  }

  bytes(count: number): Buffer | undefined {
    if (this.at + count > this.buffer.length) return undefined
    const bytes = this.buffer.subarray(this.at, this.at + count)
    this.at += count
    return bytes
  }

  uint32(): number | undefined {
    return this.bytes(4)?.readUInt32BE()
  }

  string(): Buffer | undefined {
    const length = this.uint32()
    return length === undefined ? undefined : this.bytes(length)
  }
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? 'no reason given'
}
