/**
 * Carries out one approved plan on one host, step by step. Its workflow ID is `apply/<host>`, so that two of them never change one host at once.
 * Whatever ends it early, what was done is taken back, last step first, and each taking back is read from the host again.
 */
import { CancellationScope, condition, rootCause, setCurrentDetails, upsertSearchAttributes, workflowInfo } from '@temporalio/workflow'
import type { StepAnswer } from '../activities/change.js'
import { type AppliedPlan, isTouched, type StepOutcome, type StepState, sayDifferences } from '../domain/change/apply.js'
import type { ApprovalPolicy } from '../domain/change/approval.js'
import type { ChangePlan, PlanStep } from '../domain/change/plan.js'
import type { HostRoute } from '../domain/proof/types.js'
import { changeAtHome, changeAtSite, isNoWorker, NO_WORKER_AFTER_SECONDS, noWorkerText } from './routes.js'
import { phase, runbookAttributes } from './shell.js'

export interface ApplyInput {
  readonly plan: ChangePlan
  readonly route: HostRoute
  readonly policy: ApprovalPolicy
  /** The run that asked. */
  readonly for: { readonly workflowId: string; readonly runId: string; readonly runbook: string }
  /** `undo` takes back what was or may have been done. */
  readonly mode: 'apply' | 'undo'
  /** Goes on where an earlier apply of this plan stopped. */
  readonly resume?: { readonly recordId: string; readonly steps: Readonly<Record<string, StepState>> }
}

/** How long taking back waits for a site's worker that is not there. */
const UNDO_WAITS_SECONDS = 3600

/** Never fails for what a host does or says. A cancellation is looked at between two steps: no effect is cut in the middle. */
export async function applyChange(input: ApplyInput): Promise<AppliedPlan> {
  upsertSearchAttributes(runbookAttributes('applyChange', { host: input.plan.host }))
  const apply = new Apply(input, CancellationScope.current())
  return await CancellationScope.nonCancellable(() => apply.run())
}

interface Problem {
  readonly state: 'moved' | 'rolled back'
  readonly message: string
}

class Apply {
  private readonly id: string
  private readonly states = new Map<string, StepState>()
  private readonly notes = new Map<string, string | null>()
  private readonly home = changeAtHome()

  /** @param asked the scope in which a cancellation arrives */
  constructor(
    private readonly input: ApplyInput,
    private readonly asked: CancellationScope,
  ) {
    const { workflowId, runId } = input.for
    this.id = input.resume?.recordId ?? applyRecordId(workflowId, runId, input.plan.digest)
    for (const { id } of input.plan.steps) this.states.set(id, input.resume?.steps[id] ?? 'pending')
  }

  async run(): Promise<AppliedPlan> {
    await this.begin()
    if (this.input.mode === 'undo') return await this.takeBack('rolled back', 'asked for')
    for (const step of this.input.plan.steps) {
      if (this.states.get(step.id) === 'applied' || this.states.get(step.id) === 'already') continue
      const problem = this.asked.consideredCancelled ? CANCELLED : await this.carryOut(step)
      if (problem !== undefined) return await this.takeBack(problem.state, problem.message)
    }
    await this.end()
    return this.result('applied', `all ${this.input.plan.steps.length} steps hold on ${this.input.plan.host}`)
  }

  private async begin(): Promise<void> {
    const { plan, route, policy, for: asker } = this.input
    const startedAt = workflowInfo().startTime.toISOString()
    const record = { id: this.id, host: plan.host, ...asker, plan, route, policy, steps: Object.fromEntries(this.states), startedAt }
    phase('apply', `${plan.title}, for ${asker.workflowId}.`)
    await this.home.beginApply.executeWithOptions({ summary: 'Record what is about to be changed' }, [{ record }])
  }

  /** One step. @returns why the plan cannot go on, or undefined */
  private async carryOut(step: PlanStep): Promise<Problem | undefined> {
    // What an earlier apply began and nobody saw the end of may be ours.
    const wasBegun = this.states.get(step.id) === 'started'
    await this.record(step, 'started')
    let answer: StepAnswer
    try {
      answer = await this.ask(step, step)
    } catch (error) {
      const why = rootCause(error) ?? String(error)
      this.note(step, 'started', why)
      return { state: 'rolled back', message: `whether step "${step.id}" took effect could not be found out: ${why}` }
    }
    // An attempt whose answer was lost may have done it, or the half of it: then the step counts as begun, and is taken back with the others.
    const mayBeOurs = wasBegun || answer.attempt > 1
    const said = sayAnswer(answer)
    switch (answer.outcome) {
      case 'applied':
        await this.record(step, 'applied')
        return undefined
      case 'already':
        await this.record(step, mayBeOurs ? 'applied' : 'already')
        return undefined
      case 'failed':
        this.note(step, 'started', said)
        return { state: 'rolled back', message: `step "${step.id}" failed: ${said}` }
      default: {
        await this.record(step, mayBeOurs ? 'started' : 'pending', said)
        if (answer.outcome === 'moved') return { state: 'moved', message: `the world moved since the plan: ${said}` }
        return { state: 'rolled back', message: `step "${step.id}" was not begun: ${said}` }
      }
    }
  }

