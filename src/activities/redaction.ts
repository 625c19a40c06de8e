/**
 * The last gate before anything of an activity enters a history: results and failures lose what looks like a credential,
 * whatever part of the code it came from.
 */
import { ApplicationFailure, CancelledFailure } from '@temporalio/common'
import type { ActivityExecuteInput, ActivityInboundCallsInterceptor, ActivityInterceptorsFactory, Next } from '@temporalio/worker'
import { type Redact, redactDeep } from '../domain/redact.js'

/** @param redact the estate's redactor */
export function redactionInterceptor(redact: Redact): ActivityInterceptorsFactory {
  const inbound: ActivityInboundCallsInterceptor = {
    async execute(input: ActivityExecuteInput, next: Next<ActivityInboundCallsInterceptor, 'execute'>) {
      try {
        return redactDeep(await next(input), redact)
      } catch (error) {
        throw redactedFailure(error, redact)
      }
    },
  }
  return () => ({ inbound })
}

/** The same failure with every text redacted; cancellation passes through untouched, it carries no text of ours. */
export function redactedFailure(error: unknown, redact: Redact): unknown {
  if (error instanceof CancelledFailure) return error
  if (!(error instanceof Error)) return ApplicationFailure.create({ message: redact(String(error)), type: 'Error' })
  const cause = error.cause instanceof Error ? (redactedFailure(error.cause, redact) as Error) : undefined
  const failure =
    error instanceof ApplicationFailure
      ? ApplicationFailure.create({
          message: redact(error.message),
          type: error.type ?? undefined,
          nonRetryable: error.nonRetryable ?? undefined,
          details: error.details ? redactDeep([...error.details], redact) : undefined,
          nextRetryDelay: error.nextRetryDelay ?? undefined,
          category: error.category ?? undefined,
          cause,
        })
      : ApplicationFailure.create({ message: redact(error.message), type: error.name, cause })
  if (error.stack !== undefined) failure.stack = redact(error.stack)
  return failure
}
