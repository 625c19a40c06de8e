/**
 * What a set of retention options keeps, for archives that are not there yet: the host can be asked only about those that are.
 * Used for warnings alone; what is removed is always asked of the host. Source: pve-storage PVE/Storage.pm prune_mark_backup_group.
 */
import { localTime } from '../judge/zone.js'
import type { KeepOption, Retention } from '../vzdump-runbook.js'

export interface Dated {
  readonly startedSeconds: number
  readonly isProtected: boolean
}

/** The counts by name; whatever is no number counts as 0. Proxmox prints them as strings (`{"keep-last":"3"}`). */
export function retentionOf(options: Readonly<Record<string, string | number>>): Retention {
  return Object.fromEntries(Object.entries(options).map(([name, count]) => [name, Number(count) || 0])) as Retention
}

/** `keep-last=3`, `keep-daily=7,keep-last=3` as Proxmox reads it. */
export function parseRetention(text: string): Retention {
  return retentionOf(
    Object.fromEntries(text.split(',').flatMap((part) => (part.includes('=') ? [part.split('=', 2).map((each) => each.trim()) as [string, string]] : []))),
  )
}

const COUNTED = ['keep-last', 'keep-hourly', 'keep-daily', 'keep-weekly', 'keep-monthly', 'keep-yearly'] as const satisfies readonly KeepOption[]

/** True when the options remove nothing: `keep-all`, or no count above zero. */
export function keepsAll(options: Retention): boolean {
  return COUNTED.every((name) => (options[name] ?? 0) <= 0)
}

/** Most archives that the options keep; null = all. */
export function mostKept(options: Retention): number | null {
  return keepsAll(options) ? null : COUNTED.reduce((sum, name) => sum + Math.max(0, options[name] ?? 0), 0)
}

/** The archives of one guest that the options keep; protected ones always, and they take no part. @param zone IANA name of the host's zone */
export function kept<T extends Dated>(archives: readonly T[], options: Retention, zone: string): T[] {
  if (keepsAll(options)) return [...archives]
  const open = archives.filter(({ isProtected }) => !isProtected).sort((a, b) => b.startedSeconds - a.startedSeconds)
  const marks = new Map<T, boolean>()
  for (const name of COUNTED) {
    const most = options[name] ?? 0
    if (most <= 0) continue
    const period = periodOf(name, zone)
    const covered = new Set(open.filter((archive) => marks.get(archive) === true).map((archive) => period(archive.startedSeconds)))
    const taken = new Set<string>()
    for (const archive of open) {
      const key = period(archive.startedSeconds)
      if (marks.has(archive) || covered.has(key)) continue
      if (taken.has(key)) marks.set(archive, false)
      else if (taken.size >= most) break
      else {
        taken.add(key)
        marks.set(archive, true)
      }
    }
  }
  return archives.filter((archive) => archive.isProtected || marks.get(archive) === true)
}

function periodOf(name: (typeof COUNTED)[number], zone: string): (seconds: number) => string {
  if (name === 'keep-last') return (seconds) => String(seconds)
  return (seconds) => {
    const { year, month, day, hour } = localTime(seconds, zone)
    if (name === 'keep-hourly') return `${year}/${month}/${day}/${hour}`
    if (name === 'keep-daily') return `${year}/${month}/${day}`
    if (name === 'keep-weekly') return isoWeek(year, month, day)
    return name === 'keep-monthly' ? `${year}/${month}` : `${year}`
  }
}

/** ISO 8601 week and its year (`%V/%G`): the week of the Thursday. */
function isoWeek(year: number, month: number, day: number): string {
  const date = new Date(Date.UTC(year, month - 1, day))
  date.setUTCDate(date.getUTCDate() + 4 - (date.getUTCDay() || 7))
  const days = (date.getTime() - Date.UTC(date.getUTCFullYear(), 0, 1)) / 86_400_000
  return `${Math.floor(days / 7) + 1}/${date.getUTCFullYear()}`
}
