/** Enrollments that are ended from outside, and two of one job, on a host in a folder, under skipped time. */
import type { TestWorkflowEnvironment } from '@temporalio/testing'
import type { WorkflowBundle } from '@temporalio/worker'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { EnrollmentBench } from '../../support/enrollment-bench.js'
import { startSkippingWorkflows } from '../../support/time-skipping.js'

let env: TestWorkflowEnvironment
let bundle: WorkflowBundle
let bench: EnrollmentBench

beforeAll(async () => {
  ;({ env, bundle } = await startSkippingWorkflows())
}, 120_000)
afterAll(async () => {
  await env?.teardown()
})
beforeEach(async () => {
  bench = await EnrollmentBench.create(env, bundle)
})
afterEach(async () => {
  await bench.remove()
})

describe('an enrollment', { timeout: 240_000 }, () => {
  it('waits beside another of the same job; one that was terminated before it waited is taken up by the next, which has nothing to ask', async () => {
    const [first, second] = [await bench.enrolled([211]), await bench.start({ guests: [212] })]
    const { close } = await bench.occupy(bench.waitOf(second).workflowId)
    await bench.answer(second, /212 into job/)
    await bench.shows(second, /of an earlier run has not ended yet/)
    await second.terminate('in the middle')
    await close()
    expect(await bench.jobGuests()).toBe('200,211,212')
    expect(bench.state.enrollments.list().map(({ vmid }) => vmid)).toEqual([211])
    const again = await bench.start({ guests: [212] })
    await bench.shows(again, /212 \| not_due/)
    expect(bench.state.enrollments.list().map(({ vmid }) => vmid)).toEqual([211, 212])
    expect((await bench.outcomes(again)).result).toMatchObject({ state: 'already_so' })
    expect((await bench.outcomes(first)).guests).toMatchObject([{ vmid: 211, outcome: 'proven' }])
    expect([await bench.isEnabled(211), await bench.isEnabled(212)]).toEqual([true, true])
  })

  it('can be cancelled while it waits: the guest stays in the job, nobody is waited for, and the receipt says so', async () => {
    const handle = await bench.enrolled([211])
    await handle.cancel()
    expect(await bench.result(handle)).toMatchObject({
      state: 'cancelled',
      message: expect.stringContaining('the change was made and stays'),
      receipt: { number: 1 },
    })
    // The wait ends after the run that asked for its end.
    await expect.poll(async () => (await bench.waitOf(handle).describe()).status.name, { timeout: 60_000 }).toBe('CANCELLED')
    expect(bench.state.enrollments.list()).toEqual([])
    expect([await bench.jobGuests(), await bench.isEnabled(211)]).toEqual(['200,211', false])
  })
})
