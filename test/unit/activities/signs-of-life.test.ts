/** A worker that dies while a host or a server takes its time is noticed by its silence: what runs in a worker gives signs of life, whatever it is. */
import { once } from 'node:events'
import { MockActivityEnvironment } from '@temporalio/testing'
import { expect, it } from 'vitest'
import { signsOfLife } from '../../../src/activities/signs-of-life.js'
import { heartbeatSetting } from '../../../src/worker.js'

const hangs = async (until: AbortSignal) => {
  await once(until, 'abort')
  return 'done'
}

it('an activity beats again and again until it ends', async () => {
  const env = new MockActivityEnvironment({ heartbeatTimeoutMs: 40 }, { interceptors: [signsOfLife] })
  const over = new AbortController()
  const running = env.run(hangs, over.signal)
  for (let beat = 0; beat < 3; beat += 1) await once(env, 'heartbeat')
  over.abort()
  await expect(running).resolves.toBe('done')
})

it('the time-out is a setting, and one that makes no sense is refused', () => {
  expect([heartbeatSetting(undefined), heartbeatSetting(''), heartbeatSetting('2'), heartbeatSetting('600')]).toEqual([20, 20, 2, 600])
  for (const text of ['1', '601', '20s', '-5', '1e2']) expect(() => heartbeatSetting(text)).toThrow(`NIGHTSHIFT_HEARTBEAT_SECONDS is "${text}"`)
})
