/**
 * What every changing runbook goes through: plan, ask, apply, prove, receipt. A runbook says what its plan is and what proves it; everything else is here.
 */
import { ApplicationFailure, TimeoutFailure, WorkflowExecutionAlreadyStartedError } from '@temporalio/common'
import {
  ActivityFailure,
  allHandlersFinished,
  CancellationScope,
  ChildWorkflowCancellationType,
  ChildWorkflowFailure,
  condition,
  executeChild,
  isCancellation,
  log,
  ParentClosePolicy,
  patched,
  rootCause,
  sleep,
  workflowInfo,
} from '@temporalio/workflow'
import type { AppliedPlan, ChangeResult } from '../domain/change/apply.js'
import { recoveryPlans, type StepState } from '../domain/change/apply.js'
import { type ApprovalPolicy, type CountedAnswer, isPreApproved } from '../domain/change/approval.js'
import { type ChangePlan, type Json, planDigest } from '../domain/change/plan.js'
import { workflowIds } from '../domain/ids.js'
import type { HostRoute } from '../domain/proof/types.js'
import { type ApplyInput, type applyChange, applyRecordId } from './apply-change.js'
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
const LONGEST_WAIT_SECONDS = 60

/**
 * Runs a change from plan to receipt. What a host or a person says is an ending, and so is a host that cannot be read, and a cancellation: what was being
 * applied is taken back first.
 * @throws what `makePlan` throws, where it is no host's silence and no refused plan
 */
export async function runChange(options: ChangeOptions): Promise<ChangeResult> {
  const run: RunSoFar = { startedAt: new Date().toISOString(), made: null, applied: null }
  try {
    return await finish(options, run, await change(options, run))
  } catch (error) {
    const unplanned = endingWithoutPlan(options.host, error)
    if (unplanned !== null) return await finish(options, run, unplanned)
    if (!isCancellation(error)) throw error
    const said = run.applied === null ? 'nothing was changed' : run.applied.state === 'applied' ? 'the change was made and stays' : run.applied.message
    return await CancellationScope.nonCancellable(() => finish(options, run, { state: 'cancelled', message: `cancelled: ${said}` }))
  }
}

/** What a cancellation has to tell about. */
interface RunSoFar {
  readonly startedAt: string
  made: MadePlan | null
  applied: AppliedPlan | null
}

/**
 * Plans and tells, and changes nothing: its receipt has what was observed, and each step as `pending`.
 * @param name the phase that is shown while it reads
 * @throws what `plan` throws, where it is no host's silence and no refused plan
 */
export async function runPreview(
  options: Pick<ChangeOptions, 'runbook' | 'host' | 'requestedBy'>,
  name: string,
  plan: () => Promise<MadePlan>,
  tell: (made: MadePlan) => string,
): Promise<ChangeResult> {
  const startedAt = new Date().toISOString()
  phase(name, `Reading ${options.host}; nothing is changed.`)
  let made: MadePlan | null = null
  let ending: Ending
  try {
    made = await plan()
    ending = { state: 'done', message: tell(made) }
  } catch (error) {
    const unplanned = endingWithoutPlan(options.host, error)
    if (unplanned === null) throw error
    ending = unplanned
  }
  phase('receipt', 'Writing the receipt.')
  const steps = (made?.plan.steps ?? []).map(({ id, what }) => ({ id, what, outcome: 'pending' as const, note: null }))
  const result = { ...ending, planDigest: made?.plan.digest ?? null, steps, approval: null, proof: null }
  return withReceipt(result, await writeRunReceipt(options, made, result, startedAt))
}

/** How a run ends whose plan could not be made; null for anything else. Not knowing is a state of its own: nothing is changed on what nobody has seen. */
function endingWithoutPlan(host: string, error: unknown): Ending | null {
  const cause = error instanceof ActivityFailure ? error.cause : error
  const refused = cause instanceof ApplicationFailure && cause.type === 'PlanRefused' ? cause.message : null
  const unread = unreadBecause(error)
  // Runs of a release that failed here have no receipt activity behind it.
  if ((refused === null && unread === null) || !patched('ends-without-plan')) return null
  if (unread === null) return { state: 'failed', message: `no plan: ${refused}` }
  return { state: 'unknown', message: `${host} could not be read, so nothing is changed: ${unread}; run it again when the host answers` }
}

