import { ApplicationFailure } from '@temporalio/common'
import { describe, expect, it } from 'vitest'
import { sha256Hex } from '../../../src/domain/canonical.js'
import type { ChangeResult } from '../../../src/domain/change/apply.js'
import { SshError } from '../../../src/ssh/index.js'
import { benchForEach, type ChangeBench } from '../../support/change-bench.js'
import { until } from '../../support/polling.js'

let bench: ChangeBench
benchForEach((made) => {
  bench = made
})

const resultOf = async (handle: { result(): Promise<unknown> }): Promise<ChangeResult> => (await handle.result()) as ChangeResult
const said = (error: unknown): string => {
  const { message, cause } = error as Error & { cause?: Error }
  return `${message} ${cause?.message ?? ''}`
}

describe('a change', () => {
  it('asks, applies each step once, proves, and leaves a receipt that says who approved what', async () => {
    const { handle, digest, view } = await bench.asked()
    expect(view.plans[0]?.steps.map(({ id }) => id)).toEqual(['set job daily', 'set job weekly'])
    expect(await bench.effects()).toEqual([])
    await bench.answer(handle, 'approve', digest)
    const result = await resultOf(handle)
    expect(result).toMatchObject({ state: 'done', planDigest: digest, proof: { seen: true } })
    expect(result.steps.map(({ outcome }) => outcome)).toEqual(['applied', 'applied'])
    expect(await bench.effects()).toEqual(['daily', 'weekly'])
    expect(await bench.comment('daily')).toBe('ours')
    const receipt = await bench.receipt(result)
    expect(receipt.approval).toMatchObject({ digest, approver: 'ronny', signed: false })
    expect(receipt.outcome).toMatchObject({ state: 'done', answers: [{ approver: 'ronny', proof: 'claimed', own: true }], proof: { seen: true } })
    expect(receipt.steps).toEqual([
      { what: 'set job daily', outcome: 'applied' },
      { what: 'set job weekly', outcome: 'applied' },
    ])
    expect(bench.state.applies.open(bench.name)).toEqual([])
  })

  it('ends, and says so, when its receipt cannot be written before a person has mended the chain', async () => {
    await bench.loseReceipts()
    const { handle, digest } = await bench.asked()
    await bench.answer(handle, 'approve', digest)
    const result = await resultOf(handle)
    expect(result).toMatchObject({ state: 'done', receipt: null })
    expect(result.message).toContain('NO RECEIPT was written')
    expect(await bench.effects()).toEqual(['daily', 'weekly'])
  })

  it('ends as already so when there is nothing to do, without asking', async () => {
    bench.wanted = { daily: 'theirs', weekly: 'theirs' }
    const result = await resultOf(await bench.start())
    expect(result).toMatchObject({ state: 'already_so', steps: [], approval: null })
    expect(await bench.receipt(result)).toMatchObject({ approval: null, outcome: { state: 'already_so' } })
  })

  it('asks nobody for a harmless plan when the policy says so', async () => {
    bench.policy = { ...bench.policy, preApproveHarmless: true }
    bench.wanted = { daily: 'theirs', weekly: 'theirs' }
    bench.furtherSteps = [
      {
        id: 'note',
        what: 'Write a note',
        host: bench.name,
        effect: { kind: 'write-file', path: `${bench.folder}/note`, mode: '0600', content: 'pass {{secret:env:NOTE}}\n' },
        destructive: [],
        before: [{ kind: 'file', path: `${bench.folder}/note`, sha256: null }],
        after: [{ kind: 'file', path: `${bench.folder}/note`, sha256: sha256Hex('pass value of env:NOTE\n'), mode: '0600' }],
        undo: { effect: { kind: 'remove-file', path: `${bench.folder}/note` } },
        diff: [],
        removes: [],
      },
    ]
    expect(await resultOf(await bench.start())).toMatchObject({ state: 'done', approval: { answers: [] } })
  })

  it('keeps the approval of a plan that is made again the same, and asks anew when somebody moved the world, naming what moved', async () => {
    const { handle, digest } = await bench.asked()
    await bench.edit('daily', '--comment', 'somebody')
    await bench.answer(handle, 'approve', digest)
    const second = await bench.question(handle, digest)
    expect(second.notes.join(' ')).toContain('other than approved: set job daily')
    expect(await bench.effects()).toEqual(['daily'])
    await expect(bench.answer(handle, 'approve', digest)).rejects.toSatisfy((error) => /is not of the plan that waits/.test(said(error)))
    await bench.answer(handle, 'approve', second.plans[0]?.digest ?? '')
    const result = await resultOf(handle)
    expect(result.state).toBe('done')
    const { outcome } = await bench.receipt(result)
    expect(outcome.answers).toHaveLength(2)
  })

  it('takes back what it did when a step finds another world, keeps what others changed meanwhile, and plans again', async () => {
    let edited = false
    bench.transport = (ssh) => ({
      async run(alias, request) {
        if (!edited && String(request.stdin).includes('/cluster/backup/weekly')) {
          edited = true
          await bench.edit('weekly', '--comment', 'somebody')
          await bench.edit('daily', '--mailto', 'ops@example.com')
        }
        return await ssh.run(alias, request)
      },
    })
    const { handle, digest } = await bench.asked()
    await bench.answer(handle, 'approve', digest)
    const second = await bench.question(handle, digest)
    expect(second.notes.join(' ')).toContain('comment is somebody, expected theirs')
    expect(await bench.comment('daily')).toBe('theirs')
    expect(await bench.host.read('/etc/pve/jobs.cfg')).toContain('mailto ops@example.com')
    await bench.answer(handle, 'reject', second.plans[0]?.digest ?? '', { reason: 'not now' })
    const result = await resultOf(handle)
    expect(result).toMatchObject({ state: 'rejected', message: expect.stringContaining('ronny said no: not now') })
    expect(await bench.host.read('/etc/pve/jobs.cfg')).toContain('mailto ops@example.com')
  })

  it('finds what took effect when the answer is lost, and does it once', async () => {
    let lost = 0
    bench.transport = (ssh) => ({
      async run(alias, request) {
        const answer = await ssh.run(alias, request)
        lost += 1
        if (lost > 1) return answer
        throw new SshError({ reason: 'connection_lost', host: alias, message: 'the connection was lost while the command ran', next: 'look at the host' })
      },
    })
    const { handle, digest } = await bench.asked()
    await bench.answer(handle, 'approve', digest)
    const result = await resultOf(handle)
    expect(result.state).toBe('done')
    expect(await bench.effects()).toEqual(['daily', 'weekly'])
    expect(result.steps.map(({ outcome }) => outcome)).toEqual(['applied', 'applied'])
  })

  it('finds what took effect when the command is killed between effect and answer', async () => {
    const { handle, digest } = await bench.asked()
    await bench.host.holdAfter('kill', 'job.set daily')
    await bench.answer(handle, 'approve', digest)
    expect(await resultOf(handle)).toMatchObject({ state: 'done' })
    expect(await bench.effects()).toEqual(['daily', 'weekly'])
  })

  it('rolls back, and reads it back, when a step does not do what it should', async () => {
    bench.furtherSteps = [{ ...brokenStep(bench.name) }]
    const { handle, digest } = await bench.asked()
    await bench.answer(handle, 'approve', digest)
    const result = await resultOf(handle)
    expect(result).toMatchObject({ state: 'rolled_back', message: expect.stringContaining('step "break" failed') })
    expect(result.steps.map(({ outcome }) => outcome)).toEqual(['undone', 'undone', 'undone'])
    expect(await bench.effects()).toEqual(['daily', 'weekly', 'weekly', 'daily'])
    expect([await bench.comment('daily'), await bench.comment('weekly')]).toEqual(['theirs', 'theirs'])
  })

  it('takes the change back when it is not proven', async () => {
    const { handle, digest } = await bench.asked({ proof: 'fails' })
    await bench.answer(handle, 'approve', digest)
    expect(await resultOf(handle)).toMatchObject({ state: 'rolled_back', message: expect.stringContaining('the canary did not come') })
    expect(await bench.comment('daily')).toBe('theirs')
    expect(bench.state.applies.open(bench.name)).toEqual([])
  })

  it('leaves the change, and does not call it done, when nobody can look whether it is proven', async () => {
    const { handle, digest } = await bench.asked({ proof: 'unseen' })
    await bench.answer(handle, 'approve', digest)
    const result = await resultOf(handle)
    expect(result).toMatchObject({
      state: 'unknown',
      message: expect.stringMatching(/stays so; not proven: the mailbox could not be read/),
      proof: { sent: true },
    })
    expect(await bench.comment('daily')).toBe('ours')
    expect(await bench.receipt(result)).toMatchObject({ outcome: { state: 'unknown', proof: { sent: true } } })
  })

  it('does not take back what held before it came', async () => {
    bench.furtherSteps = [brokenStep(bench.name)]
    const { handle, digest } = await bench.asked()
    let edited = false
    bench.transport = (ssh) => ({
      async run(alias, request) {
        if (!edited && String(request.stdin).includes('/cluster/backup/weekly')) {
          edited = true
          await bench.edit('weekly', '--comment', 'ours too')
        }
        return await ssh.run(alias, request)
      },
    })
    await bench.answer(handle, 'approve', digest)
    const result = await resultOf(handle)
    expect(result.steps.map(({ outcome }) => outcome)).toEqual(['undone', 'already', 'undone'])
    expect([await bench.comment('daily'), await bench.comment('weekly')]).toEqual(['theirs', 'ours too'])
  })

  it('says what it could not take back', async () => {
    bench.furtherSteps = [brokenStep(bench.name)]
    const { handle, digest } = await bench.asked()
    bench.transport = (ssh) => ({
      async run(alias, request) {
        if (String(request.stdin).includes('"false"')) await bench.edit('daily', '--comment', 'somebody')
        return await ssh.run(alias, request)
      },
    })
    await bench.answer(handle, 'approve', digest)
    const result = await resultOf(handle)
    expect(result).toMatchObject({
      state: 'failed',
      message: expect.stringMatching(/not taken back: "set job daily": moved: .*comment is somebody, expected ours/),
    })
    expect([await bench.comment('daily'), await bench.comment('weekly')]).toEqual(['somebody', 'theirs'])
    expect(bench.state.applies.open(bench.name)).toHaveLength(1)
  })
})

