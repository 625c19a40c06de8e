/**
 * What every changing runbook goes through: plan, ask, apply, prove, receipt. A runbook says what its plan is and what proves it; everything else is here.
 */
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common'
import {
  allHandlersFinished,
  CancellationScope,
  ChildWorkflowCancellationType,
  ChildWorkflowFailure,
  condition,
  executeChild,
  isCancellation,
  ParentClosePolicy,
  rootCause,
  sleep,
  workflowInfo,
} from '@temporalio/workflow'
import type { AppliedPlan, ChangeResult } from '../domain/change/apply.js'
import { recoveryPlans } from '../domain/change/apply.js'
import { type ApprovalPolicy, isPreApproved } from '../domain/change/approval.js'
import type { ChangePlan, Json } from '../domain/change/plan.js'
import { workflowIds } from '../domain/ids.js'
import type { HostRoute } from '../domain/proof/types.js'
import type { applyChange } from './apply-change.js'
import type { ApprovalDesk } from './approval.js'
import { changeAtHome } from './routes.js'
import { phase } from './shell.js'

export interface MadePlan {
  readonly plan: ChangePlan
  readonly policy: ApprovalPolicy
  /** SHA-256 of the runbook files that the plan was made from. */
  readonly runbookDigest: string
  readonly route: HostRoute
  /** Facts for the receipt: what was observed, by digest and figure. */
  readonly observed: Readonly<Record<string, Json>>
}

export interface ChangeOptions {
  readonly runbook: string
  readonly host: string
  readonly requestedBy: string | null
  readonly desk: ApprovalDesk
  /** Reads what is true now and plans from it; called again whenever the world may have moved. */
  makePlan(): Promise<MadePlan>
  /** What shows that the change does what it is for. Throwing takes the change back. */
  prove?(applied: AppliedPlan, made: MadePlan): Promise<Json>
  /** Also proven when there was nothing to change. */
  readonly provesUnchanged?: boolean
}

/** Plans that a moving world made void, in one run; after that a person should look. */
const MOST_ROUNDS = 5

/** Runs a change from plan to receipt. Never throws for what a host or a person says; a cancellation takes back what was done and is thrown on. */
export async function runChange(options: ChangeOptions): Promise<ChangeResult> {
  const { desk, host } = options
  const startedAt = new Date().toISOString()
  const stopped = await recoverUnfinished(options)
  if (stopped !== undefined) return await finish(options, null, { ...stopped, startedAt })
  for (let round = 1; ; round += 1) {
    phase('plan', `Reading ${host} and planning${round === 1 ? '' : ' again'}.`)
    const made = await options.makePlan()
    const { plan, policy } = made
    if (plan.steps.length === 0) {
      const nothing: AppliedPlan = { state: 'applied', steps: [], message: 'everything is as wanted already' }
      const proof = options.provesUnchanged ? await prove(options, nothing, made) : { ok: true as const, proof: null }
      if (!proof.ok) return await finish(options, made, { state: 'failed', message: proof.why, startedAt })
      return await finish(options, made, { state: 'already_so', message: nothing.message, proof: proof.proof, startedAt })
    }
    if (isPreApproved(plan, policy)) desk.show([plan], policy)
    else if (!desk.isApproved(plan, policy)) {
      const decision = await desk.ask([plan], policy)
      if (decision.state !== 'approved') return await finish(options, made, { ...decision, startedAt })
      // The answer may have taken days: what was approved is carried out only if it is still what would be planned.
      phase('plan', `Approved. Reading ${host} again before anything is changed.`)
      const again = await options.makePlan()
      if (again.plan.digest !== plan.digest) {
        if (round >= MOST_ROUNDS)
          return await finish(options, again, { state: 'failed', message: 'the host changed under every plan; look who changes it', startedAt })
        desk.remark(
          `The approved plan ${plan.digest.slice(0, 12)}… is void: ${host} or the runbooks changed meanwhile. This is a new plan and needs a new answer.`,
        )
        continue
      }
    }
    const applied = await applyPlan(options, made)
    if (applied.state === 'moved' && round < MOST_ROUNDS) {
      desk.remark(`Nothing was changed: ${applied.message}.`)
      continue
    }
    if (applied.state !== 'applied') {
      return await finish(options, made, { state: applied.state === 'rolled back' ? 'rolled_back' : 'failed', message: applied.message, applied, startedAt })
    }
    const proof = await prove(options, applied, made)
    if (proof.ok) return await finish(options, made, { state: 'done', message: applied.message, applied, proof: proof.proof, startedAt })
    const undone = await applyPlan(options, made, 'undo')
    const state = undone.state === 'rolled back' ? 'rolled_back' : 'failed'
    return await finish(options, made, { state, message: `${proof.why}; ${undone.message}`, applied: undone, startedAt })
  }
}

async function prove(options: ChangeOptions, applied: AppliedPlan, made: MadePlan): Promise<{ ok: true; proof: Json } | { ok: false; why: string }> {
  if (options.prove === undefined) return { ok: true, proof: null }
  phase('prove', 'Looking whether the change does what it is for.')
  try {
    return { ok: true, proof: await options.prove(applied, made) }
  } catch (error) {
    if (isCancellation(error)) throw error
    return { ok: false, why: `not proven: ${rootCause(error) ?? String(error)}` }
  }
}

