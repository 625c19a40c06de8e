/**
 * `known_hosts` (sshd(8) SSH_KNOWN_HOSTS FILE FORMAT): which keys a host may show. Plain names, comma lists, patterns with `*`, `?`, `!`,
 * hashed names (`|1|salt|mac`, HMAC-SHA1), `[host]:port`, several key types a host, `@revoked`. `@cert-authority` is refused where it applies.
 */
import { createHash, createHmac } from 'node:crypto'
import { SshError } from './errors.js'
import { FileCache } from './file-cache.js'
import { matchesPatternList } from './patterns.js'

/** One line that is neither empty nor a comment. */
export interface KnownHostsEntry {
  path: string
  line: number
  marker?: string
  /** The host field as written. */
  hosts: string
  keyType: string
  /** The raw public key; undefined when the line is broken (`problem` says how). */
  key?: Buffer
  problem?: string
}

export type HostKeyVerdict =
  | { state: 'ok'; entry: KnownHostsEntry }
  | { state: 'unknown' }
  | { state: 'mismatch'; entries: KnownHostsEntry[] }
  | { state: 'revoked'; entry: KnownHostsEntry }

/** `host` for port 22, else `[host]:port`; in lower case, as OpenSSH looks names up. */
export function knownHostsName(host: string, port: number): string {
  const lower = host.toLowerCase()
  return port === 22 ? lower : `[${lower}]:${port}`
}

/** `SHA256:…` as `ssh-keygen -lf` prints it. */
export function fingerprintOf(key: Uint8Array): string {
  return `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`
}

/** The type name inside a raw public key (`ssh-ed25519`, …); undefined when the bytes are no key. */
export function keyTypeOf(key: Buffer): string | undefined {
  if (key.length < 8) return undefined
  const length = key.readUInt32BE(0)
  if (length === 0 || length > 64 || key.length <= 4 + length) return undefined
  return key.toString('latin1', 4, 4 + length)
}

/** Never throws: a broken line becomes an entry with `problem`, and is an error only for the hosts that it names. */
export function parseKnownHosts(text: string, path: string): KnownHostsEntry[] {
  const entries: KnownHostsEntry[] = []
  text.split('\n').forEach((raw, index) => {
    const trimmed = raw.replace(/\r$/, '').trim()
    if (trimmed === '' || trimmed.startsWith('#')) return
    const fields = trimmed.split(/[ \t]+/)
    const marker = fields[0]?.startsWith('@') ? fields.shift() : undefined
    const [hosts = '', keyType = '', base64 = ''] = fields
    const entry: KnownHostsEntry = { path, line: index + 1, marker, hosts, keyType }
    const key = /^[A-Za-z0-9+/]+={0,2}$/.test(base64) ? Buffer.from(base64, 'base64') : undefined
    if (keyType === '' || base64 === '') entry.problem = 'the line has no key type or no key'
    else if (key === undefined || keyTypeOf(key) !== keyType) entry.problem = `the key is not a ${keyType} key`
    else entry.key = key
    entries.push(entry)
  })
  return entries
}

const cache = new FileCache((content, path) => parseKnownHosts(content.toString('utf8'), path))

/** Entries of all files, in order; files that do not exist count as empty. */
export function loadKnownHosts(paths: readonly string[], alias: string): KnownHostsEntry[] {
  return paths.flatMap((path) => {
    try {
      return cache.read(path) ?? []
    } catch (cause) {
      throw new SshError({
        reason: 'unsupported_ssh_config',
        host: alias,
        message: `${path}: this known_hosts cannot be read (${(cause as NodeJS.ErrnoException).code ?? 'error'})`,
        next: `make ${path} readable for this user`,
        cause,
      })
    }
  })
}

function hashedNameMatches(hosts: string, name: string): boolean {
  const [, , salt = '', mac = ''] = hosts.split('|')
  if (salt === '' || mac === '') return false
  return createHmac('sha1', Buffer.from(salt, 'base64')).update(name).digest('base64') === mac
}

/** Does the host field of a line name this host? `name` as made by `knownHostsName`. */
export function entryNames(entry: KnownHostsEntry, name: string): boolean {
  if (entry.hosts.startsWith('|1|')) return hashedNameMatches(entry.hosts, name)
  return matchesPatternList(entry.hosts.toLowerCase().split(','), name)
}

/**
 * The lines that apply to a host. Throws SshError `unsupported_ssh_config` with file:line for a line that applies and cannot be followed:
 * a certificate authority, an unknown marker, a broken key.
 */
export function entriesFor(entries: readonly KnownHostsEntry[], name: string, alias: string): KnownHostsEntry[] {
  const mine = entries.filter((entry) => entryNames(entry, name))
  for (const entry of mine) {
    const problem = problemOf(entry)
    if (problem !== undefined)
      throw new SshError({
        reason: 'unsupported_ssh_config',
        host: alias,
        message: `${entry.path}:${entry.line}: ${problem.message}`,
        next: problem.next(alias),
      })
  }
  return mine
}

function problemOf(entry: KnownHostsEntry): { message: string; next: (alias: string) => string } | undefined {
  if (entry.marker === '@cert-authority')
    return {
      message: `\`@cert-authority ${entry.hosts}\`: host certificates are not supported yet`,
      next: (alias) => `remove the line for this host, and record its own key with \`nightshift trust ${alias}\``,
    }
  if (entry.marker !== undefined && entry.marker !== '@revoked')
    return { message: `the marker ${entry.marker} is not known (known are @revoked and @cert-authority)`, next: () => 'correct or remove the line' }
  if (entry.problem !== undefined)
    return { message: `${entry.problem} (host field \`${entry.hosts}\`)`, next: (alias) => `remove the line, then \`nightshift trust ${alias}\`` }
  return undefined
}

/** Judges the key that a host showed. `mine` are the lines that apply to it. A revoked key is refused whatever else is stored. */
export function verifyHostKey(mine: readonly KnownHostsEntry[], key: Buffer): HostKeyVerdict {
  const same = mine.filter((entry) => entry.key?.equals(key))
  const revoked = same.find((entry) => entry.marker === '@revoked')
  if (revoked !== undefined) return { state: 'revoked', entry: revoked }
  const [ok] = same
  if (ok !== undefined) return { state: 'ok', entry: ok }
  const others = mine.filter((entry) => entry.marker === undefined)
  return others.length > 0 ? { state: 'mismatch', entries: others } : { state: 'unknown' }
}
