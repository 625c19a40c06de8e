/** What the prune's workflow and its activities tell each other. */
import type { ApprovalPolicy } from '../change/approval.js'
import type { ChangePlan } from '../change/plan.js'
import type { HostProbePlan } from '../observation.js'
import type { HostRoute } from '../proof/types.js'
import type { ArchiveToProve, ComplianceLine } from './plan.js'

/** From the runbooks: how to reach the host, what to read there, who approves. */
export interface OpenedRetention {
  readonly route: HostRoute
  readonly probe: HostProbePlan
  readonly policy: ApprovalPolicy
  readonly runbookDigest: string
}

export interface PlannedRetention {
  readonly plan: ChangePlan
  readonly compliance: readonly ComplianceLine[]
  /** Must be read to their end before anything of their guests goes. */
  readonly toProve: readonly ArchiveToProve[]
  /** Markdown: the compliance of each storage and guest. */
  readonly table: string
}
