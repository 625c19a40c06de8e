/** When a pass of the monitor leaves a receipt: when a verdict changes, and once a day; not once a pass. Pure. */
import type { StatusDocument } from '../../domain/status.js'
import { type Receipt, verdictsDigest } from './receipt.js'

const DAY_MS = 24 * 3600 * 1000

export type DueReason = 'first' | 'verdict_changed' | 'daily'

/** What the last receipt of a pass said; null when there is none. */
export interface LastMonitorReceipt {
  readonly verdict: string
  readonly verdictsDigest: string
  readonly takenAt: string
}

/**
 * Why the pass `current` needs a receipt; null when it needs none. Compared is with the last pass that has a receipt, not with the last pass:
 * so a crash between a pass and its receipt never loses a change.
 */
export function receiptDue(previous: LastMonitorReceipt | null, current: StatusDocument): DueReason | null {
  if (previous === null) return 'first'
  if (previous.verdictsDigest !== verdictsDigest(current)) return 'verdict_changed'
  const sinceMs = Date.parse(current.takenAt) - Date.parse(previous.takenAt)
  // A receipt from the future was written with a clock that was ahead: do not wait until the clock is there again.
  return sinceMs >= DAY_MS || sinceMs < -DAY_MS || Number.isNaN(sinceMs) ? 'daily' : null
}

/** What `receiptDue` needs to know of a monitor receipt. */
export function lastMonitorReceipt(receipt: Receipt | undefined): LastMonitorReceipt | null {
  if (receipt === undefined) return null
  const { verdict, verdictsDigest: digest } = receipt.outcome
  return { verdict: String(verdict), verdictsDigest: String(digest), takenAt: receipt.times.takenAt ?? receipt.writtenAt }
}
