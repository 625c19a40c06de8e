/**
 * One pass of the monitor: read every site, judge everything, write it down.
 * A Schedule starts it; an operator may start it too, with input `{}`.
 */

import { TemporalFailure, TimeoutType } from '@temporalio/common'
import {
  ActivityFailure,
  isCancellation,
  log,
  patched,
  proxyActivities,
  proxyLocalActivities,
  setCurrentDetails,
  TimeoutFailure,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow'
import type { DeskActivities } from '../activities/desk.js'
import type { MonitorActivities } from '../activities/monitor.js'
import type { BackupMonitorInput, PassPlan, PassResult, SitePlan, SiteReading, SiteUnread } from '../domain/monitor.js'
import { backupMonitorInput } from './inputs.js'
import { leaveMarksOfLastPass } from './leave-marks.js'
import { atHome } from './routes.js'
import { parseInput, phase, runbookAttributes } from './shell.js'

/** A site's worker must take up its work within this time; after it the site is UNKNOWN `no_worker`. */
const NO_WORKER_AFTER_SECONDS = 30

/** Both take well under a second; a worker that died in them is noticed after this time. */
const OPEN_SECONDS = 10
const CLOSE_SECONDS = 20

export async function backupMonitor(rawInput?: BackupMonitorInput): Promise<PassResult> {
  parseInput('backupMonitor', backupMonitorInput, rawInput ?? {})
  upsertSearchAttributes(runbookAttributes('backupMonitor'))

  // What only the state folder is needed for is done within the workflow's own tasks: whoever runs them owns it, and a round trip costs more than the work.
  const home = patched('at-home-in-the-task') ? inTheTask() : byTheQueue()

  phase('open', 'Reading the runbooks.')
  const pass = await home.openPass()

  phase('read', `Reading ${pass.sites.map((site) => `${site.hostCount} hosts of **${site.site}**`).join(', ')}.`)
  const marks = home.leaveMarks(pass)
  const readings = await Promise.all(pass.sites.map((site) => readSite(pass, site)))

  phase('judge', `Judging ${pass.enabledTargets} enabled targets, and every guest, job and storage.`)
  const result = await home.closePass(pass, readings)

  setCurrentDetails(result.details)
  if (result.written) await home.tellDesk(pass)
  await marks
  return result
}

type Readings = readonly (SiteReading | SiteUnread)[]

/** The ends of a pass, at the worker that owns runbook files and state folder. */
interface Home {
  openPass(): Promise<PassPlan>
  closePass(pass: PassPlan, readings: Readings): Promise<PassResult>
  tellDesk(pass: PassPlan): Promise<void>
  leaveMarks(pass: PassPlan): Promise<void> | undefined
}

/** The alert desk leaves the marks for the watchers once it has taken the pass. */
function inTheTask(): Home {
  const at = (seconds: number) => proxyLocalActivities<HomeActivities>(howLong(seconds))
  return { ...steps(at), leaveMarks: () => undefined }
}

/** As passes did it at first: for those that began so. */
function byTheQueue(): Home {
  const at = (seconds: number) => proxyActivities<HomeActivities>({ ...atHome(), ...howLong(seconds) })
  const { tellDesk, ...others } = steps(at)
  return {
    ...others,
    tellDesk: async (pass) => (patched('alert-desk') ? tellDesk(pass) : undefined),
    leaveMarks: (pass) => (pass.isWatched === true && patched('watcher-marks') ? leaveMarksOfLastPass() : undefined),
  }
}

type HomeActivities = Pick<MonitorActivities, 'openPass' | 'closePass'> & Pick<DeskActivities, 'tellDesk'>

const howLong = (seconds: number) => ({
  startToCloseTimeout: `${seconds} seconds` as const,
  retry: { maximumAttempts: 3, initialInterval: '2 seconds' as const, nonRetryableErrorTypes: ['InvalidRunbooks'] },
})

function steps(at: (seconds: number) => ReturnType<typeof proxyActivities<HomeActivities>> | ReturnType<typeof proxyLocalActivities<HomeActivities>>) {
  const { runId, workflowId } = workflowInfo()
  return {
    openPass: () => at(OPEN_SECONDS).openPass.executeWithOptions({ summary: 'Read the runbook files' }, [{ passId: runId, workflowId }]),
    closePass: (pass: PassPlan, readings: Readings) =>
      at(CLOSE_SECONDS).closePass.executeWithOptions({ summary: 'Judge, write status, metrics and receipt' }, [
        { passId: pass.passId, workflowId, runId, readings },
      ]),
    /** The pass stands whether the desk hears of it or not: the next one tells it what it missed. */
    async tellDesk(pass: PassPlan): Promise<void> {
      try {
        await at(CLOSE_SECONDS).tellDesk.executeWithOptions({ summary: 'Tell the alert desk what changed' }, [{ passId: pass.passId }])
      } catch (error) {
        if (!(error instanceof TemporalFailure) || isCancellation(error)) throw error
        log.warn('the alert desk was not told of this pass', { cause: error.cause?.message ?? error.message })
      }
    },
  }
}

/** Never fails: a site that could not be read is part of the answer. */
async function readSite(pass: PassPlan, site: SitePlan): Promise<SiteReading | SiteUnread> {
  const activities = proxyActivities<MonitorActivities>({
    taskQueue: site.taskQueue ?? workflowInfo().taskQueue,
    scheduleToStartTimeout: site.taskQueue === undefined ? '5 minutes' : `${NO_WORKER_AFTER_SECONDS} seconds`,
    startToCloseTimeout: `${site.deadlineSeconds + 30} seconds`,
    retry: { maximumAttempts: 3, initialInterval: '1 second' },
  })
  try {
    return await activities.observeSite.executeWithOptions({ summary: `Read ${site.hostCount} hosts of site ${site.site} over SSH` }, [
      { passId: pass.passId, ...site },
    ])
  } catch (error) {
    if (!(error instanceof ActivityFailure)) throw error
    return { site: site.site, unread: whyUnread(site, error) }
  }
}

function whyUnread(site: SitePlan, failure: ActivityFailure): SiteUnread['unread'] {
  const cause = failure.cause
  if (cause instanceof TimeoutFailure && cause.timeoutType === TimeoutType.SCHEDULE_TO_START) {
    const queue = site.taskQueue ?? workflowInfo().taskQueue
    return { reason: 'no_worker', message: `no worker took up work for site ${site.site} on task queue ${queue} within ${NO_WORKER_AFTER_SECONDS} s` }
  }
  return { reason: 'probe_failed', message: `reading site ${site.site} failed: ${cause?.message ?? failure.message}` }
}
