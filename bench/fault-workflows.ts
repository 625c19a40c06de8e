/** Workflow interceptors of the fault harness: an activity has its type and number for an ID and is tried again soon, and every timer is told to the worker. */
import { proxySinks, type Sinks, type WorkflowInterceptorsFactory, type WorkflowOutboundCallsInterceptor, workflowInfo } from '@temporalio/workflow'

export interface FaultSinks extends Sinks {
  faults: { timer(timerId: string, name: string): void }
}

const SOON_AGAIN = { initialInterval: '200 milliseconds' } as const

const { faults } = proxySinks<FaultSinks>()

const MEMO = 'faultsOfRun'

export const interceptors: WorkflowInterceptorsFactory = () => ({ outbound: [outbound()] })

function outbound(): WorkflowOutboundCallsInterceptor {
  const run = Number(workflowInfo().memo?.[MEMO] ?? 1)
  const named = (name: string): string => (run === 1 ? name : `${name}@${run}`)
  const counts = new Map<string, number>()
  const numbered = (type: string): string => {
    const count = (counts.get(type) ?? 0) + 1
    counts.set(type, count)
    return named(`${type}.${count}`)
  }
  return {
    scheduleActivity(input, next) {
      const retry = { ...input.options.retry, ...SOON_AGAIN }
      return next({ ...input, options: { ...input.options, retry, activityId: numbered(input.activityType) } })
    },
    startTimer(input, next) {
      faults.timer(String(input.seq), named(`timer.${input.seq}`))
      return next(input)
    },
    continueAsNew: (input, next) => next({ ...input, options: { ...input.options, memo: { ...input.options.memo, [MEMO]: run + 1 } } }),
  }
}