/** Why a host could not be read, when that is what the error says; else null. */
export function unreadBecause(error: unknown): string | null {
  if (!(error instanceof ActivityFailure)) return null
  const { cause, activityType } = error
  if (cause instanceof ApplicationFailure && (cause.type === 'HostUnread' || cause.type === 'NotBelieved')) return cause.message
  if (!(cause instanceof TimeoutFailure) || !activityType.startsWith('observe')) return null
  return cause.timeoutType === 'SCHEDULE_TO_START' ? 'no worker at its site took up the reading' : 'its reading gave no answer in time'
}

/** What `prove` throws when it cannot be found out whether the change does what it is for: the change stays, and the run ends as `unknown`. @param proof what is known */
export function proofUnknown(why: string, proof: Json): ApplicationFailure {
  return ApplicationFailure.nonRetryable(why, 'ProofUnknown', proof)
}

interface Ending {
  readonly state: ChangeResult['state']
  readonly message: string
  readonly proof?: Json
}

async function change(options: ChangeOptions, run: RunSoFar): Promise<Ending> {
  const { desk, host } = options
  for (let round = 1; round <= MOST_ROUNDS; round += 1) {
    const stopped = await recoverUnfinished(options)
    if (stopped !== undefined) return stopped

    phase('plan', `Reading ${host} and planning${round === 1 ? '' : ' again'}.`)
    let made = await options.makePlan()
    run.made = made
    if (made.plan.steps.length === 0) return await alreadySo(options, made)

    if (isPreApproved(made.plan, made.policy)) desk.show([made.plan], made.policy)
    else if (!desk.isApproved(made.plan, made.policy)) {
      const decision = await desk.ask([made.plan], made.policy)
      if (decision.state !== 'approved') return decision
      // The answer may have taken days: what was approved is carried out only if it is still what would be planned.
      phase('plan', `Approved. Reading ${host} again before anything is changed.`)
      const again = await options.makePlan()
      if (again.plan.digest !== made.plan.digest) {
        desk.remark(
          `The approved plan ${short(made.plan)} is void, because ${whatMoved(made.plan, again.plan)}. What is planned now needs an answer of its own.`,
        )
        continue
      }
      made = again
      run.made = made
    }

    const applied = await applyPlan(options, made)
    run.applied = applied
    if (CancellationScope.current().consideredCancelled) return { state: 'cancelled', message: applied.message }
    if (applied.state === 'moved') {
      desk.remark(`Planned again: ${applied.message}.`)
      if (applied.steps.length === 0) round -= 1
      continue
    }
    if (applied.state !== 'applied') return { state: applied.state === 'rolled back' ? 'rolled_back' : 'failed', message: applied.message }

    const proof = await prove(options, applied, made)
    if (proof.ok) return { state: 'done', message: applied.message, proof: proof.proof }
    if (proof.unknown !== undefined) return { state: 'unknown', message: `${applied.message}, and stays so; ${proof.why}`, proof: proof.unknown }
    return await takeBack(options, run, made, applied, proof.why)
  }
  return { state: 'failed', message: `${host} changed under ${MOST_ROUNDS} plans, one after the other: look who changes it` }
}

async function alreadySo(options: ChangeOptions, made: MadePlan): Promise<Ending> {
  const nothing: AppliedPlan = { state: 'applied', steps: [], message: 'everything is as wanted already' }
  if (options.provesUnchanged !== true) return { state: 'already_so', message: nothing.message }
  const proof = await prove(options, nothing, made)
  if (proof.ok) return { state: 'already_so', message: nothing.message, proof: proof.proof }
  return proof.unknown === undefined ? { state: 'failed', message: proof.why } : { state: 'unknown', message: proof.why, proof: proof.unknown }
}

type Proven = { readonly ok: true; readonly proof: Json } | { readonly ok: false; readonly why: string; readonly unknown?: Json }

async function prove(options: ChangeOptions, applied: AppliedPlan, made: MadePlan): Promise<Proven> {
  if (options.prove === undefined) return { ok: true, proof: null }
  phase('prove', 'Looking whether the change does what it is for.')
  try {
    return { ok: true, proof: await options.prove(applied, made) }
  } catch (error) {
    if (isCancellation(error)) throw error
    if (error instanceof ApplicationFailure && error.type === 'ProofUnknown')
      return { ok: false, why: `not proven: ${error.message}`, unknown: (error.details?.[0] ?? null) as Json }
    return { ok: false, why: `not proven: ${rootCause(error) ?? String(error)}` }
  }
}

