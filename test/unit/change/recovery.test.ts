import type { WorkflowHandle } from '@temporalio/client'
import { beforeEach, describe, expect, it } from 'vitest'
import type { ChangeResult } from '../../../src/domain/change/apply.js'
import { type ApplyRecord, recoveryPlans } from '../../../src/domain/change/apply.js'
import { type ChangePlan, sealPlan } from '../../../src/domain/change/plan.js'
import { benchForEach, type ChangeBench, commentStep, SOLO } from '../../support/change-bench.js'
import { until } from '../../support/polling.js'
import type { TestTemporal } from '../../support/test-temporal.js'

let temporal: TestTemporal
let bench: ChangeBench

const resultOf = async (handle: { result(): Promise<unknown> }): Promise<ChangeResult> => (await handle.result()) as ChangeResult
const ended = (handle: { result(): Promise<unknown> }): Promise<unknown> => handle.result().catch((error: unknown) => error)

/** Ends a run and its apply from outside, right after the effect on the first job, before anybody heard of it. */
async function terminateInTheMiddle(): Promise<void> {
  const { handle, digest } = await bench.asked({}, '-ended')
  await bench.host.holdAfter('block', 'job.set daily')
  await bench.answer(handle, 'approve', digest)
  await until('the effect', () => bench.host.held())
  const apply = temporal.env.client.workflow.getHandle(`apply/${bench.name}`)
  await handle.terminate('by the test')
  await apply.terminate('by the test').catch(() => {})
  await bench.host.release()
  await Promise.all([ended(handle), ended(apply)])
  expect(bench.state.applies.open(bench.name)).toMatchObject([{ steps: { 'set job daily': 'started', 'set job weekly': 'pending' } }])
}

describe('a change that was terminated in the middle', () => {
  benchForEach((made, server) => {
    bench = made
    temporal = server
  })
  beforeEach(terminateInTheMiddle)

  /** The question that the next run on the host begins with, answered with one of its ways. */
  async function answer(way: string) {
    const { handle, view } = await bench.asked()
    expect(view.plans.map(({ runbook }) => runbook)).toEqual(['testChange: finish', 'testChange: undo', 'testChange: leave'])
    expect(view.notes[0]).toContain(`change/${bench.name}-ended was ended in the middle of changing ${bench.name}`)
    const digest = view.plans.find(({ runbook }) => runbook.endsWith(way))?.digest ?? ''
    await bench.answer(handle, 'approve', digest)
    return { handle, digest }
  }

  const ownPlan = (handle: WorkflowHandle) =>
    until('its own plan', async () => {
      const [plan] = (await bench.question(handle)).plans
      return plan?.runbook === 'testChange' ? plan : undefined
    })

  it('is finished when a person says so: what took effect is not done again, and nothing is left for the run itself', async () => {
    const { handle, digest } = await answer('finish')
    const result = await resultOf(handle)
    expect(result.state).toBe('already_so')
    expect(await bench.effects()).toEqual(['daily', 'weekly'])
    expect((await bench.receipt(result)).outcome.answers).toMatchObject([{ digest, approver: 'ronny' }])
    expect(bench.state.applies.open(bench.name)).toEqual([])
  })

  it('is taken back when a person says so, and the run goes on with a plan of its own', async () => {
    const { handle } = await answer('undo')
    const plan = await ownPlan(handle)
    expect(await bench.comment('daily')).toBe('theirs')
    expect(await bench.effects()).toEqual(['daily', 'daily'])
    await bench.answer(handle, 'reject', plan.digest)
    expect((await resultOf(handle)).state).toBe('rejected')
    expect(bench.state.applies.open(bench.name)).toEqual([])
  })

  it('is left as it is when a person says so', async () => {
    const { handle } = await answer('leave')
    const plan = await ownPlan(handle)
    expect(plan.steps.map(({ id }) => id)).toEqual(['set job weekly'])
    await bench.answer(handle, 'approve', plan.digest)
    expect((await resultOf(handle)).state).toBe('done')
    expect(await bench.effects()).toEqual(['daily', 'weekly'])
  })

  it('stays for the next run when nobody decides', async () => {
    const { handle, view } = await bench.asked()
    await bench.answer(handle, 'reject', view.plans[0]?.digest ?? '')
    expect(await resultOf(handle)).toMatchObject({ state: 'rejected', message: expect.stringContaining('is as it was found') })
    expect(await bench.effects()).toEqual(['daily'])
    expect(bench.state.applies.open(bench.name)).toHaveLength(1)
  })
})

describe('the ways out', () => {
  const steps = [commentStep('pve', 'a', '1', '2'), { ...commentStep('pve', 'b', '1', '2'), undo: { none: 'it is gone' } }, commentStep('pve', 'c', '1', '2')]
  const plan: ChangePlan = sealPlan({ runbook: 'x', host: 'pve', title: 't', steps, warnings: [], facts: {} })
  const record = (states: ApplyRecord['steps']): ApplyRecord => ({
    id: 'x/1/d',
    host: 'pve',
    runbook: 'x',
    workflowId: 'x/pve',
    runId: '1',
    plan,
    policy: SOLO,
    route: { host: 'pve', site: 's', sshAlias: 'pve', sudo: false, node: 'pve' },
    steps: states,
    startedAt: '2026-02-11T20:00:00.000Z',
  })

  it('hold only what is open, undo only what was touched and can be, last first, and say what cannot', () => {
    const ways = recoveryPlans(record({ 'set job a': 'applied', 'set job b': 'applied', 'set job c': 'started' }))
    expect(ways.map(({ way, plan: { steps: own } }) => [way, own.map(({ id }) => id)])).toEqual([
      ['finish', ['set job c']],
      ['undo', ['undo set job c', 'undo set job a']],
      ['leave', []],
    ])
    expect(ways[1]?.plan.warnings).toMatchObject([{ code: 'no_undo', message: expect.stringContaining('it is gone') }])
  })

  it('are none when nothing was begun, and never only one when nothing can be undone', () => {
    expect(recoveryPlans(record({}))).toEqual([])
    expect(recoveryPlans(record({ 'set job b': 'applied' })).map(({ way }) => way)).toEqual(['finish', 'leave'])
  })

  it('have digests of their own, the same for the same record', () => {
    const first = recoveryPlans(record({ 'set job a': 'started' })).map((way) => way.plan.digest)
    expect(recoveryPlans(record({ 'set job a': 'started' })).map((way) => way.plan.digest)).toEqual(first)
    expect(new Set([...first, plan.digest]).size).toBe(4)
  })
})
