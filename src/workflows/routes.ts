/** Which queue an activity goes to, and how long it may take: the same for every runbook. */
import { TimeoutType } from '@temporalio/common'
import {
  ActivityFailure,
  type ActivityInterfaceFor,
  type ActivityOptions,
  getCurrentDetails,
  proxyActivities,
  setCurrentDetails,
  sleep,
  TimeoutFailure,
  type UntypedActivities,
  workflowInfo,
} from '@temporalio/workflow'
import type { ChangeActivities } from '../activities/change.js'
import { queueNames } from '../domain/ids.js'
import type { HostRoute } from '../domain/proof/types.js'

/** A site's own worker must take up its work within this time; after it nobody is there. */
export const NO_WORKER_AFTER_SECONDS = 30

const LONGEST_PAUSE_SECONDS = 60

/** Activities that need a host run at its site. */
export function atSite(route: HostRoute) {
  return {
    taskQueue: route.taskQueue ?? workflowInfo().taskQueue,
    ...(route.taskQueue === undefined ? {} : { scheduleToStartTimeout: `${NO_WORKER_AFTER_SECONDS} seconds` as const }),
  }
}

/** True when nobody took up the work: the site's own worker is not there. */
export function isNoWorker(error: unknown): boolean {
  return error instanceof ActivityFailure && error.cause instanceof TimeoutFailure && error.cause.timeoutType === TimeoutType.SCHEDULE_TO_START
}

/** What a run shows meanwhile. */
export function noWorkerText(route: HostRoute): string {
  return `No worker takes up work on task queue ${route.taskQueue ?? '?'}: waiting for it.`
}

/** Activities at a site, for runs that have changed something or wait for days: while the site's worker is away they wait for it, and the run says so. */
export function patientAtSite<A = UntypedActivities>(route: HostRoute, options: ActivityOptions): ActivityInterfaceFor<A> {
  type Ask = (...args: unknown[]) => Promise<unknown>
  const patient =
    (ask: Ask): Ask =>
    (...args) =>
      untilTaken(route, () => ask(...args))
  return new Proxy(proxyActivities<A>({ ...atSite(route), ...options }) as object, {
    get: (site, name) => {
      const activity = Reflect.get(site, name) as Ask & { executeWithOptions: Ask }
      return Object.assign(patient(activity), { executeWithOptions: patient(activity.executeWithOptions) })
    },
  }) as ActivityInterfaceFor<A>
}

async function untilTaken<T>(route: HostRoute, ask: () => Promise<T>): Promise<T> {
  const before = getCurrentDetails()
  for (let pause = 5; ; pause = Math.min(LONGEST_PAUSE_SECONDS, pause * 2)) {
    try {
      const answer = await ask()
      if (pause > 5) setCurrentDetails(before)
      return answer
    } catch (error) {
      if (!isNoWorker(error)) throw error
      setCurrentDetails(`${before}\n\n${noWorkerText(route)}`)
      await sleep(`${pause} seconds`, { summary: 'Wait for the worker of the site' })
    }
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