describe('a host that cannot be read', () => {
  const unread = async () => {
    throw ApplicationFailure.nonRetryable('b (connect_timeout): no answer', 'HostUnread')
  }

  it('ends the run as unknown, with words and a receipt, before anybody is asked', async () => {
    bench.beforePlan = unread
    const result = await resultOf(await bench.start())
    expect(result).toMatchObject({
      state: 'unknown',
      planDigest: null,
      steps: [],
      message: expect.stringContaining('could not be read, so nothing is changed: b (connect_timeout)'),
    })
    expect(await bench.receipt(result)).toMatchObject({ approval: null, outcome: { state: 'unknown' } })
  })

  it('after an approval ends the run as unknown: nothing is done on what was seen days ago', async () => {
    const { handle, digest } = await bench.asked()
    bench.beforePlan = unread
    await bench.answer(handle, 'approve', digest)
    const result = await resultOf(handle)
    expect(result).toMatchObject({ state: 'unknown', approval: { answers: [{ approver: 'ronny' }] } })
    expect(await bench.effects()).toEqual([])
    expect(await bench.receipt(result)).toMatchObject({ approval: { digest, approver: 'ronny' }, outcome: { state: 'unknown' } })
  })

  it('is told from a plan that is refused, and from a defect', async () => {
    bench.beforePlan = async () => {
      throw ApplicationFailure.nonRetryable('more than 200 steps', 'PlanRefused')
    }
    const refused = await resultOf(await bench.start())
    expect(refused).toMatchObject({ state: 'failed', message: 'no plan: more than 200 steps', receipt: { number: expect.any(Number) } })
    bench.beforePlan = async () => {
      throw ApplicationFailure.nonRetryable('undefined is not a function', 'TypeError')
    }
    await expect(resultOf(await bench.start({}, '-again'))).rejects.toThrow()
  })
})

