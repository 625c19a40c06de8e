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

/** Why an answer does not count; undefined when it does. The caller of an update sees it, a signal's is shown in the plan. */
export function refusalOf(state: ApprovalState, decision: 'approve' | 'reject', answer: ApprovalAnswer): string | undefined {
  const { policy } = state
  if (state.expired) return `the time for an answer (${policy.timeoutHours} h) is over: no answer is a no; start the run again`
  if (!state.isWaiting) return 'nothing is waiting for an answer now; `nightshift plan` shows where the run stands'
  if (!/^[0-9a-f]{64}$/.test(answer.digest)) return `the digest must be the 64 hex digits of the plan's SHA-256, not "${answer.digest.slice(0, 80)}"`
  if (!state.plans.some((plan) => plan.digest === answer.digest)) {
    return `digest ${answer.digest.slice(0, 12)}… is not of the plan that waits (${state.plans.map((plan) => `${plan.digest.slice(0, 12)}…`).join(' or ')}): look at the plan again`
  }
  if (!policy.approvers.includes(answer.approver)) return `${answer.approver || 'nobody'} is no approver; approvers: ${policy.approvers.join(', ')}`
  if (answer.reason.trim() === '') return 'an answer needs a reason'
  const earlier = state.answers.find((each) => each.approver === answer.approver && each.digest === answer.digest)
  if (earlier !== undefined) return `${answer.approver} has answered already (${earlier.decision} at ${earlier.at})`
  if (decision === 'approve' && !policy.mayApproveOwn) {
    const asked = state.requestedBy
    if (asked === null) return 'who asked for this run is not known, and the policy lets nobody approve their own (may_approve_own): start it with requestedBy'
    if (asked === answer.approver) return `${asked} asked for this run, and the policy lets nobody approve their own (may_approve_own)`
  }
  if (policy.signature === 'required' && answer.signature === undefined) return 'the policy wants a signed answer: nightshift approve … --sign KEY'
  return undefined
}

/** What the answers so far come to. One no is a no. */
export function decisionOf(state: Pick<ApprovalState, 'plans' | 'policy' | 'answers'>): { readonly approved: ChangePlan } | 'rejected' | 'open' {
  const counted = state.answers.filter((answer) => state.plans.some((plan) => plan.digest === answer.digest))
  if (counted.some((answer) => answer.decision === 'reject')) return 'rejected'
  const approved = state.plans.find((plan) => {
    const approvers = new Set(counted.filter((answer) => answer.digest === plan.digest).map((answer) => answer.approver))
    return approvers.size >= state.policy.needed
  })
  return approved === undefined ? 'open' : { approved }
}