/** Carries out a plan under the host's one apply; waits for another run that holds it, and says for whom. */
export async function applyPlan(
  options: Pick<ChangeOptions, 'runbook' | 'host'>,
  made: Pick<MadePlan, 'plan' | 'route'>,
  mode: 'apply' | 'undo' = 'apply',
): Promise<AppliedPlan> {
  const { workflowId, runId } = workflowInfo()
  const applyWorkflowId = workflowIds.apply(options.host)
  for (let wait = 1; ; wait = Math.min(60, wait * 2)) {
    phase(mode, `${mode === 'apply' ? 'Changing' : 'Taking back the change of'} ${options.host}: ${made.plan.steps.length} steps.`)
    try {
      return await executeChild<typeof applyChange>('applyChange', {
        workflowId: applyWorkflowId,
        args: [{ plan: made.plan, route: made.route, for: { workflowId, runId, runbook: options.runbook }, mode }],
        parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
        cancellationType: ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
        staticSummary: made.plan.title.slice(0, 180),
      })
    } catch (error) {
      if (error instanceof WorkflowExecutionAlreadyStartedError) {
        const holder = await changeAtHome().describeHolder.executeWithOptions({ summary: `Who changes ${options.host} now?` }, [
          { host: options.host, applyWorkflowId },
        ])
        phase('wait', `Another run changes ${options.host} now: ${holder ?? 'it has just ended'}. This one follows.`)
        await sleep(`${wait} seconds`, { summary: `Wait for ${holder ?? applyWorkflowId}` })
        continue
      }
      if (error instanceof ChildWorkflowFailure && !isCancellation(error)) {
        return {
          state: 'failed',
          steps: [],
          message: `the apply was ended from outside: ${rootCause(error) ?? error.message}; the next run on ${options.host} offers to finish or undo it`,
        }
      }
      throw error
    }
  }
}

/** An earlier run was ended in the middle of changing this host: that comes first. @returns why this run cannot go on, or undefined */
async function recoverUnfinished(options: ChangeOptions): Promise<{ state: 'rejected' | 'timed_out' | 'failed' | 'rolled_back'; message: string } | undefined> {
  const applyWorkflowId = workflowIds.apply(options.host)
  const args = { host: options.host, applyWorkflowId }
  for (;;) {
    const record = await changeAtHome().unfinishedApply.executeWithOptions({ summary: `Was a change of ${options.host} ended in the middle?` }, [args])
    if (record === null) return undefined
    const made = await options.makePlan()
    const { finish: finishing, undo } = recoveryPlans(record)
    options.desk.remark(
      `${record.workflowId} was ended in the middle of changing ${options.host}, at ${record.startedAt}. First that is finished or taken back.`,
    )
    const choices = [finishing, undo].filter((plan) => plan.steps.length > 0)
    if (choices.length > 0) {
      const decision = await options.desk.ask(choices, made.policy)
      if (decision.state !== 'approved') return decision
      const applied = await applyPlan(options, { plan: decision.plan, route: made.route })
      if (applied.state !== 'applied')
        return { state: applied.state === 'rolled back' ? 'rolled_back' : 'failed', message: `the recovery did not come through: ${applied.message}` }
    }
    await changeAtHome().forgetApply.executeWithOptions({ summary: 'Close the record of the earlier run' }, [{ host: options.host, id: record.id }])
  }
}

interface Ending {
  readonly state: ChangeResult['state']
  readonly message: string
  readonly startedAt: string
  readonly applied?: AppliedPlan
  readonly proof?: Json
}

async function finish(options: ChangeOptions, made: MadePlan | null, ending: Ending): Promise<ChangeResult> {
  phase('receipt', 'Writing the receipt.')
  const approval = made === null || made.plan.steps.length === 0 ? null : { digest: made.plan.digest, answers: options.desk.answersFor(made.plan) }
  const result: ChangeResult = {
    state: ending.state,
    message: ending.message,
    planDigest: made?.plan.digest ?? null,
    steps: ending.applied?.steps ?? [],
    approval,
    proof: ending.proof ?? null,
    receipt: null,
  }
  const receipt = await writeRunReceipt(options, made, result, ending.startedAt)
  phase('done', `${ending.state}: ${ending.message}`)
  await condition(allHandlersFinished)
  return { ...result, receipt }
}

/** One receipt a run; a repeated call finds it. */
export async function writeRunReceipt(
  options: Pick<ChangeOptions, 'runbook' | 'host' | 'requestedBy'>,
  made: Pick<MadePlan, 'runbookDigest' | 'observed'> | null,
  result: Omit<ChangeResult, 'receipt'>,
  startedAt: string,
): Promise<ChangeResult['receipt']> {
  const { workflowId, runId } = workflowInfo()
  const answers = result.approval?.answers ?? []
  const yes = answers.find((answer) => answer.decision === 'approve')
  return await CancellationScope.nonCancellable(() =>
    changeAtHome().writeRunReceipt.executeWithOptions({ summary: 'Append the receipt' }, [
      {
        body: {
          kind: options.runbook,
          run: { runbook: options.runbook, runbookDigest: made?.runbookDigest ?? null, workflowId, runId },
          requestedBy: options.requestedBy ?? 'operator',
          approval: yes === undefined ? null : { digest: yes.digest, approver: yes.approver, at: yes.at, signed: yes.proof === 'signed' },
          observed: { host: options.host, ...(made?.observed ?? {}) },
          steps: result.steps.map(({ id, outcome }) => ({ what: id, outcome })),
          outcome: {
            state: result.state,
            planDigest: result.planDigest,
            answers: answers.map(({ decision, approver, at, proof, digest }) => ({ decision, approver, at, proof, digest })),
            approvedOwn: yes !== undefined && yes.approver === options.requestedBy,
            proof: result.proof,
          },
          times: { startedAt, endedAt: new Date().toISOString() },
        },
      },
    ]),
  )
}
