/** How an approved plan is carried out, and the record by which a run that was ended in the middle is finished or taken back. */
import type { HostRoute } from '../proof/types.js'
import type { ApprovalPolicy, CountedAnswer } from './approval.js'
import { type ChangePlan, type Json, type PlanStep, type PlanWarning, sealPlan } from './plan.js'
import type { Difference } from './remote-program.js'

/** `started` is written before the effect, so that no effect is without a trace. */
export type StepState = 'pending' | 'started' | 'applied' | 'already' | 'failed' | 'undone' | 'not undone'

export interface ApplyRecord {
  /** Workflow and run of whoever asked, and the digest. */
  readonly id: string
  readonly host: string
  readonly runbook: string
  readonly workflowId: string
  readonly runId: string
  readonly plan: ChangePlan
  /** Who may say how it is ended when its run cannot: the policy it was approved under. */
  readonly policy: ApprovalPolicy
  readonly route: HostRoute
  /** By step id. */
  readonly steps: Readonly<Record<string, StepState>>
  readonly startedAt: string
}

export interface StepOutcome {
  readonly id: string
  readonly what: string
  readonly outcome: StepState
  /** Why, where it is not plain. One line. */
  readonly note: string | null
}

export interface AppliedPlan {
  /**
   * `applied`: every step holds. `moved`: the host was not as planned; what had been done is taken back. `rolled back`: a step failed or the run was
   * cancelled, and everything that was done is proven undone. `failed`: something could not be undone or found out; `message` says what.
   */
  readonly state: 'applied' | 'moved' | 'rolled back' | 'failed'
  readonly steps: readonly StepOutcome[]
  readonly message: string
}

export interface ChangeResult {
  /** `unknown`: the host could not be read, so that no plan was made, or not be looked at after the change; `message` says which. */
  readonly state: 'done' | 'already_so' | 'rejected' | 'timed_out' | 'rolled_back' | 'failed' | 'unknown' | 'cancelled'
  readonly message: string
  readonly planDigest: string | null
  readonly steps: readonly StepOutcome[]
  readonly approval: { readonly digest: string; readonly answers: readonly CountedAnswer[] } | null
  readonly proof: Json
  readonly receipt: { readonly number: number; readonly sha256: string } | null
}

/** Differences as one line for people. */
export function sayDifferences(differences: readonly Difference[]): string {
  const said = (value: unknown) => (value === null || value === undefined ? 'nothing' : typeof value === 'string' ? value : JSON.stringify(value))
  return differences
    .slice(0, 5)
    .map(({ subject, field, expected, found }) => `${subject}: ${field} is ${said(found)}, expected ${said(expected)}`)
    .join('; ')
}

/** True when a step took effect, or may have. */
export function isTouched(state: StepState | undefined): boolean {
  return state === 'started' || state === 'applied' || state === 'not undone'
}

/**
 * The ways out of an apply that was ended in the middle; the digest of an answer chooses. *Finish* holds the steps that are not known to hold; *undo* takes back,
 * last first, those that may have taken place; *leave* gives the host to people as it is. Empty when no step was begun: then there is nothing to decide.
 */
export function recoveryPlans(record: ApplyRecord): readonly RecoveryPlan[] {
  const { runbook, workflowId, host, plan, startedAt } = record
  const touched = plan.steps.filter((step) => isTouched(record.steps[step.id]))
  if (touched.length === 0) return []
  const open = plan.steps.filter((step) => record.steps[step.id] !== 'applied' && record.steps[step.id] !== 'already')
  const undo = touched.toReversed().flatMap((step) => ('effect' in step.undo ? [undoStepOf(step, step.undo.effect)] : []))
  const begun = `what ${workflowId} began on ${host} at ${startedAt}`
  const way = (name: RecoveryPlan['way'], title: string, steps: readonly PlanStep[]): RecoveryPlan => ({
    way: name,
    plan: sealPlan({ runbook: `${runbook}: ${name}`, host, title, steps, facts: {}, warnings: name === 'undo' ? lasting(touched) : [] }),
  })
  return [
    way('finish', `Finish ${begun}`, open),
    ...(undo.length === 0 ? [] : [way('undo', `Take back ${begun}`, undo)]),
    way('leave', `Leave ${begun} as it is now`, []),
  ]
}

export interface RecoveryPlan {
  readonly way: 'finish' | 'undo' | 'leave'
  readonly plan: ChangePlan
}

function lasting(touched: readonly PlanStep[]): PlanWarning[] {
  return touched.flatMap(({ what, undo }) => ('none' in undo ? [{ code: 'no_undo', message: `cannot be taken back: ${what} (${undo.none})` }] : []))
}

/** A step that takes another one back. */
function undoStepOf(step: PlanStep, effect: PlanStep['effect']): PlanStep {
  return {
    ...step,
    id: `undo ${step.id}`,
    what: `Take back: ${step.what}`,
    effect,
    before: step.after,
    after: step.before,
    undo: { effect: step.effect },
    diff: step.diff.map(({ field, from, to }) => ({ field, from: to, to: from })),
    removes: [],
    // Taking back a step that lessened protection gives it back; one that gave protection takes it.
    destructive: step.destructive.includes('lessens protection') ? [] : ['lessens protection'],
  }
}
