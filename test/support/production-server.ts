/**
 * The production layout without containers: PostgreSQL from the lab's root tree, the real Temporal server and schema tool built from the pinned Go
 * modules, set up by the very scripts and settings of `docker-compose.temporal.yml`.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  accessSync,
  chownSync,
  constants,
  createWriteStream,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Connection } from '@temporalio/client'
import { treePath } from '../../lab/tree-check.js'
import { packageRoot } from '../../src/temporal/package-root.js'
import { anyFreePort, whyPortIsNotFree } from '../../src/temporal/ports.js'
import { cacheFolder, resolveServerBinary } from '../../src/temporal/server-binary.js'
import { TEMPORAL_SERVER_VERSION } from '../../src/temporal/server-version.js'
import { type ComposeFile, parseCompose } from './compose.js'

const PROGRAMS = { server: 'go.temporal.io/server/cmd/server', sql: 'go.temporal.io/server/cmd/tools/sql' } as const

/** Builds server and schema tool once into the cache (seconds where Go has built the CLI, minutes where not). */
function productionPrograms(): { readonly server: string; readonly sql: string } {
  const folder = join(cacheFolder(), 'temporal-server', TEMPORAL_SERVER_VERSION)
  const paths = { server: join(folder, 'server'), sql: join(folder, 'sql') }
  mkdirSync(folder, { recursive: true })
  for (const [name, goPackage] of Object.entries(PROGRAMS)) {
    const path = join(folder, name)
    if (isExecutable(path)) continue
    const made = `${path}.${process.pid}`
    const build = spawnSync('go', ['build', '-trimpath', '-ldflags=-s -w', '-o', made, goPackage], {
      cwd: join(packageRoot(), 'tools/temporal'),
      env: { ...process.env, CGO_ENABLED: '0', GOMAXPROCS: '', GOGC: '' },
      encoding: 'utf8',
    })
    if (build.status !== 0)
      throw new Error(`the Temporal server for production cannot be built; it needs Go 1.26 or later on PATH: ${build.error?.message ?? build.stderr}`)
    renameSync(made, path)
  }
  return paths
}

/** A child process that is ended by signal and waited for. */
class Service {
  #child: ChildProcess | undefined

  constructor(
    private readonly begin: () => ChildProcess,
    private readonly endSignal: NodeJS.Signals,
  ) {}

  get running(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  start(): void {
    this.#child = this.begin()
  }

  async stop(signal: NodeJS.Signals = this.endSignal): Promise<void> {
    const child = this.#child
    if (child === undefined || !this.running) return
    const gone = once(child, 'exit')
    child.kill(signal)
    await gone
  }
}

export class ProductionServer {
  readonly folder = mkdtempSync(join(tmpdir(), 'nightshift-production-'))
  readonly compose: ComposeFile
  readonly postgres: Service
  readonly temporal: Service
  readonly cliPath: string
  readonly estateId = 'prod'
  #databasePort = 0
  #ports: Readonly<Record<string, number>> = {}

