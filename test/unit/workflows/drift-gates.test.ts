/** The daily look at the gates, on a real server and real workers; what the gates see is scripted. */
import { ApplicationFailure } from '@temporalio/common'
import type { TestWorkflowEnvironment } from '@temporalio/testing'
import { Worker, type WorkflowBundle } from '@temporalio/worker'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { gateFindings } from '../../../src/domain/gates.js'
import type { Finding } from '../../../src/domain/status.js'
import type { GatesResult } from '../../../src/workflows/drift-gates.js'
import { startTestTemporal } from '../../support/test-temporal.js'

let env: TestWorkflowEnvironment
let workflowBundle: WorkflowBundle

beforeAll(async () => {
  ;({ env, bundle: workflowBundle } = await startTestTemporal())
}, 120_000)

afterAll(async () => {
  await env?.teardown()
})

const ROUTE = { host: 'pve', site: 'shop', sshAlias: 'pve', sudo: false, node: 'pve' }
const passed = (id: string) => ({ id, state: 'passed', reason: 'ok', message: 'fine', next: null }) as const

/** One look. @returns what the run says, and the findings that the desk was told */
async function look(estate: string, scripted: Record<string, (given: never) => Promise<unknown>>): Promise<{ result: GatesResult; told: Finding[] }> {
  const told: Finding[] = []
  const activities = {
    planGates: async () => ({ estate, rulesDigest: 'd', routes: [ROUTE], relayHosts: ['pve'], watchers: [], hasSecondChannel: true }),
    gateOfPipeline: async () => passed('notification-pipeline'),
    gateOfSecondChannel: async () => passed('second-channel'),
    openRelay: async () => ({ route: ROUTE, relay: {}, estate, today: '2026-02-12' }),
    observeRelay: async () => 'packed',
    gateOfRelay: async () => passed('mail-route/pve'),
    writeGates: async ({ gates }: { gates: Parameters<typeof gateFindings>[0] }) => ({ findings: gateFindings(gates, () => 'shop') }),
    tellFindings: async ({ findings }: { findings: Finding[] }) => void told.push(...findings),
    ...scripted,
  }
  const connection = env.nativeConnection
  const workers = [
    await Worker.create({ connection, taskQueue: `nightshift-${estate}`, workflowBundle, activities }),
    await Worker.create({ connection, taskQueue: `${estate}-state`, activities }),
  ]
  const running = Promise.all(workers.map((worker) => worker.run()))
  try {
    const result = await env.client.workflow.execute('driftGates', { workflowId: `gates/${estate}`, taskQueue: `nightshift-${estate}`, args: [{}] })
    return { result: result as GatesResult, told }
  } finally {
    for (const worker of workers) worker.shutdown()
    await running
  }
}

it('passes every gate that there is, and tells the desk of none', async () => {
  const { result, told } = await look('good', {})
  expect(result.gates.map(({ id, state }) => `${id} ${state}`)).toEqual(['notification-pipeline passed', 'second-channel passed', 'mail-route/pve passed'])
  expect([result.passed, result.failed, result.unknown, told]).toEqual([3, 0, 0, []])
})

it('a gate that fails is told with its way out, one that cannot be looked at is unknown and told too, and the others are looked at all the same', async () => {
  const { result, told } = await look('bad', {
    gateOfSecondChannel: async () => ({ ...passed('second-channel'), state: 'failed', reason: 'test_refused', message: '403', next: 'mend it' }),
    observeRelay: async () => {
      throw ApplicationFailure.nonRetryable('pve does not answer', 'connect_timeout')
    },
  })
  expect(result).toMatchObject({ passed: 1, failed: 1, unknown: 1 })
  expect(result.gates.at(-1)).toEqual({
    id: 'mail-route/pve',
    state: 'unknown',
    reason: 'not_looked_at',
    message: 'could not be looked at: pve does not answer',
    next: 'nightshift doctor',
  })
  expect(told.map(({ subject, severity, next }) => [subject, severity, next])).toEqual([
    ['shop/delivery/gate-second-channel', 'critical', 'mend it'],
    ['shop/delivery/gate-mail-route-pve', 'unknown', 'nightshift doctor'],
  ])
})
