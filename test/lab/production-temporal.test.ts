/** The production layout's server on a real PostgreSQL, set up by the scripts and settings of the compose file, only without containers. */
import { fileURLToPath } from 'node:url'
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { namespaceOf, SEARCH_ATTRIBUTES, scheduleIds } from '../../src/domain/ids.js'
import { connectClient, existingCluster, type TemporalClient } from '../../src/temporal/connection.js'
import { prepareNamespace } from '../../src/temporal/namespace.js'
import { declareSchedule, monitorSchedule } from '../../src/temporal/schedules.js'
import { bundleOf } from '../support/bundles.js'
import { ProductionServer } from '../support/production-server.js'
import { answer, waitsForSignal } from '../support/workflows/waits-for-signal.js'

const BUILD_TIMEOUT_MS = 20 * 60_000
const NINETY_DAYS_SECONDS = 90 * 24 * 3600

let production: ProductionServer
let temporal: TemporalClient
let worker: Worker
let workerEnd: Promise<void>
let native: NativeConnection

beforeAll(async () => {
  Runtime.install({ logger: new DefaultLogger('ERROR') })
  production = await ProductionServer.prepare()
  production.postgres.start()
  await production.awaitPostgres()
}, BUILD_TIMEOUT_MS)

afterAll(async () => {
  worker?.shutdown()
  await workerEnd
  await native?.close()
  await temporal?.close()
  await production?.close()
})

describe('Temporal on PostgreSQL', () => {
  it('gets its schema from the schema job, which can run again', () => {
    for (const _time of ['first', 'second']) {
      const run = production.runScript('schema.sh')
      expect(run.output).not.toMatch(/"level":"error"/i)
      expect(run.status).toBe(0)
    }
  })

  it('starts with the settings of the compose file, and gets the namespace from the namespace job, which can run again', async () => {
    production.temporal.start()
    await production.awaitTemporal()
    for (const _time of ['first', 'second']) expect(production.runScript('namespace.sh')).toMatchObject({ status: 0 })
    const target = existingCluster(production.estateId, {
      TEMPORAL_ADDRESS: production.address,
      TEMPORAL_NAMESPACE: namespaceOf(production.estateId),
      HOME: production.folder,
    })
    if (target === undefined) throw new Error('TEMPORAL_ADDRESS was not taken')
    temporal = await connectClient(target)
    await prepareNamespace(temporal.connection, production.estateId)
    const namespace = namespaceOf(production.estateId)
    const { config } = await temporal.connection.workflowService.describeNamespace({ namespace })
    expect(Number(config?.workflowExecutionRetentionTtl?.seconds)).toBe(NINETY_DAYS_SECONDS)
    const { customAttributes } = await temporal.connection.operatorService.listSearchAttributes({ namespace })
    expect(Object.keys(customAttributes ?? {})).toEqual(expect.arrayContaining([...SEARCH_ATTRIBUTES]))
  })

  it('runs a workflow, which outlives a restart of PostgreSQL and one of the server by kill -9', async () => {
    native = await NativeConnection.connect({ address: production.address })
    const workflowBundle = await bundleOf(fileURLToPath(new URL('../support/workflows/waits-for-signal.ts', import.meta.url)))
    worker = await Worker.create({ connection: native, namespace: namespaceOf(production.estateId), taskQueue: 'trial', workflowBundle })
    workerEnd = worker.run()
    const handle = await temporal.client.workflow.start(waitsForSignal, { workflowId: 'trial', taskQueue: 'trial', staticSummary: 'A trial' })

    await production.postgres.stop()
    production.postgres.start()
    await production.awaitPostgres()
    await production.temporal.stop('SIGKILL')
    production.temporal.start()
    await production.awaitTemporal()

    await expect.poll(async () => await handle.signal(answer, 'still here').then(() => 'taken', String), { timeout: 60_000, interval: 250 }).toBe('taken')
    expect(await handle.result()).toBe('still here')
  })

  it('keeps the monitor’s schedule', async () => {
    await declareSchedule(temporal.client, monitorSchedule(production.estateId, 600))
    const { state } = await temporal.client.schedule.getHandle(scheduleIds.monitor(production.estateId)).describe()
    expect(state.paused).toBe(false)
  })

  it('ends when PostgreSQL is down at its start, so that it has to be restarted by whoever runs it', async () => {
    await production.temporal.stop()
    await production.postgres.stop()
    production.temporal.start()
    await expect(production.awaitTemporal()).rejects.toThrow(/it ended/)
  })
})
