/**
 * When a job was last due and when its result has to be there: from the host's own calendar, never from one of ours.
 *
 * `schedule-analyze` tells future runs only. The last due time is the latest of: a next run told in an earlier pass that has
 * come since; and, for schedules that repeat every week, a told run moved back by whole weeks in the host's local time (so
 * that summer time does not shift it). How long a run usually takes is the 95th percentile of the runs that are known.
 */
import type { JobSeen, ProxmoxObservation } from '../observation.js'
import type { TaskView } from './attempts.js'
import type { JobMemory } from './memory.js'
import { MOST_DURATIONS, percentile } from './memory.js'
import type { HostView, Pass } from './pass.js'
import { daysEarlier } from './zone.js'

/** Where no run is known yet: the longest window of the example calendar. */
export const UNKNOWN_DURATION_SECONDS = 3 * 3600

/** Beyond the usual duration before a missing result counts as late. */
export const GRACE_SECONDS = 15 * 60

/** The scheduler wakes once a minute, and a pass may fall between the due second and the start. */
const START_SLACK_SECONDS = 120

export interface Timing {
  /** The host's own next runs, earliest first; empty when it was not asked or did not answer. */
  readonly runs: readonly number[]
  readonly nextRunSeconds: number | null
  /** Null when nothing tells when it was last due. */
  readonly lastDueSeconds: number | null
  /** Shortest time between two runs, seconds, where the schedule is known. */
  readonly intervalSeconds: number | null
  readonly usualSeconds: number
  /** The run of the last due time has neither ended well nor is it running, and its time is up. */
  readonly late: boolean
}

export function timingOf(
  pass: Pass,
  view: HostView,
  seen: ProxmoxObservation,
  job: JobSeen,
  lastTask: TaskView | null,
  tasks: readonly TaskView[] | null,
): Timing {
  const key = `${view.host.name}/${job.id}`
  const known = pass.memory.jobs[key]
  const remembered = known?.schedule === job.schedule ? known : undefined
  const analysed = seen.schedules.find(({ schedule }) => schedule === job.schedule)?.runs
  const runs = analysed?.ok ? [...analysed.value].sort((a, b) => a - b) : []
  const nextRunSeconds = runs[0] ?? job.nextRunSeconds
  const durations = durationsOf(remembered, lastTask)
  const usualSeconds = durations.values.length > 0 ? percentile(durations.values, 0.95) : UNKNOWN_DURATION_SECONDS
  const lastDueSeconds = startedMattering(seen, job, remembered) ? lastDue(view, job, runs, remembered) : null
  pass.draft.jobs[key] = {
    schedule: job.schedule ?? undefined,
    nextRunAt: nextRunSeconds ?? undefined,
    lastDueAt: lastDueSeconds ?? undefined,
    durations: durations.values,
    counted: durations.counted,
  }
  const up = job.enabled && lastDueSeconds !== null && view.clockSeconds > lastDueSeconds + usualSeconds + GRACE_SECONDS
  return {
    runs,
    nextRunSeconds,
    lastDueSeconds,
    intervalSeconds: runs.length >= 2 ? Math.min(...runs.slice(1).map((run, index) => run - (runs[index] ?? run))) : null,
    usualSeconds,
    late: up && tasks !== null && !ranSince(lastDueSeconds, lastTask, seen, job, tasks),
  }
}

/** A job that the scheduler has just met has no due time behind it (pve-manager PVE/Jobs.pm: state `created`). */
function startedMattering(seen: ProxmoxObservation, job: JobSeen, remembered: JobMemory | undefined): boolean {
  if (!seen.jobStates.ok) return remembered !== undefined
  const state = seen.jobStates.value.find(({ jobId }) => jobId === job.id)
  if (!state || state.state === 'created') return remembered?.nextRunAt !== undefined && state === undefined
  return true
}

/** Ran: by its state file, or (when that names no task that is known) any vzdump task begun since. */
function ranSince(dueSeconds: number, lastTask: TaskView | null, seen: ProxmoxObservation, job: JobSeen, tasks: readonly TaskView[]): boolean {
  const since = dueSeconds - START_SLACK_SECONDS
  if (lastTask && lastTask.startSeconds >= since) return true
  const state = seen.jobStates.ok ? seen.jobStates.value.find(({ jobId }) => jobId === job.id) : undefined
  // a node without a guest of the job ends its run at once, without any task
  if (state && state.upid === null && state.state === 'stopped' && (state.updatedSeconds ?? 0) >= since) return true
  if (state?.upid) return false
  return tasks.some((task) => task.startSeconds >= since)
}

function lastDue(view: HostView, job: JobSeen, runs: readonly number[], remembered: JobMemory | undefined): number | null {
  const now = view.clockSeconds
  const candidates: number[] = []
  if (remembered?.lastDueAt !== undefined) candidates.push(remembered.lastDueAt)
  if (remembered?.nextRunAt !== undefined && remembered.nextRunAt <= now) candidates.push(remembered.nextRunAt)
  if (repeatsWeekly(job.schedule)) {
    for (const run of runs) {
      const weeks = Math.max(1, Math.ceil((run - now) / (7 * 86_400)))
      const earlier = daysEarlier(run, 7 * weeks, view.zone)
      if (earlier !== null) candidates.push(earlier)
    }
    const [first, second] = runs
    if (first !== undefined && second !== undefined && evenly(runs)) candidates.push(first - (second - first))
  }
  const past = candidates.filter((due) => due <= now)
  return past.length > 0 ? Math.max(...past) : null
}

/** Sub-daily schedules repeat evenly; their last due time is one step back. */
const evenly = (runs: readonly number[]): boolean => {
  const step = (runs[1] ?? 0) - (runs[0] ?? 0)
  return step < 86_400 && runs.slice(1).every((run, index) => run - (runs[index] ?? run) === step)
}

/** A schedule without a date part (`*-1..7`, `2026-…`, `monthly`) comes again every week at the same local times. */
export function repeatsWeekly(schedule: string | null): boolean {
  if (schedule === null) return false
  const body = schedule.trim()
  if (/^(minutely|hourly|daily|weekly)\b/.test(body)) return true
  return !/-/.test(body) && !/^(monthly|quarterly|semi-?annually|yearly|annually)\b/.test(body)
}

function durationsOf(remembered: JobMemory | undefined, lastTask: TaskView | null): { values: readonly number[]; counted: readonly string[] } {
  const values = [...(remembered?.durations ?? [])]
  const counted = [...(remembered?.counted ?? [])]
  if (
    lastTask?.endSeconds != null &&
    !counted.includes(lastTask.upid) &&
    (lastTask.status === 'OK' || lastTask.status.startsWith('WARNINGS') || lastTask.status === 'job errors')
  ) {
    values.push(Math.max(0, lastTask.endSeconds - lastTask.startSeconds))
    counted.push(lastTask.upid)
  }
  return { values: values.slice(-MOST_DURATIONS), counted: counted.slice(-MOST_DURATIONS) }
}
