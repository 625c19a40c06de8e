/** Runs that come to no plan, under skipped time: what the activities say is scripted; the workflows, their waits and retries are the product's. */
import { ApplicationFailure } from '@temporalio/common'
import type { TestWorkflowEnvironment } from '@temporalio/testing'
import { Worker, type WorkflowBundle } from '@temporalio/worker'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ChangeResult } from '../../../src/domain/change/apply.js'
import { bundled } from '../../support/test-temporal.js'
import { startTimeSkipping } from '../../support/time-skipping.js'

let env: TestWorkflowEnvironment
let workflowBundle: WorkflowBundle

beforeAll(async () => {
  workflowBundle = await bundled()
  env = await startTimeSkipping()
}, 120_000)
afterAll(async () => await env?.teardown())

const POLICY = { approvers: ['ronny'], needed: 1, mayApproveOwn: true, timeoutHours: 72, preApproveHarmless: true, signature: 'optional' }
const PLAN = { runbook: 'x', host: 'pve', title: 'x', steps: [], warnings: [], facts: {}, digest: 'a'.repeat(64) }

let plays = 0

/** Runs a workflow whose host answers `answers` times and then no more. */
async function play(workflow: string, input: object, answers: number, silence: () => never, other: object = {}) {
  plays += 1
  const name = `unread-${plays}`
  const receipts: object[] = []
  let asked = 0
  const observe = async () => {
    asked += 1
    return asked > answers ? silence() : ''
  }
  const opened = { route: { host: 'pve', site: 'shop', sshAlias: 'pve', sudo: false, node: 'pve' }, policy: POLICY, runbookDigest: 'd'.repeat(64) }
  const home = {
    openJobs: async () => ({ ...opened, questions: { schedules: [], prunes: [] }, today: '2026-11-21' }),
    planJobs: async () => ({ plan: PLAN, warnings: [], baseline: {}, enrollments: [] }),
    openRetention: async () => ({ ...opened, probe: {} }),
    planPrune: async () => ({ plan: PLAN, compliance: [], toProve: [], table: '' }),
    unfinishedApply: async () => null,
    recordProof: async () => {},
    writeRunReceipt: async ({ body }: { body: object }) => ({ number: receipts.push(body), sha256: 'b'.repeat(64) }),
  }
  const site = { observeVzdump: observe, observeRetention: observe }
  const queue = `nightshift-${name}`
  const workers = await Promise.all([
    Worker.create({ connection: env.nativeConnection, taskQueue: queue, workflowBundle, activities: { ...site, ...other } }),
    Worker.create({ connection: env.nativeConnection, taskQueue: `${name}-state`, activities: { ...home, ...other } }),
  ])
  const running = Promise.all(workers.map((worker) => worker.run()))
  try {
    const result: ChangeResult = await env.client.workflow.execute(workflow, { workflowId: name, taskQueue: queue, args: [{ host: 'pve', ...input }] })
    return { result, receipts, asked }
  } finally {
    for (const worker of workers) worker.shutdown()
    await running
  }
}

function unreachable(): never {
  throw ApplicationFailure.retryable('pve (connect_refused): nobody listens at pve:22', 'HostUnread')
}
function implausible(): never {
  throw ApplicationFailure.nonRetryable('pve names no guest at all, which is not believed', 'NotBelieved')
}

describe('a run whose host does not answer', () => {
  it.each([
    ['vzdumpJobs', {}],
    ['vzdumpJobs', { mode: 'audit' }],
    ['retentionPrune', {}],
    ['retentionPrune', { mode: 'remove' }],
  ])('%s %j asks a few times, then ends as unknown, with a receipt', async (workflow, input) => {
    const { result, receipts, asked } = await play(workflow, input, 0, unreachable)
    expect(asked).toBe(5)
    expect(result).toMatchObject({ state: 'unknown', planDigest: null, steps: [], receipt: { number: 1 } })
    expect(result.message).toBe(
      'pve could not be read, so nothing is changed: pve (connect_refused): nobody listens at pve:22; run it again when the host answers',
    )
    expect(receipts).toMatchObject([{ kind: workflow, outcome: { state: 'unknown' }, observed: { host: 'pve' } }])
  })

  it('vzdumpJobs does not ask again where the answer is not believed', async () => {
    const { result, asked } = await play('vzdumpJobs', {}, 0, implausible)
    expect(asked).toBe(1)
    expect(result).toMatchObject({ state: 'unknown', message: expect.stringContaining('not believed') })
  })

  it('vzdumpJobs whose host falls silent before the last look does not end as done', async () => {
    const { result, receipts } = await play('vzdumpJobs', {}, 1, unreachable)
    expect(result).toMatchObject({ state: 'unknown', message: expect.stringContaining('what remains could not be looked at'), proof: { enrollments: [] } })
    expect(receipts).toMatchObject([{ outcome: { state: 'unknown' } }])
  })
})

describe('a prune some of whose staying copies nobody can vouch for', () => {
  const copy = { volid: 'tank:backup/vzdump-qemu-204-2026_11_20-02_00_00.vma.zst', path: '/tank/dump/x', sizeBytes: 1000, modifiedSeconds: 1 }
  const step = {
    id: 'remove another',
    host: 'pve',
    effect: { kind: 'command', argv: ['false'] },
    destructive: [],
    before: [],
    after: [],
    undo: { none: '' },
    diff: [],
    removes: [],
  }
  const planPrune = async () => ({ plan: { ...PLAN, steps: [step] }, compliance: [], toProve: [copy], table: '' })
  const whole = { state: 'complete', file: copy }
  const ended = async (other: object) => (await play('retentionPrune', { mode: 'remove' }, 9, unreachable, { planPrune, ...other })).result

  it.each([
    ['is no longer there', { inspectArtifact: async () => ({ state: 'absent', why: 'no such archive' }) }, 'could not be found out: no such archive'],
    [
      'cannot be read',
      { inspectArtifact: async () => whole, verifyArtifactOnHost: async () => ({ state: 'unknown', why: 'zstd is missing' }) },
      'zstd is missing',
    ],
    ['lies on a host that fell silent', { inspectArtifact: async () => unreachable() }, 'nobody listens'],
    [
      'is another one each time',
      { inspectArtifact: async () => whole, verifyArtifactOnHost: async () => ({ state: 'readable', sha256: 'a', seconds: 1 }) },
      'changes while it is read',
    ],
  ])('is refused, with a receipt and before anybody is asked, when one %s', async (_what, other, why) => {
    const result = await ended(other)
    expect(result).toMatchObject({ state: 'failed', approval: null, steps: [], receipt: { number: 1 } })
    expect(result.message).toMatch(/^no plan: /)
    expect(result.message).toContain(why)
  })
})
