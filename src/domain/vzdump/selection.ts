/** Which guests the jobs of a host back up: as the jobs are now, and as they will be once the plan is carried out. Pure. */
import type { Retention, Tier, VzdumpHost } from '../vzdump-runbook.js'
import { isLegacyCron, isTrue, type Row, type VzdumpObservation, vmidsOf } from './observation.js'
import { isScheduled, retentionOf } from './wanted.js'

/**
 * The guests that a job backs up now: its pool's, else its list's, else all but the excluded, and of its node only (pve-manager PVE/VZDump.pm, get_included_guests).
 * @returns null for a pool whose members are not known
 */
export function guestsOf(seen: VzdumpObservation, row: Row): readonly number[] | null {
  const there = seen.guests.filter((guest) => row.node === undefined || row.node === guest.node).map(({ vmid }) => vmid)
  if (row.pool !== undefined) {
    if (seen.pools === null) return null
    const members = seen.pools.find(({ id }) => id === row.pool)?.vmids ?? []
    return there.filter((vmid) => members.includes(vmid))
  }
  if (row.vmid !== undefined) return there.filter((vmid) => vmidsOf(row.vmid).includes(vmid))
  if (!isTrue(row.all) && row.exclude === undefined) return []
  return there.filter((vmid) => !vmidsOf(row.exclude).includes(vmid))
}

/** A job as it is once the plan is carried out. */
export interface JobToCome {
  readonly id: string
  /** Of `vzdump.yaml`; null = a job that the file does not list, and that stays. */
  readonly wanted: { readonly tier: Tier; readonly place: string } | null
  readonly storage: string
  readonly schedule: string
  readonly runsBySchedule: boolean
  /** Living guests; null = those of a pool, which are not known. */
  readonly guests: readonly number[] | null
  /** The options by which it prunes, taken whole from the first that says anything; null = nothing says anything, all is kept. */
  readonly retention: Retention | null
}

/** The jobs that back something up once the plan is carried out: those of `vzdump.yaml`, and what else stays on the host. */
export function jobsToCome(seen: VzdumpObservation, entry: VzdumpHost): JobToCome[] {
  const there = new Set(seen.guests.map(({ vmid }) => vmid))
  const ofStorage = (id: string): Retention | null => {
    const wanted = entry.storages.find((storage) => storage.id === id)?.retention
    return wanted ?? retentionOf(seen.storages.find((storage) => storage.id === id)?.retention) ?? retentionOf(seen.nodeRetention)
  }
  const wanted = entry.jobs.map(({ id, tier, place, storage, schedule, scheduled, retention, guests }): JobToCome => {
    const living = guests.filter((vmid) => there.has(vmid))
    return { id, wanted: { tier, place }, storage, schedule, runsBySchedule: scheduled, guests: living, retention: retention ?? ofStorage(storage) }
  })
  const listed = new Set(entry.jobs.map(({ id }) => id))
  const others = seen.jobs.flatMap((row): JobToCome[] => {
    // vzdump takes the storage `local` where nothing names another (pve-manager PVE/VZDump.pm).
    const storage = String(row.storage ?? 'local')
    // A line of cron is never removed, whatever becomes of other jobs.
    if (listed.has(String(row.id)) || (entry.otherJobs === 'remove' && !isLegacyCron(row)) || !seen.storages.some(({ id }) => id === storage)) return []
    const retention = retentionOf(row['prune-backups']) ?? ofStorage(storage)
    const schedule = String(row.schedule ?? '')
    return [{ id: String(row.id), wanted: null, storage, schedule, runsBySchedule: isScheduled(row), guests: guestsOf(seen, row), retention }]
  })
  return [...wanted, ...others].filter(({ guests }) => guests === null || guests.length > 0)
}
