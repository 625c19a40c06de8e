/** What the activities of `vzdumpJobs` hand to its workflow. Plain JSON. */
import type { ApprovalPolicy } from '../change/approval.js'
import type { ChangePlan, Json, PlanWarning } from '../change/plan.js'
import type { HostRoute } from '../proof/types.js'
import type { VzdumpQuestions } from './observation.js'
import type { DueEnrollment } from './plan.js'

/** What the runbook files say about this host, before anything is read there. */
export interface OpenedJobs {
  readonly route: HostRoute
  readonly policy: ApprovalPolicy
  readonly runbookDigest: string
  readonly questions: VzdumpQuestions
  /** The day on which the run plans first (YYYY-MM-DD, the estate's zone): later plannings of the run use the same, so that midnight voids no approval. */
  readonly today: string
}

export interface PlannedJobs {
  readonly plan: ChangePlan
  readonly enrollments: readonly DueEnrollment[]
  readonly warnings: readonly PlanWarning[]
  /** Facts for the receipt. */
  readonly baseline: Readonly<Record<string, Json>>
}
