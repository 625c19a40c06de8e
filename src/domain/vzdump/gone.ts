/**
 * Which guests are gone. A number that no configuration folder of any node has is gone only where something shows that it was there once:
 * a job of the host names it, an archive of it lies on a storage, or its removal stands in the task index. Else it may be one to come.
 */
import type { RunbookSet, Target } from '../estate.js'
import type { VzdumpObservation } from './observation.js'
import { vmidsOf } from './observation.js'

export interface GoneGuest {
  readonly vmid: number
  /** Why it is known to have been there. */
  readonly evidence: string
  /** When it was destroyed, by the host's task index. */
  readonly destroyedSeconds: number | null
}

/** The guests that are gone, by number. */
export function goneGuests(seen: VzdumpObservation): ReadonlyMap<number, GoneGuest> {
  const there = new Set(seen.guests.map((guest) => guest.vmid))
  const gone = new Map<number, GoneGuest>()
  const note = (vmid: number, evidence: string) => {
    if (there.has(vmid) || gone.has(vmid)) return
    const destroyedSeconds = seen.destroyed.find((each) => each.vmid === vmid)?.epochSeconds ?? null
    gone.set(vmid, { vmid, evidence, destroyedSeconds })
  }
  for (const { vmid } of seen.destroyed) note(vmid, 'its removal stands in the task index')
  for (const job of seen.jobs) for (const vmid of vmidsOf(job.vmid)) note(vmid, `job ${job.id} names it`)
  // Another host may write into a shared storage: its guests' archives show nothing about this host.
  for (const storage of seen.storages) {
    if (storage.shared || !storage.archives?.ok) continue
    for (const { vmid } of storage.archives.value) if (vmid !== null) note(vmid, `an archive of it lies on ${storage.id}`)
  }
  return gone
}

const VZDUMP_GLOB = /^vzdump-(?:qemu|lxc)-(\d+)-/

/** The guest of this host that a target is about, or null. */
export function guestOfTarget(set: RunbookSet, host: string, target: Target): number | null {
  const producer = set.estate.producedBy[target.id]
  if (producer?.kind === 'vzdump' && producer.vmid !== undefined) return producer.host === host ? producer.vmid : null
  if (target.host !== host) return null
  const named = VZDUMP_GLOB.exec(target.glob)?.[1]
  return named === undefined ? null : Number(named)
}

/** Whether a calendar event is about guests of this host. */
export function isEventOf(event: { readonly job?: string; readonly source?: string }, host: string): boolean {
  if (event.job !== undefined) return event.job.startsWith(`${host}/`)
  return event.source?.startsWith(`${host}:`) ?? false
}
