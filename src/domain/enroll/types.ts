/** What an enrollment asks of a host and what it learns: small, plain JSON that can stand in a history. Times are seconds of the host's clock. */

/** Which guest has the number: another smbios UUID, or another creation, is another guest. */
export interface GuestIdentity {
  readonly smbiosUuid: string | null
  /** When this guest was created, where its configuration or the task index tells it. */
  readonly bornSeconds: number | null
}

/** What is known of one guest when a host is looked at. */
export interface GuestQuestion {
  readonly vmid: number
  /** Runs begun before this do not count; 0 = any run of the job that backed up this very guest. */
  readonly sinceSeconds: number
  /** The identity seen last; null before the first look. */
  readonly identity: GuestIdentity | null
  /** Archives that were looked into and are damaged. */
  readonly rejected: readonly { readonly path: string; readonly why: string }[]
}

/** The job's run times in the host's own words. */
export interface KnownRuns {
  /** The calendar event they belong to; with another schedule, what was told for later is void. */
  readonly schedule: string | null
  /** Told by the host and still to come, earliest first. */
  readonly told: readonly number[]
  /** Told by the host, and come since, earliest first. */
  readonly passed: readonly number[]
}

export interface EnrollmentQuestion {
  readonly job: string
  readonly runs: KnownRuns
  readonly guests: readonly GuestQuestion[]
}

export type EnrollmentState = 'not_due' | 'running' | 'produced' | 'failed' | 'produced_incomplete' | 'missed' | 'job_gone' | 'guest_gone' | 'unreachable'

/** An archive that a scheduled run of the job made, complete by its log (proof level 1). */
export interface ScheduledArtifact {
  readonly volid: string
  readonly storage: string
  readonly path: string
  readonly sizeBytes: number
  readonly modifiedSeconds: number
  /** The run that made it. */
  readonly upid: string
  readonly runStartSeconds: number
  /** The due time it belongs to; null when only the job's state file ties the run to the job. */
  readonly dueSeconds: number | null
  readonly tie: 'job state file' | 'due time and log'
}

export interface MissedRun {
  readonly dueSeconds: number
  readonly why: string
}

export interface EnrollmentVerdict {
  readonly vmid: number
  /** As the host calls the guest; null when it was not seen. */
  readonly name: string | null
  readonly type: 'qemu' | 'lxc' | null
  /** Null when it was not seen. */
  readonly isRunning: boolean | null
  readonly state: EnrollmentState
  /** One sentence with the true cause. */
  readonly message: string
  readonly artifact: ScheduledArtifact | null
  readonly missed: readonly MissedRun[]
  /** Archives of this guest that are no first scheduled artifact, and why; the newest few. */
  readonly notCounted: readonly { readonly name: string; readonly why: string }[]
  readonly identity: GuestIdentity | null
  /** When the artifact of the current or next run has to be there; null when no run is in sight. */
  readonly expectedBySeconds: number | null
  /** Since when a due artifact is not there; null = nothing is overdue. */
  readonly overdueSinceSeconds: number | null
}

/** One look at a host. */
export interface EnrollmentLook {
  /** The host's clock; null when it could not be looked at. */
  readonly nowSeconds: number | null
  readonly runs: KnownRuns
  /** What a run of the job usually takes; null = none is known. */
  readonly usualSeconds: number | null
  /** When it is worth looking again. */
  readonly lookAgainInSeconds: number
  readonly verdicts: readonly EnrollmentVerdict[]
  /** Instants in the host's own zone, for people: seconds → words. */
  readonly words: Readonly<Record<string, string>>
}
