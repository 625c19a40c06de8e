/** The door of this folder: commands on hosts by their alias, one shared connection a host. */
import type { RunRequest, RunResult } from './command-run.js'
import { SshError } from './errors.js'
import { type HostLimits, PooledHost } from './pooled-host.js'

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
  /** How often a sign of life is asked for; after three without answer the connection counts as lost. Default 15 s. `ServerAliveInterval` of a host counts instead. */
  keepaliveIntervalMs?: number
  /** Takes secrets out of a piece of remote stderr before it goes into an error, for every run. */
  redact?: (text: string) => string
}

/** Runs commands on hosts by their alias in `ssh_config`. Host keys are always checked; there is no option not to. */
export class SshPool {
  readonly #limits: HostLimits
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
   * @throws SshError with the cause; TypeError for an empty argv or a NUL in it; RangeError for a deadline that is no positive number, or arguments
   * too long for one command line (120 kB).
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
    return host.run({ ...request, redact: request.redact ?? this.#redact })
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
