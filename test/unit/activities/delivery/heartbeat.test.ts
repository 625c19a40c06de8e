/** A worker that dies while a server takes its time is noticed by its silence: each activity that delivers gives signs of life. */
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { MockActivityEnvironment } from '@temporalio/testing'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createDeliveryActivities } from '../../../../src/activities/mail.js'
import type { AlertContract } from '../../../../src/domain/estate.js'

let silent: Server
let port: number

beforeEach(async () => {
  silent = createServer()
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  port = (silent.address() as { port: number }).port
  process.env.TEST_DELIVERY_SECRET = 'not-a-password'
})
afterEach(() => {
  silent.close()
  delete process.env.TEST_DELIVERY_SECRET
})

const password = 'env:TEST_DELIVERY_SECRET'
const settings = () => ({
  mail: {
    server: '127.0.0.1',
    port,
    security: 'tls',
    username: 'alerts@example.org',
    password,
    mailbox: { address: 'ronny@example.org', server: '127.0.0.1', port, username: 'ronny@example.org', password, folders: ['INBOX'] },
  },
  secondChannel: { url: `http://127.0.0.1:${port}/` },
})
const mail = { messageId: '<a@b>', inReplyTo: null, references: [], from: 'alerts@example.org', to: ['ronny@example.org'], deliverTo: ['ronny@example.org'] }
const more = { subject: 'x', text: 'y', headers: {}, date: '2026-02-12T08:30:00.000Z' }
const question = { messageId: '<a@b>', since: '2026-02-12T08:30:00.000Z', recipients: ['ronny@example.org'], waitSeconds: 5 }
const notice = { id: 'n', title: 't', text: 'x', severity: 'critical' }

it.each([
  ['sendMail', { ...mail, ...more }],
  ['wasDelivered', question],
  ['sendWebhook', notice],
] as const)('%s, before a server that says nothing', async (name, input) => {
  const activities = createDeliveryActivities({ alerts: async () => settings() as unknown as AlertContract, configDir: tmpdir(), redact: (text) => text })
  const env = new MockActivityEnvironment({ heartbeatTimeoutMs: 20_000 })
  const beat = new Promise((resolve) => env.once('heartbeat', resolve))
  const run = env.run(activities[name] as (given: unknown) => Promise<unknown>, input)
  const first = await Promise.race([beat, run])
  expect(first).toEqual({ about: expect.any(String) })
  env.cancel()
  activities.closeDelivery()
  await run.catch(() => {})
})
