/**
 * First contact, and a changed host key: what the host shows, what is recorded, and the recording itself. A person decides between the two;
 * nothing here trusts a key by itself, and no login is tried.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { ServerHostKeyAlgorithm } from 'ssh2'
import { replaceFile } from '../files/replace-file.js'
import { readAccess } from './access.js'
import { connect } from './connection.js'
import { SshError } from './errors.js'
import { entryNames, fingerprintOf, type KnownHostsEntry, keyTypeOf, parseKnownHosts, verifyHostKey } from './known-hosts.js'

/** `same`: recorded. `unknown`: no key of this type is recorded. `mismatch`: another key of this type is. */
export type OfferedKeyState = 'same' | 'unknown' | 'mismatch' | 'revoked'

export interface RecordedHostKey {
  type: string
  fingerprint: string
  path: string
  line: number
}

export interface OfferedHostKey {
  /** `ssh-ed25519`, `ecdsa-sha2-nistp256`, `ssh-rsa`, … */
  type: string
  /** `SHA256:…`, equal to what `ssh-keygen -lf` prints on the host. */
  fingerprint: string
  /** The line for known_hosts. */
  line: string
  state: OfferedKeyState
  /** The recorded keys of this type that differ (`mismatch`), or the revoking line. */
  recorded: RecordedHostKey[]
}

export interface HostKeyScan {
  alias: string
  /** The address that was asked. */
  host: string
  port: number
  /** The name under which the key is (to be) recorded. */
  name: string
  /** The worst of the keys: revoked, mismatch, unknown, same (`same` as soon as one key is recorded and none is wrong). */
  state: OfferedKeyState
  keys: OfferedHostKey[]
  /** The file that a recording would go to. */
  knownHostsPath: string
  /** What that file held when the host was asked; a recording refuses when it changed since. */
  knownHostsDigest: string
}

/** One connection for each kind of key; a server shows one key a connection. */
const KEY_KINDS: ServerHostKeyAlgorithm[][] = [
  ['ssh-ed25519'],
  ['ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp521'],
  ['rsa-sha2-512', 'rsa-sha2-256'],
]

/**
 * Asks the host for its keys of every type, without logging in. Times in milliseconds.
 * @throws SshError when the host cannot be reached, or the configuration cannot be followed.
 */
export async function scanHostKeys(
  alias: string,
  o: { configPath: string; knownHostsPaths: readonly string[]; connectTimeoutMs?: number; signal?: AbortSignal },
): Promise<HostKeyScan> {
  const access = readAccess(alias, o)
  const { resolved } = access
  const [knownHostsPath] = access.knownHostsPaths
  if (knownHostsPath === undefined) throw new TypeError('scanHostKeys needs the path of a known_hosts file')
  const knownHostsDigest = digestOf(readOrEmpty(knownHostsPath))
  const shown: Buffer[] = []
  const failures: unknown[] = []
  for (const serverHostKey of KEY_KINDS) {
    let key: Buffer | undefined
    try {
      // Nothing is known here, so that every key is refused after it was shown: no login is ever tried.
      const unexpected = await connect({
        host: resolved,
        keys: { keys: [], missing: [] },
        knownHosts: [],
        knownHostsPaths: access.knownHostsPaths,
        phaseTimeoutMs: resolved.connectTimeoutMs ?? o.connectTimeoutMs ?? 10_000,
        keepaliveIntervalMs: 0,
        signal: o.signal,
        serverHostKey,
        onHostKey: (blob) => {
          key = blob
        },
      })
      unexpected.destroy()
    } catch (error) {
      const notOffered = error instanceof SshError && /no matching host key/i.test(error.message)
      if (key === undefined && !notOffered) {
        failures.push(error)
        break
      }
    }
    if (key !== undefined) shown.push(key)
  }
  if (failures.length > 0) throw failures[0]
  const keys = shown.map((key) => describeOffer(key, access.knownHostsName, access.knownHosts))
  const states = new Set(keys.map((key) => key.state))
  const state = (['revoked', 'mismatch', 'same', 'unknown'] as const).find((candidate) => states.has(candidate)) ?? 'unknown'
  return { alias, host: resolved.hostName, port: resolved.port, name: access.knownHostsName, state, keys, knownHostsPath, knownHostsDigest }
}

