/** The one place where a run asks people: handlers for `approve`, `reject` and `plan`, and the wait for an answer. */
import { ApplicationFailure, condition, defineQuery, defineSignal, defineUpdate, setCurrentDetails, setHandler, workflowInfo } from '@temporalio/workflow'
import { type ApprovalAnswer, type ApprovalPolicy, type ApprovalState, type CountedAnswer, decisionOf, refusalOf } from '../domain/change/approval.js'
import { type ChangePlan, isDestructive } from '../domain/change/plan.js'
import { renderPlanMarkdown, renderQuestion } from '../domain/change/render.js'
import { estateOfNamespace } from '../domain/ids.js'
import { changeAtHome } from './routes.js'
import { phase } from './shell.js'

/** What the query `plan` answers: everything that a person needs to decide. */
export interface PlanView {
  readonly runbook: string
  readonly host: string
  readonly requestedBy: string | null
  /** `planning`, `waiting for approval`, `approved`, `rejected`, `timed out`, `no approval needed`. */
  readonly state: string
  readonly plans: readonly ChangePlan[]
  readonly policy: ApprovalPolicy | null
  readonly answers: readonly CountedAnswer[]
  /** Answers that did not count, and why; the newest last, at most `MOST_REFUSED`. */
  readonly refused: readonly { readonly decision: string; readonly approver: string; readonly why: string; readonly at: string }[]
  readonly until: string | null
  /** Why an earlier plan was given up. */
  readonly notes: readonly string[]
}

export interface AnswerReceipt {
  readonly counted: true
  readonly proof: CountedAnswer['proof']
  /** Further people that must say yes. */
  readonly stillNeeded: number
}

export const approveUpdate = defineUpdate<AnswerReceipt, [ApprovalAnswer]>('approve')
export const rejectUpdate = defineUpdate<AnswerReceipt, [ApprovalAnswer]>('reject')
export const approveSignal = defineSignal<[ApprovalAnswer]>('approve')
export const rejectSignal = defineSignal<[ApprovalAnswer]>('reject')
export const planQuery = defineQuery<PlanView>('plan')

const MOST_REFUSED = 20
const MOST_DETAILS_BYTES = 17_000
const HOUR_MS = 3_600_000

export type Decision = { readonly state: 'approved'; readonly plan: ChangePlan } | { readonly state: 'rejected' | 'timed_out'; readonly message: string }

/** Make one before the first `await` of a workflow: an answer must never find nobody listening. */
export class ApprovalDesk {
  private state = 'planning'
  private plans: readonly ChangePlan[] = []
  private policy: ApprovalPolicy | undefined
  private until: string | null = null
  private isWaiting = false
  private expired = false
  private answers: CountedAnswer[] = []
  /** Answers before this one are history. */
  private countFrom = 0
  private readonly refused: PlanView['refused'][number][] = []
  private readonly notes: string[] = []

  constructor(
    private readonly runbook: string,
    private readonly host: string,
    private readonly requestedBy: string | null,
  ) {
    const update = (decision: CountedAnswer['decision'], description: string) =>
      setHandler(decision === 'approve' ? approveUpdate : rejectUpdate, (answer) => this.take(decision, answer), {
        validator: (answer) => this.validate(decision, answer),
        description,
      })
    update('approve', 'Say yes to exactly this plan: {"digest", "approver", "reason", "signature"?}. Query `plan` shows the digest.')
    update('reject', 'Say no to this plan: {"digest", "approver", "reason"}.')
    setHandler(approveSignal, (answer) => this.takeSignal('approve', answer), { description: 'The same as the update, for tools that only signal.' })
    setHandler(rejectSignal, (answer) => this.takeSignal('reject', answer), { description: 'The same as the update, for tools that only signal.' })
    setHandler(planQuery, () => this.view(), { description: 'The plan that waits, its policy, the answers so far.' })
  }

  /** Said beside the next plan: why the one before was given up. */
  remark(note: string): void {
    this.notes.push(note)
  }

  view(): PlanView {
    const { runbook, host, requestedBy, state, plans, answers, refused, until, notes } = this
    return { runbook, host, requestedBy, state, plans, policy: this.policy ?? null, answers, refused, until, notes }
  }

  /** The answers that count for a plan. */
  answersFor(plan: ChangePlan): CountedAnswer[] {
    return this.answers.filter((answer) => answer.digest === plan.digest)
  }

  /** Answers to other plans of this run: void ones, and those about an earlier run's unfinished change. */
  answersBeside(plan: ChangePlan | undefined): CountedAnswer[] {
    return this.answers.filter((answer) => answer.digest !== plan?.digest)
  }

  /** Shows a plan that needs no answer. */
  show(plans: readonly ChangePlan[], policy: ApprovalPolicy): void {
    this.plans = plans
    this.policy = policy
    this.state = 'no approval needed'
  }

  /** True when this plan was approved before: an identical plan keeps its approval. */
  isApproved(plan: ChangePlan, policy: ApprovalPolicy): boolean {
    const decision = decisionOf({ plans: [plan], policy, answers: this.answers })
    return typeof decision === 'object'
  }

