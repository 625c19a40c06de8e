/**
 * Carries out one approved plan on one host, step by step. Its workflow ID is `apply/<host>`, so that two of them never change one host at once.
 * Whatever ends it early, what was done is taken back, last step first, and each taking back is read from the host again.
 */
import { CancellationScope, isCancellation, rootCause, setCurrentDetails, upsertSearchAttributes, workflowInfo } from '@temporalio/workflow'
import type { StepAnswer } from '../activities/change.js'
import type { AppliedPlan, ApplyRecord, StepOutcome, StepState } from '../domain/change/apply.js'
import { sayDifferences } from '../domain/change/apply.js'
import type { ChangePlan, PlanStep } from '../domain/change/plan.js'
import type { HostRoute } from '../domain/proof/types.js'
import { changeAtHome, changeAtSite } from './routes.js'
import { phase, runbookAttributes } from './shell.js'

export interface ApplyInput {
  readonly plan: ChangePlan
  readonly route: HostRoute
  /** The run that asked. */
  readonly for: { readonly workflowId: string; readonly runId: string; readonly runbook: string }
  /** `undo` takes back a plan that was applied: its steps, last first. */
  readonly mode: 'apply' | 'undo'
}

export async function applyChange(input: ApplyInput): Promise<AppliedPlan> {
  upsertSearchAttributes(runbookAttributes('applyChange', { host: input.plan.host }))
  const apply = new Apply(input)
  await apply.begin()
  if (input.mode === 'undo') {
    for (const step of input.plan.steps) apply.note(step, 'applied', null)
    return await apply.takeBack('rolled back', 'asked for')
  }
  try {
    for (const step of input.plan.steps) {
      const problem = await apply.carryOut(step)
      if (problem !== undefined) return await CancellationScope.nonCancellable(() => apply.takeBack(problem.state, problem.message))
    }
    await CancellationScope.nonCancellable(() => apply.end('applied'))
    return apply.result('applied', `all ${input.plan.steps.length} steps hold on ${input.plan.host}`)
  } catch (error) {
    const why = isCancellation(error) ? 'the run was cancelled' : (rootCause(error) ?? String(error))
    return await CancellationScope.nonCancellable(() => apply.takeBack('rolled back', why))
  }
}

class Apply {
  private readonly id: string
  private readonly states = new Map<string, StepState>()
  private readonly notes = new Map<string, string | null>()
  private readonly home = changeAtHome()

  constructor(private readonly input: ApplyInput) {
    const { workflowId, runId } = input.for
    this.id = `${workflowId}/${runId}/${input.plan.digest.slice(0, 16)}`
    for (const step of input.plan.steps) this.states.set(step.id, 'pending')
  }

  async begin(): Promise<void> {
    const { plan, for: asker, mode } = this.input
    const steps = Object.fromEntries(plan.steps.map((step) => [step.id, mode === 'undo' ? ('applied' as const) : ('pending' as const)]))
    const record: ApplyRecord = { id: this.id, host: plan.host, ...asker, plan, steps, startedAt: workflowInfo().startTime.toISOString(), state: 'open' }
    phase('apply', `${plan.title}, for ${asker.workflowId}.`)
    await this.home.beginApply.executeWithOptions({ summary: 'Record what is about to be changed' }, [{ record }])
  }

  /** One step. @returns why the plan cannot go on, or undefined */
  async carryOut(step: PlanStep): Promise<{ state: 'moved' | 'rolled back'; message: string } | undefined> {
    await this.record(step, 'started')
    const answer = await this.run(step, step)
    const said = sayDifferences(answer.differences) || answer.said.trim().split('\n').at(-1) || ''
    switch (answer.outcome) {
      case 'applied':
        await this.record(step, 'applied')
        return undefined
      case 'already':
        // An earlier attempt whose answer was lost is ours; what held before the first one is somebody else's, and is not taken back.
        await this.record(step, answer.attempt > 1 ? 'applied' : 'already')
        return undefined
      case 'moved':
        await this.record(step, 'pending', said)
        return { state: 'moved', message: `the world moved since the plan: ${said}` }
      case 'unreadable':
      case 'busy':
        await this.record(step, 'pending', said)
        return { state: 'rolled back', message: `step "${step.id}" was not begun: ${said}` }
      case 'failed':
        this.note(step, 'started', said)
        return { state: 'rolled back', message: `step "${step.id}" failed: ${said}` }
    }
  }

