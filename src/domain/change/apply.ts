/** How an approved plan is carried out, and the record by which a run that was ended in the middle is finished or taken back. */
import type { CountedAnswer } from './approval.js'
import { type ChangePlan, type Json, type PlanStep, sealPlan } from './plan.js'
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
  /** By step id. */
  readonly steps: Readonly<Record<string, StepState>>
  readonly startedAt: string
  readonly state: 'open' | 'applied' | 'rolled back' | 'failed'
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
  readonly state: 'done' | 'already_so' | 'rejected' | 'timed_out' | 'rolled_back' | 'failed' | 'cancelled'
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

/**
 * The two ways out of an apply that was ended in the middle. Both are plans like any other: approved by digest, compared before each effect.
 * *Finish* holds the steps that are not known to hold; *undo* takes back, last first, those that may have taken place.
 */
export function recoveryPlans(record: ApplyRecord): { readonly finish: ChangePlan; readonly undo: ChangePlan } {
  const stateOf = (step: PlanStep): StepState => record.steps[step.id] ?? 'pending'
  const touched = record.plan.steps.filter((step) => stateOf(step) === 'started' || stateOf(step) === 'applied' || stateOf(step) === 'not undone')
  const open = record.plan.steps.filter((step) => stateOf(step) !== 'applied' && stateOf(step) !== 'already')
  const { host, facts } = record.plan
  const about = { host, facts, warnings: [] as const }
  const finish = sealPlan({ ...about, runbook: `${record.runbook}: finish`, title: `Finish what ${record.workflowId} began on ${host}`, steps: open })
  const undo = sealPlan({
    ...about,
    runbook: `${record.runbook}: undo`,
    title: `Take back what ${record.workflowId} began on ${host}`,
    steps: touched.toReversed().flatMap((step) => ('effect' in step.undo ? [undoStepOf(step, step.undo.effect)] : [])),
  })
  return { finish, undo }
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
