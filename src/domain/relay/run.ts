/** What the activities of `emailRelay` and its workflow hand each other. */
import type { ApprovalPolicy } from '../change/approval.js'
import type { ChangePlan } from '../change/plan.js'
import type { RelayHost, RelayServer, RelayWatch } from '../email-relay-runbook.js'
import type { GateResult } from '../gates.js'
import type { HostRoute } from '../proof/types.js'
import type { ChannelVerdict } from './judge.js'
import type { Delivery } from './proof.js'

export interface OpenedRelay {
  readonly route: HostRoute
  readonly policy: ApprovalPolicy
  readonly runbookDigest: string
  readonly host: RelayHost
  readonly relay: RelayServer
  readonly watch: RelayWatch
  readonly estate: string
  /** YYYY-MM-DD in the estate's zone. */
  readonly today: string
}

export interface PlannedRelay {
  readonly plan: ChangePlan
  readonly verdicts: readonly ChannelVerdict[]
  readonly gate: GateResult
  /** Scheduled jobs that are on. */
  readonly jobs: readonly string[]
  /** When the first of them runs next, in seconds; null where Proxmox does not say. */
  readonly nextJobSeconds?: number | null
  /** The host's own name in mail. */
  readonly fqdn: string
}

/** What is new in the mail log of a host. */
export interface LogReading {
  /** Where the next reading begins. */
  readonly cursor: string
  readonly deliveries: readonly Delivery[]
  /** When packages were last changed, seconds; null where that cannot be told. */
  readonly packagesChangedSeconds: number | null
  /** The last line of dpkg's log about a package's state; null where there is none. */
  readonly packagesSaid?: string | null
  readonly waiting: number
}
