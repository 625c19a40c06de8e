/** Who may say yes to a plan, and what a yes is. Pure: the workflow's validators and the command line use the same rules. */
import type { ChangePlan } from './plan.js'
import { isDestructive } from './plan.js'

/** The policy of a runbook, from its file. */
export interface ApprovalPolicy {
  readonly approvers: readonly string[]
  /** Different people that must say yes. */
  readonly needed: number
  /** Whoever asked for the run may be the one who approves it (one operator alone). */
  readonly mayApproveOwn: boolean
  /** Without an answer within this time the answer is no. */
  readonly timeoutHours: number
  /** Plans without a destructive step need nobody. */
  readonly preApproveHarmless: boolean
  /** `required`: an approval without a valid signature is refused. */
  readonly signature: 'optional' | 'required'
}

/** What `approve` and `reject` carry. */
export interface ApprovalAnswer {
  readonly digest: string
  readonly approver: string
  readonly reason: string
  /** Armoured `ssh-keygen -Y sign` output over `approvalMessage`. */
  readonly signature?: string
}

export interface CountedAnswer {
  readonly decision: 'approve' | 'reject'
  readonly approver: string
  readonly digest: string
  readonly reason: string
  readonly at: string
  /** `signed`: checked against allowed_signers; `claimed`: only a name. */
  readonly proof: 'signed' | 'claimed'
}

export interface ApprovalState {
  /** Plans that can be approved now: one, or the alternatives of a recovery. */
  readonly plans: readonly ChangePlan[]
  readonly policy: ApprovalPolicy
  readonly requestedBy: string | null
  readonly isWaiting: boolean
  /** Answers that are counted, and those whose signature is being checked. */
  readonly answers: readonly CountedAnswer[]
  readonly expired: boolean
}

/** The namespace of signatures under approvals (`ssh-keygen -Y sign -n`). */
export const APPROVAL_NAMESPACE = 'nightshift-approval'

/** What a person signs: nothing but a decision on exactly this plan of exactly this run. */
export function approvalMessage(about: {
  readonly estate: string
  readonly workflowId: string
  readonly runId: string
  readonly decision: 'approve' | 'reject'
  readonly answer: Pick<ApprovalAnswer, 'digest' | 'approver' | 'reason'>
}): string {
  const { estate, workflowId, runId, decision, answer } = about
  return `${JSON.stringify(['nightshift-approval/1', estate, workflowId, runId, decision, answer.digest, answer.approver, answer.reason])}\n`
}

/** True when this plan may be applied without asking. */
export function isPreApproved(plan: ChangePlan, policy: ApprovalPolicy): boolean {
  return policy.preApproveHarmless && !isDestructive(plan)
}
