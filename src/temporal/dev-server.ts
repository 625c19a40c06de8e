/**
 * Our own Temporal dev server on a database file: started, awaited, watched, restarted when it dies, stopped in order.
 *
 * It runs in a session of its own, so that Ctrl-C reaches only us and we can stop the worker first; the kernel ends it when we die
 * (`setpriv --pdeathsig`), and the lock on its database is held by the server process itself (`flock --no-fork`), so it can outlive neither.
 * The kernel's signal is SIGKILL: asked politely, an orphaned server keeps the lock for seconds more, and the next start finds the database in use.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, open, readFile, realpath, rename, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Connection } from '@temporalio/client'
import { ConfigError } from '../domain/config-error.js'
import { checkDatabaseVersion, databaseInUse, isDatabaseInUse, LOCK_HELD_EXIT_CODE, lockPathOf } from './database-guard.js'
import { portHolder, whyPortIsNotFree } from './ports.js'
import { versionOfProgram } from './server-version.js'

export interface DevServerOptions {
  /** The Temporal CLI, from `resolveServerBinary`. */
  readonly binaryPath: string
  /** Made on the first start, with its folder. Beside it: `.lock`, `.version.json`, and the server's log. */
  readonly databasePath: string
  readonly port: number
  /** Absent = no web interface. */
  readonly uiPort?: number
  /** Loopback unless told; the dev server knows no authentication. */
  readonly ip?: string
  /** The options by which a person changes the two ports, for error messages. */
  readonly portOption?: string
  readonly uiPortOption?: string
  /** Told in one line each when the server dies by itself, comes back, or is given up. */
  readonly say?: (line: string) => void
  /** How often a server that died is started again within ten minutes; 5 unless told, 0 = never. */
  readonly maxRestarts?: number
}

export interface DevServer {
  /** `host:port` of the front end. */
  readonly address: string
  /** `http://…`, when there is a web interface. */
  readonly uiUrl?: string
  readonly logPath: string
  /** The running server's pid; changes when it was restarted. */
  readonly pid: number
  /** Settles when the server has ended for good: undefined after `stop`, else why it was given up. */
  readonly ended: Promise<Error | undefined>
  /** Ends the server: asks, waits up to ten seconds, then kills. Close workers and connections first. */
  stop(): Promise<void>
}

const READY_TIMEOUT_MS = 60_000
const STOP_TIMEOUT_MS = 10_000
const RESTART_WINDOW_MS = 600_000
const LOG_ROTATE_BYTES = 10 * 1024 * 1024

/**
 * Starts the server and waits until it answers.
 * @throws ConfigError when a port is taken, the database is being served already, was made by another version, or the server does not come up
 */
export async function startDevServer(options: DevServerOptions): Promise<DevServer> {
  await mkdir(dirname(options.databasePath), { recursive: true, mode: 0o700 })
  const databasePath = join(await realpath(dirname(options.databasePath)), basename(options.databasePath))
  if (await isDatabaseInUse(databasePath)) throw await databaseInUse(databasePath)
  await checkPorts(options)
  const version = await versionOfProgram(options.binaryPath)
  if (version === undefined)
    throw new ConfigError(`${options.binaryPath} is not a Temporal CLI that starts here`, `remove it and start again: rm ${options.binaryPath}`)
  await checkDatabaseVersion(databasePath, version)
  const server = new SupervisedServer({ ...options, databasePath })
  await server.start()
  return server
}

async function checkPorts(options: DevServerOptions): Promise<void> {
  const ip = options.ip ?? '127.0.0.1'
  await checkPort(ip, options.port, 'Temporal', options.portOption ?? '--temporal-port')
  if (options.uiPort !== undefined) await checkPort(ip, options.uiPort, "Temporal's web interface", options.uiPortOption ?? '--ui-port')
}

/** @throws ConfigError naming the port, its holder and the option that chooses another */
export async function checkPort(ip: string, port: number, whatFor: string, option: string): Promise<void> {
  const why = await whyPortIsNotFree(ip, port)
  if (why === undefined) return
  if (why !== 'EADDRINUSE') throw new ConfigError(`cannot listen on ${ip}:${port} for ${whatFor} (${why})`, `choose another port with ${option} PORT`)
  const holder = await portHolder(port)
  const who = holder === undefined ? 'another program' : `pid ${holder.pid} (${holder.command})`
  throw new ConfigError(`port ${port}, wanted for ${whatFor}, is taken by ${who}`, `choose another port with ${option} PORT, or stop that program`)
}

/** One server over its restarts. */
class SupervisedServer implements DevServer {
  readonly address: string
  readonly uiUrl?: string
  readonly logPath: string
  readonly ended: Promise<Error | undefined>
  private readonly ip: string
  private child: ChildProcess | undefined
  private stopping = false
  private starts: number[] = []
  private settle: (reason: Error | undefined) => void = () => {}

  constructor(private readonly options: DevServerOptions) {
    this.ip = options.ip ?? '127.0.0.1'
    this.address = `${this.ip}:${options.port}`
    if (options.uiPort !== undefined) this.uiUrl = `http://${this.ip}:${options.uiPort}`
    this.logPath = `${options.databasePath}.server.log`
    this.ended = new Promise((resolve) => {
      this.settle = resolve
    })
  }

  get pid(): number {
    return this.child?.pid ?? 0
  }