describe('a cancelled run', () => {
  it('that waits for an answer ends with a receipt, and nothing was changed', async () => {
    const { handle } = await bench.asked()
    await handle.cancel()
    const result = await resultOf(handle)
    expect(result).toMatchObject({ state: 'cancelled', message: 'cancelled: nothing was changed' })
    expect(await bench.receipt(result)).toMatchObject({ outcome: { state: 'cancelled' } })
  })

  it('that changes a host takes back what it did, after the step under way', async () => {
    const { handle, digest } = await bench.asked()
    await bench.host.holdAfter('block', 'job.set daily')
    await bench.answer(handle, 'approve', digest)
    await until('the effect', () => bench.host.held())
    await handle.cancel()
    await bench.host.release()
    const result = await resultOf(handle)
    expect(result).toMatchObject({ state: 'cancelled', message: expect.stringContaining('1 steps were taken back') })
    expect(await bench.effects()).toEqual(['daily', 'daily'])
    expect(await bench.comment('daily')).toBe('theirs')
  })

  it('that waits for its proof leaves the change, and says so', async () => {
    const { handle, digest } = await bench.asked({ proof: 'waits' })
    await bench.answer(handle, 'approve', digest)
    await until('the wait for the proof', async () => {
      const { currentDetails = '' } = await handle.query<{ currentDetails?: string }>('__temporal_workflow_metadata')
      return currentDetails.includes('**prove**') ? true : undefined
    })
    await handle.cancel()
    expect(await resultOf(handle)).toMatchObject({ state: 'cancelled', message: 'cancelled: the change was made and stays' })
    expect(await bench.comment('daily')).toBe('ours')
  })
})

