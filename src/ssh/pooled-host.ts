/** One host of the pool: its connection, opened when needed and again after a loss, closed when idle; its channels, of which some must wait. */
import { type Access, readAccess } from './access.js'
import { type HostMemory, NotStartedError, type RunRequest, type RunResult, runOnConnection } from './command-run.js'
import { type Connection, connect, hostKeyError, placeOf } from './connection.js'
import { SshError, type SshFailureReason } from './errors.js'
import { loadLoginKeys } from './keys.js'
import { verifyHostKey } from './known-hosts.js'

/** The options of the pool with their defaults filled in; times in milliseconds. */
export interface HostLimits {
  configPath: string
  knownHostsPaths: readonly string[]
  maxChannelsPerConnection: number
  idleCloseMs: number
  connectTimeoutMs: number
  keepaliveIntervalMs: number
}

interface Waiter {
  wake: () => void
}

export class PooledHost {
  readonly #alias: string
  readonly #limits: HostLimits
  readonly #stop = new AbortController()
  #connecting: Promise<Connection> | undefined
  #connection: Connection | undefined
  readonly #retired = new Set<Connection>()
  #target = ''
  #memory: HostMemory = {}
  #active = 0
  #maxChannels: number
  #waiting: Waiter[] = []
  #idleTimer: NodeJS.Timeout | undefined

  constructor(alias: string, limits: HostLimits) {
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
            this.#retire(connection)
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

  /** Closes everything, also what is under way. */
  async close(): Promise<void> {
    this.#stop.abort()
    clearTimeout(this.#idleTimer)
    for (const waiter of this.#waiting.splice(0)) waiter.wake()
    await this.#connecting?.catch(() => undefined)
    this.#retire(this.#connection)
    await this.#closeRetired()
  }

  /** Closes the connection unless something uses it. */
  async disconnect(): Promise<void> {
    if (this.#active > 0 || this.#connecting !== undefined) return
    this.#retire(this.#connection)
    await this.#closeRetired()
  }

  /** No new run gets this connection; it is closed when the runs on it have ended. */
  #retire(connection: Connection | undefined): void {
    if (connection === undefined) return
    if (this.#connection === connection) this.#connection = undefined
    if (!connection.closed) this.#retired.add(connection)
  }

  async #closeRetired(): Promise<void> {
    const closing = [...this.#retired].map(
      (connection) =>
        new Promise<void>((resolve) => {
          const force = setTimeout(() => connection.destroy(), 1000)
          connection.onClose(() => {
            clearTimeout(force)
            resolve()
          })
          connection.end()
        }),
    )
    this.#retired.clear()
    await Promise.all(closing)
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
    void this.#closeRetired()
    clearTimeout(this.#idleTimer)
    this.#idleTimer = setTimeout(() => void this.disconnect(), this.#limits.idleCloseMs)
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
      this.#retire(open)
    }
    const connecting = this.#connecting !== undefined && target === this.#target ? this.#connecting : this.#connect(access, target)
    const connection = await this.#bounded(connecting, request, remaining, () =>
      this.#failure(
        'connect_timeout',
        placeOf(access.resolved),
        `not connected within the deadline of ${request.deadlineMs / 1000} s`,
        'check that the host is up, or give more time',
      ),
    )
    return { connection, reused: false }
  }

  #connect(access: Access, target: string): Promise<Connection> {
    this.#target = target
    this.#memory = { openAnother: () => this.#dial(access) }
    const attempt = this.#dial(access).then((connection) => {
      // The configuration may have changed meanwhile: then this connection serves only the runs that asked for it.
      if (this.#target === target) this.#connection = connection
      else this.#retire(connection)
      return connection
    })
    this.#connecting = attempt
    const forget = (): void => {
      if (this.#connecting === attempt) this.#connecting = undefined
    }
    attempt.then(forget, forget)
    return attempt
  }

  async #dial({ resolved, knownHosts, knownHostsPaths }: Access): Promise<Connection> {
    return connect({
      host: resolved,
      keys: loadLoginKeys(resolved),
      knownHosts,
      knownHostsPaths,
      phaseTimeoutMs: resolved.connectTimeoutMs ?? this.#limits.connectTimeoutMs,
      keepaliveIntervalMs: resolved.keepaliveIntervalMs ?? this.#limits.keepaliveIntervalMs,
      signal: this.#stop.signal,
    })
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
