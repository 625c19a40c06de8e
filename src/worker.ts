/**
 * The worker: runs the workflows and the activities of one estate.
 * With the state folder it is the estate's one home worker; with `site` it only reads the hosts of that site.
 * As a program it is the latter: `node dist/src/worker.js --config DIR --site SITE`. The home worker is part of `nightshift up`.
 */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type ActivityInterceptorsFactory, NativeConnection, Worker, type WorkerOptions } from '@temporalio/worker'
import { createArtifactSiteActivities, createArtifactStateActivities } from './activities/artifact-proof.js'
import { type ChangeSiteDeps, createChangeSiteActivities, createChangeStateActivities } from './activities/change.js'
import { createDeskActivities } from './activities/desk.js'
import { hostsUnderChange, signalDesk } from './activities/desk-client.js'
import { createRelaySiteActivities, createRelayStateActivities, type RelaySiteDeps } from './activities/email-relay.js'
import { createEnrollmentSiteActivities, createEnrollmentStateActivities } from './activities/enrollment.js'
import { createGateActivities } from './activities/gates.js'
import { createDeliveryActivities } from './activities/mail.js'
import { createSiteActivities, createStateActivities, type ReadingDeps } from './activities/monitor.js'
import { redactionInterceptor } from './activities/redaction.js'
import { createRetentionSiteActivities, createRetentionStateActivities } from './activities/retention.js'
import { RunbookKeeper } from './activities/runbook-keeper.js'
import { signsOfLife } from './activities/signs-of-life.js'
import { createVzdumpSiteActivities, createVzdumpStateActivities } from './activities/vzdump.js'
import { createWatcherSiteActivities, createWatcherStateActivities } from './activities/watcher.js'
import { ConfigError } from './domain/config-error.js'
import type { RunbookSet } from './domain/estate.js'
import { queueNames, taskQueueOf } from './domain/ids.js'
import { makeRedact } from './domain/redact.js'
import type { StatusDocument } from './domain/status.js'
import { knownSecrets, loadRunbooks, resolveSecret } from './runbooks/index.js'
import { SshPool } from './ssh/index.js'
import type { StateFolder } from './state/index.js'
import { withSettings, workflowBundlePath } from './temporal/bundle-workflows.js'
import { existingCluster } from './temporal/connection.js'
import { packageVersion } from './temporal/package-root.js'
import { installRuntime } from './temporal/runtime.js'

/** In-flight activities may finish within this time after a shutdown was asked for. */
export const SHUTDOWN_GRACE_SECONDS = 20

/** Long enough for a machine that is busy or a connection that is slow, short enough that nobody waits long for what a dead worker held. */
export const HEARTBEAT_SECONDS = 20

/** Connections are kept from one pass to the next. */
const IDLE_PERIODS = 1.5

/** Three unanswered ones end a connection: a host that vanished between two passes is noticed within 12 s. */
const KEEPALIVE_MS = 4_000

/**
 * What NIGHTSHIFT_HEARTBEAT_SECONDS says: 2 to 600; unset or empty: `HEARTBEAT_SECONDS`.
 * @throws ConfigError
 */
export function heartbeatSetting(text: string | undefined): number {
  if (text === undefined || text === '') return HEARTBEAT_SECONDS
  const seconds = /^\d{1,3}$/.test(text) ? Number(text) : Number.NaN
  if (seconds >= 2 && seconds <= 600) return seconds
  throw new ConfigError(
    `NIGHTSHIFT_HEARTBEAT_SECONDS is ${JSON.stringify(text)}`,
    `set it to whole seconds from 2 to 600, or unset it: ${HEARTBEAT_SECONDS} is used then`,
  )
}

export interface RunningWorkers {
  /** Resolves when all workers have stopped; rejects when one of them dies. */
  readonly stopped: Promise<void>
  /** The states that `/healthz` and `doctor` go by. */
  states(): string[]
  shutdown(): void
  readonly sshPool: SshPool
}