/** The change did not do what it is for: only the steps that we took are taken back, not what held before. */
async function takeBack(options: ChangeOptions, run: RunSoFar, made: MadePlan, applied: AppliedPlan, why: string): Promise<Ending> {
  const { workflowId, runId } = workflowInfo()
  const resume = { recordId: applyRecordId(workflowId, runId, made.plan.digest), steps: statesOf(applied) }
  let undone = await applyPlan(options, made, 'undo', resume)
  while (undone.state === 'moved') undone = await applyPlan(options, made, 'undo', resume)
  run.applied = undone
  return { state: undone.state === 'rolled back' ? 'rolled_back' : 'failed', message: `${why}; ${undone.message}` }
}

function statesOf(applied: AppliedPlan): Record<string, StepState> {
  return Object.fromEntries(applied.steps.map(({ id, outcome }) => [id, outcome]))
}

/**
 * Carries out a plan under the host's one apply. While another run holds that, it waits and says for whom; the host is another one then, so the answer is
 * `moved` without a step, and the caller plans again.
 */
export async function applyPlan(
  options: Pick<ChangeOptions, 'runbook' | 'host'>,
  made: Pick<MadePlan, 'plan' | 'route' | 'policy'>,
  mode: ApplyInput['mode'] = 'apply',
  resume?: ApplyInput['resume'],
): Promise<AppliedPlan> {
  const { workflowId, runId } = workflowInfo()
  const { plan, route, policy } = made
  phase(
    mode,
    `${mode === 'apply' ? 'Changing' : 'Taking back the change of'} ${options.host}: ${plan.steps.length} ${plan.steps.length === 1 ? 'step' : 'steps'}.`,
  )
  try {
    return await executeChild<typeof applyChange>('applyChange', {
      workflowId: workflowIds.apply(options.host),
      args: [{ plan, route, policy, for: { workflowId, runId, runbook: options.runbook }, mode, ...(resume === undefined ? {} : { resume }) }],
      parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
      cancellationType: ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
      staticSummary: plan.title.slice(0, 180),
    })
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) return await waitForOther(options.host)
    if (!(error instanceof ChildWorkflowFailure) || isCancellation(error)) throw error
    const message = `the apply was ended from outside: ${rootCause(error) ?? error.message}; the next run on ${options.host} asks whether to finish or undo it`
    return { state: 'failed', steps: [], message }
  }
}

async function waitForOther(host: string): Promise<AppliedPlan> {
  const asked = { host, applyWorkflowId: workflowIds.apply(host) }
  let seen: string | null = null
  for (let seconds = 1; ; seconds = Math.min(LONGEST_WAIT_SECONDS, seconds * 2)) {
    const holder = await changeAtHome().describeHolder.executeWithOptions({ summary: `Who changes ${host} now?` }, [asked])
    if (holder === null) return { state: 'moved', steps: [], message: `${seen ?? 'another run'} changed ${host} first` }
    seen = holder
    phase('wait', `Waiting for **${holder}**, which changes ${host} now.`)
    await sleep(`${seconds} seconds`, { summary: `Wait for ${holder}`.slice(0, 180) })
  }
}

/** An earlier run was ended in the middle of changing this host: that comes first. @returns why this run cannot go on, or undefined */
async function recoverUnfinished(options: ChangeOptions): Promise<Ending | undefined> {
  const { host, desk } = options
  const asked = { host, applyWorkflowId: workflowIds.apply(host) }
  for (;;) {
    const record = await changeAtHome().unfinishedApply.executeWithOptions({ summary: `Was a change of ${host} ended in the middle?` }, [asked])
    if (record === null) return undefined
    const ways = recoveryPlans(record)
    let way: (typeof ways)[number] | undefined
    if (ways.length > 0) {
      desk.remark(`${record.workflowId} was ended in the middle of changing ${host}, at ${record.startedAt}. What becomes of that comes first.`)
      const decision = await desk.ask(
        ways.map(({ plan }) => plan),
        record.policy,
      )
      if (decision.state !== 'approved') return { ...decision, message: `${decision.message}; what ${record.workflowId} began is as it was found` }
      way = ways.find(({ plan }) => plan.digest === decision.plan.digest)
    }
    if (way === undefined || way.way === 'leave') {
      await changeAtHome().endApply.executeWithOptions({ summary: 'Close the record of the earlier run' }, [{ host, id: record.id }])
      continue
    }
    const mode = way.way === 'finish' ? 'apply' : 'undo'
    const applied = await applyPlan(options, record, mode, { recordId: record.id, steps: record.steps })
    if (applied.state === 'moved' && applied.steps.length === 0) continue
    const isDone = applied.state === (mode === 'apply' ? 'applied' : 'rolled back')
    if (!isDone) return { state: 'failed', message: `the recovery (${way.way}) did not come through: ${applied.message}` }
    desk.remark(`What ${record.workflowId} began was ${mode === 'apply' ? 'finished' : 'taken back'}: ${applied.message}.`)
  }
}

