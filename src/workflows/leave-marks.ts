/** A mark for each watcher, once the alerts of a pass are on their way: it notices when there are no more. */
import { ActivityFailure, log, proxyActivities } from '@temporalio/workflow'
import type { WatcherActivities } from '../activities/watcher.js'
import type { OpenedMarks } from '../domain/relay/marks.js'
import type { MarkOrder } from '../domain/relay/watcher.js'
import { atHome, atSite } from './routes.js'

/** Never fails: a mark that could not be left is shown by the next pass, and the watcher says the rest. */
export async function leaveMarks({ marks, withheld, unmarked: before }: OpenedMarks): Promise<void> {
  if (withheld !== null) return log.warn('no mark is left for the watchers', { why: withheld })
  const failures = await Promise.all(marks.map(async (mark) => [mark.route.host, await whyNotLeft(mark)] as const))
  const unmarked = Object.fromEntries(failures.flatMap(([host, why]) => (why === null ? [] : [[host, why] as const])))
  if (Object.keys(unmarked).length + before.length === 0) return
  await warned(() => home().noteUnmarked.executeWithOptions({ summary: 'Note where no mark could be left' }, [{ unmarked }]))
}

/** What a pass did for the pass before it until the desk left the marks itself: for passes that began so. */
export async function leaveMarksOfLastPass(): Promise<void> {
  await warned(async () => leaveMarks(await home().openMarks.executeWithOptions({ summary: 'Has the alert desk taken the last pass?' }, [])))
}

async function warned(work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof ActivityFailure)) throw error
    log.warn('no mark is left for the watchers', { why: error.cause?.message ?? error.message })
  }
}

async function whyNotLeft(mark: MarkOrder): Promise<string | null> {
  const { leaveMark } = proxyActivities<WatcherActivities>({
    ...atSite(mark.route),
    startToCloseTimeout: '30 seconds',
    retry: { maximumAttempts: 2, initialInterval: '2 seconds' },
  })
  try {
    await leaveMark.executeWithOptions({ summary: `Leave a mark on ${mark.route.host} for its watcher` }, [mark])
    return null
  } catch (error) {
    if (!(error instanceof ActivityFailure)) throw error
    return error.cause?.message ?? error.message
  }
}

function home() {
  return proxyActivities<WatcherActivities & { openMarks(): Promise<OpenedMarks> }>({
    ...atHome(),
    startToCloseTimeout: '10 seconds',
    retry: { maximumAttempts: 2, initialInterval: '2 seconds' },
  })
}
