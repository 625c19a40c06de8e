/**
 * A home worker that dies by SIGKILL, or lets the Temporal server die, at given points. It is told what to do by one line of JSON on its standard input
 * (until then it waits, loaded), and writes down every point that it passes; see `fault-scenario.ts`.
 */
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { Client } from '@temporalio/client'
import { type ActivityInterceptorsFactory, type InjectedSinks, NativeConnection } from '@temporalio/worker'
import { loadRunbooks } from '../src/runbooks/index.js'
import { openState } from '../src/state/index.js'
import { targetOfAddress } from '../src/temporal/connection.js'
import { installRuntime } from '../src/temporal/runtime.js'
import { startHomeWorker } from '../src/worker.js'
import type { FaultSinks } from './fault-workflows.js'

export interface FaultWorkerSettings {
  readonly config: string
  readonly stateDir: string
  readonly address: string
  /** The workflow code, with the interceptors of `fault-workflows.ts`. */
  readonly bundle: string
  /** What dies where. */
  readonly faults: readonly { readonly point: string; readonly dies: 'worker' | 'server' }[]
  /** The points where the fault has happened, one a line: each happens one time. */
  readonly done: string
  /** The points that were passed, one a line. */
  readonly passed: string
}

/** The product's is longer: here somebody waits for each death to be noticed. */
const HEARTBEAT_SECONDS = 2
const TIMER_IN_HISTORY_WITHIN_MS = 5_000

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const nextLine = async (): Promise<string> => {
  const { value, done } = await lines.next()
  // Whoever started us is gone.
  if (done === true) process.exit(0)
  return value as string
}

await installRuntime({ logLevel: 'ERROR' })
const settings = JSON.parse(await nextLine()) as FaultWorkerSettings

/** Writes the point down, and lets die what is to die here. */
async function pass(point: string): Promise<void> {
  appendFileSync(settings.passed, `${point}\n`)
  const fault = settings.faults.find((each) => each.point === point)
  if (fault === undefined || isDone(point)) return
  appendFileSync(settings.done, `${point}\n`)
  if (fault.dies === 'worker') process.kill(process.pid, 'SIGKILL')
  process.stdout.write(`kill the server at ${point}\n`)
  await nextLine()
}

const isDone = (point: string): boolean => existsSync(settings.done) && readFileSync(settings.done, 'utf8').split('\n').includes(point)

/** The ID of an activity (`fault-workflows.ts`) is the same in every attempt and every replay. */
const killer: ActivityInterceptorsFactory = (context) => ({
  inbound: {
    async execute(input, next) {
      const name = `${context.info.workflowType}/${context.info.activityId}`
      await pass(`${name}: before`)
      const result = await next(input)
      await pass(`${name}: after`)
      return result
    },
  },
})

const runbooks = await loadRunbooks(settings.config)
const { estate } = runbooks
const target = targetOfAddress(settings.address, estate.id)
const connection = await NativeConnection.connect(target.connectionOptions)
const client = new Client({ connection, namespace: target.namespace })
const state = await openState({ dir: settings.stateDir, estateId: estate.id })

/** Told before the server knows of the timer: the fault waits until it does. */
const sinks: InjectedSinks<FaultSinks> = {
  faults: {
    timer: {
      callDuringReplay: false,
      fn: ({ workflowType, workflowId, runId }, timerId, name) => void whenStarted(`${workflowType}/${name}`, { workflowId, runId }, timerId),
    },
  },
}

async function whenStarted(point: string, run: { workflowId: string; runId: string }, timerId: string): Promise<void> {
  const isInHistory = async () => {
    const { events } = await client.workflow.getHandle(run.workflowId, run.runId).fetchHistory()
    return events?.some((event) => event.timerStartedEventAttributes?.timerId === timerId) ?? false
  }
  const deadline = Date.now() + TIMER_IN_HISTORY_WITHIN_MS
  while (Date.now() < deadline) if (await isInHistory().catch(() => false)) return await pass(point)
}

const worker = await startHomeWorker({
  connection,
  namespace: target.namespace,
  configDir: settings.config,
  runbooks,
  state,
  activityInterceptors: [killer],
  sinks,
  workflowBundlePath: settings.bundle,
  heartbeatSeconds: HEARTBEAT_SECONDS,
  handOver: { stickyQueueScheduleToStartTimeout: '1 second', maxHeartbeatThrottleInterval: 500 },
})
process.stdout.write('ready\n')
await worker.stopped
state.close()
await connection.close()
process.exit(0)
