/** Wall-clock time of an IANA zone, by the runtime's own zone data. Pure: instants come in as seconds since the epoch. */
import type { Weekday } from '../estate.js'

export interface LocalTime {
  readonly year: number
  readonly month: number
  readonly day: number
  readonly hour: number
  readonly minute: number
  readonly second: number
  readonly weekday: Weekday
}

/** As `Date.getUTCDay` counts. */
const WEEKDAYS: readonly Weekday[] = ['SU', 'MO', 'TU', 'WE', 'TH', 'FR', 'SA']
const formats = new Map<string, Intl.DateTimeFormat>()

function formatOf(zone: string): Intl.DateTimeFormat {
  const known = formats.get(zone)
  if (known) return known
  const made = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
  })
  formats.set(zone, made)
  return made
}

export function isZone(zone: string): boolean {
  try {
    formatOf(zone)
    return true
  } catch {
    return false
  }
}

/** Zones change their offset at whole quarters of an hour only, so one look at the zone data serves for each. */
const QUARTER_SECONDS = 900
const MOST_CACHED = 20_000
const offsets = new Map<string, Map<number, number>>()

/**
 * Local wall clock minus UTC, seconds, at that instant.
 * @throws RangeError for a zone that the runtime does not know (see `isZone`)
 */
export function offsetSeconds(seconds: number, zone: string): number {
  const quarter = Math.floor(seconds / QUARTER_SECONDS)
  const known = offsets.get(zone) ?? new Map<number, number>()
  offsets.set(zone, known)
  const cached = known.get(quarter)
  if (cached !== undefined) return cached
  const start = quarter * QUARTER_SECONDS
  const part: Record<string, string> = {}
  for (const { type, value } of formatOf(zone).formatToParts(start * 1000)) part[type] = value
  const local = Date.UTC(Number(part.year), Number(part.month) - 1, Number(part.day), Number(part.hour), Number(part.minute), Number(part.second)) / 1000
  if (known.size >= MOST_CACHED) known.clear()
  known.set(quarter, local - start)
  return local - start
}

/** @throws RangeError for a zone that the runtime does not know (see `isZone`) */
export function localTime(seconds: number, zone: string): LocalTime {
  const local = new Date((Math.floor(seconds) + offsetSeconds(seconds, zone)) * 1000)
  return {
    year: local.getUTCFullYear(),
    month: local.getUTCMonth() + 1,
    day: local.getUTCDate(),
    hour: local.getUTCHours(),
    minute: local.getUTCMinutes(),
    second: local.getUTCSeconds(),
    weekday: WEEKDAYS[local.getUTCDay()] ?? 'MO',
  }
}

/** The instant of a wall-clock time; of two (autumn) the earlier, in a gap (spring) the one by the offset before it. */
export function instantOf(local: { year: number; month: number; day: number; hour: number; minute: number; second: number }, zone: string): number {
  const asUtc = Date.UTC(local.year, local.month - 1, local.day, local.hour, local.minute, local.second) / 1000
  const candidates = [asUtc - 86_400, asUtc + 86_400].map((near) => asUtc - offsetSeconds(near, zone))
  const exact = candidates.filter((seconds) => offsetSeconds(seconds, zone) === asUtc - seconds)
  return Math.min(...(exact.length > 0 ? exact : [asUtc - offsetSeconds(asUtc - 86_400, zone)]))
}

/** The same wall-clock time `days` earlier; null when that day had no such time (the clocks went forward over it). */
export function daysEarlier(seconds: number, days: number, zone: string): number | null {
  const local = localTime(seconds, zone)
  const moved = new Date(Date.UTC(local.year, local.month - 1, local.day - days))
  const earlier = instantOf({ ...local, year: moved.getUTCFullYear(), month: moved.getUTCMonth() + 1, day: moved.getUTCDate() }, zone)
  const there = localTime(earlier, zone)
  return there.hour === local.hour && there.minute === local.minute ? earlier : null
}

/** YYYY-MM-DD in that zone. */
export function localDate(seconds: number, zone: string): string {
  const { year, month, day } = localTime(seconds, zone)
  return `${year}-${String(month).padStart(2, '0')}-${String(day).padStart(2, '0')}`
}
