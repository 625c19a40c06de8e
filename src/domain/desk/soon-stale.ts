/** What is fine and soon will not be: a target near its limit without a newer copy, a guest whose newest proof grows old. For the daily summary. */
import type { Classification, RunbookSet } from '../estate.js'
import { ageInWords } from '../judge/words.js'
import type { StatusDocument } from '../status.js'
import { MOST_MESSAGE_BYTES, MOST_SOON_STALE, type SoonStale } from './report.js'
import { briefText } from './text.js'

/** A proof of an archive, as the state folder keeps it (`Proofs`). */
export interface ProofSeen {
  readonly site: string
  readonly volid: string
  readonly level: number
  readonly provenAt: string
}

const DAY_SECONDS = 86_400
const SOON_SECONDS = 4 * 3600
/** Told so long before a proof is too old: reading or restoring an archive has to be fitted in somewhere. */
const PROOF_SOON_SECONDS = 7 * DAY_SECONDS
/** From this level on an archive counts as proven: every byte was read. */
const PROVEN_LEVEL = 2
/** Days until a proof is too old, by how much the loss would hurt: promise P6 (31, 92, 366 days). */
const PROOF_LIMIT_DAYS: Readonly<Record<Classification, number>> = { critical: 31, important: 92, rebuildable: 366 }

/** The nearest to its end first, at most `MOST_SOON_STALE`. */
export function soonStaleOf(status: StatusDocument, runbooks: RunbookSet, proofs: readonly ProofSeen[]): SoonStale[] {
  const copies = status.targets
    .filter((row) => row.enabled && (row.state === 'OK' || row.state === 'LATE') && row.ageSeconds !== null)
    .map((row) => ({ row, left: row.limitSeconds - (row.ageSeconds ?? 0) }))
    .filter(({ left }) => left < SOON_SECONDS)
    .map(({ row, left }) => ({
      left,
      subject: `${row.site}/target/${row.id}`,
      message: `${row.id}: stale in ${Math.max(0, Math.round(left / 60))} minutes unless a new copy comes`,
    }))
  return [...copies, ...proofsSoonStale(status, runbooks, proofs)]
    .sort((a, b) => a.left - b.left)
    .slice(0, MOST_SOON_STALE)
    .map(({ subject, message }) => ({ subject, message: briefText(message, MOST_MESSAGE_BYTES) }))
}

/**
 * Guests with a proof whose newest is near its limit or beyond it. One that was never proven is not listed: nothing of it grows old.
 * The number of a guest is taken as unique within its site, as in a cluster.
 */
function proofsSoonStale(status: StatusDocument, runbooks: RunbookSet, proofs: readonly ProofSeen[]): (SoonStale & { left: number })[] {
  const nowMs = Date.parse(status.takenAt)
  return runbooks.inventory.targets.flatMap((target) => {
    const producer = runbooks.estate.producedBy[target.id]
    const row = status.targets.find(({ id }) => id === target.id)
    if (producer?.kind !== 'vzdump' || producer.vmid === undefined || row === undefined || !row.enabled) return []
    const ofGuest = new RegExp(`/vzdump-(qemu|lxc)-${producer.vmid}-`)
    const own = proofs.filter(({ site, volid, level }) => site === row.site && level >= PROVEN_LEVEL && ofGuest.test(volid))
    const provenMs = Math.max(...own.map(({ provenAt }) => Date.parse(provenAt)))
    if (own.length === 0) return []
    const age = (nowMs - provenMs) / 1000
    const days = PROOF_LIMIT_DAYS[target.classification]
    const left = days * DAY_SECONDS - age
    if (left >= PROOF_SOON_SECONDS) return []
    const proof = `its newest proof is ${ageInWords(age)} old`
    const message = left > 0 ? `${proof}, too old in ${ageInWords(left)}` : `${proof}, the limit is ${days} days`
    return [{ left, subject: `${row.site}/target/${target.id}`, message: `${target.id}: ${message}; nightshift verify-artifact proves a newer archive` }]
  })
}
