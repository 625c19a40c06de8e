/** One connection a host, shared: opened when needed, a bounded number of channels at once (the rest wait), closed when idle, opened again after a loss. */
import { type Access, readAccess } from './access.js'
import { type HostMemory, NotStartedError, type RunRequest, type RunResult, runOnConnection } from './command-run.js'
import { type Connection, connect, hostKeyError, placeOf } from './connection.js'
import { SshError, type SshFailureReason } from './errors.js'
import { loadLoginKeys } from './keys.js'
import { verifyHostKey } from './known-hosts.js'

export interface SshPoolOptions {
  /** The ssh_config file. */
  configPath: string
  /** The known_hosts files; `UserKnownHostsFile` of a host counts instead of them. */
  knownHostsPaths: readonly string[]
  /** At most this many commands on one connection at once; default and upper bound 8, because sshd allows 10 sessions (MaxSessions). */
  maxChannelsPerConnection?: number
  /** An unused connection is closed after this time; default 60 s. */
  idleCloseMs?: number
  /** Bound of each step of connecting (name, TCP, handshake, login); default 10 s. `ConnectTimeout` of a host counts instead. */
  connectTimeoutMs?: number
  /** How often a sign of life is asked for; after three without answer the connection counts as lost. Default 15 s. */
  keepaliveIntervalMs?: number
  /** Takes secrets out of a piece of remote stderr before it goes into an error, for every run. */
  redact?: (text: string) => string
}

type Limits = Required<Omit<SshPoolOptions, 'redact'>>

/** Runs commands on hosts by their alias in `ssh_config`. Host keys are always checked; there is no option not to. */
export class SshPool {
  readonly #limits: Limits
  readonly #redact?: (text: string) => string
  readonly #hosts = new Map<string, PooledHost>()
  #closed = false

