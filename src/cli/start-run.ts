/** Starts a run, or follows the one that is already on the same thing: two runs on one thing must not overlap. */
import { type Client, WorkflowExecutionAlreadyStartedError, type WorkflowHandle } from '@temporalio/client'
import { WorkflowIdConflictPolicy } from '@temporalio/common'

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
