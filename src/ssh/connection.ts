/**
 * One verified connection to one host: name → TCP → handshake with the host key checked → login by key. Each of the four has bounded time and
 * its own words when it fails.
 */
import { isIP, Socket } from 'node:net'
import ssh2, { type Client, type PublicKeyAuthMethod, type ServerHostKeyAlgorithm } from 'ssh2'
import type { ResolvedHost } from './config.js'
import { SshError, type SshErrorDetails } from './errors.js'
import type { LoginKeys } from './keys.js'
import { fingerprintOf, type HostKeyVerdict, type KnownHostsEntry, keyTypeOf, knownHostsName, verifyHostKey } from './known-hosts.js'

export type ConnectPhase = 'name' | 'tcp' | 'handshake' | 'login'

export interface ConnectOptions {
  host: ResolvedHost
  keys: LoginKeys
  /** The lines of known_hosts that apply to this host (`entriesFor`). */
  knownHosts: readonly KnownHostsEntry[]
  knownHostsPaths: readonly string[]
  /** Bound of each phase, in milliseconds. */
  phaseTimeoutMs: number
  keepaliveIntervalMs: number
  /** Gives up connecting when aborted (the pool closes). */
  signal?: AbortSignal
  /** Only these algorithms of host keys; default all, the stored types first. */
  serverHostKey?: ServerHostKeyAlgorithm[]
  /** Told of the key that the host shows, before it is judged. */
  onHostKey?: (key: Buffer) => void
}

export const SERVER_KEY_ALGORITHMS: ServerHostKeyAlgorithm[] = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'rsa-sha2-512',
  'rsa-sha2-256',
]

/** Quick and sound ones first; nothing with SHA-1 or CBC. */
const ALGORITHMS = {
  kex: [
    'curve25519-sha256',
    'curve25519-sha256@libssh.org',
    'ecdh-sha2-nistp256',
    'ecdh-sha2-nistp384',
    'ecdh-sha2-nistp521',
    'diffie-hellman-group-exchange-sha256',
    'diffie-hellman-group14-sha256',
    'diffie-hellman-group16-sha512',
    'diffie-hellman-group18-sha512',
  ],
  cipher: ['aes128-gcm@openssh.com', 'aes256-gcm@openssh.com', 'chacha20-poly1305@openssh.com', 'aes128-ctr', 'aes192-ctr', 'aes256-ctr'],
  hmac: ['hmac-sha2-256-etm@openssh.com', 'hmac-sha2-512-etm@openssh.com', 'hmac-sha2-256', 'hmac-sha2-512'],
  compress: ['none'],
} satisfies ssh2.Algorithms

/** The type in known_hosts → the algorithms that prove a key of it. */
function algorithmsForKeyType(keyType: string): ServerHostKeyAlgorithm[] {
  if (keyType === 'ssh-rsa') return ['rsa-sha2-512', 'rsa-sha2-256']
  return SERVER_KEY_ALGORITHMS.filter((algorithm) => algorithm === keyType)
}

/** Stored types first: a server that has several keys must show the one that we know. */
function orderedServerKeyAlgorithms(knownHosts: readonly KnownHostsEntry[]): ServerHostKeyAlgorithm[] {
  const stored = new Set(knownHosts.filter((entry) => entry.marker === undefined).flatMap((entry) => algorithmsForKeyType(entry.keyType)))
  return [...SERVER_KEY_ALGORITHMS.filter((algorithm) => stored.has(algorithm)), ...SERVER_KEY_ALGORITHMS.filter((algorithm) => !stored.has(algorithm))]
}

/** `pve (192.168.1.5:22)`: how every message names a host. `address` is the resolved one when it is known. */
export function placeOf(host: ResolvedHost, address?: string): string {
  const shown = address ?? host.hostName
  return `${host.alias} (${shown.includes(':') ? `[${shown}]` : shown}:${host.port})`
}

/** A live connection. `onClose` listeners are called once, also when the connection is already closed. */
export class Connection {
  readonly client: Client
  readonly host: ResolvedHost
  readonly place: string
  readonly hostKey: Buffer
  readonly #socket: Socket
  #closed = false
  #lastError: Error | undefined
  readonly #closeListeners = new Set<() => void>()

