/** All cases, the operator's incidents first and in their order. */
import { ARTIFACT_CASES } from './artifacts.js'
import { CALENDAR_CASES } from './calendar.js'
import { COVERAGE_CASES } from './coverage.js'
import { HOST_CASES } from './hosts.js'
import { JOB_CASES } from './jobs.js'
import { MAIL_CASES } from './mail.js'
import { PRODUCER_CASES } from './producers.js'
import { type HurtCase, isIncident } from './types.js'

const number = (one: HurtCase) => (isIncident(one) ? Number(one.name.slice(1)) : Number.MAX_SAFE_INTEGER)

export const CASES: readonly HurtCase[] = [
  ...COVERAGE_CASES,
  ...ARTIFACT_CASES,
  ...PRODUCER_CASES,
  ...JOB_CASES,
  ...HOST_CASES,
  ...CALENDAR_CASES,
  ...MAIL_CASES,
].sort((a, b) => number(a) - number(b) || a.name.localeCompare(b.name))

export { type HurtCase, isIncident } from './types.js'