  /** The first start; its failure is the caller's to handle. */
  async start(): Promise<void> {
    await rotateLog(this.logPath)
    await this.launch()
  }

  async stop(): Promise<void> {
    this.stopping = true
    const child = this.child
    if (child !== undefined && child.exitCode === null && child.signalCode === null) {
      const gone = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
      await gone
      clearTimeout(timer)
    }
    this.settle(undefined)
  }

  /** Starts the process and waits until it answers. */
  private async launch(): Promise<void> {
    this.starts.push(Date.now())
    const log = await open(this.logPath, 'a', 0o600)
    const logStart = (await log.stat()).size
    let child: ChildProcess
    try {
      child = spawn('setpriv', serverArguments(this.options, this.ip), {
        detached: true,
        stdio: ['ignore', log.fd, log.fd],
        env: Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('TEMPORAL_'))),
      })
    } finally {
      await log.close()
    }
    this.child = child
    const exited = new Promise<string>((resolve) => {
      child.once('error', (error) => resolve(error.message))
      child.once('exit', (code, signal) => resolve(signal === null ? `exit code ${code}` : `signal ${signal}`))
    })
    const cancel = new AbortController()
    const outcome = await Promise.race([exited.then((how) => ({ how })), awaitAnswer(this.address, cancel.signal).then((ready) => ({ ready }))])
    cancel.abort()
    if ('how' in outcome || !outcome.ready) {
      if (child.exitCode === LOCK_HELD_EXIT_CODE) throw await databaseInUse(this.options.databasePath)
      const why = 'how' in outcome ? `ended with ${outcome.how}` : `did not answer within ${READY_TIMEOUT_MS / 1000} s`
      child.kill('SIGKILL')
      const tail = await logTail(this.logPath, logStart)
      throw new ConfigError(`the Temporal server ${why}${tail === '' ? '' : `; its last words:\n${tail}`}`, `read ${this.logPath}`)
    }
    void exited.then((how) => this.onDeath(how))
  }

  /** A server that ends unasked is said, and started again a few times. */
  private async onDeath(how: string): Promise<void> {
    if (this.stopping) return
    const say = this.options.say ?? (() => {})
    const recent = this.starts.filter((at) => at > Date.now() - RESTART_WINDOW_MS)
    this.starts = recent
    const allowed = this.options.maxRestarts ?? 5
    if (recent.length > allowed) {
      const tail = await logTail(this.logPath, 0)
      const message = `the Temporal server died (${how}), ${recent.length} times in ten minutes; given up. Its log: ${this.logPath}\n${tail}`
      say(message)
      this.settle(new Error(message))
      return
    }
    say(`the Temporal server died (${how}); starting it again`)
    // The first restart is at once; a server that keeps dying is given more time each turn.
    await delay(Math.min(5_000, 500 * (recent.length - 1)))
    if (this.stopping) return
    try {
      await this.launch()
      say('the Temporal server is back')
    } catch (error) {
      if (this.stopping) return
      say(error instanceof Error ? error.message : String(error))
      await this.onDeath('it did not start again')
    }
  }
}

/** Arguments for `setpriv`: die with us, hold the database's lock, serve. */
function serverArguments(options: DevServerOptions, ip: string): string[] {
  const lock = ['flock', '--nonblock', '--no-fork', '--conflict-exit-code', String(LOCK_HELD_EXIT_CODE), lockPathOf(options.databasePath)]
  const ui = options.uiPort === undefined ? ['--headless'] : ['--ui-port', String(options.uiPort), '--ui-disable-news-fetch']
  const serve = ['server', 'start-dev', '--db-filename', options.databasePath, '--ip', ip, '--port', String(options.port), ...ui]
  // Durable and fast: the CLI's own defaults are a rollback journal and no pragma at all.
  const pragmas = ['--sqlite-pragma', 'journal_mode=WAL', '--sqlite-pragma', 'synchronous=FULL']
  // The worker that decided on an activity of its own queue gets it at once, in the answer, without the way through the queue.
  const dynamic = ['--dynamic-config-value', 'system.enableActivityEagerExecution=true']
  return [
    '--pdeathsig',
    'KILL',
    ...lock,
    options.binaryPath,
    ...serve,
    ...pragmas,
    ...dynamic,
    '--log-format',
    'text',
    '--log-level',
    'warn',
    '--disable-config-file',
  ]
}

/** Polls the front end (there is nothing to subscribe to) until it answers. */
async function awaitAnswer(address: string, signal: AbortSignal): Promise<boolean> {
  const deadline = Date.now() + READY_TIMEOUT_MS
  while (!signal.aborted && Date.now() < deadline) {
    try {
      const connection = await Connection.connect({ address, connectTimeout: 2_000 })
      await connection.close()
      return true
    } catch {
      await delay(100, undefined, { signal }).catch(() => {})
    }
  }
  return false
}

async function rotateLog(path: string): Promise<void> {
  const size = await stat(path).then(
    (entry) => entry.size,
    () => 0,
  )
  if (size > LOG_ROTATE_BYTES) await rename(path, `${path}.1`)
}

/** The last lines that the server wrote after an offset. */
async function logTail(path: string, fromByte: number): Promise<string> {
  const text = await readFile(path).then(
    (bytes) => bytes.subarray(fromByte).toString('utf8'),
    () => '',
  )
  return text.trim().split('\n').slice(-8).join('\n')
}
