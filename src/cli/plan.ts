/** `nightshift plan`: what a run wants to do, what it waits for, and how to answer. */
import { isGrpcServiceError, ServiceError, WorkflowNotFoundError } from '@temporalio/client'
import { renderPlanText } from '../domain/change/render.js'
import { inert } from '../domain/render/inert.js'
import type { PlanView } from '../workflows/approval.js'
import { connectEstate } from './estate-client.js'
import { estateIdOf } from './estate-id.js'
import { UsageError } from './usage-error.js'

const DEADLINE_MS = 15_000

/** gRPC's codes for "nobody could answer just now": cancelled (by our own deadline); deadline exceeded; resource exhausted (others' questions fill the run's buffer); unavailable. */
const NOBODY_ANSWERS: readonly number[] = [1, 4, 8, 14]

/** What the run says, and how it ended if it has. */
export type ShownPlan = PlanView & { readonly ended: { readonly status: string; readonly at: string } | null }

/** @throws UsageError when there is no such run, or it has no plan; NoAnswer when no worker answers */
export async function readPlan(options: { readonly config: string; readonly workflowId: string }): Promise<ShownPlan> {
  const temporal = await connectEstate(await estateIdOf(options.config))
  try {
    const handle = temporal.client.workflow.getHandle(options.workflowId)
    const { status, closeTime } = await handle.describe()
    const view = await temporal.client.withDeadline(Date.now() + DEADLINE_MS, () => handle.query<PlanView>('plan'))
    return { ...view, ended: closeTime === undefined ? null : { status: status.name.toLowerCase(), at: closeTime.toISOString() } }
  } catch (error) {
    throw asAnswer(error, options.workflowId)
  } finally {
    await temporal.close()
  }
}

/** Nobody can answer for the run now: exit code 3, unknown. */
class NoAnswer extends Error {
  readonly exitCode = 3
  readonly next = 'is `nightshift up` running? The run itself waits and loses nothing'
}

/** A failure of a question to a run, in words. */
export function asAnswer(error: unknown, workflowId: string): unknown {
  if (error instanceof WorkflowNotFoundError)
    return new UsageError(`there is no run ${workflowId}, or it has ended`, 'nightshift runs lists them; --open those that wait or work')
  if (!(error instanceof Error)) return error
  if (/did not register a handler for|unknown queryType|unknown update/i.test(error.message)) {
    return new UsageError(`${workflowId} is a run without a plan`, 'nightshift runs --open shows which runs ask for something')
  }
  const isUnanswered = error instanceof ServiceError && isGrpcServiceError(error.cause) && NOBODY_ANSWERS.includes(error.cause.code)
  if (isUnanswered || error.name === 'WorkflowUpdateRPCTimeoutOrCancelledError') return new NoAnswer(`no worker answers for ${workflowId}`)
  return error
}

/** The plan as text for a terminal, with the commands that answer it. */
export function planText(view: PlanView & Partial<ShownPlan>, workflowId: string, config: string): string {
  const { policy, until, ended = null } = view
  const lines: string[] = []
  for (const note of view.notes) lines.push(`! ${note}`)
  for (const plan of view.plans) lines.push('', ...renderPlanText(plan).trimEnd().split('\n'))
  if (view.plans.length === 0) lines.push('No plan has been made yet.')
  if (ended !== null) lines.push('', `This run has ended: ${ended.status} at ${ended.at}. What came of it: nightshift receipts list --config ${config}`)
  lines.push('', `State: ${view.state}${view.requestedBy === null ? '' : `; asked for by ${view.requestedBy}`}`)
  for (const { approver, decision, proof, at, reason } of view.answers) lines.push(`  ${decision} by ${approver} (${proof}) at ${at}: ${reason}`)
  for (const { approver, decision, why, at } of view.refused) lines.push(`  refused: ${decision} by ${approver} at ${at}: ${why}`)
  if (ended === null && view.state === 'waiting for approval' && policy !== null && until !== null) {
    lines.push('', `Asked: ${policy.needed} of ${policy.approvers.join(', ')}, until ${until}; no answer means no. To answer:`)
    const options = `--as NAME --reason TEXT${policy.signature === 'required' ? ' --sign KEY' : ''} --config ${config}`
    for (const { digest, title } of view.plans) {
      if (view.plans.length > 1) lines.push(`  # ${title}`)
      lines.push(`  nightshift approve ${workflowId} --digest ${digest} ${options}`)
    }
    lines.push(`  nightshift reject ${workflowId} --digest ${view.plans[0]?.digest ?? 'D'} ${options}`)
  }
  return lines.map((line) => line.replace(/^( *)(.*)$/, (_all, indent: string, rest: string) => `${indent}${inert(rest)}`)).join('\n')
}
