/** A workflow interceptor of the fault harness: every activity is given up two seconds after its last sign of life. */
import type { WorkflowInterceptorsFactory } from '@temporalio/workflow'

export const interceptors: WorkflowInterceptorsFactory = () => ({
  outbound: [
    {
      scheduleActivity: (input, next) => next({ ...input, options: { ...input.options, heartbeatTimeout: '2 seconds' } }),
    },
  ],
})
