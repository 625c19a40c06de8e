/** Which queue an activity goes to, and how long it may take: the same for every runbook. */
import { proxyActivities, workflowInfo } from '@temporalio/workflow'
import type { ChangeActivities } from '../activities/change.js'
import { queueNames } from '../domain/ids.js'
import type { HostRoute } from '../domain/proof/types.js'

/** A site's own worker must take up its work within this time; after it nobody is there. */
export const NO_WORKER_AFTER_SECONDS = 30

/** Activities that need a host run at its site. */
export function atSite(route: HostRoute) {
  return {
    taskQueue: route.taskQueue ?? workflowInfo().taskQueue,
    ...(route.taskQueue === undefined ? {} : { scheduleToStartTimeout: `${NO_WORKER_AFTER_SECONDS} seconds` as const }),
  }
}

/** Activities of the one worker that owns runbook files and state folder. */
export function atHome() {
  return { taskQueue: queueNames(workflowInfo().taskQueue).state }
}

/**
 * One step on a host. It may be repeated without harm: what took place already is found. Attempts are counted, not time: while no worker is up nothing is given up.
 */
export function changeAtSite(route: HostRoute) {
  return proxyActivities<ChangeActivities>({
    ...atSite(route),
    startToCloseTimeout: '5 minutes',
    retry: { initialInterval: '2 seconds', maximumInterval: '1 minute', maximumAttempts: 25, nonRetryableErrorTypes: ['InvalidInput'] },
  })
}

export function changeAtHome() {
  return proxyActivities<ChangeActivities>({
    ...atHome(),
    startToCloseTimeout: '30 seconds',
    // A chain of receipts that was cut, or a key that is missing, is a person's to mend: waiting for it in silence would hold the run for ever.
    retry: {
      initialInterval: '1 second',
      maximumInterval: '1 minute',
      nonRetryableErrorTypes: ['InvalidInput', 'InvalidRunbooks', 'StateUnusable', 'ConfigError'],
    },
  })
}
