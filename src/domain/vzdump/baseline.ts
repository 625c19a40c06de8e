/** The jobs of a host as they are, for a receipt to which later ones are compared: jobs, guests in and out, newest archives, retention. */
import { canonicalJson, sha256Hex } from '../canonical.js'
import type { Json } from '../change/plan.js'
import type { VzdumpObservation } from './observation.js'
import { archivesOf, isoOf } from './plan-job-steps.js'
import { guestsOf } from './selection.js'
import { isScheduled } from './wanted.js'

/** What is observed now, without the clock; its digest changes when, and only when, one of these does. */
export function baselineOf(seen: VzdumpObservation): Readonly<Record<string, Json>> {
  const jobs = seen.jobs.map(({ 'next-run': _next, digest: _digest, ...row }) => row)
  const covered = new Set(
    seen.jobs
      .filter(isScheduled)
      .filter((row) => row.storage === undefined || seen.storages.some((storage) => storage.id === row.storage))
      .flatMap((row) => guestsOf(seen, row) ?? []),
  )
  const guests = seen.guests.map(({ vmid, name, type, node }) => ({ vmid, name, type, node }))
  const storages = seen.storages.filter((storage) => storage.holdsBackups).map(({ id, retention, active }) => ({ id, retention, active }))
  const baseline = {
    jobs,
    guestsIn: guests.filter((guest) => covered.has(guest.vmid)),
    guestsOut: guests.filter((guest) => !covered.has(guest.vmid)),
    storages,
    newestArchives: newestArchives(seen),
  }
  return { ...baseline, baselineDigest: sha256Hex(canonicalJson(baseline)) }
}

function newestArchives(seen: VzdumpObservation): Json[] {
  return seen.storages.flatMap((storage) => {
    const known = new Set<number>()
    // newest first
    return archivesOf(seen, storage.id).flatMap(({ vmid, volid, sizeBytes, createdSeconds }) => {
      if (vmid === null || known.has(vmid)) return []
      known.add(vmid)
      return [{ vmid, volid, sizeBytes, createdAt: createdSeconds === null ? null : isoOf(createdSeconds) }]
    })
  })
}