  constructor(o: SshPoolOptions) {
    this.#limits = {
      configPath: o.configPath,
      knownHostsPaths: o.knownHostsPaths,
      maxChannelsPerConnection: Math.max(1, Math.min(8, o.maxChannelsPerConnection ?? 8)),
      idleCloseMs: o.idleCloseMs ?? 60_000,
      connectTimeoutMs: o.connectTimeoutMs ?? 10_000,
      keepaliveIntervalMs: o.keepaliveIntervalMs ?? 15_000,
    }
    this.#redact = o.redact
  }

  /**
   * Runs one command and waits for its end.
   * @throws SshError with the cause; TypeError for an empty argv or a NUL in it; RangeError for a deadline that is no positive number.
   */
  async run(alias: string, request: RunRequest): Promise<RunResult> {
    if (request.argv.length === 0 || request.argv[0] === '') throw new TypeError('a command needs a program')
    if (request.argv.some((argument) => argument.includes('\0'))) throw new TypeError('an argument of a command cannot contain NUL')
    if (!(request.deadlineMs > 0) || request.deadlineMs > 0x7fffffff)
      throw new RangeError('deadlineMs must be a positive number of milliseconds, at most 24 days')
    if (this.#closed) throw new SshError({ reason: 'cancelled', host: alias, message: `${alias}: the program is stopping`, next: 'start the run again' })
    let host = this.#hosts.get(alias)
    if (host === undefined) {
      host = new PooledHost(alias, this.#limits)
      this.#hosts.set(alias, host)
    }
    return host.run({ redact: this.#redact, ...request })
  }

  /** Closes the connections that nothing uses right now; the next run on a host connects anew. */
  async disconnect(): Promise<void> {
    await Promise.all([...this.#hosts.values()].map((host) => host.disconnect()))
  }

  /** Closes every connection; runs that are under way end with `cancelled` or `connection_lost`. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#hosts.values()].map((host) => host.close()))
    this.#hosts.clear()
  }
}

interface Waiter {
  wake: () => void
}

class PooledHost {
  readonly #alias: string
  readonly #limits: Limits
  readonly #stop = new AbortController()
  #connecting: Promise<Connection> | undefined
  #connection: Connection | undefined
  #target = ''
  #memory: HostMemory = {}
  #active = 0
  #maxChannels: number
  #waiting: Waiter[] = []
  #idleTimer: NodeJS.Timeout | undefined

  constructor(alias: string, limits: Limits) {
    this.#alias = alias
    this.#limits = limits
    this.#maxChannels = limits.maxChannelsPerConnection
  }

  async run(request: RunRequest): Promise<RunResult> {
    const startedAt = performance.now()
    const remaining = (): number => request.deadlineMs - (performance.now() - startedAt)
    let connectMs = 0
    let reusedConnection = true
    await this.#takeSlot(request, remaining)
    let holdsSlot = true
    try {
      for (let attempt = 1; ; attempt++) {
        const access = readAccess(this.#alias, this.#limits)
        const before = performance.now()
        const { connection, reused } = await this.#connected(access, request, remaining)
        reusedConnection = reused
        if (!reused) connectMs = performance.now() - before
        try {
          const outcome = await runOnConnection(connection, request, Math.max(1, remaining()), this.#memory)
          return {
            ...outcome,
            stdoutText: outcome.stdout.toString('utf8'),
            stderrText: outcome.stderr.toString('utf8'),
            durationMs: performance.now() - startedAt,
            connectMs,
            reusedConnection,
          }
        } catch (error) {
          if (!(error instanceof NotStartedError)) throw error
          if (!error.noSession) {
            // The pooled connection was dead already: once more on a new one.
            this.#forget(connection)
            if (attempt >= 3)
              throw this.#failure(
                'connection_lost',
                placeOf(access.resolved),
                'the connection was lost before the command was sent',
                'look at the log of sshd on the host',
              )
            continue
          }
          if (this.#active <= 1)
            throw this.#failure(
              'auth_denied',
              connection.place,
              'the login worked, but sshd opens no session',
              'set MaxSessions to 10 in sshd_config on the host',
            )
          // The server allows fewer sessions than we thought: remember it, and wait for one of ours to end.
          this.#maxChannels = Math.max(1, Math.min(this.#maxChannels, this.#active - 1))
          this.#giveSlot()
          holdsSlot = false
          await this.#takeSlot(request, remaining)
          holdsSlot = true
        }
      }
    } finally {
      if (holdsSlot) this.#giveSlot()
    }
  }

  async close(): Promise<void> {
    this.#stop.abort()
    clearTimeout(this.#idleTimer)
    for (const waiter of this.#waiting.splice(0)) waiter.wake()
    await this.#connecting?.catch(() => undefined)
    await this.#closeConnection()
  }

  async disconnect(): Promise<void> {
    if (this.#active > 0 || this.#connecting !== undefined) return
    await this.#closeConnection()
  }

  async #closeConnection(): Promise<void> {
    const connection = this.#connection
    if (connection === undefined || connection.closed) return
    this.#connection = undefined
    await new Promise<void>((resolve) => {
      const force = setTimeout(() => connection.destroy(), 1000)
      connection.onClose(() => {
        clearTimeout(force)
        resolve()
      })
      connection.end()
    })
  }

  async #takeSlot(request: RunRequest, remaining: () => number): Promise<void> {
    if (request.signal?.aborted) throw this.#cancelled()
    clearTimeout(this.#idleTimer)
    while (this.#active >= this.#maxChannels) {
      let waiter: Waiter | undefined
      const freed = new Promise<void>((resolve) => {
        waiter = { wake: resolve }
        this.#waiting.push(waiter)
      })
      try {
        await this.#bounded(freed, request, remaining, () =>
          this.#failure(
            'deadline',
            this.#alias,
            `${this.#active} commands were under way on this host until the deadline of ${request.deadlineMs / 1000} s`,
            'run less at once on this host',
          ),
        )
      } catch (error) {
        const at = waiter === undefined ? -1 : this.#waiting.indexOf(waiter)
        if (at >= 0) this.#waiting.splice(at, 1)
        else this.#wakeNext()
        throw error
      }
      if (this.#stop.signal.aborted) throw this.#failure('cancelled', this.#alias, 'the program is stopping', 'start the run again')
    }
    this.#active++
  }

  #giveSlot(): void {
    this.#active--
    this.#wakeNext()
    if (this.#active > 0 || this.#stop.signal.aborted) return
    clearTimeout(this.#idleTimer)
    this.#idleTimer = setTimeout(() => {
      this.#connection?.end()
      this.#connection = undefined
    }, this.#limits.idleCloseMs)
    this.#idleTimer.unref()
  }

  #wakeNext(): void {
    this.#waiting.shift()?.wake()
  }

  /** An open connection whose host key is still trusted, or a new one; several runs share one attempt. */
  async #connected(access: Access, request: RunRequest, remaining: () => number): Promise<{ connection: Connection; reused: boolean }> {
    const target = JSON.stringify(access.resolved)
    const open = this.#connection
    if (open !== undefined) {
      const distrusted = hostKeyError(access.resolved, open.place, open.hostKey, verifyHostKey(access.knownHosts, open.hostKey), access.knownHostsPaths)
      if (!open.closed && target === this.#target && distrusted === undefined) return { connection: open, reused: true }
      this.#forget(open)
    }
    if (this.#connecting === undefined || target !== this.#target) {
      this.#target = target
      this.#memory = { openAnother: () => this.#dial(access) }
      this.#connecting = this.#open(access)
      this.#connecting.catch(() => undefined)
    }
    const connection = await this.#bounded(this.#connecting, request, remaining, () =>
      this.#failure(
        'connect_timeout',
        placeOf(access.resolved),
        `not connected within the deadline of ${request.deadlineMs / 1000} s`,
        'check that the host is up, or give more time',
      ),
    )
    return { connection, reused: false }
  }

  async #open(access: Access): Promise<Connection> {
    try {
      const connection = await this.#dial(access)
      this.#connection = connection
      connection.onClose(() => this.#forget(connection))
      return connection
    } finally {
      this.#connecting = undefined
    }
  }

  async #dial({ resolved, knownHosts, knownHostsPaths }: Access): Promise<Connection> {
    return connect({
      host: resolved,
      keys: loadLoginKeys(resolved),
      knownHosts,
      knownHostsPaths,
      phaseTimeoutMs: resolved.connectTimeoutMs ?? this.#limits.connectTimeoutMs,
      keepaliveIntervalMs: this.#limits.keepaliveIntervalMs,
      signal: this.#stop.signal,
    })
  }

  #forget(connection: Connection): void {
    if (this.#connection === connection) this.#connection = undefined
    if (!connection.closed && this.#active <= 1) connection.end()
  }

  /** Waits for `work`, but not beyond the deadline or a cancel. */
  #bounded<T>(work: Promise<T>, request: RunRequest, remaining: () => number, late: () => SshError): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const cancelled = (): void => reject(this.#cancelled())
      if (request.signal?.aborted) return cancelled()
      const timer = setTimeout(() => reject(late()), Math.max(0, remaining()))
      request.signal?.addEventListener('abort', cancelled)
      work.then(resolve, reject).finally(() => {
        clearTimeout(timer)
        request.signal?.removeEventListener('abort', cancelled)
      })
    })
  }

  #cancelled(): SshError {
    return this.#failure('cancelled', this.#alias, 'the run was cancelled before the command was sent', 'start it again when it is wanted')
  }

  #failure(reason: SshFailureReason, place: string, words: string, next: string): SshError {
    return new SshError({ reason, host: this.#alias, message: `${place}: ${words}`, next })
  }
}
