/** What a schedule seems to say, and when the host says it fires. Pure. */
import type { PlanWarning } from '../change/plan.js'
import { ageInWords, listInWords } from '../judge/words.js'
import { isZone, localTime } from '../judge/zone.js'
import type { VzdumpObservation } from './observation.js'
import type { JobToCome } from './selection.js'

const HOUR = 3600
/** Daily, with room for the hour that summer time adds. */
const DAILY_GAP_SECONDS = 25 * HOUR
const WEEKLY_GAP_SECONDS = (7 * 24 + 1) * HOUR
/** The longest month, with the same room. */
const MONTHLY_GAP_SECONDS = (31 * 24 + 1) * HOUR

/** The host's own next runs, seconds since the epoch; empty when it did not tell, and for a schedule that never fires. */
export function runsOf(seen: VzdumpObservation, schedule: string): readonly number[] {
  const answer = seen.schedules.find((each) => each.schedule === schedule)?.runs
  return answer?.ok ? answer.value : []
}

/** The widest gap between two of the host's own next runs; endless when the host does not tell. */
export function largestGap(seen: VzdumpObservation, schedule: string): number {
  return Math.max(...gaps(seen, schedule), 0) || Number.POSITIVE_INFINITY
}

function gaps(seen: VzdumpObservation, schedule: string): number[] {
  const runs = runsOf(seen, schedule)
  return runs.slice(1).map((run, index) => run - (runs[index] ?? run))
}

/** What Proxmox accepts and people do not mean: the host's own next runs are compared with what the text seems to say. */
export function scheduleTraps(seen: VzdumpObservation, job: JobToCome): PlanWarning[] {
  const { schedule } = job
  const runs = runsOf(seen, schedule)
  if (runs.length < 2) return []
  const warnings: PlanWarning[] = []
  const between = gaps(seen, schedule)
  const times = localTimes(/UTC\s*$/.test(schedule) ? 'UTC' : seen.zone, runs)
  const [shortest, longest] = [Math.min(...between), Math.max(...between)]
  const named = `schedule "${schedule}" of job ${job.id}${job.wanted === null ? '' : ` (${job.wanted.place})`}`
  const trap = (message: string) => warnings.push({ code: 'schedule_trap', message: `${named} ${message}` })
  if (shortest <= HOUR) trap(`fires every ${ageInWords(shortest)}: a number without an hour is a minute of every hour`)
  else {
    const missed = timesNamed(schedule).filter((time) => !times.has(time))
    if (missed.length > 0 && times.size > 0)
      trap(`seems to name ${listInWords(missed)}, and does not fire then; the host's next runs: ${listInWords([...times])}`)
    else if (shortest < 12 * HOUR) trap(`fires ${ageInWords(shortest)} after it fired`)
  }
  if (/\*-(29|30|31)(?![\d.,/])/.test(schedule) && longest > MONTHLY_GAP_SECONDS) trap('skips the months that have no such day')
  if (job.wanted !== null && job.runsBySchedule) {
    const { tier } = job.wanted
    if (longest > (tier === 'P2' ? WEEKLY_GAP_SECONDS : DAILY_GAP_SECONDS))
      warnings.push({
        code: 'tier_schedule',
        message: `job ${job.id} is ${tier} (${tier === 'P2' ? 'weekly' : 'daily'}) and stays without a run for ${ageInWords(longest)}`,
      })
  }
  return warnings
}

/** `HH:MM` as people read it, whatever Proxmox makes of it. */
function timesNamed(schedule: string): string[] {
  return [...schedule.matchAll(/(?<![\d:])(\d{1,2}):(\d{2})(?![\d:])/g)].map(([, hour, minute]) => `${String(hour).padStart(2, '0')}:${minute}`)
}

/** Wall-clock times of the runs on the host; empty when its zone is not known. `UTC` at the end of a schedule means just that. */
function localTimes(zone: string | null, runs: readonly number[]): ReadonlySet<string> {
  if (zone === null || !isZone(zone)) return new Set()
  const two = (value: number) => String(value).padStart(2, '0')
  return new Set(runs.map((run) => localTime(run, zone)).map(({ hour, minute }) => `${two(hour)}:${two(minute)}`))
}
