/** What `vzdump.yaml` wants, as typed objects: jobs, their guests, retention, and who approves changes. No I/O here. */
import type { ApprovalPolicy } from './change/approval.js'
import type { Classification } from './estate.js'

/** P0: critical, daily; P1: important, daily; P2: weekly. */
export type Tier = 'P0' | 'P1' | 'P2'

/** `keep-*` options of Proxmox by their own names (`keep-last`, …), or `keep-all`. Taken whole, never merged. */
export type Retention = Readonly<Partial<Record<KeepOption, number>>>
export type KeepOption = 'keep-all' | 'keep-last' | 'keep-hourly' | 'keep-daily' | 'keep-weekly' | 'keep-monthly' | 'keep-yearly'

/** Fields of a job that may be given to people (`not_owned`), by Proxmox' own names. */
export type YieldableField =
  | 'comment'
  | 'notes-template'
  | 'mode'
  | 'compress'
  | 'mailto'
  | 'mailnotification'
  | 'notification-mode'
  | 'node'
  | 'repeat-missed'
  | 'prune-backups'

/** A job as it has to be. What is left out has to be unset on the host, unless the field is not owned. */
export interface WantedJob {
  readonly id: string
  readonly tier: Tier
  readonly guests: readonly number[]
  /** A calendar event of Proxmox, in the host's zone. */
  readonly schedule: string
  /** false: kept, and run only by hand. */
  readonly scheduled: boolean
  readonly storage: string
  readonly retention?: Retention
  readonly mode?: 'snapshot' | 'suspend' | 'stop'
  readonly compress?: '0' | 'gzip' | 'lzo' | 'zstd'
  readonly comment?: string
  readonly notesTemplate?: string
  readonly mailto?: readonly string[]
  readonly mailNotification?: 'always' | 'failure'
  readonly notificationMode?: 'auto' | 'legacy-sendmail' | 'notification-system'
  readonly node?: string
  readonly repeatMissed?: boolean
  /** Where it stands, for messages: `vzdump.yaml:12`. */
  readonly place: string
}

export interface WantedStorage {
  readonly id: string
  readonly retention?: Retention
  readonly place: string
}

/** The archives of a guest that is gone are kept until this day (YYYY-MM-DD, inclusive, the estate's zone). */
export interface LeftoverDecision {
  readonly guest: number
  readonly keepUntil: string
  readonly reason: string
}

export interface VzdumpHost {
  readonly host: string
  readonly notOwned: readonly YieldableField[]
  /** What becomes of working jobs that are not listed. */
  readonly otherJobs: 'report' | 'remove'
  readonly storages: readonly WantedStorage[]
  readonly jobs: readonly WantedJob[]
  readonly leftovers: readonly LeftoverDecision[]
}

/** `vzdump.yaml`, whole. */
export interface VzdumpRunbook {
  /** For changes of jobs and storages, and for enrollments. */
  readonly approval: ApprovalPolicy
  /** For the removal of archives: always asked for. */
  readonly retention: {
    readonly policy: ApprovalPolicy
    /** K: fewest proven archives of a guest that are ever left. */
    readonly provenCopies: Readonly<Record<Classification, number>>
  }
  readonly hosts: readonly VzdumpHost[]
  /** SHA-256 (hex) over the RFC 8785 form of the parsed file: `runbookDigest` of plans and receipts. */
  readonly digest: string
}

/** The options as Proxmox takes them: `keep-daily=7,keep-last=3`, by name. */
export function retentionText(retention: Retention): string {
  return Object.entries(retention)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${value}`)
    .join(',')
}
