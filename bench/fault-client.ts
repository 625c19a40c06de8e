/** A person before a server and workers that die: asks again until there is an answer. */
import { setTimeout as delay } from 'node:timers/promises'
import { isGrpcServiceError, type WorkflowHandle, WorkflowUpdateRPCTimeoutOrCancelledError } from '@temporalio/client'
import type { PlanView } from '../src/workflows/approval.js'

const AGAIN_MS = 200

/** Repeats what failed because the server, or the worker that answers queries, is away. */
export async function retrying<T>(work: () => Promise<T>, over?: AbortSignal): Promise<T> {
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (over?.aborted === true || !isAway(error)) throw error
      await delay(AGAIN_MS)
    }
  }
}

function isAway(error: unknown): boolean {
  return isGrpcServiceError(error) || error instanceof WorkflowUpdateRPCTimeoutOrCancelledError || isAwayCause(error)
}

const isAwayCause = (error: unknown): boolean => error instanceof Error && error.cause !== undefined && isGrpcServiceError(error.cause)

/** Says the same to every plan that waits, once each, until the run is over. */
export async function answerEverything(handle: WorkflowHandle, decision: 'approve' | 'reject', approver: string, over: AbortSignal): Promise<void> {
  const { client } = handle
  const soon = <T>(work: () => Promise<T>) => client.withDeadline(Date.now() + 3_000, work)
  let seen: string | undefined
  const answered = new Set<string>()
  while (!over.aborted) {
    const view = await soon(() => handle.query<PlanView>('plan')).catch(() => undefined)
    const digest = view?.state === 'waiting for approval' ? view.plans[0]?.digest : undefined
    // Seen twice: a fault at the beginning of the wait comes before the answer.
    if (digest !== undefined && digest === seen && !answered.has(digest)) {
      // One update ID a plan: a repeated answer is the same answer.
      const answer = { updateId: digest.slice(0, 32), args: [{ digest, approver, reason: 'tried with faults' }] as [unknown] }
      const isAnswered = await soon(() => handle.executeUpdate(decision, answer)).then(
        () => true,
        () => false,
      )
      if (isAnswered) answered.add(digest)
    }
    seen = digest
    await delay(AGAIN_MS)
  }
}