  /** Takes back what was or may have been done. Each undo is compared and read back like any step. */
  private async takeBack(state: 'moved' | 'rolled back', why: string): Promise<AppliedPlan> {
    const left: { readonly text: string; readonly canBeMended: boolean }[] = []
    const touched = this.input.plan.steps.filter((step) => isTouched(this.states.get(step.id))).toReversed()
    if (touched.length > 0) phase('undo', `Taking back ${touched.length} steps: ${why}.`)
    for (const step of touched) {
      const problem = await this.undo(step).catch((error: unknown) => rootCause(error) ?? String(error))
      if (problem === undefined) continue
      left.push({ text: `"${step.id}": ${problem}`, canBeMended: 'effect' in step.undo })
      await this.record(step, 'none' in step.undo && this.states.get(step.id) === 'applied' ? 'applied' : 'not undone', problem)
    }
    // What nothing can take back is no reason to ask again; what could be, and was not, stays on record for the next run on this host.
    if (!left.some(({ canBeMended }) => canBeMended)) await this.end()
    if (left.length > 0) return this.result('failed', `${why}; not taken back: ${left.map(({ text }) => text).join(' · ')}`)
    return this.result(state, touched.length === 0 ? `${why}; nothing had been done` : `${why}; ${touched.length} steps were taken back and read back`)
  }

  /** @returns why it is not undone, or undefined */
  private async undo(step: PlanStep): Promise<string | undefined> {
    if ('none' in step.undo) return await this.cannotUndo(step, step.undo.none)
    const answer = await this.ask(step, { id: `undo ${step.id}`, before: step.after, after: step.before, effect: step.undo.effect }, UNDO_WAITS_SECONDS)
    if (answer.outcome !== 'applied' && answer.outcome !== 'already') return `${answer.outcome}: ${sayAnswer(answer)}`
    await this.record(step, 'undone')
    return undefined
  }

  /** A step without undo that took no effect needs none. */
  private async cannotUndo(step: PlanStep, why: string): Promise<string | undefined> {
    if (this.states.get(step.id) === 'applied') return `it cannot be undone: ${why}`
    const nothing = { kind: 'command' as const, argv: ['true'] }
    const answer = await this.ask(step, { id: `look at ${step.id}`, before: [], after: step.before, effect: nothing }, UNDO_WAITS_SECONDS)
    if (answer.outcome !== 'already') return `it may have taken effect, and cannot be undone: ${why}`
    await this.record(step, 'undone')
    return undefined
  }

  /** Asks the site's worker; one that is not there is waited for. @param patienceSeconds of that wait; until a cancellation unless told */
  private async ask(of: PlanStep, step: Pick<PlanStep, 'id' | 'before' | 'after' | 'effect'>, patienceSeconds?: number): Promise<StepAnswer> {
    const request = { route: this.input.route, step: { id: step.id, before: step.before, after: step.after, effect: step.effect } }
    const summary = { summary: step.id.slice(0, 180) }
    if (of.host === null) return await this.home.applyRunbookStep.executeWithOptions(summary, [request])
    for (let waited = 0, pause = 5; ; waited += pause + NO_WORKER_AFTER_SECONDS, pause = Math.min(60, pause * 2)) {
      try {
        const answer = await changeAtSite(this.input.route).applyStep.executeWithOptions(summary, [request])
        return waited === 0 ? answer : { ...answer, attempt: answer.attempt + 1 }
      } catch (error) {
        const mayWait = patienceSeconds === undefined ? !this.asked.consideredCancelled : waited < patienceSeconds
        if (!isNoWorker(error) || !mayWait) throw error
        this.show(noWorkerText(this.input.route))
        await condition(() => patienceSeconds === undefined && this.asked.consideredCancelled, pause * 1000, { summary: 'Wait for the worker of the site' })
      }
    }
  }

  private async record(step: PlanStep, state: StepState, why: string | null = null): Promise<void> {
    this.note(step, state, why)
    const args = { host: this.input.plan.host, id: this.id, stepId: step.id, state }
    await this.home.recordStep.executeWithOptions({ summary: `Record: ${step.id.slice(0, 140)} ${state}` }, [args])
  }

  private note(step: PlanStep, state: StepState, why: string | null): void {
    this.states.set(step.id, state)
    if (why !== null) this.notes.set(step.id, why)
    this.show()
  }

  private show(doing = ''): void {
    const lines = this.outcomes().map(({ what, outcome }) => `- ${outcome}: ${what}`)
    setCurrentDetails(`**apply** · ${this.input.plan.title}, for ${this.input.for.workflowId}\n\n${doing}\n\n${lines.join('\n')}`.slice(0, 6_000))
  }

  private async end(): Promise<void> {
    await this.home.endApply.executeWithOptions({ summary: 'Close the record' }, [{ host: this.input.plan.host, id: this.id }])
  }

  private outcomes(): StepOutcome[] {
    return this.input.plan.steps.map(({ id, what }) => ({ id, what, outcome: this.states.get(id) ?? 'pending', note: this.notes.get(id) ?? null }))
  }

  private result(state: AppliedPlan['state'], message: string): AppliedPlan {
    return { state, steps: this.outcomes(), message }
  }
}

const CANCELLED: Problem = { state: 'rolled back', message: 'the run was cancelled' }

/** The record that an apply keeps of itself. */
export function applyRecordId(workflowId: string, runId: string, digest: string): string {
  return `${workflowId}/${runId}/${digest.slice(0, 16)}`
}

function sayAnswer(answer: StepAnswer): string {
  return sayDifferences(answer.differences) || answer.said.trim().split('\n').at(-1) || `exit code ${answer.exitCode ?? 'unknown'}`
}