  /** Waits for people. Time-out means no. @param plans alternatives; the digest of an answer chooses */
  async ask(plans: readonly ChangePlan[], policy: ApprovalPolicy): Promise<Decision> {
    this.plans = plans
    this.policy = policy
    this.state = 'waiting for approval'
    this.until = new Date(Date.now() + policy.timeoutHours * HOUR_MS).toISOString()
    this.isWaiting = true
    this.expired = false
    this.tell()
    const answered = await condition(() => decisionOf(this.current()) !== 'open', policy.timeoutHours * HOUR_MS, {
      summary: `Approval by ${policy.approvers.join(', ')}; no answer means no`,
    })
    const decision = decisionOf(this.current())
    this.isWaiting = false
    if (typeof decision === 'object') {
      this.state = 'approved'
      return { state: 'approved', plan: decision.approved }
    }
    this.expired = !answered
    this.state = answered ? 'rejected' : 'timed out'
    if (!answered) return { state: 'timed_out', message: `nobody answered within ${policy.timeoutHours} h, which means no` }
    const no = this.answers.findLast((answer) => answer.decision === 'reject')
    return { state: 'rejected', message: `${no?.approver ?? 'somebody'} said no: ${no?.reason ?? ''}` }
  }

  /** As `ask`, for a question of its own: neither an earlier yes nor an earlier no to an identical plan answers it. */
  async askAnew(plans: readonly ChangePlan[], policy: ApprovalPolicy): Promise<Decision> {
    this.countFrom = this.answers.length
    return await this.ask(plans, policy)
  }

  private current(): ApprovalState {
    const { plans, isWaiting, expired, requestedBy } = this
    const answers = this.answers.slice(this.countFrom)
    return { plans, policy: this.policy ?? NOBODY, requestedBy, isWaiting, answers, expired }
  }

  private validate(decision: CountedAnswer['decision'], answer: ApprovalAnswer): void {
    const why = isAnswer(answer) ? refusalOf(this.current(), decision, answer) : 'an answer is {"digest", "approver", "reason"}, all of them text'
    if (why === undefined) return
    throw ApplicationFailure.nonRetryable(why, 'ApprovalRefused')
  }

  private async take(decision: CountedAnswer['decision'], answer: ApprovalAnswer): Promise<AnswerReceipt> {
    const proof = answer.signature === undefined ? 'claimed' : await this.checked(decision, answer)
    // The check took time, and another answer may have come meanwhile.
    const why = refusalOf(this.current(), decision, answer)
    if (why !== undefined) throw ApplicationFailure.nonRetryable(why, 'ApprovalRefused')
    const { approver, digest, reason } = answer
    this.answers.push({ decision, approver, digest, reason: reason.slice(0, 500), at: new Date().toISOString(), proof })
    this.tell()
    const yes = new Set(this.answers.filter((each) => each.digest === digest && each.decision === 'approve').map((each) => each.approver))
    return { counted: true, proof, stillNeeded: Math.max(0, (this.policy?.needed ?? 1) - yes.size) }
  }

  private async checked(decision: CountedAnswer['decision'], answer: ApprovalAnswer): Promise<'signed'> {
    const { workflowId, runId, taskQueue } = workflowInfo()
    const estate = estateOfNamespace(taskQueue) ?? taskQueue
    const checked = await changeAtHome().checkApproval.executeWithOptions({ summary: `Check the signature of ${answer.approver.slice(0, 60)}` }, [
      { estate, workflowId, runId, decision, answer },
    ])
    if (!checked.valid) throw ApplicationFailure.nonRetryable(`the signature of ${answer.approver} does not count: ${checked.why}`, 'ApprovalRefused')
    return 'signed'
  }

  /** A signal cannot be refused: what does not count is kept and shown. */
  private async takeSignal(decision: CountedAnswer['decision'], answer: ApprovalAnswer): Promise<void> {
    try {
      this.validate(decision, answer)
      await this.take(decision, answer)
    } catch (error) {
      if (!(error instanceof ApplicationFailure) || error.type !== 'ApprovalRefused') throw error
      const approver = isAnswer(answer) ? answer.approver.slice(0, 100) : '?'
      this.refused.push({ decision, approver, why: error.message.slice(0, 400), at: new Date().toISOString() })
      this.refused.splice(0, Math.max(0, this.refused.length - MOST_REFUSED))
      if (this.isWaiting) this.tell()
    }
  }

  private tell(): void {
    const { plans, policy, answers, until } = this
    if (policy === undefined || until === null) return
    phase('approve', '')
    const question = renderQuestion({ workflowId: workflowInfo().workflowId, plans, policy, answers, until })
    const notes = [...this.notes.slice(-3), ...this.refused.slice(-3).map(({ approver, decision, why }) => `refused: ${decision} by ${approver}: ${why}`)]
    const shown = plans.map((plan) => renderPlanMarkdown(plan, Math.floor((MOST_DETAILS_BYTES - 3_000) / plans.length)))
    const danger = plans.some(isDestructive) ? ' This plan is **destructive**.' : ''
    setCurrentDetails(['**approve** ·', question + danger, ...notes.map((note) => `- ${note}`), '', ...shown].join('\n'))
  }
}

const NOBODY: ApprovalPolicy = { approvers: [], needed: 1, mayApproveOwn: false, timeoutHours: 0, preApproveHarmless: false, signature: 'required' }

/** What a person or a tool sent, before it is believed to have the right shape. */
function isAnswer(answer: unknown): answer is ApprovalAnswer {
  if (typeof answer !== 'object' || answer === null) return false
  const { digest, approver, reason, signature } = answer as Partial<Record<keyof ApprovalAnswer, unknown>>
  return typeof digest === 'string' && typeof approver === 'string' && typeof reason === 'string' && (signature === undefined || typeof signature === 'string')
}
