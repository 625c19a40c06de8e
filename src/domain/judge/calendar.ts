/**
 * Checks the calendar against the live jobs: the right weekday, the right time in the calendar's zone, words that fit the
 * frequency. The host's own next runs are the truth.
 */
import type { CalendarEvent, Weekday } from '../estate.js'
import { jobSubject } from './jobs.js'
import type { Pass } from './pass.js'
import { subjectOf } from './pass.js'
import type { JobView, ProxmoxView, ProxmoxViews } from './proxmox.js'
import { report } from './report.js'
import { listInWords } from './words.js'
import { instantOf, isZone, localTime } from './zone.js'

const DAY_NAMES: Readonly<Record<Weekday, string>> = {
  MO: 'Monday',
  TU: 'Tuesday',
  WE: 'Wednesday',
  TH: 'Thursday',
  FR: 'Friday',
  SA: 'Saturday',
  SU: 'Sunday',
}

export function judgeCalendar(pass: Pass, proxmox: ProxmoxViews): void {
  for (const event of pass.runbooks.calendar.events) {
    if (event.decommissioned) continue
    const linked = linkedJob(event, proxmox)
    if (linked === 'missing') {
      say(
        pass,
        event,
        null,
        'calendar_no_such_job',
        `names job ${event.job}, which does not exist`,
        `put job: right at ${event.place}, or mark the event decommissioned`,
      )
    }
    const job = linked === 'missing' ? null : linked
    checkWords(pass, event)
    const days = job ? jobDays(pass, job.job) : null
    if (event.freq === 'WEEKLY' && (event.byDay ?? []).length === 0) {
      const anchor = DAY_NAMES[dayOfDate(pass.runbooks.calendar.dtstartDate)]
      const live = days && days.length > 0 ? `; the live job runs on ${listInWords(days.map((day) => DAY_NAMES[day]))}` : ''
      say(
        pass,
        event,
        job,
        'calendar_no_byday',
        `is weekly without byday, so a calendar puts it on ${anchor}s, the weekday of dtstart_date${live}`,
        `add byday: ${days?.join(',') || 'SU'} at ${event.place}`,
      )
    } else if (job) compareWithJob(pass, event, job)
  }
}

function say(pass: Pass, event: CalendarEvent, job: { own: ProxmoxView; job: JobView } | null, reason: string, message: string, next: string): void {
  const subject = job ? jobSubject(job.own.view, job.job.seen.id) : subjectOf(pass.runbooks.estate.id, 'monitor', `calendar/${event.id}`)
  report(pass, subject, 'config', { reason, severity: 'warning', message: `calendar event ${event.id} ${message}`, next })
}

/** `job: host/id`, or a live job's id in the event's own words; null when the event is about no job that can be read. */
function linkedJob(event: CalendarEvent, proxmox: ProxmoxViews): { own: ProxmoxView; job: JobView } | 'missing' | null {
  if (event.job !== undefined) {
    const slash = event.job.indexOf('/')
    const own = proxmox.get(event.job.slice(0, slash))
    if (!own?.jobs) return null
    const job = own.jobs.find(({ seen }) => seen.id === event.job?.slice(slash + 1))
    return job ? { own, job } : 'missing'
  }
  const words = new Set(`${event.id} ${event.summary} ${event.description ?? ''} ${event.source ?? ''}`.split(/[^A-Za-z0-9_-]+/))
  for (const own of proxmox.values()) for (const job of own.jobs ?? []) if (words.has(job.seen.id)) return { own, job }
  return null
}

/** I15: no frequency of ours is quarterly or yearly. */
function checkWords(pass: Pass, event: CalendarEvent): void {
  const text = `${event.summary} ${event.description ?? ''}`
  const word = /\b(quarterly|every three months|every 3 months|yearly|annually|fortnightly|every two weeks|bi-?weekly)\b/i.exec(text)?.[1]
  if (!word) return
  say(pass, event, null, 'calendar_words', `says "${word}" in words, but repeats ${event.freq}`, `put the words or freq right at ${event.place}`)
}

function jobDays(pass: Pass, job: JobView): Weekday[] | null {
  const zone = pass.runbooks.calendar.timezone
  // of a disabled job the host is not asked about the schedule, but the job's row tells its next run
  const runs = job.timing.runs.length > 0 ? job.timing.runs : job.timing.nextRunSeconds === null ? [] : [job.timing.nextRunSeconds]
  if (runs.length === 0 || !isZone(zone)) return null
  const order: Weekday[] = ['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU']
  const days = new Set(runs.map((run) => localTime(run, zone).weekday))
  return order.filter((day) => days.has(day))
}

function compareWithJob(pass: Pass, event: CalendarEvent, linked: { own: ProxmoxView; job: JobView }): void {
  const { job, own } = linked
  const zone = pass.runbooks.calendar.timezone
  const { runs } = job.timing
  if (!job.seen.enabled || runs.length === 0 || !isZone(zone)) return
  const zoneNote = own.view.zone === zone ? '' : ` (the host's zone is ${own.view.zone}, the calendar's ${zone})`
  const times = [...new Set(runs.map((run) => hourMinute(run, zone)))].sort()
  const stated = statedTimes(event)
  if (stated.length > 0 && times.some((time) => !stated.includes(time))) {
    say(
      pass,
      event,
      linked,
      'calendar_time',
      `says ${listInWords(stated)}, the live job ${job.seen.id} runs at ${listInWords(times)}${zoneNote}`,
      `put byhour and byminute right at ${event.place}`,
    )
    return
  }
  const days = jobDays(pass, job) ?? []
  if (event.freq === 'WEEKLY' && days.length > 0 && days.join() !== sortedDays(event.byDay ?? []).join()) {
    say(
      pass,
      event,
      linked,
      'calendar_weekday',
      `says ${listInWords(sortedDays(event.byDay ?? []).map((day) => DAY_NAMES[day]))}, the live job ${job.seen.id} runs on ${listInWords(days.map((day) => DAY_NAMES[day]))}${zoneNote}`,
      `put byday: ${days.join(',')} at ${event.place}`,
    )
  }
  if (event.freq === 'DAILY' && runs.length >= 7 && days.length < 7) {
    say(
      pass,
      event,
      linked,
      'calendar_freq',
      `is daily, the live job ${job.seen.id} runs only on ${listInWords(days.map((day) => DAY_NAMES[day]))}`,
      `put freq: WEEKLY and byday: ${days.join(',')} at ${event.place}`,
    )
  }
}

const two = (value: number): string => String(value).padStart(2, '0')

function hourMinute(seconds: number, zone: string): string {
  const { hour, minute } = localTime(seconds, zone)
  return `${two(hour)}:${two(minute)}`
}

/** HH:MM of the event; none for hourly ones. */
function statedTimes(event: CalendarEvent): string[] {
  if (event.freq === 'HOURLY' || !event.byHour) return []
  return event.byHour.flatMap((hour) => (event.byMinute ?? [0]).map((minute) => `${two(hour)}:${two(minute)}`)).sort()
}

function sortedDays(days: readonly Weekday[]): Weekday[] {
  const order: Weekday[] = ['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU']
  return order.filter((day) => days.includes(day))
}

function dayOfDate(date: string): Weekday {
  const [year, month, day] = date.split('-').map(Number)
  return localTime(instantOf({ year: year ?? 2026, month: month ?? 1, day: day ?? 1, hour: 12, minute: 0, second: 0 }, 'UTC'), 'UTC').weekday
}
