/**
 * A home worker that dies once, by SIGKILL, at a given point: `node dist/bench/fault-worker.js SETTINGS-JSON`.
 * A point is `ACTIVITY:before` (taken up, nothing done yet) or `ACTIVITY:after` (done, Temporal not told yet).
 */
import { existsSync, writeFileSync } from 'node:fs'
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
  /** `ACTIVITY:before|after`; absent = no fault. */
  readonly killAt?: string
  /** Exists once the fault has happened: it happens one time. */
  readonly marker: string
}

const settings = JSON.parse(process.argv[2] ?? '{}') as FaultWorkerSettings

function dieAt(point: string): void {
  if (settings.killAt !== point || existsSync(settings.marker)) return
  writeFileSync(settings.marker, point)
  process.kill(process.pid, 'SIGKILL')
}

const killer: ActivityInterceptorsFactory = (context) => ({
  inbound: {
    async execute(input, next) {
      dieAt(`${context.info.activityType}:before`)
      const result = await next(input)
      dieAt(`${context.info.activityType}:after`)
      return result
    },
  },
})

await installRuntime({ logLevel: 'ERROR' })
const runbooks = await loadRunbooks(settings.config)
const { estate } = runbooks
const target = targetOfAddress(settings.address, estate.id)
const connection = await NativeConnection.connect(target.connectionOptions)
const state = await openState({ dir: settings.stateDir, estateId: estate.id })
const worker = await startHomeWorker({ connection, namespace: target.namespace, configDir: settings.config, runbooks, state, activityInterceptors: [killer] })
process.stdout.write('ready\n')
await worker.stopped
state.close()
await connection.close()
