/**
 * Temporal with a clock that jumps: when every workflow waits for a timer, the server's time moves to it at once. Weeks pass in a second.
 * Time is one for the whole server, so a test file has a server of its own.
 */
import { ServiceError } from '@temporalio/client'
import { TestWorkflowEnvironment } from '@temporalio/testing'
import type { WorkflowBundle } from '@temporalio/worker'
import { timeSkippingServer } from '../../setup/folders.mjs'
import { SEARCH_ATTRIBUTES } from '../../src/domain/ids.js'
import { bundled, patiently } from './test-temporal.js'

const KEYWORD = 2

/** Starts the server (`npm test` has fetched it) and makes our search attributes known. Call `teardown()` at the end. */
export async function startTimeSkipping(): Promise<TestWorkflowEnvironment> {
  const server = { executable: { type: 'existing-path' as const, path: timeSkippingServer() } }
  const env = await patiently(() => TestWorkflowEnvironment.createTimeSkipping({ server }))
  for (const name of SEARCH_ATTRIBUTES) {
    await env.connection.operatorService.addSearchAttributes({ namespace: 'default', searchAttributes: { [name]: KEYWORD } }).catch((error: unknown) => {
      if (!(error instanceof ServiceError) && !/already exists/i.test(String(error))) throw error
    })
  }
  return env
}

/** The server, and all workflows of today in one bundle. */
export async function startSkippingWorkflows(): Promise<{ env: TestWorkflowEnvironment; bundle: WorkflowBundle }> {
  return { bundle: await bundled(), env: await startTimeSkipping() }
}

/** The server's time now. */
export async function serverNow(env: TestWorkflowEnvironment): Promise<Date> {
  return new Date(await env.currentTimeMs())
}