export interface HomeWorkerOptions {
  readonly connection: NativeConnection
  readonly namespace: string
  readonly configDir: string
  readonly runbooks: RunbookSet
  readonly state: StateFolder
  readonly onStatus?: (status: StatusDocument) => void
  /** Further interceptors around every activity, outside of the redaction. */
  readonly activityInterceptors?: readonly ActivityInterceptorsFactory[]
  /** The file of the workflow code; the build's unless told. */
  readonly workflowBundlePath?: string
  /** What workflow interceptors of the bundle may call; the build's has none. */
  readonly sinks?: NonNullable<WorkerOptions['sinks']>
  /** An activity whose worker was silent for so long is given up, and goes to another one; `HEARTBEAT_SECONDS` unless told. */
  readonly heartbeatSeconds?: number
  /** How soon work that a dead worker held is handed on; the SDK's times unless told. */
  readonly handOver?: Pick<WorkerOptions, 'stickyQueueScheduleToStartTimeout' | 'maxHeartbeatThrottleInterval'>
}

/** Starts the estate's home worker: workflows, the reading of sites without a worker of their own, and everything that touches the state folder. */
export async function startHomeWorker(options: HomeWorkerOptions): Promise<RunningWorkers> {
  const { connection, namespace, runbooks, state } = options
  const reading = readingDeps(runbooks)
  const local = { runbooks: new RunbookKeeper(options.configDir), state, onStatus: options.onStatus ?? (() => {}), version: packageVersion() }
  const site = {
    ...createSiteActivities(reading, local),
    ...createArtifactSiteActivities(reading),
    ...createEnrollmentSiteActivities(reading),
    ...createVzdumpSiteActivities(reading),
    ...createRetentionSiteActivities(reading),
    ...createWatcherSiteActivities(reading),
    ...createChangeSiteActivities(changing(reading, options.configDir)),
    ...createRelaySiteActivities(changing(reading, options.configDir)),
  }
  const ends = createStateActivities({ ...reading, ...local })
  const stateActivities = {
    ...ends,
    ...createArtifactStateActivities({ ...reading, ...local }),
    ...createEnrollmentStateActivities({ ...reading, ...local, configDir: options.configDir }),
    ...createVzdumpStateActivities({ ...reading, ...local }),
    ...createRetentionStateActivities({ ...reading, ...local }),
    ...createGateActivities({ ...reading, ...local }),
    ...createWatcherStateActivities(local),
    ...createChangeStateActivities({ ...local, configDir: options.configDir, redact: reading.redact }),
    ...createRelayStateActivities({ ...reading, ...local, configDir: options.configDir }),
  }
  const { closeDelivery, ...delivery } = createDeliveryActivities({
    alerts: async () => (await local.runbooks.refresh()).set.alerts,
    configDir: options.configDir,
    redact: reading.redact,
  })
  const { tellDesk, ...desk } = createDeskActivities({ ...reading, ...local, signalDesk, hostsUnderChange })
  const queues = queueNames(taskQueueOf(runbooks.estate.id))
  const shared = { ...sharedOptions(connection, namespace, reading, options.activityInterceptors), ...options.handOver }
  const code = await readFile(options.workflowBundlePath ?? workflowBundlePath(), 'utf8')
  const workers = await Promise.all([
    Worker.create({
      ...shared,
      taskQueue: queues.common,
      workflowBundle: { code: withSettings(code, { heartbeatSeconds: options.heartbeatSeconds ?? HEARTBEAT_SECONDS }) },
      maxCachedWorkflows: 100,
      ...(options.sinks === undefined ? {} : { sinks: options.sinks }),
      // The ends of a pass run within its workflow tasks; by the queue for passes that began before they did.
      activities: { ...site, ...ends, tellDesk },
    }),
    Worker.create({ ...shared, taskQueue: queues.state, activities: { ...stateActivities, tellDesk, ...desk, ...delivery } }),
  ])
  return running(workers, reading, closeDelivery)
}

