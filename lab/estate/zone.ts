/**
 * Wall-clock time of one zone: which instant is 02:00 on a day, what does a clock there show. Pure, on the zone data of Node (ICU).
 * The rules at the two DST edges are those of the real programs: a Proxmox job inside the skipped hour does not run that day
 * (proxmox-time `next_event`), Debian's cron runs it right after the jump (cron(8), "skipped by forward clock changes").
 */
import { type LocalTime, localTime, offsetSeconds } from '../../src/domain/judge/zone.js'

/** A calendar day without a time. */
export interface Day {
  readonly year: number
  readonly month: number
  readonly day: number
}

const DAY_SECONDS = 86_400
const two = (value: number) => String(value).padStart(2, '0')

/** One time zone; instants are whole seconds since 1970 (UTC). */
export class Zone {
  constructor(readonly name: string) {}

  /** Seconds to add to UTC to get what a clock in this zone shows at `epoch`. */
  offsetAt(epoch: number): number {
    return offsetSeconds(epoch, this.name)
  }

  wallClock(epoch: number): LocalTime {
    return localTime(epoch, this.name)
  }

  /**
   * The first instant at which a clock here shows that time, or undefined when the time is skipped on that day.
   */
  instantOf(day: Day, hour: number, minute: number, second = 0): number | undefined {
    const shown = Date.UTC(day.year, day.month - 1, day.day, hour, minute, second) / 1000
    const candidates = [shown - this.offsetAt(shown - DAY_SECONDS), shown - this.offsetAt(shown + DAY_SECONDS)]
    const fitting = candidates.filter((epoch) => epoch + this.offsetAt(epoch) === shown)
    return fitting.length === 0 ? undefined : Math.min(...fitting)
  }

  /** The day that `daysAgo` days lie before the day of `epoch` in this zone (0 = that day). */
  dayBefore(epoch: number, daysAgo: number): Day {
    const today = this.wallClock(epoch)
    const noon = new Date(Date.UTC(today.year, today.month - 1, today.day - daysAgo, 12))
    return { year: noon.getUTCFullYear(), month: noon.getUTCMonth() + 1, day: noon.getUTCDate() }
  }

  /** `2026_11_21-02_00_04`: the time in the name of a vzdump archive. */
  archiveStamp(epoch: number): string {
    const t = this.wallClock(epoch)
    return `${t.year}_${two(t.month)}_${two(t.day)}-${two(t.hour)}_${two(t.minute)}_${two(t.second)}`
  }

  /** `2026-11-21 02:00:04`: the time in front of a line of a backup log. */
  logStamp(epoch: number): string {
    const t = this.wallClock(epoch)
    return `${t.year}-${two(t.month)}-${two(t.day)} ${two(t.hour)}:${two(t.minute)}:${two(t.second)}`
  }

  /** `20261121-025003`: the time in the name of an application dump. */
  dumpStamp(epoch: number): string {
    const t = this.wallClock(epoch)
    return `${t.year}${two(t.month)}${two(t.day)}-${two(t.hour)}${two(t.minute)}${two(t.second)}`
  }
}

/** 0 = Sunday … 6 = Saturday. */
export function weekdayOf(day: Day): number {
  return new Date(Date.UTC(day.year, day.month - 1, day.day, 12)).getUTCDay()
}
