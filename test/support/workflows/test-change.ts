/** A small changing runbook on the real shell: two jobs of a host get the comments that its test wants. */
import { ApplicationFailure, proxyActivities, sleep } from '@temporalio/workflow'
import type { ChangeResult } from '../../../src/domain/change/apply.js'
import { ApprovalDesk } from '../../../src/workflows/approval.js'
import { type MadePlan, proofUnknown, runChange } from '../../../src/workflows/change-shell.js'
import { atHome } from '../../../src/workflows/routes.js'

export { alertDesk } from '../../../src/workflows/alert-desk.js'
export { applyChange } from '../../../src/workflows/apply-change.js'

export interface TestActivities {
  testPlan(args: { host: string }): Promise<MadePlan>
}

export interface TestChangeInput {
  readonly host: string
  readonly requestedBy?: string
  /** `waits`: the proof takes an hour; `fails`: it does not come; `unseen`: nobody can look. */
  readonly proof?: 'waits' | 'fails' | 'unseen'
}

export async function testChange(input: TestChangeInput): Promise<ChangeResult> {
  const requestedBy = input.requestedBy ?? null
  const desk = new ApprovalDesk('testChange', input.host, requestedBy)
  const home = proxyActivities<TestActivities>({ ...atHome(), startToCloseTimeout: '20 seconds', retry: { maximumAttempts: 2 } })
  return await runChange({
    runbook: 'testChange',
    host: input.host,
    requestedBy,
    desk,
    makePlan: () => home.testPlan({ host: input.host }),
    prove: async () => {
      if (input.proof === 'waits') await sleep('1 hour')
      if (input.proof === 'fails') throw ApplicationFailure.nonRetryable('the canary did not come', 'NotProven')
      if (input.proof === 'unseen') throw proofUnknown('the mailbox could not be read', { sent: true })
      return { seen: true }
    },
  })
}
