/**
 * One command on one live connection, from the request to exactly one outcome. What is not known is never called a success: a channel that
 * closes without exit code and signal is `connection_lost` or `outcome_unknown`.
 */
import type { ClientChannel } from 'ssh2'
import type { Connection } from './connection.js'
import { SshError, type SshErrorDetails, SudoDeniedError } from './errors.js'
import { type DeadlineKeeper, MarkedStream, newRunMark, renderKillCommand, renderRunCommand } from './remote-command.js'
import { readable, tailOf, withoutCommand } from './stderr-tail.js'

export interface RunRequest {
  /** Program and arguments; the program is looked up in PATH (sbin included). */
  argv: readonly string[]
  stdin?: string | Uint8Array
  /** Run as root by `sudo -n` when the login is not root. */
  sudo?: boolean
  /** Bound of the whole call (connecting, waiting for a channel, running), in milliseconds. */
  deadlineMs: number
  /** Bound of stdout and stderr together; default 8 MiB. */
  maxOutputBytes?: number
  /** Cancels: the remote program is killed. */
  signal?: AbortSignal
  /** Which exit codes are no error; default [0]. */
  okExitCodes?: readonly number[] | 'any'
  /** Takes secrets out of a piece of remote stderr before it goes into an error. */
  redact?: (text: string) => string
}

export interface RunResult {
  exitCode: number
  stdout: Uint8Array
  stderr: Uint8Array
  /** Decoded as UTF-8; bytes that are none become U+FFFD. The bytes themselves are in `stdout`. */
  stdoutText: string
  stderrText: string
  durationMs: number
  /** Time spent on the new connection; 0 when an open one was used. */
  connectMs: number
  reusedConnection: boolean
}

export interface CommandOutcome {
  exitCode: number
  stdout: Buffer
  stderr: Buffer
}

export const DEFAULT_MAX_OUTPUT_BYTES = 8 * 1024 * 1024
/** After a deadline or cancel: the time in which the host may confirm the end. TERM, 1 s later KILL, and the way back. */
export const STOP_GRACE_MS = 2000

/** The command was certainly not started; it may be tried again. `noSession`: the server refused one more session on this connection. */
export class NotStartedError extends Error {
  readonly noSession: boolean
  constructor(message: string, noSession: boolean) {
    super(message)
    this.noSession = noSession
  }
}

type StopReason = 'deadline' | 'cancelled' | 'output_too_large'

/** What the pool knows about a host between runs. */
export interface HostMemory {
  keeper?: DeadlineKeeper
  /** Opens one more connection to the host, outside the pool; the caller ends it. */
  openAnother?: () => Promise<Connection>
}

/**
 * Runs the command; `remainingMs` is what is left of its deadline.
 * @throws NotStartedError when it may be tried again; SshError for everything else that is not a wanted exit code.
 */
export function runOnConnection(connection: Connection, request: RunRequest, remainingMs: number, memory: HostMemory): Promise<CommandOutcome> {
  return new CommandRun(connection, request, remainingMs, memory).promise
}

class CommandRun {
  readonly promise: Promise<CommandOutcome>
  #resolve!: (outcome: CommandOutcome) => void
  #reject!: (error: Error) => void
  #settled = false

  readonly #startedAt = performance.now()
  readonly #mark = newRunMark()
  readonly #stdoutCut = new MarkedStream(this.#mark)
  readonly #stderrCut = new MarkedStream(this.#mark)
  readonly #stdout: Buffer[] = []
  readonly #stderr: Buffer[] = []
  #outputBytes = 0
  #stderrTail: Buffer = Buffer.alloc(0)

  #stopping: { reason: StopReason; bytesHeard: number } | undefined
  #timers: NodeJS.Timeout[] = []
  #forgetClose: () => void = () => undefined
  readonly #sudo: boolean
  readonly #maxBytes: number

  constructor(
    private readonly connection: Connection,
    private readonly request: RunRequest,
    private readonly remainingMs: number,
    private readonly memory: HostMemory,
  ) {
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.#sudo = request.sudo === true && connection.host.user !== 'root'
    this.#maxBytes = request.maxOutputBytes ?? DEFAULT_MAX_OUTPUT_BYTES
    this.#start()
  }

