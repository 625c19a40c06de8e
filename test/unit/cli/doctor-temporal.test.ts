/** The doctor's look at Temporal, against a real server. */

import { join } from 'node:path'
import { NativeConnection, Worker } from '@temporalio/worker'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { checkTemporal } from '../../../src/cli/doctor/temporal.js'
import type { RunbookSet } from '../../../src/domain/estate.js'
import { stateQueueOf } from '../../../src/domain/ids.js'
import { loadRunbooks } from '../../../src/runbooks/index.js'
import { connectClient, type TemporalClient, targetOfAddress } from '../../../src/temporal/connection.js'
import { prepareNamespace } from '../../../src/temporal/namespace.js'
import { declareSchedule, monitorSchedule } from '../../../src/temporal/schedules.js'
import { startTestServer, type TestServer } from '../../support/dev-server.js'

let server: TestServer
let client: TemporalClient
let set: RunbookSet

beforeAll(async () => {
  server = await startTestServer()
  vi.stubEnv('TEMPORAL_ADDRESS', server.server.address)
  vi.stubEnv('TEMPORAL_NAMESPACE', undefined)
  vi.stubEnv('NIGHTSHIFT_STATE', join(server.folder, 'no-state'))
  set = await loadRunbooks(join(import.meta.dirname, '../../../runbooks'))
  client = await connectClient(targetOfAddress(server.server.address, set.estate.id))
})

afterAll(async () => {
  vi.unstubAllEnvs()
  await client.close()
  await server.close()
})

const check = async (name: string) => (await checkTemporal(set, new Date())).find((each) => each.name === name)

describe('the doctor on Temporal', () => {
  it('says that the namespace is missing, and what makes it', async () => {
    const checks = await checkTemporal(set, new Date())
    expect(checks[0]).toMatchObject({ name: 'server', result: 'ok' })
    expect(checks.slice(1).map(({ name, result, next }) => [name, result, next])).toEqual(
      ['retention', 'search attributes', 'schedule', 'workers'].map((name) => [name, 'fail', 'nightshift up makes what is missing']),
    )
  })

  it('finds namespace and search attributes right once they are made, and the schedule missing', async () => {
    await prepareNamespace(client.connection, set.estate.id)
    expect(await check('retention')).toMatchObject({ result: 'ok', message: 'histories are kept for 90 d' })
    expect(await check('search attributes')).toMatchObject({ result: 'ok' })
    expect(await check('schedule')).toMatchObject({ result: 'fail' })
  })

  it('shows the schedule, and who paused it and why', async () => {
    await declareSchedule(client.client, monitorSchedule(set.estate.id, 600))
    expect(await check('schedule')).toMatchObject({ result: 'ok', message: expect.stringContaining('monitor/ronny: 0 passes started') })
    const handle = client.client.schedule.getHandle('monitor/ronny')
    await handle.pause('the NAS is being moved')
    expect(await check('schedule')).toMatchObject({
      result: 'warn',
      message: 'monitor/ronny is paused: the NAS is being moved',
      next: expect.stringContaining('--unpause'),
    })
    await handle.unpause()
  })

  it('says which queue nobody works on', async () => {
    expect(await check('worker for the state folder')).toMatchObject({ result: 'fail', message: 'nobody works on queue ronny-state' })
    const connection = await NativeConnection.connect({ address: server.server.address })
    const worker = await Worker.create({ connection, namespace: 'nightshift-ronny', taskQueue: stateQueueOf('ronny'), activities: { nothing: async () => {} } })
    await worker.runUntil(async () => {
      await vi.waitFor(async () => expect(await check('worker for the state folder')).toMatchObject({ result: 'ok', message: '1 on queue ronny-state' }), {
        timeout: 20_000,
        interval: 250,
      })
    })
    await connection.close()
    expect(await check('worker for workflows')).toMatchObject({ result: 'fail' })
  })

  it('says that no server answers, and how to start it', async () => {
    vi.stubEnv('TEMPORAL_ADDRESS', '127.0.0.1:1')
    expect(await checkTemporal(set, new Date())).toMatchObject([{ name: 'server', result: 'fail', message: expect.stringContaining('127.0.0.1:1') }])
    vi.stubEnv('TEMPORAL_ADDRESS', '')
    expect(await checkTemporal(set, new Date())).toMatchObject([{ name: 'server', result: 'fail', next: expect.stringContaining('nightshift up') }])
    vi.stubEnv('TEMPORAL_ADDRESS', server.server.address)
  })
})