/** Why two plans differ, for whoever approved the first. */
function whatMoved(approved: ChangePlan, now: ChangePlan): string {
  const steps = (plan: ChangePlan) => new Map(plan.steps.map((step) => [step.id, planDigest({ ...plan, steps: [step] })]))
  const [before, after] = [steps(approved), steps(now)]
  const named = (words: string, ids: readonly string[]) => (ids.length === 0 ? [] : [`${words}: ${ids.slice(0, 5).join(', ')}`])
  const parts = [
    ...named(
      'no longer needed or possible',
      [...before.keys()].filter((id) => !after.has(id)),
    ),
    ...named(
      'new',
      [...after.keys()].filter((id) => !before.has(id)),
    ),
    ...named(
      'other than approved',
      [...before].filter(([id, digest]) => after.has(id) && after.get(id) !== digest).map(([id]) => id),
    ),
  ]
  return `${approved.host} or the runbooks changed meanwhile (${parts.join('; ') || 'the order of the steps'})`
}

const short = (plan: ChangePlan): string => `${plan.digest.slice(0, 12)}…`

async function finish(options: ChangeOptions, run: RunSoFar, ending: Ending): Promise<ChangeResult> {
  const { desk } = options
  phase('receipt', 'Writing the receipt.')
  const { made, applied } = run
  const asked = made !== null && made.plan.steps.length > 0 ? { digest: made.plan.digest, answers: desk.answersFor(made.plan) } : null
  const result: Omit<ChangeResult, 'receipt'> = {
    state: ending.state,
    message: ending.message,
    planDigest: made?.plan.digest ?? null,
    steps: applied?.steps ?? [],
    approval: asked,
    proof: ending.proof ?? null,
  }
  const written = withReceipt(result, await writeRunReceipt({ ...options, otherAnswers: desk.answersBeside(made?.plan) }, made, result, run.startedAt))
  phase('done', `**${written.state}**: ${written.message}`)
  await CancellationScope.nonCancellable(() => condition(allHandlersFinished))
  return written
}

function withReceipt(result: Omit<ChangeResult, 'receipt'>, receipt: ChangeResult['receipt']): ChangeResult {
  const message = receipt === null ? `${result.message}; NO RECEIPT was written: \`nightshift receipts verify\` says why` : result.message
  return { ...result, message, receipt }
}

/** One receipt a run; a repeated call finds it. Null when none can be written before a person has mended the chain or the key: what was done is done all the same. */
export async function writeRunReceipt(
  options: Pick<ChangeOptions, 'runbook' | 'host' | 'requestedBy'> & { readonly otherAnswers?: readonly CountedAnswer[] },
  made: Pick<MadePlan, 'runbookDigest' | 'observed'> | null,
  result: Omit<ChangeResult, 'receipt'>,
  startedAt: string,
): Promise<ChangeResult['receipt']> {
  const { workflowId, runId } = workflowInfo()
  const { runbook, requestedBy } = options
  const answers = [...(options.otherAnswers ?? []), ...(result.approval?.answers ?? [])]
  const yes = result.approval?.answers.find((answer) => answer.decision === 'approve')
  const body = {
    kind: runbook,
    run: { runbook, runbookDigest: made?.runbookDigest ?? null, workflowId, runId },
    requestedBy: requestedBy ?? 'not known',
    approval: yes === undefined ? null : { digest: yes.digest, approver: yes.approver, at: yes.at, signed: yes.proof === 'signed' },
    observed: { host: options.host, ...(made?.observed ?? {}) },
    steps: result.steps.map(({ id, outcome }) => ({ what: id, outcome })),
    outcome: {
      state: result.state,
      planDigest: result.planDigest,
      // `own`: whoever asked for the run approved it; the policy allows that to one operator alone.
      answers: answers.map(({ decision, approver, at, proof, digest, reason }) => ({
        decision,
        approver,
        at,
        proof,
        digest,
        reason,
        own: approver === requestedBy,
      })),
      proof: result.proof,
    },
    times: { startedAt, endedAt: new Date().toISOString() },
  }
  try {
    return await CancellationScope.nonCancellable(() => changeAtHome().writeRunReceipt.executeWithOptions({ summary: 'Append the receipt' }, [{ body }]))
  } catch (error) {
    if (!(error instanceof ActivityFailure)) throw error
    log.error('no receipt was written', { cause: error.cause?.message ?? error.message })
    return null
  }
}
