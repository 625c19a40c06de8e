/** A guest whose first scheduled artifact a run is waiting for: what the monitor has to know of it. */
export interface OpenEnrollment {
  readonly host: string
  readonly vmid: number
  readonly job: string
  readonly workflowId: string
  /** Until when the artifact of the next (or running) run is expected, seconds by the host's clock; null when the host named no next run. */
  readonly expectedBySeconds: number | null
  /** Since when an artifact that was due has not come; null = nothing is overdue. */
  readonly overdueSinceSeconds: number | null
  /** What the run last saw, in one sentence. */
  readonly message: string
}
