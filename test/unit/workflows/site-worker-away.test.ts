/** A site whose own worker is away while something is to be done there: the run waits, says for whom, and goes on when the worker is back. */
import type { WorkflowHandle } from '@temporalio/client'
import type { TestWorkflowEnvironment } from '@temporalio/testing'
import { Worker, type WorkflowBundle } from '@temporalio/worker'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { eventually } from '../../support/polling.js'
import { startSkippingWorkflows } from '../../support/time-skipping.js'

vi.setConfig({ testTimeout: 90_000 })

let env: TestWorkflowEnvironment
let workflowBundle: WorkflowBundle

beforeAll(async () => {
  ;({ env, bundle: workflowBundle } = await startSkippingWorkflows())
}, 120_000)
afterAll(async () => await env?.teardown())

const POLICY = { approvers: ['ronny'], needed: 1, mayApproveOwn: true, timeoutHours: 72, preApproveHarmless: true, signature: 'optional' }

const detailsOf = async (handle: WorkflowHandle) => (await handle.query<{ currentDetails?: string }>('__temporal_workflow_metadata')).currentDetails ?? ''

/** Runs a workflow whose site has no worker at first. */
async function away(
  name: string,
  workflow: string,
  args: (route: object) => object,
  home: object,
  site: object,
  look: (handle: WorkflowHandle) => Promise<void>,
) {
  const route = { host: 'pve', site: 'shop', sshAlias: 'pve', sudo: false, node: 'pve', taskQueue: `${name}-shop` }
  const shared = { connection: env.nativeConnection }
  const queue = `nightshift-${name}`
  const workers = await Promise.all([
    Worker.create({ ...shared, taskQueue: queue, workflowBundle }),
    Worker.create({ ...shared, taskQueue: `${name}-state`, activities: home }),
  ])
  const running = workers.map((worker) => worker.run())
  try {
    const handle = await env.client.workflow.start(workflow, { workflowId: name, taskQueue: queue, args: [args(route)] })
    await eventually('that it says so', async () => (await detailsOf(handle)).includes(`No worker takes up work on task queue ${name}-shop: waiting for it.`))
    expect((await handle.describe()).status.name).toBe('RUNNING')
    const late = await Worker.create({ ...shared, taskQueue: `${name}-shop`, activities: site })
    workers.push(late)
    running.push(late.run())
    await look(handle)
  } finally {
    for (const worker of workers) worker.shutdown()
    await Promise.all(running)
  }
}

describe('while the worker of a site is away', () => {
  it.concurrent('a step of a change waits for it, and is done when it is back', async () => {
    const step = {
      id: 'set job daily',
      what: 'Set the job',
      host: 'pve',
      effect: { kind: 'command', argv: ['true'] },
      destructive: [],
      before: [],
      after: [],
      undo: { none: 'x' },
      diff: [],
      removes: [],
    }
    const plan = { runbook: 'x', host: 'pve', title: 'Jobs of pve', steps: [step], warnings: [], facts: {}, digest: 'a'.repeat(64) }
    const states: string[] = []
    const home = { beginApply: async () => {}, recordStep: async ({ state }: { state: string }) => void states.push(state), endApply: async () => {} }
    const site = { applyStep: async () => ({ outcome: 'applied', differences: [], said: '', exitCode: 0, attempt: 1 }) }
    const input = (route: object) => ({ plan, route, policy: POLICY, for: { workflowId: 'jobs/pve', runId: 'r', runbook: 'x' }, mode: 'apply' })
    await away('away-apply', 'applyChange', input, home, site, async (handle) => {
      expect(await handle.result()).toMatchObject({ state: 'applied', message: 'all 1 steps hold on pve' })
      expect(states).toEqual(['started', 'applied'])
    })
  })

  it.concurrent('an enrollment that waits for its guest does not fail, and sees the guest when it is back', async () => {
    let route: object = {}
    let looks = 0
    const home = {
      openEnrollment: async () => ({ route, policy: POLICY, runbookDigest: 'd'.repeat(64), job: 'daily', probe: {}, questions: {}, notBeforeMs: null }),
    }
    const site = {
      lookAtEnrollment: async () => {
        looks += 1
        return { nowSeconds: 1, runs: {}, usualSeconds: null, lookAgainInSeconds: 60, verdicts: [{ vmid: 300, isRunning: null }] }
      },
    }
    const input = (its: object) => {
      route = its
      return { host: 'pve', guests: [300], when: { guestExists: true } }
    }
    await away('away-enroll', 'vzdumpEnrollment', input, home, site, async (handle) => {
      await eventually('a look', async () => (await detailsOf(handle)) === '**wait** · Waiting for guest 300 of pve to exist.')
      // Skipped time may have come to the next look already.
      expect(looks).toBeGreaterThan(0)
      await handle.terminate()
    })
  })
})
