/** Every activity says that its worker is alive for as long as it runs, so that the end of a worker is noticed within the heartbeat time-out. */
import type { ActivityInterceptorsFactory } from '@temporalio/worker'

/** Beats within one time-out: some may come late. */
const BEATS = 4

export const signsOfLife: ActivityInterceptorsFactory = (context) => ({
  inbound: {
    async execute(input, next) {
      const { heartbeatTimeoutMs } = context.info
      // A local activity has none: it lives with its workflow task.
      if (heartbeatTimeoutMs === undefined || heartbeatTimeoutMs === 0) return next(input)
      const beating = setInterval(() => context.heartbeat(), heartbeatTimeoutMs / BEATS)
      try {
        return await next(input)
      } finally {
        clearInterval(beating)
      }
    },
  },
})
