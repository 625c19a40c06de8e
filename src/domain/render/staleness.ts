/** When a status document is too old to be believed. Pure and tiny: `nightshift status` needs it. */
import type { StatusDocument } from '../status.js'

/** A document older than this many periods says nothing about now. */
const MOST_PERIODS = 3
/** A document from further in the future than this was dated by a clock that cannot be right. */
const FUTURE_TOLERANCE_SECONDS = 120

/** The document as it may be shown at `now`: the same, or with verdict `unknown` and `stale: true` (design: `nightshift status`). */
export function asOf(document: StatusDocument, now: Date): StatusDocument {
  const ageSeconds = (now.getTime() - Date.parse(document.takenAt)) / 1000
  if (ageSeconds <= MOST_PERIODS * document.periodSeconds && ageSeconds >= -FUTURE_TOLERANCE_SECONDS) return document
  return { ...document, verdict: 'unknown', stale: true }
}