  /** Takes back what was or may have been done. Each undo is compared and read back like any step. */
  async takeBack(state: 'moved' | 'rolled back', why: string): Promise<AppliedPlan> {
    const open: string[] = []
    const touched = this.input.plan.steps.filter((step) => ['started', 'applied'].includes(this.states.get(step.id) ?? '')).toReversed()
    if (touched.length > 0) phase('undo', `Taking back ${touched.length} steps: ${why}.`)
    for (const step of touched) {
      const problem = await this.undo(step).catch((error: unknown) => rootCause(error) ?? String(error))
      if (problem === undefined) continue
      open.push(`"${step.id}": ${problem}`)
      await this.record(step, 'not undone', problem)
    }
    if (open.length === 0) {
      await this.end('rolled back')
      return this.result(state, touched.length === 0 ? `${why}; nothing had been done` : `${why}; ${touched.length} steps were taken back and read back`)
    }
    await this.end('failed')
    return this.result('failed', `${why}; not taken back: ${open.join(' · ')}`)
  }

  /** @returns why it is not undone, or undefined */
  private async undo(step: PlanStep): Promise<string | undefined> {
    if ('none' in step.undo) return this.cannotUndo(step, step.undo.none)
    const answer = await this.run(step, { id: `undo ${step.id}`, before: step.after, after: step.before, effect: step.undo.effect })
    if (answer.outcome === 'applied' || answer.outcome === 'already') {
      await this.record(step, 'undone')
      return undefined
    }
    return `${answer.outcome}: ${sayDifferences(answer.differences) || answer.said}`
  }

  /** A step without undo that took no effect needs none. */
  private async cannotUndo(step: PlanStep, why: string): Promise<string | undefined> {
    if (this.states.get(step.id) === 'applied') return `it cannot be undone: ${why}`
    const nothing = { kind: 'command' as const, argv: ['true'] }
    const answer = await this.run(step, { id: `look at ${step.id}`, before: [], after: step.before, effect: nothing })
    if (answer.outcome !== 'already') return `it cannot be undone: ${why}`
    await this.record(step, 'undone')
    return undefined
  }

  private run(of: PlanStep, step: Pick<PlanStep, 'id' | 'before' | 'after' | 'effect'>): Promise<StepAnswer> {
    const request = { route: this.input.route, step: { id: step.id, before: step.before, after: step.after, effect: step.effect } }
    const summary = { summary: step.id.slice(0, 180) }
    return of.host === null
      ? this.home.applyRunbookStep.executeWithOptions(summary, [request])
      : changeAtSite(this.input.route).applyStep.executeWithOptions(summary, [request])
  }

  private async record(step: PlanStep, state: StepState, why: string | null = null): Promise<void> {
    this.note(step, state, why)
    const args = { host: this.input.plan.host, id: this.id, stepId: step.id, state }
    await this.home.recordStep.executeWithOptions({ summary: `Record: ${step.id.slice(0, 140)} ${state}` }, [args])
  }

  note(step: PlanStep, state: StepState, why: string | null): void {
    this.states.set(step.id, state)
    if (why !== null) this.notes.set(step.id, why)
    const lines = this.outcomes().map(({ what, outcome }) => `- ${outcome}: ${what}`)
    setCurrentDetails(`**apply** · ${this.input.plan.title}, for ${this.input.for.workflowId}\n\n${lines.join('\n')}`.slice(0, 15_000))
  }

  async end(state: 'applied' | 'rolled back' | 'failed'): Promise<void> {
    await this.home.endApply.executeWithOptions({ summary: `Close the record: ${state}` }, [{ host: this.input.plan.host, id: this.id, state }])
  }

  private outcomes(): StepOutcome[] {
    return this.input.plan.steps.map(({ id, what }) => ({ id, what, outcome: this.states.get(id) ?? 'pending', note: this.notes.get(id) ?? null }))
  }

  result(state: AppliedPlan['state'], message: string): AppliedPlan {
    return { state, steps: this.outcomes(), message }
  }
}
