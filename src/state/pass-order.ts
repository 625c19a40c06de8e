/** Which of two passes is the newer one: by when it was taken, then by its id. Pure. */
import type { Instant } from '../domain/status.js'

export interface PassKey {
  readonly passId: string
  readonly takenAt: Instant
}

/** A clock that is set back by more than this makes what was written before it "from the future". */
const FUTURE_TOLERANCE_MS = 120_000

/**
 * True when `candidate` must not replace `current`. The same pass again (a repeated activity) is not older: it may write once more.
 * A `current` from the future is never a reason to refuse: else a worker whose clock was ahead for an hour would freeze the status until the clock catches up.
 */
export function isOlderPass(candidate: PassKey, current: PassKey, now: Date): boolean {
  if (candidate.passId === current.passId) return false
  const candidateMs = Date.parse(candidate.takenAt)
  const currentMs = Date.parse(current.takenAt)
  if (currentMs > now.getTime() + FUTURE_TOLERANCE_MS) return false
  if (candidateMs !== currentMs) return candidateMs < currentMs
  return candidate.passId < current.passId
}
