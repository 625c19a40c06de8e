/**
 * `nightshift run RUNBOOK [JSON]`: starts a run on the estate's Temporal and follows it.
 * Exit codes: 0 done or already so, 1 rejected or timed out, 2 failed or rolled back, 3 unknown, 75 still waiting.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { WorkflowFailedError } from '@temporalio/client'
import { CancelledFailure, rootCause, TerminatedFailure, TimeoutFailure } from '@temporalio/common'
import { taskQueueOf } from '../domain/ids.js'
import { RUNBOOKS } from '../domain/runbook-catalog.js'
import { connectEstate } from './estate-client.js'
import { estateIdOf } from './estate-id.js'
import { startOrFollow } from './start-run.js'
import { UsageError } from './usage-error.js'

export const EXIT_STILL_WAITING = 75

export interface RunOptions {
  readonly config: string
  readonly runbook: string
  readonly input: string | undefined
  readonly detach: boolean
  /** Seconds; absent = until it ends. */
  readonly waitSeconds?: number
  readonly json: boolean
}

/** @returns the exit code */
export async function run(options: RunOptions): Promise<number> {
  const runbook = RUNBOOKS[options.runbook]
  if (runbook === undefined) throw new UsageError(`there is no runbook ${options.runbook}`, `known: ${Object.keys(RUNBOOKS).join(', ')}`)
  const input = parseJsonInput(options.input)
  const estateId = await estateIdOf(options.config)
  const temporal = await connectEstate(estateId)
  try {
    const { handle, followed } = await startOrFollow(temporal.client, {
      type: options.runbook,
      workflowId: runbook.workflowId(estateId, input),
      taskQueue: taskQueueOf(estateId),
      input,
      summary: runbook.summary,
    })
    const { runId } = await handle.describe()
    const about = { workflowId: handle.workflowId, runId }
    if (!options.json) process.stderr.write(`${followed ? 'Already running, following' : 'Started'} ${handle.workflowId} (run ${runId})\n`)
    if (options.detach) return report(options, { ...about, outcome: 'started' }, 0)

    const stopWaiting = new AbortController()
    const ended = handle.result().then(
      (result: unknown) => ({ ...about, outcome: 'done' as const, result }),
      (error: unknown) => ({ ...about, ...failureOf(error) }),
    )
    const waited =
      options.waitSeconds === undefined
        ? ended
        : Promise.race([
            ended,
            delay(options.waitSeconds * 1000, { ...about, outcome: 'still waiting' as const }, { signal: stopWaiting.signal }).catch(() => ended),
          ])
    const outcome = await waited
    stopWaiting.abort()
    return report(options, outcome, EXIT_OF[outcome.outcome])
  } finally {
    await temporal.close()
  }
}

const EXIT_OF = { done: 0, 'timed out': 1, failed: 2, cancelled: 2, terminated: 3, unknown: 3, 'still waiting': EXIT_STILL_WAITING } as const

function parseJsonInput(text: string | undefined): unknown {
  if (text === undefined) return {}
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    throw new UsageError(`the input is not JSON: ${error instanceof Error ? error.message : String(error)}`, `write it in single quotes: '{"host":"pve"}'`)
  }
}

function failureOf(error: unknown): { outcome: 'failed' | 'cancelled' | 'terminated' | 'timed out' | 'unknown'; message: string } {
  if (!(error instanceof WorkflowFailedError)) return { outcome: 'unknown', message: error instanceof Error ? error.message : String(error) }
  const message = rootCause(error.cause) ?? error.message
  if (error.cause instanceof CancelledFailure) return { outcome: 'cancelled', message }
  if (error.cause instanceof TerminatedFailure) return { outcome: 'terminated', message }
  if (error.cause instanceof TimeoutFailure) return { outcome: 'timed out', message }
  return { outcome: 'failed', message }
}

function report(options: RunOptions, outcome: { outcome: string; message?: string; result?: unknown }, exitCode: number): number {
  if (options.json) process.stdout.write(`${JSON.stringify(outcome)}\n`)
  else {
    process.stderr.write(`${outcome.outcome}${outcome.message === undefined ? '' : `: ${outcome.message}`}\n`)
    if (outcome.result !== undefined) process.stdout.write(`${JSON.stringify(outcome.result, null, 2)}\n`)
  }
  return exitCode
}