  private constructor(
    cliPath: string,
    private readonly programs: { readonly server: string; readonly sql: string },
    private readonly password: string,
    compose: ComposeFile,
  ) {
    this.cliPath = cliPath
    this.compose = compose
    this.postgres = new Service(() => this.#startPostgres(), 'SIGINT')
    this.temporal = new Service(() => this.#startTemporal(), 'SIGTERM')
  }

  static async prepare(): Promise<ProductionServer> {
    const { file, password } = parseCompose()
    const server = new ProductionServer(await resolveServerBinary(), productionPrograms(), password, file)
    server.#databasePort = await anyFreePort()
    const names = [
      'FRONTEND_GRPC',
      'FRONTEND_HTTP',
      'FRONTEND_MEMBERSHIP',
      'MATCHING_GRPC',
      'MATCHING_MEMBERSHIP',
      'HISTORY_GRPC',
      'HISTORY_MEMBERSHIP',
      'WORKER_GRPC',
      'WORKER_MEMBERSHIP',
    ]
    const ports: Record<string, number> = {}
    for (const name of names) ports[`${name}_PORT`] = await freeLowPort(Object.values(ports))
    server.#ports = ports
    server.#initDatabase()
    return server
  }

  get address(): string {
    return `127.0.0.1:${this.#ports.FRONTEND_GRPC_PORT}`
  }

  /** Runs a script of `deploy/temporal` with the environment that its service has in the compose file; only addresses differ. */
  runScript(name: 'schema.sh' | 'namespace.sh'): { readonly status: number | null; readonly output: string } {
    const bin = join(this.folder, 'bin')
    mkdirSync(bin, { recursive: true })
    for (const [link, target] of [
      ['temporal-sql-tool', this.programs.sql],
      ['temporal', this.cliPath],
    ] as const) {
      rmSync(join(bin, link), { force: true })
      symlinkSync(target, join(bin, link))
    }
    const service = name === 'schema.sh' ? 'temporal-schema' : 'temporal-namespace'
    const here = {
      SQL_HOST: '127.0.0.1',
      SQL_PORT: String(this.#databasePort),
      TEMPORAL_ADDRESS: this.address,
      PATH: `${bin}:${process.env.PATH}`,
      HOME: this.folder,
    }
    const run = spawnSync('sh', [join(packageRoot(), 'deploy/temporal', name)], { encoding: 'utf8', env: { ...this.#environmentOf(service), ...here } })
    return { status: run.status, output: run.stdout + run.stderr }
  }

  /** Waits until PostgreSQL takes connections. */
  async awaitPostgres(): Promise<void> {
    await this.#until('PostgreSQL', this.postgres, async () => this.#inTree(['pg_isready', '--host=127.0.0.1', `--port=${this.#databasePort}`]).status === 0)
  }

  /** Waits until the front end answers with the cluster up behind it. */
  async awaitTemporal(): Promise<void> {
    await this.#until('Temporal', this.temporal, async () => {
      const connection = await Connection.connect({ address: this.address, connectTimeout: 1_000 })
      try {
        await connection.workflowService.listNamespaces({})
        return true
      } finally {
        await connection.close()
      }
    })
  }

  async close(): Promise<void> {
    await this.temporal.stop()
    await this.postgres.stop()
    rmSync(this.folder, { recursive: true, force: true })
  }

  #environmentOf(service: string): Record<string, string> {
    return { ...this.compose.services[service]?.environment }
  }

  #startTemporal(): ChildProcess {
    const ports = Object.fromEntries(Object.entries(this.#ports).map(([name, port]) => [name, String(port)]))
    const here = {
      POSTGRES_SEEDS: '127.0.0.1',
      DB_PORT: String(this.#databasePort),
      BIND_ON_IP: '127.0.0.1',
      DYNAMIC_CONFIG_FILE_PATH: join(packageRoot(), 'deploy/temporal/dynamicconfig.yaml'),
      PATH: process.env.PATH ?? '',
      ...ports,
    }
    return this.#spawn('setpriv', ['--pdeathsig', 'KILL', this.programs.server, 'start'], { ...this.#environmentOf('temporal'), ...here }, 'temporal.log')
  }

  #startPostgres(): ChildProcess {
    const settings = [
      `port=${this.#databasePort}`,
      'listen_addresses=127.0.0.1',
      'unix_socket_directories=/srv',
      'dynamic_shared_memory_type=mmap',
      'max_connections=200',
    ]
    const args = ['postgres', '-D', '/srv/data', ...settings.flatMap((setting) => ['-c', setting])]
    const [program = '', ...rest] = this.#treeCommand(args)
    return this.#spawn(program, rest, { PATH: process.env.PATH ?? '' }, 'postgres.log')
  }

  #initDatabase(): void {
    const [uid, gid] = this.#postgresIds()
    const data = join(this.folder, 'srv')
    mkdirSync(data, { mode: 0o700 })
    writeFileSync(join(data, 'password'), this.password, { mode: 0o600 })
    for (const path of [data, join(data, 'password')]) chownSync(path, uid, gid)
    const user = this.#environmentOf('postgresql').POSTGRES_USER ?? ''
    const made = this.#inTree([
      'initdb',
      '-D',
      '/srv/data',
      `--username=${user}`,
      '--pwfile=/srv/password',
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      '--no-sync',
    ])
    if (made.status !== 0) throw new Error(`initdb: ${made.stderr}`)
  }

  #inTree(command: readonly string[]) {
    const [program = '', ...args] = this.#treeCommand(command)
    return spawnSync(program, args, { encoding: 'utf8', env: { PATH: process.env.PATH, LC_ALL: 'C.UTF-8' } })
  }

  /** A program of the tree's PostgreSQL, as its user, in a mount namespace where our folder is the tree's /srv. The tree itself stays as it is. */
  #treeCommand(command: readonly string[]): string[] {
    const tree = treePath()
    const [program, ...args] = command
    const version = readdirSync(join(tree, 'usr/lib/postgresql'))[0] ?? ''
    const script =
      'set -e; mount --bind "$1" "$2/srv"; mount --rbind /dev "$2/dev"; mount -t proc proc "$2/proc"; tree=$2; shift 2; exec chroot "$tree" setpriv --reuid=postgres --regid=postgres --clear-groups --pdeathsig KILL "$@"'
    return ['unshare', '--mount', 'sh', '-c', script, 'sh', join(this.folder, 'srv'), tree, `/usr/lib/postgresql/${version}/bin/${program}`, ...args]
  }

  #postgresIds(): [number, number] {
    const line = /^postgres:[^:]*:(\d+):(\d+):/m.exec(readFileSync(join(treePath(), 'etc/passwd'), 'utf8'))
    return [Number(line?.[1]), Number(line?.[2])]
  }

  #spawn(program: string, args: readonly string[], env: Record<string, string>, logName: string): ChildProcess {
    const child = spawn(program, args, { env, cwd: this.folder, stdio: ['ignore', 'pipe', 'pipe'] })
    const log = createWriteStream(join(this.folder, logName), { flags: 'a' })
    child.stdout.pipe(log, { end: false })
    child.stderr.pipe(log, { end: false })
    child.once('exit', () => log.end())
    return child
  }

  async #until(what: string, service: Service, ready: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + 60_000
    while (Date.now() < deadline && service.running) {
      if (await ready().catch(() => false)) return
      await delay(100)
    }
    const log = readFileSync(join(this.folder, what === 'PostgreSQL' ? 'postgres.log' : 'temporal.log'), 'utf8')
    throw new Error(`${what} is not ready${service.running ? '' : ' (it ended)'}: ${log.split('\n').slice(-6).join('\n')}`)
  }
}

/** The server keeps its ports in a column of type int2: none above 32,767 (PostgreSQL refuses the row, and the server ends). */
async function freeLowPort(taken: readonly number[]): Promise<number> {
  for (let port = 20_000 + Math.floor(Math.random() * 10_000); port < 32_768; port += 1) {
    if (!taken.includes(port) && (await whyPortIsNotFree('127.0.0.1', port)) === undefined) return port
  }
  throw new Error('no free port below 32,768')
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