function describeOffer(key: Buffer, name: string, mine: readonly KnownHostsEntry[]): OfferedHostKey {
  const type = keyTypeOf(key) ?? 'unknown'
  const verdict = verifyHostKey(mine, key)
  const ofSameType = mine.filter((entry) => entry.marker === undefined && entry.keyType === type)
  const offer = { type, fingerprint: fingerprintOf(key), line: `${name} ${type} ${key.toString('base64')}` }
  if (verdict.state === 'revoked') return { ...offer, state: 'revoked', recorded: [recordedKey(verdict.entry)] }
  if (verdict.state === 'ok') return { ...offer, state: 'same', recorded: [] }
  return { ...offer, state: ofSameType.length > 0 ? 'mismatch' : 'unknown', recorded: ofSameType.map(recordedKey) }
}

function recordedKey(entry: KnownHostsEntry): RecordedHostKey {
  return { type: entry.keyType, fingerprint: entry.key === undefined ? '' : fingerprintOf(entry.key), path: entry.path, line: entry.line }
}

export interface RecordRequest {
  /** The fingerprints that a person confirmed: each must be one that the host showed. */
  fingerprints: readonly string[]
  /** Needed to take the place of another recorded key of the same type. */
  replace?: boolean
}

export interface RecordResult {
  path: string
  /** Lines added; empty when all were recorded already. */
  added: string[]
  /** Lines taken away (only with `replace`), as they were. */
  removed: string[]
}

/**
 * Writes confirmed keys into known_hosts: atomically, keeping every other line, comments and the mode of the file (a new file gets 0600).
 * @throws SshError: the key is revoked; another key is recorded and `replace` is not set; the file changed since the scan; a line that must go
 * stands in another file or is a pattern for several hosts. Nothing is written then.
 */
export async function recordHostKey(scan: HostKeyScan, request: RecordRequest): Promise<RecordResult> {
  const path = scan.knownHostsPath
  const refuse = (reason: SshError['reason'], words: string, next: string): SshError =>
    new SshError({ reason, host: scan.alias, message: `${scan.alias} (${scan.host}:${scan.port}): ${words}; nothing was written`, next })
  if (request.fingerprints.length === 0) throw new TypeError('recordHostKey needs the fingerprints that were confirmed')
  const chosen = request.fingerprints.map((fingerprint) => {
    const key = scan.keys.find((candidate) => candidate.fingerprint === fingerprint)
    if (key === undefined)
      throw refuse('host_key_mismatch', `the host did not show a key with the fingerprint ${fingerprint}`, 'compare the fingerprints again')
    return key
  })
  const text = readOrEmpty(path)
  if (digestOf(text) !== scan.knownHostsDigest)
    throw refuse('host_key_unknown', `${path} was changed by somebody else meanwhile`, `run \`nightshift trust ${scan.alias}\` again`)
  const lines = text === '' ? [] : text.replace(/\n$/, '').split('\n')
  const entries = parseKnownHosts(text, path)
  const removed: string[] = []
  for (const key of chosen) {
    if (key.state === 'revoked')
      throw refuse(
        'host_key_revoked',
        `the key ${key.fingerprint} is revoked by ${key.recorded[0]?.path}:${key.recorded[0]?.line}`,
        'give the host a new host key',
      )
    for (const old of key.recorded) {
      if (request.replace !== true)
        throw refuse(
          'host_key_mismatch',
          `another ${key.type} key is recorded (${old.fingerprint}, ${old.path}:${old.line})`,
          'replace it only when the fingerprint was compared on the console of the host',
        )
      const entry = entries.find((candidate) => old.path === path && candidate.line === old.line)
      const line = lines[old.line - 1]
      if (entry === undefined || line === undefined || !entryNames(entry, scan.name))
        throw refuse('host_key_mismatch', `the recorded key stands in ${old.path}:${old.line}, not in ${path}`, `take the line out of ${old.path} by hand`)
      const names = entry.hosts.startsWith('|1|') ? [entry.hosts] : entry.hosts.split(',')
      const others = names.filter((name) => names.length > 1 && name.toLowerCase() !== scan.name)
      if (names.some((name) => /[*?!]/.test(name)))
        throw refuse('host_key_mismatch', `${old.path}:${old.line} is a pattern that may name other hosts too`, 'change the line by hand')
      removed.push(line)
      lines[old.line - 1] = others.length > 0 ? line.replace(entry.hosts, others.join(',')) : REMOVED
    }
  }
  const added = chosen.filter((key) => key.state !== 'same').map((key) => key.line)
  if (added.length === 0) return { path, added, removed: [] }
  const kept = lines.filter((line) => line !== REMOVED)
  replaceFile(path, Buffer.from(`${[...kept, ...added].join('\n')}\n`, 'latin1'))
  return { path, added, removed }
}

/** Stands for a line that goes; no line of a text file can hold a newline. */
const REMOVED = '\n'

/** Byte for byte: comments may be in any encoding. */
function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  }
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
