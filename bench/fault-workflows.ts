/** Workflow interceptors of the fault harness: every activity is given up two seconds after its last sign of life, and every timer is told to the worker. */
import { proxySinks, type Sinks, type WorkflowInterceptorsFactory } from '@temporalio/workflow'

export interface FaultSinks extends Sinks {
  faults: { timer(timerId: string): void }
}

const { faults } = proxySinks<FaultSinks>()

export const interceptors: WorkflowInterceptorsFactory = () => ({
  outbound: [
    {
      scheduleActivity: (input, next) => next({ ...input, options: { ...input.options, heartbeatTimeout: '2 seconds' } }),
      startTimer: (input, next) => {
        faults.timer(String(input.seq))
        return next(input)
      },
    },
  ],
})