describe('two runs on one host', () => {
  it('follow one another: the second says for whom it waits, and plans again when the first is through', async () => {
    const first = await bench.asked()
    const second = await bench.asked({}, '-second')
    await bench.host.holdAfter('block', 'job.set daily')
    await bench.answer(first.handle, 'approve', first.digest)
    await until('the effect', () => bench.host.held())
    await bench.answer(second.handle, 'approve', second.digest)
    // The plan made again after its approval is another one already: the first run has changed a job.
    const asked = await bench.question(second.handle, second.digest)
    await bench.answer(second.handle, 'approve', asked.plans[0]?.digest ?? '')
    const details = await until('the wait', async () => {
      const { currentDetails = '' } = await second.handle.query<{ currentDetails?: string }>('__temporal_workflow_metadata')
      return currentDetails.includes('Waiting for') ? currentDetails : undefined
    })
    expect(details).toContain(`change/${bench.name} (testChange)`)
    await bench.host.release()
    expect(await resultOf(first.handle)).toMatchObject({ state: 'done' })
    expect(await resultOf(second.handle)).toMatchObject({ state: 'already_so' })
    expect(await bench.effects()).toEqual(['daily', 'weekly'])
  })
})

/** A step whose effect does nothing. */
function brokenStep(host: string) {
  const there = { kind: 'file' as const, path: '/nightshift-test/never', sha256: 'a'.repeat(64) }
  return {
    id: 'break',
    what: 'Fail',
    host,
    effect: { kind: 'command' as const, argv: ['false'] },
    destructive: [],
    before: [{ ...there, sha256: null }],
    after: [there],
    undo: { effect: { kind: 'command' as const, argv: ['true'] } },
    diff: [],
    removes: [],
  }
}
