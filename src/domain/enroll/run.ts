/** What the workflows of an enrollment and their activities hand to each other. Plain JSON, bounded. */
import type { ApprovalPolicy } from '../change/approval.js'
import type { HostProbePlan } from '../observation.js'
import type { HostRoute } from '../proof/types.js'
import type { VzdumpQuestions } from '../vzdump/observation.js'
import type { GuestIdentity, KnownRuns, MissedRun, ScheduledArtifact } from './types.js'

/** What the runbook files say about an enrollment, before anything is read on the host. */
export interface OpenedEnrollment {
  readonly route: HostRoute
  readonly policy: ApprovalPolicy
  readonly runbookDigest: string
  readonly questions: VzdumpQuestions
  readonly job: string
  /** What one look at the host reads. */
  readonly probe: HostProbePlan
  /** Start of the day of `when.notBefore` in the estate's zone, milliseconds of UTC; null = none given. */
  readonly notBeforeMs: number | null
}

/** How the wait for one guest ended. */
export interface GuestOutcome {
  readonly vmid: number
  readonly outcome: 'proven' | 'guest_gone' | 'rolled_out'
  readonly message: string
  readonly artifact: ScheduledArtifact | null
  readonly sha256: string | null
  readonly level: 0 | 2
  readonly missed: readonly MissedRun[]
  readonly notCounted: readonly { readonly name: string; readonly why: string }[]
  /** What was written into the runbook files. */
  readonly written: readonly string[]
}

export interface WaitingGuest {
  readonly vmid: number
  readonly sinceSeconds: number
  readonly identity: GuestIdentity | null
  readonly rejected: readonly { readonly path: string; readonly why: string }[]
  readonly outcome: GuestOutcome | null
}

/** Input of `awaitFirstArtifacts`: also what one run of it hands to the next. */
export interface AwaitInput {
  readonly route: HostRoute
  readonly probe: HostProbePlan
  readonly job: string
  /** The enrollment that waits; it is told what is seen. */
  readonly parentWorkflowId: string
  readonly runs: KnownRuns
  readonly guests: readonly WaitingGuest[]
}