/** Starts a worker that sits at one site and only reads that site's hosts. It holds SSH keys and nothing else. */
export async function startSiteWorker(options: Omit<HomeWorkerOptions, 'state' | 'onStatus'> & { site: string }): Promise<RunningWorkers> {
  const site = options.runbooks.estate.sites.find((each) => each.id === options.site)
  if (site?.taskQueue === undefined) {
    throw new Error(`estate.yaml gives site ${options.site} no task_queue, so no worker of its own can serve it; add one, or run \`nightshift up\` alone`)
  }
  const reading = readingDeps(options.runbooks)
  const worker = await Worker.create({
    ...sharedOptions(options.connection, options.namespace, reading),
    taskQueue: site.taskQueue,
    activities: {
      ...createSiteActivities(reading),
      ...createArtifactSiteActivities(reading),
      ...createEnrollmentSiteActivities(reading),
      ...createVzdumpSiteActivities(reading),
      ...createRetentionSiteActivities(reading),
      ...createWatcherSiteActivities(reading),
      ...createChangeSiteActivities(changing(reading, options.configDir)),
      ...createRelaySiteActivities(changing(reading, options.configDir)),
    },
  })
  return running([worker], reading)
}

/** A step may write a secret to a host: the worker at the host's site resolves it. */
function changing(reading: ReadingDeps, configDir: string): ChangeSiteDeps & RelaySiteDeps {
  return { ...reading, secret: (reference) => resolveSecret(reference, configDir) }
}

function readingDeps(runbooks: RunbookSet): ReadingDeps & { readonly pool: SshPool } {
  const redact = makeRedact(knownSecrets(runbooks))
  const { configPath, knownHostsPaths } = runbooks.estate.ssh
  const pool = new SshPool({
    configPath,
    knownHostsPaths,
    redact,
    idleCloseMs: IDLE_PERIODS * runbooks.estate.monitor.periodSeconds * 1000,
    keepaliveIntervalMs: KEEPALIVE_MS,
  })
  return { pool, ssh: () => pool, redact, now: () => new Date() }
}

function sharedOptions(connection: NativeConnection, namespace: string, reading: ReadingDeps, further: readonly ActivityInterceptorsFactory[] = []) {
  return {
    connection,
    namespace,
    shutdownGraceTime: `${SHUTDOWN_GRACE_SECONDS} seconds`,
    interceptors: { activity: [signsOfLife, ...further, redactionInterceptor(reading.redact)] },
  } satisfies Partial<WorkerOptions>
}

function running(workers: Worker[], reading: { readonly pool: SshPool }, close: () => void = () => {}): RunningWorkers {
  const stopped = Promise.all(workers.map((worker) => worker.run())).then(() => {
    close()
    return reading.pool.close()
  })
  return {
    stopped,
    states: () => workers.map((worker) => worker.getState()),
    shutdown() {
      for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown()
    },
    sshPool: reading.pool,
  }
}

/** The program of a site's worker: runs until it is told to stop. @returns the exit code */
async function siteWorkerProgram(argv: readonly string[]): Promise<number> {
  const { values } = parseArgs({ args: [...argv], options: { config: { type: 'string' }, site: { type: 'string' } } })
  if (values.site === undefined || values.config === undefined) {
    process.stderr.write('usage: node dist/src/worker.js --config DIR --site SITE\n  → the home worker is part of `nightshift up`\n')
    return 64
  }
  const runbooks = await loadRunbooks(values.config)
  const target = existingCluster(runbooks.estate.id)
  if (target === undefined)
    throw new ConfigError(
      'the environment names no Temporal server',
      `TEMPORAL_ADDRESS=HOST:7233 node dist/src/worker.js --config ${values.config} --site ${values.site}`,
    )
  await installRuntime({ redact: makeRedact(knownSecrets(runbooks)) })
  const connection = await NativeConnection.connect(target.connectionOptions)
  try {
    const worker = await startSiteWorker({ connection, namespace: target.namespace, configDir: values.config, runbooks, site: values.site })
    process.stderr.write(`Worker for site ${values.site} of estate ${runbooks.estate.id} is up. Ctrl-C stops it.\n`)
    await worker.stopped
    return 0
  } finally {
    await connection.close()
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    process.exitCode = await siteWorkerProgram(process.argv.slice(2))
  } catch (error) {
    const next = error instanceof ConfigError ? `\n  → ${error.next}` : ''
    process.stderr.write(`nightshift worker: ${error instanceof Error ? error.message : String(error)}${next}\n`)
    process.exitCode = 78
  }
}
