/**
 * `nightshift run RUNBOOK [JSON]`: starts a run on the estate's Temporal and follows it.
 * Exit codes: 0 done or already so, 1 rejected or timed out, 2 failed or rolled back, or a gate failed, 3 unknown,
 * 64 input that the runbook refuses, 75 still waiting, 78 runbook files that are wrong.
 */
import { userInfo } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { WorkflowFailedError } from '@temporalio/client'
import { ApplicationFailure, CancelledFailure, rootCause, TerminatedFailure, TimeoutFailure } from '@temporalio/common'
import type { ChangeResult } from '../domain/change/apply.js'
import { taskQueueOf } from '../domain/ids.js'
import { inert } from '../domain/render/inert.js'
import { RUNBOOKS, type RunbookEntry } from '../domain/runbook-catalog.js'
import type { GatesResult } from '../workflows/drift-gates.js'
import { connectEstate } from './estate-client.js'
import { estateIdOf } from './estate-id.js'
import { doingOf, followRun } from './follow.js'
import { EXIT_CONFIG } from './output.js'
import { otherInput, startOrFollow } from './start-run.js'
import { EXIT_USAGE, UsageError } from './usage-error.js'

export const EXIT_STILL_WAITING = 75

export interface RunOptions {
  readonly config: string
  readonly runbook: string
  readonly input: string | undefined
  readonly detach: boolean
  /** Seconds; absent = until it ends. */
  readonly waitSeconds?: number
  /** Who asks; absent = the user of this program. */
  readonly as?: string
  readonly json: boolean
}

/** @returns the exit code */
export async function run(options: RunOptions): Promise<number> {
  const runbook = Object.hasOwn(RUNBOOKS, options.runbook) ? RUNBOOKS[options.runbook] : undefined
  if (runbook === undefined) throw new UsageError(`there is no runbook ${options.runbook}`, `known: ${Object.keys(RUNBOOKS).join(', ')}`)
  const input = withRequester(runbook, parseJsonInput(options.input), options.as)
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
    if (followed && runbook.takesRequester === true) {
      const other = await otherInput(temporal.client, handle, input)
      if (other !== undefined) {
        throw new UsageError(
          `nothing was started: ${handle.workflowId} is open already, for ${JSON.stringify(other)}`,
          `follow that one with its own input, or start yours when it has ended: nightshift plan ${handle.workflowId}`,
        )
      }
    }
    const { runId } = await handle.describe()
    const about = { workflowId: handle.workflowId, runId }
    if (!options.json) process.stderr.write(`${followed ? 'Already running, following' : 'Started'} ${handle.workflowId} (run ${runId})\n`)
    if (options.detach) {
      if (!options.json) process.stderr.write(howToFollow(options, handle.workflowId))
      return report(options, { ...about, outcome: 'started' }, 0)
    }

    const stop = new AbortController()
    const leave = (): void => stop.abort()
    process.once('SIGINT', leave)
    const ended = handle.result().then(
      (result: unknown) => ({ ...about, outcome: outcomeOf(result), result }),
      (error: unknown) => ({ ...about, ...failureOf(error) }),
    )
    const left = delay(options.waitSeconds === undefined ? LONGEST_DELAY_MS : options.waitSeconds * 1000, undefined, { signal: stop.signal }).catch(() => {})
    const following = options.json
      ? Promise.resolve()
      : followRun(handle, ended, (text) => process.stderr.write(`${text}\n`), { signal: stop.signal, config: options.config })
    const outcome = await Promise.race([ended, left.then(() => ({ ...about, outcome: 'still waiting' as const }))])
    stop.abort()
    process.removeListener('SIGINT', leave)
    await following
    if (outcome.outcome !== 'still waiting') return report(options, outcome, EXIT_OF[outcome.outcome])
    const doing = await doingOf(handle)
    if (!options.json) process.stderr.write(howToFollow(options, handle.workflowId))
    return report(options, { ...outcome, ...(doing === null ? {} : { message: doing }) }, EXIT_STILL_WAITING)
  } finally {
    await temporal.close()
  }
}

/** The longest that a timer of Node can wait: 24 days. */
const LONGEST_DELAY_MS = 2 ** 31 - 1

/** Runs whose result says how a change ended. */
const EXIT_OF_CHANGE: Readonly<
  Record<ChangeResult['state'], 'done' | 'already so' | 'rejected' | 'timed out' | 'failed' | 'rolled back' | 'unknown' | 'cancelled'>
> = {
  done: 'done',
  already_so: 'already so',
  rejected: 'rejected',
  timed_out: 'timed out',
  failed: 'failed',
  rolled_back: 'rolled back',
  unknown: 'unknown',
  cancelled: 'cancelled',
}

function outcomeOf(result: unknown): (typeof EXIT_OF_CHANGE)[ChangeResult['state']] {
  if (isGates(result)) return result.failed > 0 ? 'failed' : result.unknown > 0 || result.gates.length === 0 ? 'unknown' : 'done'
  return isChange(result) ? EXIT_OF_CHANGE[result.state] : 'done'
}

