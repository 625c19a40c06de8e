import { describe, expect, it } from 'vitest'
import type { ChangeResult } from '../../../src/domain/change/apply.js'
import type { PlanView } from '../../../src/workflows/approval.js'
import { benchForEach, type ChangeBench } from '../../support/change-bench.js'
import { until } from '../../support/polling.js'

let bench: ChangeBench
benchForEach((made) => {
  bench = made
})

const resultOf = async (handle: { result(): Promise<unknown> }): Promise<ChangeResult> => (await handle.result()) as ChangeResult
/** Why an answer was refused, as its sender sees it. */
const refusal = (answer: Promise<unknown>): Promise<string> =>
  answer.then(
    () => 'counted',
    (error: Error & { cause?: Error }) => error.cause?.message ?? error.message,
  )

describe('an answer is refused, and its sender told why', () => {
  it('whoever gives it, and whatever is wrong with it; nothing is counted', async () => {
    const { handle, digest } = await bench.asked()
    const wrong: readonly (readonly [Parameters<ChangeBench['answer']>[3], RegExp])[] = [
      [{ digest: 'a'.repeat(64) }, /digest aaaaaaaaaaaa… is not of the plan that waits/],
      [{ digest: 'yes' }, /must be the 64 hex digits/],
      [{ approver: 'eve' }, /eve is no approver; approvers: ronny, ada/],
      [{ approver: '' }, /nobody is no approver/],
      [{ reason: ' ' }, /an answer needs a reason/],
      [{ reason: 7 as unknown as string }, /an answer is \{"digest", "approver", "reason"\}/],
      [{ signature: 'trust me' }, /the signature of ronny does not count/],
    ]
    for (const [over, why] of wrong) {
      expect(await refusal(bench.answer(handle, 'approve', digest, over))).toMatch(why)
      expect(await refusal(bench.answer(handle, 'reject', digest, over))).toMatch(why)
    }
    expect((await handle.query<PlanView>('plan')).answers).toEqual([])
    await bench.answer(handle, 'reject', digest)
    expect((await resultOf(handle)).state).toBe('rejected')
    expect(await bench.effects()).toEqual([])
  })

  it('when it is the second one of the same person', async () => {
    bench.policy = { ...bench.policy, needed: 2 }
    const { handle, digest } = await bench.asked()
    await bench.answer(handle, 'approve', digest)
    expect(await refusal(bench.answer(handle, 'approve', digest))).toMatch(/ronny has answered already \(approve at /)
    expect(await refusal(bench.answer(handle, 'reject', digest))).toMatch(/ronny has answered already/)
    expect(await bench.answer(handle, 'approve', digest, { approver: 'ada' })).toMatchObject({ counted: true, stillNeeded: 0 })
    const result = await resultOf(handle)
    expect(result).toMatchObject({ state: 'done', approval: { answers: [{ approver: 'ronny' }, { approver: 'ada' }] } })
  })

  it('when nobody may approve what they asked for themselves, and when it is not known who asked', async () => {
    bench.policy = { ...bench.policy, mayApproveOwn: false }
    const { handle, digest } = await bench.asked()
    expect(await refusal(bench.answer(handle, 'approve', digest))).toMatch(/ronny asked for this run, and the policy lets nobody approve their own/)
    await bench.answer(handle, 'approve', digest, { approver: 'ada' })
    const result = await resultOf(handle)
    expect((await bench.receipt(result)).outcome).toMatchObject({ answers: [{ approver: 'ada', own: false }] })

    bench.wanted = { daily: 'again', weekly: 'again' }
    const unknown = await bench.asked({ requestedBy: undefined as unknown as string }, '-unknown')
    expect(await refusal(bench.answer(unknown.handle, 'approve', unknown.digest))).toMatch(/who asked for this run is not known/)
    await unknown.handle.cancel()
  })

  it('when nothing waits: before there is a plan, and after an end', async () => {
    let letPlan = (): void => {}
    const held = new Promise<void>((resolve) => {
      letPlan = resolve
    })
    bench.beforePlan = () => held
    const handle = await bench.start()
    expect(await refusal(bench.answer(handle, 'approve', 'a'.repeat(64)))).toMatch(/nothing is waiting for an answer now/)
    letPlan()
    const { plans } = await bench.question(handle)
    await bench.answer(handle, 'approve', plans[0]?.digest ?? '')
    await resultOf(handle)
    expect(await refusal(bench.answer(handle, 'approve', plans[0]?.digest ?? ''))).toMatch(/workflow execution already completed/)
  })
})

describe('a signal', () => {
  it('means the same as the update; a refused one is kept and shown with its reason', async () => {
    const { handle, digest } = await bench.asked()
    await handle.signal('approve', { digest, approver: 'eve', reason: 'let me in' })
    const view = await until('the refused signal', async () => {
      const now = await handle.query<PlanView>('plan')
      return now.refused.length > 0 ? now : undefined
    })
    expect(view.refused).toMatchObject([{ approver: 'eve', why: expect.stringContaining('eve is no approver') }])
    const { currentDetails } = await handle.query<{ currentDetails?: string }>('__temporal_workflow_metadata')
    expect(currentDetails).toContain('refused: approve by eve: eve is no approver')
    await handle.signal('approve', 'yes')
    await handle.signal('approve', { digest, approver: 'ronny', reason: 'by signal' })
    expect(await resultOf(handle)).toMatchObject({ state: 'done', approval: { answers: [{ approver: 'ronny', reason: 'by signal', proof: 'claimed' }] } })
  })
})

describe('a signature', () => {
  it('counts when allowed_signers knows its key under that name, and the receipt says signed', async () => {
    const key = await bench.signer('ronny')
    const { handle, digest } = await bench.asked()
    const answer = { digest, approver: 'ronny', reason: 'read it' }
    const signature = await bench.sign(handle, key, answer)
    expect(await bench.answer(handle, 'approve', digest, { ...answer, signature })).toMatchObject({ proof: 'signed' })
    const receipt = await bench.receipt(await resultOf(handle))
    expect(receipt.approval).toMatchObject({ signed: true })
  })

  it('does not count by a key that is not listed, of somebody else, for another decision, another reason, another run', async () => {
    const ronny = await bench.signer('ronny')
    const ada = await bench.signer('ada')
    const stranger = await bench.signer('stranger', false)
    const { handle, digest } = await bench.asked()
    const other = await bench.asked({}, '-other')
    const answer = { digest, approver: 'ronny', reason: 'read it' }
    const attempts = {
      unlisted: await bench.sign(handle, stranger, answer),
      'somebody else': await bench.sign(handle, ada, answer),
      'another decision': await bench.sign(handle, ronny, answer, 'reject'),
      'another reason': await bench.sign(handle, ronny, { ...answer, reason: 'read it all' }),
      'another run': await bench.sign(other.handle, ronny, answer),
    }
    for (const [what, signature] of Object.entries(attempts)) {
      expect(await refusal(bench.answer(handle, 'approve', digest, { ...answer, signature })), what).toMatch(/the signature of ronny does not count/)
    }
    expect((await handle.query<PlanView>('plan')).answers).toEqual([])
    await handle.cancel()
    await other.handle.cancel()
  })

  it('is wanted where the policy says so', async () => {
    bench.policy = { ...bench.policy, signature: 'required' }
    const key = await bench.signer('ronny')
    const { handle, digest } = await bench.asked()
    expect(await refusal(bench.answer(handle, 'approve', digest))).toMatch(/the policy wants a signed answer/)
    const answer = { digest, approver: 'ronny', reason: 'read it' }
    await bench.answer(handle, 'approve', digest, { ...answer, signature: await bench.sign(handle, key, answer) })
    expect((await resultOf(handle)).state).toBe('done')
  })
})

describe('time', () => {
  it('without an answer means no, and a late answer is refused', async () => {
    bench.policy = { ...bench.policy, timeoutHours: 2 / 3600 }
    const { handle, digest } = await bench.asked()
    const result = await resultOf(handle)
    expect(result).toMatchObject({ state: 'timed_out', message: expect.stringContaining('which means no') })
    expect(await refusal(bench.answer(handle, 'approve', digest))).not.toBe('counted')
    expect(await bench.effects()).toEqual([])
    expect((await bench.receipt(result)).outcome).toMatchObject({ state: 'timed_out', answers: [] })
  })
})

describe('what is shown', () => {
  it('fits the Temporal UI however long the plan is, and the query gives the whole', async () => {
    bench.furtherSteps = Array.from({ length: 150 }, (_, index) => ({
      id: `step ${index}`,
      what: `Ä long sentence about step ${index} ${'é'.repeat(200)}`,
      host: bench.name,
      effect: { kind: 'command' as const, argv: ['true'] },
      destructive: [],
      before: [],
      after: [],
      undo: { none: 'nothing' },
      diff: [],
      removes: [],
    }))
    const { handle, view } = await bench.asked()
    expect(view.plans[0]?.steps).toHaveLength(152)
    const { currentDetails = '' } = await handle.query<{ currentDetails?: string }>('__temporal_workflow_metadata')
    expect(Buffer.byteLength(currentDetails)).toBeLessThanOrEqual(18_000)
    expect(currentDetails).toContain('152 steps in all')
    expect(currentDetails).toContain(`nightshift approve change/${bench.name} --digest ${view.plans[0]?.digest}`)
    await handle.cancel()
  })

  it('keeps secrets out of the receipt, whoever wrote them there', async () => {
    const { handle, digest } = await bench.asked()
    await bench.answer(handle, 'approve', digest, { reason: 'the password is hunter2' })
    expect(JSON.stringify(await bench.receipt(await resultOf(handle)))).not.toContain('hunter2')
  })
})
