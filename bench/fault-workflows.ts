/** Workflow interceptors of the fault harness: every timer is told to the worker. */
import { proxySinks, type Sinks, type WorkflowInterceptorsFactory } from '@temporalio/workflow'

export interface FaultSinks extends Sinks {
  faults: { timer(timerId: string): void }
}

const { faults } = proxySinks<FaultSinks>()

export const interceptors: WorkflowInterceptorsFactory = () => ({
  outbound: [
    {
      startTimer: (input, next) => {
        faults.timer(String(input.seq))
        return next(input)
      },
    },
  ],
})
