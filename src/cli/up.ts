/**
 * `nightshift up`: Temporal, worker and schedules of one estate, in the foreground.
 * Ctrl-C stops the worker first, then the server; what waits goes on waiting in Temporal's database.
 */
import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { NativeConnection } from '@temporalio/worker'
import { ConfigError } from '../domain/config-error.js'
import { taskQueueOf, workflowIds } from '../domain/ids.js'
import { makeRedact } from '../domain/redact.js'
import { EXIT_CODE_BY_SEVERITY, type StatusDocument } from '../domain/status.js'
import { knownSecrets, loadRunbooks } from '../runbooks/index.js'
import { openState, readStatusFile, stateDirectory } from '../state/index.js'
import { connectClient, existingCluster, type TemporalTarget, targetOfAddress } from '../temporal/connection.js'
import { type DevServer, startDevServer } from '../temporal/dev-server.js'
import { prepareNamespace } from '../temporal/namespace.js'
import { installRuntime } from '../temporal/runtime.js'
import { canarySchedule, declareSchedule, gatesSchedule, monitorSchedule } from '../temporal/schedules.js'
import { resolveServerBinary } from '../temporal/server-binary.js'
import { heartbeatSetting, startHomeWorker } from '../worker.js'
import { MetricsPublisher } from './metrics.js'
import { forgetRunningUp, rememberRunningUp } from './running-up.js'
import { startOrFollow } from './start-run.js'
import { printStatus } from './status.js'

export interface UpOptions {
  readonly config: string
  readonly once: boolean
  readonly json: boolean
  readonly temporalPort: number
  readonly uiPort: number
  /** Folder of the embedded server's database; in the state folder unless told. */
  readonly temporalData?: string
  readonly metricsAddress?: string
}

/** Lines for people go to stderr: stdout is for the table or the JSON document. */
const say = (line: string): void => void process.stderr.write(`${line}\n`)

/** Runs until it is told to stop. @returns the exit code */
export async function up(options: UpOptions): Promise<number> {
  const runbooks = await loadRunbooks(options.config)
  const { estate } = runbooks
  const redact = makeRedact(knownSecrets(runbooks))
  const told = new Stop()
  const stateDir = stateDirectory(estate.id)
  const undo: (() => Promise<void> | void)[] = []
  try {
    const state = await openState({ dir: stateDir, estateId: estate.id })
    undo.push(() => state.close())
    for (const notice of state.notices) say(notice)

    const runtime = await installRuntime({
      ownSignals: true,
      redact,
      ...(options.metricsAddress === undefined ? {} : { metricsAddress: options.metricsAddress }),
    })
    // The SDK ends its runtime with the last connection; when none was made, its metrics endpoint would keep this process from ending.
    undo.push(() => runtime.shutdown())
    const metrics = new MetricsPublisher(runtime)
    const { target, server } = await reachTemporal(options, estate.id, stateDir)
    if (server !== undefined) undo.push(() => server.stop())

    const { client, connection, close } = await connectClient(target)
    undo.push(close)
    await prepareNamespace(connection, estate.id)

    const native = await NativeConnection.connect(target.connectionOptions)
    undo.push(() => native.close())
    const heartbeatSeconds = heartbeatSetting(process.env.NIGHTSHIFT_HEARTBEAT_SECONDS)
    const worker = await startHomeWorker({
      heartbeatSeconds,
      connection: native,
      namespace: target.namespace,
      configDir: options.config,
      runbooks,
      state,
      onStatus: (status) => {
        metrics.publish(status)
        if (!options.once) say(passLine(status))
      },
    })
    undo.push(async () => {
      worker.shutdown()
      await worker.stopped
    })
    const previous = readStatusFile(stateDir)
    if (previous !== undefined) metrics.publish(previous)

    if (!options.once) {
      await declareSchedule(client, monitorSchedule(estate.id, estate.monitor.periodSeconds))
      await declareSchedule(client, gatesSchedule(estate.id, estate.timezone))
      await declareSchedule(client, canarySchedule(estate.id, estate.timezone))
      rememberRunningUp(stateDir, { address: target.connectionOptions.address ?? '', namespace: target.namespace, uiUrl: server?.uiUrl ?? null })
      undo.push(() => forgetRunningUp(stateDir))
    }
    say(
      `Estate ${estate.id}: worker is up. Temporal ${target.connectionOptions.address}, namespace ${target.namespace}${server?.uiUrl ? `, UI ${server.uiUrl}/namespaces/${target.namespace}/workflows` : ''}`,
    )

    const run = await startOrFollow(client, { type: 'backupMonitor', workflowId: workflowIds.monitor(estate.id), taskQueue: taskQueueOf(estate.id), input: {} })
    if (run.followed) {
      say('A pass was begun before this start; it goes on now. Until it ends, the newest status is that of an earlier pass.')
      if (previous !== undefined && !options.json && !options.once) printStatus(previous, { json: false })
    }
    const outcome = await Promise.race([run.handle.result().then(() => 'done' as const), told.promise, worker.stopped.then(() => 'worker ended' as const)])
    if (outcome !== 'done') return await endOf(outcome, told)
    const status = readStatusFile(stateDir)
    if (status === undefined) throw new Error(`the pass ended without a status in ${stateDir}`)
    printStatus(status, { json: options.json })
    if (options.once) return EXIT_CODE_BY_SEVERITY[status.verdict]

    say(`A pass every ${estate.monitor.periodSeconds / 60} min. \`nightshift status\` shows the newest; Ctrl-C stops.`)
    const ending = await Promise.race([
      told.promise,
      worker.stopped.then(() => 'worker ended' as const),
      ...(server ? [server.ended.then(() => 'server ended' as const)] : []),
    ])
    return await endOf(ending, told)
  } finally {
    for (const step of undo.reverse())
      await Promise.resolve(step()).catch((error: unknown) => say(`while stopping: ${error instanceof Error ? error.message : String(error)}`))
    told.release()
  }
}

async function reachTemporal(options: UpOptions, estateId: string, stateDir: string): Promise<{ target: TemporalTarget; server?: DevServer }> {
  const existing = existingCluster(estateId)
  if (existing !== undefined) return { target: existing }
  const databasePath = join(options.temporalData ?? join(stateDir, 'temporal'), 'temporal.db')
  await mkdir(dirname(databasePath), { recursive: true, mode: 0o700 })
  const server = await startDevServer({
    binaryPath: await resolveServerBinary(say),
    databasePath,
    port: options.temporalPort,
    uiPort: options.uiPort,
    say,
  })
  return { target: targetOfAddress(server.address, estateId), server }
}

async function endOf(ending: string, told: Stop): Promise<number> {
  if (told.asked) {
    say('Stopping: worker first, then the server. What waits goes on waiting.')
    return 0
  }
  throw new ConfigError(`nightshift stopped by itself: ${ending}`, 'read the lines above; then start it again')
}

function passLine(status: StatusDocument): string {
  const worse = status.findings.length === 0 ? '' : `, ${status.findings.length} findings`
  return `${status.takenAt} pass: ${status.verdict}, ${status.seen} of ${status.expected} targets seen${worse}`
}

/** The operator's wish to stop: the first signal asks, a second one within the grace time is the shell's business. */
class Stop {
  asked = false
  readonly promise: Promise<'told to stop'>
  readonly #listener: () => void

  constructor() {
    let resolve: (value: 'told to stop') => void = () => {}
    this.promise = new Promise((settle) => {
      resolve = settle
    })
    this.#listener = () => {
      this.asked = true
      resolve('told to stop')
    }
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, this.#listener)
  }

  release(): void {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, this.#listener)
  }
}
