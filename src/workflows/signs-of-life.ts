/**
 * In the bundle beside every workflow: whoever runs an activity is given up after so much silence, and the activity goes to somebody else. How much is a setting
 * of the worker, the same for all runbooks; the activities beat by it (`src/activities/signs-of-life.ts`).
 */
import type { WorkflowInterceptorsFactory } from '@temporalio/workflow'

/** What the worker puts in front of the bundle. Never looked at by a replay: time-outs are no part of what must be the same. */
const settings = globalThis as { nightshiftHeartbeatSeconds?: number }

/** For a bundle that was loaded without a worker of ours. */
const HEARTBEAT_SECONDS = 20

export const interceptors: WorkflowInterceptorsFactory = () => ({
  outbound: [
    {
      scheduleActivity(input, next) {
        const heartbeatTimeout = `${settings.nightshiftHeartbeatSeconds ?? HEARTBEAT_SECONDS} seconds` as const
        return next({ ...input, options: { ...input.options, heartbeatTimeout } })
      },
    },
  ],
})
