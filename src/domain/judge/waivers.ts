/** Waivers: a recorded "we know", with an end. */
import type { Waiver } from '../estate.js'
import type { Pass } from './pass.js'
import { localDate } from './zone.js'

/** `until` is inclusive: valid through the end of that day in the estate's zone. */
export function waiverState(pass: Pass, waiver: Waiver | undefined): { valid: boolean; expired: boolean } {
  if (!waiver) return { valid: false, expired: false }
  const expired = localDate(pass.nowSeconds, pass.runbooks.estate.timezone) > waiver.until
  return { valid: !expired, expired }
}