  #start(): void {
    const { connection, request } = this
    if (request.signal?.aborted) {
      this.#fail(this.#error('cancelled', 'the run was cancelled before the command was sent', 'start it again when it is wanted'))
      return
    }
    const command = renderRunCommand(request.argv, { mark: this.#mark, limitMs: this.remainingMs, sudo: this.#sudo, keeper: this.memory.keeper })
    this.#timers.push(setTimeout(() => this.#stop('deadline'), this.remainingMs))
    request.signal?.addEventListener('abort', this.#onAbort)
    // Channels learn of the loss right after this event: let them speak first, they know whether the command was sent at all.
    this.#forgetClose = connection.onClose(() =>
      setImmediate(() => this.#fail(this.#lost(`the connection was lost while the command ran (${connection.lossInWords()})`))),
    )
    try {
      connection.client.exec(command, (error, channel) => {
        if (error !== undefined) this.#refused(error)
        else this.#attach(channel)
      })
    } catch (error) {
      this.#settle(() => this.#reject(new NotStartedError((error as Error).message, false)))
    }
  }

  readonly #onAbort = (): void => this.#stop('cancelled')

  /** The channel was not opened, or the server did not accept the command. */
  #refused(error: Error): void {
    if (/^No response from server/.test(error.message)) this.#settle(() => this.#reject(new NotStartedError(error.message, false)))
    else if (/Channel open failure/.test(error.message)) this.#settle(() => this.#reject(new NotStartedError(error.message, true)))
    else if (!this.connection.closed)
      this.#fail(
        this.#error(
          'auth_denied',
          `the login worked, but sshd refused to run a command (${error.message})`,
          'look at ForceCommand and the shell of the user on the host',
        ),
      )
  }

  #attach(channel: ClientChannel): void {
    if (this.#settled) {
      channel.close()
      return
    }
    let open = 2
    let outcome: { code: number | null | undefined; signal: string | undefined } | undefined
    const ended = (): void => {
      if (--open === 0 && outcome !== undefined) this.#finish(outcome.code, outcome.signal)
    }
    channel.on('data', (chunk: Buffer) => this.#take(this.#stdoutCut.push(chunk), this.#stdout))
    channel.stderr.on('data', (chunk: Buffer) => {
      const mine = this.#stderrCut.push(chunk)
      this.#stderrTail = tailOf(this.#stderrTail, mine)
      this.#take(mine, this.#stderr)
    })
    channel.stderr.once('end', ended)
    channel.once('close', (code: number | null | undefined, signal: string | undefined) => {
      outcome = { code, signal }
      ended()
    })
    // A program that ends without reading its stdin is no error of ours; its exit code tells.
    channel.on('error', () => undefined)
    const { stdin } = this.request
    if (stdin === undefined) channel.end()
    else channel.end(typeof stdin === 'string' ? Buffer.from(stdin, 'utf8') : Buffer.from(stdin))
  }

  /** Keeps output within the bound; what is over is read (else the host would wait for us), but not kept. */
  #take(chunk: Buffer, into: Buffer[]): void {
    if (chunk.length === 0 || this.#stopping?.reason === 'output_too_large') return
    this.#outputBytes += chunk.length
    if (this.#outputBytes <= this.#maxBytes) into.push(chunk)
    else {
      this.#stdout.length = 0
      this.#stderr.length = 0
      this.#stop('output_too_large')
    }
  }

  /** Ends the remote program and gives the host a moment to confirm it. */
  #stop(reason: StopReason): void {
    if (this.#settled || this.#stopping !== undefined) return
    this.#stopping = { reason, bytesHeard: this.connection.bytesHeard }
    this.#kill()
    this.#timers.push(setTimeout(() => this.#giveUp(), STOP_GRACE_MS))
  }

  /**
   * By a second channel, because closing the first would not end the program; by a second connection where the server has no channel left.
   * When neither works, the host's own limit ends it.
   */
  #kill(): void {
    const command = renderKillCommand(this.#mark, this.#sudo)
    sendCommand(this.connection, command, () => {
      this.memory.openAnother?.().then(
        (another) => sendCommand(another, command, undefined, () => another.end()),
        () => undefined,
      )
    })
  }

  /** The host did not confirm the end in time. When nothing at all was heard, the connection is dead and not the program slow. */
  #giveUp(): void {
    const stopping = this.#stopping
    if (this.#settled || stopping === undefined) return
    const silent = this.connection.bytesHeard === stopping.bytesHeard
    if (silent) {
      const dead = this.#lost(
        stopping.reason === 'cancelled'
          ? 'the run was cancelled, but the host has stopped answering'
          : `the host stopped answering in the middle of the command, and the deadline of ${this.#limitInWords()} passed`,
      )
      this.#fail(stopping.reason === 'cancelled' ? this.#stopError('cancelled', `${remoteBound(this.remainingMs)}; the host has stopped answering`) : dead)
      this.connection.destroy()
    } else
      this.#fail(
        this.#stopError(
          stopping.reason,
          `the program could not be ended within ${STOP_GRACE_MS / 1000} s (it may hang in the kernel, or have changed its user)`,
        ),
      )
  }

  #finish(code: number | null | undefined, signal: string | undefined): void {
    const outcome = this.#judge(code, signal)
    if (outcome instanceof SshError) this.#fail(outcome)
    else this.#settle(() => this.#resolve(outcome))
  }

  /** What the end of the channel means. */
  #judge(code: number | null | undefined, signal: string | undefined): CommandOutcome | SshError {
    const program = `\`${this.#program()}\``
    if (this.#stopping !== undefined) return this.#stopError(this.#stopping.reason)
    if (typeof code !== 'number' && !signal) {
      if (this.connection.closed) return this.#lost(`the connection was lost while the command ran (${this.connection.lossInWords()})`)
      return this.#error('outcome_unknown', 'the channel was closed without exit code or signal', `look on the host whether ${program} did its work`)
    }
    if (this.#stdoutCut.markerRest === undefined) return this.#notBegun(code, signal)
    this.#rememberKeeper(this.#stdoutCut.markerRest)
    const limitReached = performance.now() - this.#startedAt >= this.remainingMs - 100
    if (limitReached && (code === 124 || code === 137 || signal === 'SIGKILL' || signal === 'SIGTERM')) return this.#stopError('deadline')
    if (typeof code !== 'number') return this.#ended('signal', `${program} was ended by ${signal}`, { signal })
    const ok = this.request.okExitCodes ?? [0]
    if (ok !== 'any' && !ok.includes(code)) return this.#ended('exit_code', this.#exitInWords(code), { exitCode: code })
    return { exitCode: code, stdout: Buffer.concat(this.#stdout), stderr: Buffer.concat(this.#stderr) }
  }

  #rememberKeeper(word: string): void {
    if (word === 'gnu' || word === 'sh') this.memory.keeper = word
  }

  /** The marker never came: the login shell or sudo ended before the command. */
  #notBegun(code: number | null | undefined, signal: string | undefined): SshError {
    const said = Buffer.concat([this.#stdoutCut.noiseTail, this.#stderrCut.noiseTail])
    const tail = this.#tailText(withoutCommand(said))
    const { user, alias } = this.connection.host
    const sudoSaid = this.#sudo ? /\bsudo: .*$/m.exec(said.toString('latin1'))?.[0] : undefined
    if (sudoSaid !== undefined) {
      const missing = /not found|no such file/i.test(sudoSaid)
      return new SudoDeniedError({
        host: alias,
        message: this.#message(
          `logged in as ${user}, but ${missing ? 'there is no sudo on the host' : `sudo does not let ${user} run commands without a password`}`,
          tail,
        ),
        next: missing
          ? 'install sudo on the host, or let nightshift log in as root'
          : `on the host, as root: echo '${user} ALL=(root) NOPASSWD: /bin/sh' > /etc/sudoers.d/nightshift && chmod 440 /etc/sudoers.d/nightshift && visudo -c`,
        exitCode: code ?? undefined,
        stderrTail: tail,
      })
    }
    const how = typeof code === 'number' ? `with exit code ${code}` : `by ${signal}`
    return this.#ended(
      typeof code === 'number' ? 'exit_code' : 'signal',
      `the login shell of ${user} ended ${how} before the command began`,
      { exitCode: code ?? undefined, signal: signal ?? undefined },
      tail,
      `check the login by hand: \`ssh -p ${this.connection.host.port} ${user}@${this.connection.host.hostName} /bin/sh -c true\``,
    )
  }

  #exitInWords(code: number): string {
    const program = `\`${this.#program()}\``
    if (code === 127) return `${program} was not found (exit code 127)`
    if (code === 126) return `${program} cannot be executed (exit code 126)`
    return `${program} ended with exit code ${code}`
  }

  #stopError(reason: StopReason, unconfirmed?: string): SshError {
    const words = {
      deadline: `\`${this.#program()}\` did not end within ${this.#limitInWords()} and was stopped`,
      cancelled: `\`${this.#program()}\` was cancelled and stopped`,
      output_too_large: `\`${this.#program()}\` wrote more than ${this.#maxBytes} bytes and was stopped`,
    }
    const next = {
      deadline: 'give it more time, or look on the host why it is slow',
      cancelled: 'start it again when it is wanted',
      output_too_large: 'look on the host at what it prints, or raise the bound',
    }
    const message =
      unconfirmed === undefined ? words[reason] : `${words[reason].replace(/ and was stopped$| and stopped$/, '')}; not confirmed as stopped: ${unconfirmed}`
    return this.#ended(reason, message, {}, undefined, next[reason])
  }

  #lost(words: string): SshError {
    return this.#error(
      'connection_lost',
      words,
      `whether \`${this.#program()}\` ended is not known: ${remoteBound(this.remainingMs)}. Look at the host, then run it again`,
    )
  }

  #error(reason: SshErrorDetails['reason'], words: string, next: string): SshError {
    return new SshError({ reason, host: this.connection.host.alias, message: `${this.connection.place}: ${words}`, next })
  }

  #ended(
    reason: SshErrorDetails['reason'],
    words: string,
    how: { exitCode?: number; signal?: string },
    tail = this.#tailText(this.#stderrTail),
    next = `run it by hand on ${this.connection.host.alias} to see all that it says`,
  ): SshError {
    return new SshError({ reason, host: this.connection.host.alias, message: this.#message(words, tail), next, stderrTail: tail, ...how })
  }

  #message(words: string, tail: string): string {
    return tail === '' ? `${this.connection.place}: ${words}` : `${this.connection.place}: ${words}\n${tail}`
  }

  #tailText(bytes: Buffer): string {
    return readable(bytes, this.request.redact)
  }

  /** Only the name of the program: arguments may hold what nobody should read in a log. */
  #program(): string {
    return this.request.argv[0]?.split('/').pop()?.slice(0, 60) ?? ''
  }

  #limitInWords(): string {
    return `${Math.round(this.request.deadlineMs / 100) / 10} s`
  }

  #fail(error: SshError): void {
    this.#settle(() => this.#reject(error))
  }

  #settle(action: () => void): void {
    if (this.#settled) return
    this.#settled = true
    for (const timer of this.#timers) clearTimeout(timer)
    this.#forgetClose()
    this.request.signal?.removeEventListener('abort', this.#onAbort)
    action()
  }
}

/** Sends a command of ours whose output nobody needs. `refused` is called when the server does not take it, `ended` in any case. */
function sendCommand(connection: Connection, command: string, refused?: () => void, ended?: () => void): void {
  try {
    connection.client.exec(command, (error, channel) => {
      if (error !== undefined) {
        if (!connection.closed) refused?.()
        ended?.()
        return
      }
      channel.on('error', () => undefined)
      channel.once('close', () => ended?.())
      channel.resume()
      channel.stderr.resume()
      channel.end()
    })
  } catch {
    // The connection is gone: its close event settles the run.
  }
}

function remoteBound(limitMs: number): string {
  return `the host itself ends it ${Math.ceil(limitMs / 1000)} s after its start at the latest`
}
