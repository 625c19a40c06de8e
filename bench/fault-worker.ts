/**
 * A home worker that dies once, by SIGKILL, at a given point: `node dist/bench/fault-worker.js SETTINGS-JSON`.
 * It writes down every point that it passes; see `fault-scenario.ts`.
 */
import { appendFileSync, existsSync, writeFileSync } from 'node:fs'
import { type ActivityInterceptorsFactory, NativeConnection } from '@temporalio/worker'
import { loadRunbooks } from '../src/runbooks/index.js'
import { openState } from '../src/state/index.js'
import { targetOfAddress } from '../src/temporal/connection.js'
import { installRuntime } from '../src/temporal/runtime.js'
import { startHomeWorker } from '../src/worker.js'

export interface FaultWorkerSettings {
  readonly config: string
  readonly stateDir: string
  readonly address: string
  /** The workflow code, with the heartbeat time-out of the harness. */
  readonly bundle: string
  /** A point; absent = no fault. */
  readonly killAt?: string
  /** Exists once the fault has happened: it happens one time. */
  readonly marker: string
  /** The points that were passed, one a line. */
  readonly passed: string
}

const BEAT_EVERY_MS = 500

const settings = JSON.parse(process.argv[2] ?? '{}') as FaultWorkerSettings
const seen = new Map<string, number>()

/** `ACTIVITY#N`: the Nth task of this activity that this process took up. */
function nameOf(activity: string): string {
  const count = (seen.get(activity) ?? 0) + 1
  seen.set(activity, count)
  return `${activity}#${count}`
}

function pass(point: string): void {
  appendFileSync(settings.passed, `${point}\n`)
  if (settings.killAt !== point || existsSync(settings.marker)) return
  writeFileSync(settings.marker, point)
  process.kill(process.pid, 'SIGKILL')
}

const killer: ActivityInterceptorsFactory = (context) => ({
  inbound: {
    async execute(input, next) {
      const beating = setInterval(() => context.heartbeat(), BEAT_EVERY_MS)
      const name = nameOf(context.info.activityType)
      try {
        pass(`${name}:before`)
        const result = await next(input)
        pass(`${name}:after`)
        return result
      } finally {
        clearInterval(beating)
      }
    },
  },
})

await installRuntime({ logLevel: 'ERROR' })
const runbooks = await loadRunbooks(settings.config)
const { estate } = runbooks
const target = targetOfAddress(settings.address, estate.id)
const connection = await NativeConnection.connect(target.connectionOptions)
const state = await openState({ dir: settings.stateDir, estateId: estate.id })
const worker = await startHomeWorker({
  connection,
  namespace: target.namespace,
  configDir: settings.config,
  runbooks,
  state,
  activityInterceptors: [killer],
  workflowBundlePath: settings.bundle,
  handOver: { stickyQueueScheduleToStartTimeout: '1 second', maxHeartbeatThrottleInterval: BEAT_EVERY_MS },
})
process.stdout.write('ready\n')
await worker.stopped
state.close()
await connection.close()
