/**
 * One pass of the monitor: read every site, judge everything, write it down.
 * A Schedule starts it; an operator may start it too, with input `{}`.
 */

import { TimeoutType } from '@temporalio/common'
import { ActivityFailure, log, patched, proxyActivities, setCurrentDetails, TimeoutFailure, upsertSearchAttributes, workflowInfo } from '@temporalio/workflow'
import type { DeskActivities } from '../activities/desk.js'
import type { MonitorActivities } from '../activities/monitor.js'
import { queueNames } from '../domain/ids.js'
import type { BackupMonitorInput, PassPlan, PassResult, SitePlan, SiteReading, SiteUnread } from '../domain/monitor.js'
import { backupMonitorInput } from './inputs.js'
import { leaveMarks } from './leave-marks.js'
import { parseInput, phase, runbookAttributes } from './shell.js'

/** A site's worker must take up its work within this time; after it the site is UNKNOWN `no_worker`. */
const NO_WORKER_AFTER_SECONDS = 30

/** Both take well under a second; a worker that died in them is noticed after this time. */
const OPEN_SECONDS = 10
const CLOSE_SECONDS = 20

export async function backupMonitor(rawInput?: BackupMonitorInput): Promise<PassResult> {
  parseInput('backupMonitor', backupMonitorInput, rawInput ?? {})
  upsertSearchAttributes(runbookAttributes('backupMonitor'))

  phase('open', 'Reading the runbooks.')
  const pass = await openPass()

  phase('read', `Reading ${pass.sites.map((site) => `${site.hostCount} hosts of **${site.site}**`).join(', ')}.`)
  // For the pass before this one, of which is known by now whether its alerts are on their way. Beside the reading it takes no time of its own.
  const marks = pass.isWatched === true && patched('watcher-marks') ? leaveMarks() : undefined
  const readings = await Promise.all(pass.sites.map((site) => readSite(pass, site)))

  phase('judge', `Judging ${pass.enabledTargets} enabled targets, and every guest, job and storage.`)
  const result = await closePass(pass, readings)

  setCurrentDetails(result.details)
  if (result.written && patched('alert-desk')) await tellDesk(pass)
  await marks
  return result
}

/** The pass stands whether the desk hears of it or not: the next one tells it what it missed. */
async function tellDesk(pass: PassPlan): Promise<void> {
  const { tellDesk } = proxyActivities<DeskActivities>({
    taskQueue: queueNames(workflowInfo().taskQueue).state,
    startToCloseTimeout: `${CLOSE_SECONDS} seconds`,
    retry: { maximumAttempts: 3, initialInterval: '2 seconds' },
  })
  try {
    await tellDesk.executeWithOptions({ summary: 'Tell the alert desk what changed' }, [{ passId: pass.passId }])
  } catch (error) {
    if (!(error instanceof ActivityFailure)) throw error
    log.warn('the alert desk was not told of this pass', { cause: error.cause?.message ?? error.message })
  }
}

function openPass(): Promise<PassPlan> {
  const { runId, workflowId } = workflowInfo()
  return stateActivities(OPEN_SECONDS).openPass.executeWithOptions({ summary: 'Read the runbook files' }, [{ passId: runId, workflowId }])
}

/** Never fails: a site that could not be read is part of the answer. */
async function readSite(pass: PassPlan, site: SitePlan): Promise<SiteReading | SiteUnread> {
  const activities = proxyActivities<MonitorActivities>({
    taskQueue: site.taskQueue ?? workflowInfo().taskQueue,
    scheduleToStartTimeout: site.taskQueue === undefined ? '5 minutes' : `${NO_WORKER_AFTER_SECONDS} seconds`,
    startToCloseTimeout: `${site.deadlineSeconds + 30} seconds`,
    heartbeatTimeout: '10 seconds',
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

function closePass(pass: PassPlan, readings: readonly (SiteReading | SiteUnread)[]): Promise<PassResult> {
  const { runId, workflowId } = workflowInfo()
  return stateActivities(CLOSE_SECONDS).closePass.executeWithOptions({ summary: 'Judge, write status, metrics and receipt' }, [
    { passId: pass.passId, workflowId, runId, readings },
  ])
}

/** Activities of the one worker that owns the state folder. */
function stateActivities(seconds: number) {
  return proxyActivities<MonitorActivities>({
    taskQueue: queueNames(workflowInfo().taskQueue).state,
    startToCloseTimeout: `${seconds} seconds`,
    retry: { maximumAttempts: 3, initialInterval: '2 seconds', nonRetryableErrorTypes: ['InvalidRunbooks'] },
  })
}