function isGates(result: unknown): result is GatesResult {
  if (typeof result !== 'object' || result === null) return false
  const { gates, failed, unknown } = result as Partial<Record<keyof GatesResult, unknown>>
  return Array.isArray(gates) && typeof failed === 'number' && typeof unknown === 'number'
}

function isChange(result: unknown): result is ChangeResult {
  if (typeof result !== 'object' || result === null) return false
  const { state, steps, message } = result as Partial<Record<keyof ChangeResult, unknown>>
  return typeof state === 'string' && Object.hasOwn(EXIT_OF_CHANGE, state) && Array.isArray(steps) && typeof message === 'string'
}

function withRequester(runbook: RunbookEntry, input: unknown, as: string | undefined): unknown {
  if (runbook.takesRequester !== true || typeof input !== 'object' || input === null || 'requestedBy' in input) return input
  return { ...input, requestedBy: as ?? userInfo().username }
}

function howToFollow(options: RunOptions, workflowId: string): string {
  const input = options.input === undefined ? '' : ` '${options.input}'`
  return `The run goes on without this program. While it runs, the same command follows it again:\n  nightshift run ${options.runbook}${input} --config ${options.config}\n  nightshift plan ${workflowId} --config ${options.config}\n`
}

const EXIT_OF = {
  done: 0,
  'already so': 0,
  rejected: 1,
  'timed out': 1,
  failed: 2,
  'rolled back': 2,
  cancelled: 2,
  terminated: 3,
  unknown: 3,
  'still waiting': EXIT_STILL_WAITING,
} as const

function parseJsonInput(text: string | undefined): unknown {
  if (text === undefined) return {}
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    throw new UsageError(`the input is not JSON: ${error instanceof Error ? error.message : String(error)}`, `write it in single quotes: '{"host":"pve"}'`)
  }
}

type Failure = { outcome: 'failed' | 'cancelled' | 'terminated' | 'timed out' | 'unknown'; message: string }

/** @returns with `exitCode` where the cause is what the caller gave or wrote, and no host failed */
function failureOf(error: unknown): Failure & { exitCode?: number } {
  if (!(error instanceof WorkflowFailedError)) return { outcome: 'unknown', message: error instanceof Error ? error.message : String(error) }
  const message = rootCause(error.cause) ?? error.message
  if (error.cause instanceof CancelledFailure) return { outcome: 'cancelled', message }
  if (error.cause instanceof TerminatedFailure) return { outcome: 'terminated', message }
  if (error.cause instanceof TimeoutFailure) return { outcome: 'timed out', message }
  const exitCode = EXIT_OF_CAUSE[typeOf(error.cause) ?? '']
  return { outcome: 'failed', message, ...(exitCode === undefined ? {} : { exitCode }) }
}

const EXIT_OF_CAUSE: Readonly<Record<string, number>> = { InvalidInput: EXIT_USAGE, InvalidRunbooks: EXIT_CONFIG }

/** The type of the innermost failure that has one. */
function typeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  return typeOf(error.cause) ?? (error instanceof ApplicationFailure ? (error.type ?? undefined) : undefined)
}

/** @param usual the exit code of such an outcome; its cause may have another one */
function report(options: RunOptions, told: { outcome: string; message?: string; result?: unknown; exitCode?: number }, usual: number): number {
  const { exitCode = usual, ...outcome } = told
  if (options.json) process.stdout.write(`${JSON.stringify(outcome)}\n`)
  else {
    const message = outcome.message ?? messageOf(outcome.result)
    process.stderr.write(`${outcome.outcome}${message === undefined ? '' : `: ${inert(message)}`}\n`)
    if (isChange(outcome.result)) process.stdout.write(changeText(outcome.result))
    else if (isGates(outcome.result)) process.stdout.write(gatesText(outcome.result))
    else if (outcome.result !== undefined) process.stdout.write(`${JSON.stringify(outcome.result, null, 2)}\n`)
  }
  return exitCode
}

function messageOf(result: unknown): string | undefined {
  if (isChange(result)) return result.message
  return isGates(result) ? `${result.passed} of ${result.gates.length} gates passed, ${result.failed} failed, ${result.unknown} unknown` : undefined
}

function gatesText({ gates }: GatesResult): string {
  const toDo = (next: string | null): string[] => (next === null ? [] : [`         → ${next}`])
  return gates
    .flatMap(({ id, state, message, next, places = [] }) => [
      `${state.padEnd(8)} ${id}: ${message}`,
      ...toDo(next),
      // the first is the one that was just told
      ...places.slice(1).flatMap((each) => [`         ${each.place}, found ${each.found}`, ...toDo(each.next)]),
    ])
    .map((line) => `${inert(line)}\n`)
    .join('')
}

function changeText({ steps, receipt }: ChangeResult): string {
  const lines = steps.map(({ what, outcome, note }) => inert(`${outcome.padEnd(10)} ${what}${note === null ? '' : `: ${note}`}`))
  if (receipt !== null) lines.push(`receipt ${receipt.number}  ${receipt.sha256}`)
  return lines.map((line) => `${line}\n`).join('')
}