  constructor(client: Client, socket: Socket, host: ResolvedHost, place: string, hostKey: Buffer) {
    this.client = client
    this.#socket = socket
    this.host = host
    this.place = place
    this.hostKey = hostKey
    client.on('error', (error) => {
      this.#lastError = error
    })
    client.on('close', () => {
      this.#closed = true
      for (const listener of this.#closeListeners) listener()
      this.#closeListeners.clear()
    })
  }

  get closed(): boolean {
    return this.#closed || this.#socket.destroyed || !this.#socket.writable
  }

  /** Bytes heard from the host so far: the only honest sign of life. */
  get bytesHeard(): number {
    return this.#socket.bytesRead
  }

  onClose(listener: () => void): () => void {
    if (this.#closed) queueMicrotask(listener)
    else this.#closeListeners.add(listener)
    return () => this.#closeListeners.delete(listener)
  }

  /** Why the connection ended, in words. */
  lossInWords(): string {
    const error = this.#lastError
    if (error === undefined) return 'the host closed it'
    if (/keepalive/i.test(error.message)) return 'the host stopped answering'
    return `${(error as NodeJS.ErrnoException).code ?? error.message}`
  }

  end(): void {
    this.client.end()
  }

  /** Drops the connection without a word: for one that does not answer any more. */
  destroy(): void {
    this.#socket.destroy()
  }
}

/** The error for a host key that is not trusted; undefined when it is. */
export function hostKeyError(
  host: ResolvedHost,
  place: string,
  key: Buffer,
  verdict: HostKeyVerdict,
  knownHostsPaths: readonly string[],
): SshError | undefined {
  const shown = `${keyTypeOf(key) ?? 'a key'} ${fingerprintOf(key)}`
  const trust = `nightshift trust ${host.alias}`
  if (verdict.state === 'ok') return undefined
  if (verdict.state === 'revoked')
    return new SshError({
      reason: 'host_key_revoked',
      host: host.alias,
      message: `${place}: its host key ${shown} is revoked by ${verdict.entry.path}:${verdict.entry.line}`,
      next: `do not use this host until it has a new host key; then \`${trust}\``,
    })
  if (verdict.state === 'unknown')
    return new SshError({
      reason: 'host_key_unknown',
      host: host.alias,
      message: `${place}: its host key ${shown} is not known (no line for ${knownHostsName(host.hostKeyAlias ?? host.hostName, host.hostKeyAlias ? 22 : host.port)} in ${knownHostsPaths.join(', ')})`,
      next: `compare the fingerprint on the host's own console (\`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub\`), then \`${trust}\``,
    })
  const stored = verdict.entries.map((entry) => `${entry.keyType} ${entry.key ? fingerprintOf(entry.key) : '?'} (${entry.path}:${entry.line})`)
  return new SshError({
    reason: 'host_key_mismatch',
    host: host.alias,
    message: `${place}: its host key is not the one that was recorded: it shows ${shown}, recorded is ${stored.join(', ')}`,
    next: `somebody may sit between, or the host was installed anew: compare on its own console, then \`${trust}\` replaces the recorded key`,
  })
}

/** Connects, checks the host key and logs in. Throws SshError; never leaves a socket behind when it throws. */
export function connect(o: ConnectOptions): Promise<Connection> {
  const { host } = o
  const client = new ssh2.Client()
  const socket = new Socket()
  // An address needs no look-up, and the socket then tells of none.
  let phase: ConnectPhase = isIP(host.hostName) === 0 ? 'name' : 'tcp'
  let address: string | undefined
  let shownKey: Buffer | undefined
  let verdictError: SshError | undefined
  let banner = ''

  return new Promise<Connection>((resolve, reject) => {
    let timer: NodeJS.Timeout
    let settled = false
    const abort = (): void => fail(new Error('the connection is not wanted any more'))
    const done = (): void => {
      settled = true
      clearTimeout(timer)
      o.signal?.removeEventListener('abort', abort)
    }
    const fail = (error: Error): void => {
      if (settled) return
      done()
      socket.destroy()
      reject(verdictError ?? describe(error, phase, placeOf(host, address), o, banner))
    }
    const enter = (next: ConnectPhase): void => {
      phase = next
      clearTimeout(timer)
      timer = setTimeout(() => fail(Object.assign(new Error('timeout'), { code: 'PHASE_TIMEOUT' })), o.phaseTimeoutMs)
    }
    enter(phase)
    if (o.signal?.aborted) return abort()
    o.signal?.addEventListener('abort', abort)
    socket.setNoDelay(true)
    socket.on('error', () => undefined)
    socket.once('lookup', (error: Error | null, found: string) => {
      if (error) return
      address = found
      enter('tcp')
    })
    socket.once('connect', () => {
      address = socket.remoteAddress ?? address
      enter('handshake')
    })
    client.on('handshake', () => enter('login'))
    client.on('banner', (text) => {
      banner = text.slice(0, 500)
    })
    client.on('error', fail)
    client.on('close', () => fail(Object.assign(new Error('closed'), { code: 'CLOSED' })))
    client.on('ready', () => {
      if (settled || shownKey === undefined) return
      done()
      client.removeListener('error', fail)
      resolve(new Connection(client, socket, host, placeOf(host, address), shownKey))
    })
    try {
      socket.connect({ host: host.hostName, port: host.port, family: host.family, autoSelectFamily: host.family === 0, autoSelectFamilyAttemptTimeout: 2500 })
      // With a socket of our own, name, TCP and handshake can be told apart. It must be connecting already: ssh2 takes an idle one for connected.
      client.connect({
        sock: socket,
        username: host.user,
        authHandler: o.keys.keys.map(({ key }): PublicKeyAuthMethod => ({ type: 'publickey', username: host.user, key })),
        algorithms: { ...ALGORITHMS, serverHostKey: o.serverHostKey ?? orderedServerKeyAlgorithms(o.knownHosts) },
        hostVerifier: (key: Buffer) => {
          shownKey = key
          o.onHostKey?.(key)
          verdictError = hostKeyError(host, placeOf(host, address), key, verifyHostKey(o.knownHosts, key), o.knownHostsPaths)
          return verdictError === undefined
        },
        readyTimeout: 0,
        keepaliveInterval: o.keepaliveIntervalMs,
        keepaliveCountMax: 3,
      })
    } catch (error) {
      fail(error as Error)
    }
  })
}

type RawError = Error & { code?: string | number; level?: string }

const PHASE_WORDS: Record<ConnectPhase, string> = {
  name: 'the name was not resolved',
  tcp: 'nothing answered',
  handshake: 'the port is open, but no SSH server spoke',
  login: 'the SSH server did not answer the login',
}

function describe(error: RawError, phase: ConnectPhase, place: string, o: ConnectOptions, banner: string): SshError {
  const { host } = o
  const make = (reason: SshErrorDetails['reason'], words: string, next: string): SshError =>
    new SshError({ reason, host: host.alias, message: `${place}: ${words}`, next, cause: error })
  const reach = `check that the host is up and that this machine reaches it: \`nc -vz ${host.hostName} ${host.port}\``
  if (o.signal?.aborted) return make('cancelled', 'the connection was given up because the program is stopping', 'start the run again')
  const code = typeof error.code === 'string' ? error.code : undefined
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN' || code === 'ENODATA' || (phase === 'name' && code?.startsWith('EAI_')))
    return make(
      'name_unresolved',
      code === 'EAI_AGAIN' ? `the name ${host.hostName} could not be looked up (no name server answered)` : `the name ${host.hostName} does not exist`,
      `give the address in HostName under \`Host ${host.alias}\`, or check with \`getent hosts ${host.hostName}\``,
    )
  if (code === 'PHASE_TIMEOUT')
    return make(phase === 'name' ? 'name_unresolved' : 'connect_timeout', `${PHASE_WORDS[phase]} within ${o.phaseTimeoutMs / 1000} s`, reach)
  if (code === 'ETIMEDOUT') return make('connect_timeout', 'nothing answered (connection timed out)', reach)
  if (code === 'EHOSTUNREACH' || code === 'ENETUNREACH' || code === 'EHOSTDOWN') return make('connect_timeout', `the host cannot be reached (${code})`, reach)
  if (code === 'ECONNREFUSED')
    return make(
      'connect_refused',
      'connection refused: the machine answers, but nothing listens on this port',
      `start sshd on the host, or correct Port under \`Host ${host.alias}\``,
    )
  if (error.level === 'client-authentication' || (phase === 'login' && typeof error.code === 'number')) return authDenied(o, place, error, banner)
  if (phase === 'login')
    return make(
      'connection_lost',
      `the connection was lost during the login (${code === 'CLOSED' ? 'the host closed it' : (code ?? error.message)})`,
      `look at the log of sshd on the host: \`journalctl -u ssh\``,
    )
  if (/no matching/i.test(error.message))
    return make(
      'connect_refused',
      `the SSH server is too old or too strict: ${error.message.replace(/^Handshake failed: /, '')}`,
      'bring sshd on the host up to date',
    )
  if (error.level === 'protocol' || code === 'CLOSED' || code === 'ECONNRESET' || code === 'EPIPE')
    return make(
      'connect_refused',
      /before handshake|closed|ECONNRESET|EPIPE/i.test(`${error.message} ${code}`)
        ? 'the port accepted the connection and closed it before the handshake (not an SSH server, or sshd refuses this address or is overloaded)'
        : `what listens there is not an SSH server that can be talked to (${error.message})`,
      `check Port under \`Host ${host.alias}\`, and MaxStartups and the log of sshd on the host`,
    )
  return make('connect_refused', `the connection could not be made (${code ?? error.message})`, reach)
}

function authDenied(o: ConnectOptions, place: string, error: Error, banner: string): SshError {
  const { host, keys } = o
  const tried = keys.keys.map(({ path, key }) => `${path} (${fingerprintOf(key.getPublicSSH())})`).join(', ')
  const lines = [`${place}: login as ${host.user} was refused; tried ${tried}`]
  if (keys.missing.length > 0) lines.push(`not tried, because the file does not exist: ${keys.missing.join(', ')}`)
  if (!/All configured authentication methods failed/.test(error.message)) lines.push(`the server said: ${error.message}`)
  if (banner !== '') lines.push(`the server's banner: ${banner.replace(/[\x00-\x1f\x7f]+/g, ' ').trim()}`)
  const first = keys.keys[0]
  const publicKey = first === undefined ? '' : `${first.key.type} ${first.key.getPublicSSH().toString('base64')}`
  return new SshError({
    reason: 'auth_denied',
    host: host.alias,
    message: lines.join('\n'),
    next: `put this line into ~${host.user}/.ssh/authorized_keys on the host (files there must not be writable for others): ${publicKey}`,
    cause: error,
  })
}
