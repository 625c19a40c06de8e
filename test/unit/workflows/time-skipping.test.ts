import { fileURLToPath } from 'node:url'
import type { TestWorkflowEnvironment } from '@temporalio/testing'
import { Worker, type WorkflowBundle } from '@temporalio/worker'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { bundled } from '../../support/test-temporal.js'
import { serverNow, startTimeSkipping } from '../../support/time-skipping.js'

let env: TestWorkflowEnvironment
let workflowBundle: WorkflowBundle

beforeAll(async () => {
  workflowBundle = await bundled(fileURLToPath(new URL('../../support/workflows/waits.ts', import.meta.url)))
  env = await startTimeSkipping()
}, 60_000)

afterAll(async () => {
  await env?.teardown()
})

it('a wait of thirty days is over at once, and thirty days have passed on the server', async () => {
  const worker = await Worker.create({ connection: env.nativeConnection, taskQueue: 'waits', workflowBundle })
  const before = await serverNow(env)
  await worker.runUntil(env.client.workflow.execute('waitDays', { workflowId: 'waits', taskQueue: 'waits', args: [30] }))
  expect((await serverNow(env)).getTime() - before.getTime()).toBeGreaterThanOrEqual(30 * 86_400_000)
})
