/** Starts a run, or follows the one that is already on the same thing: two runs on one thing must not overlap. */
import { type Client, WorkflowExecutionAlreadyStartedError, type WorkflowHandle } from '@temporalio/client'
import { defaultPayloadConverter, WorkflowIdConflictPolicy } from '@temporalio/common'
import { canonicalJson } from '../domain/canonical.js'

export interface RunRequest {
  readonly type: string
  readonly workflowId: string
  readonly taskQueue: string
  readonly input: unknown
  readonly summary?: string
}

/** @returns the handle, and whether the run was there before */
export async function startOrFollow(client: Client, request: RunRequest): Promise<{ handle: WorkflowHandle; followed: boolean }> {
  try {
    const handle = await client.workflow.start(request.type, {
      workflowId: request.workflowId,
      taskQueue: request.taskQueue,
      args: [request.input],
      workflowIdConflictPolicy: WorkflowIdConflictPolicy.FAIL,
      ...(request.summary === undefined ? {} : { staticSummary: request.summary }),
    })
    return { handle, followed: false }
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error
    return { handle: client.workflow.getHandle(request.workflowId), followed: true }
  }
}

/**
 * What an open run was started with, when that is something else than what was asked now: following it would do nothing of that.
 * Who asked, and the order of the guests, make no difference. @returns undefined when it is the same
 */
export async function otherInput(client: Client, handle: WorkflowHandle, input: unknown): Promise<unknown> {
  const { history } = await client.workflowService.getWorkflowExecutionHistory({
    namespace: client.options.namespace,
    execution: { workflowId: handle.workflowId, runId: (await handle.describe()).runId },
    maximumPageSize: 1,
  })
  const [payload] = history?.events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads ?? []
  const first: unknown = payload == null ? {} : defaultPayloadConverter.fromPayload(payload)
  return comparable(first) === comparable(input) ? undefined : first
}

function comparable(input: unknown): string {
  const { requestedBy: _, guests, ...rest } = (input ?? {}) as Record<string, unknown>
  return canonicalJson({ ...rest, guests: Array.isArray(guests) ? [...guests].sort() : (guests ?? null) })
}
