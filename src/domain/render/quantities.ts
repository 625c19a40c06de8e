/** Ages, limits, sizes and instants as people say them. */
import type { Instant } from '../status.js'

const MINUTE = 60
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** A length of time in its two biggest units: `1 d 2 h`, `3 h 20 min`, `40 s`. Rounded down; negative ones (clock skew) keep their sign. */
export function duration(seconds: number): string {
  if (seconds < 0) return `-${duration(-seconds)}`
  const whole = Math.floor(seconds)
  if (whole < MINUTE) return `${whole} s`
  if (whole < HOUR) return `${Math.floor(whole / MINUTE)} min`
  if (whole < DAY) return pair(Math.floor(whole / HOUR), 'h', Math.floor((whole % HOUR) / MINUTE), 'min')
  return pair(Math.floor(whole / DAY), 'd', Math.floor((whole % DAY) / HOUR), 'h')
}

/** A limit as operators write it, in hours (`26 h`, `168 h`), or in minutes below one. */
export function limit(seconds: number): string {
  if (seconds % HOUR === 0) return `${seconds / HOUR} h`
  return seconds < 100 * HOUR ? duration(seconds) : `${Math.round(seconds / HOUR)} h`
}

/** `1 d 2 h of 26 h`; only the limit when there is no age. */
export function ageOfLimit(ageSeconds: number | null, limitSeconds: number): string {
  return ageSeconds === null ? `limit ${limit(limitSeconds)}` : `${duration(ageSeconds)} of ${limit(limitSeconds)}`
}

/** A size in decimal units with three significant digits: `12.4 GB`. */
export function size(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB']
  let value = bytes
  let unit = 0
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000
    unit += 1
  }
  return `${unit === 0 ? value : Number(value.toPrecision(3))} ${units[unit]}`
}

/** `2026-02-12 08:30 UTC`. */
export function instant(at: Instant): string {
  const date = new Date(at)
  return Number.isNaN(date.getTime()) ? at : `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`
}

function pair(big: number, bigUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${big} ${bigUnit}` : `${big} ${bigUnit} ${small} ${smallUnit}`
}
