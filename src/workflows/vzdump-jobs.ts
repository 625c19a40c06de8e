/**
 * Brings the vzdump jobs of a host, the retention of its storages and what the runbook files say of guests that are gone to what `vzdump.yaml` wants.
 * A guest that has to join an existing job gets an enrollment, which waits for its first scheduled artifact. With `mode: audit` nothing is changed,
 * and the receipt is a baseline: jobs as they are, guests in and out, newest archives, retention.
 */
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common'
import { ParentClosePolicy, proxyActivities, setCurrentDetails, startChild, upsertSearchAttributes } from '@temporalio/workflow'
import type { VzdumpActivities } from '../activities/vzdump.js'
import type { ChangeResult } from '../domain/change/apply.js'
import type { Json, PlanWarning } from '../domain/change/plan.js'
import { workflowIds } from '../domain/ids.js'
import type { HostRoute } from '../domain/proof/types.js'
import type { DueEnrollment } from '../domain/vzdump/plan.js'
import type { OpenedJobs, PlannedJobs } from '../domain/vzdump/run.js'
import { ApprovalDesk } from './approval.js'
import { type MadePlan, proofUnknown, runChange, runPreview, unreadBecause } from './change-shell.js'
import { vzdumpJobsInput } from './inputs.js'
import { atHome, atSite } from './routes.js'
import { parseInput, phase, runbookAttributes } from './shell.js'

const RUNBOOK = 'vzdumpJobs'
const MOST_DETAILS_CHARACTERS = 15_000

export interface VzdumpJobsInput {
  readonly host: string
  /** `apply` unless told: plans, asks, changes. `audit` changes nothing. */
  readonly mode?: 'apply' | 'audit'
  readonly requestedBy?: string
}

export interface VzdumpJobsResult extends ChangeResult {
  /** What a person should look at; of no consequence for the plan. */
  readonly warnings: readonly PlanWarning[]
}

export async function vzdumpJobs(rawInput: VzdumpJobsInput): Promise<VzdumpJobsResult> {
  const input = parseInput(RUNBOOK, vzdumpJobsInput, rawInput)
  upsertSearchAttributes(runbookAttributes(RUNBOOK, { host: input.host }))
  const about = { runbook: RUNBOOK, host: input.host, requestedBy: input.requestedBy ?? null }
  const desk = new ApprovalDesk(RUNBOOK, input.host, about.requestedBy)
  const run = new JobsRun(input.host)
  const result =
    input.mode === 'audit'
      ? await runPreview(about, 'audit', () => run.plan(), audited)
      : await runChange({ ...about, desk, makePlan: () => run.plan(), prove: () => run.prove(), provesUnchanged: true })
  return ended(run, result)
}

function audited({ plan: { steps } }: MadePlan): string {
  const would = steps.length === 0 ? 'everything is as vzdump.yaml wants' : `${steps.length} ${steps.length === 1 ? 'step' : 'steps'} would change that`
  return `audit, nothing was changed: ${would}`
}

/** The last thing that a run shows. */
function ended(run: JobsRun, result: ChangeResult): VzdumpJobsResult {
  const warnings = run.warnings
  phase('done', result.message)
  const steps = result.steps.map(({ what, outcome, note }) => `- ${outcome}: ${what}${note === null ? '' : ` (${note})`}`)
  const told = warnings.map(({ code, message }) => `- \`${code}\` ${message}`)
  setCurrentDetails(`**${result.state}** · ${result.message}\n\n${steps.join('\n')}\n\n${told.join('\n')}`.slice(0, MOST_DETAILS_CHARACTERS))
  return { ...result, warnings }
}

class JobsRun {
  #latest: PlannedJobs | undefined
  #today: string | undefined

  constructor(private readonly host: string) {}

  get warnings(): readonly PlanWarning[] {
    return this.#latest?.warnings ?? []
  }

  /** What the files want, what the host has, and the way from the one to the other. */
  async plan(): Promise<MadePlan> {
    const opened = await homeActivities().openJobs.executeWithOptions({ summary: 'Read the runbook files' }, [{ host: this.host }])
    this.#today ??= opened.today
    const { route, questions } = opened
    const packed = await siteActivities(route).observeVzdump.executeWithOptions({ summary: `Read jobs, guests and archives of ${this.host}` }, [
      { route, questions },
    ])
    this.#latest = await homeActivities().planJobs.executeWithOptions({ summary: 'Compare with what vzdump.yaml wants' }, [
      { host: this.host, today: this.#today, packed },
    ])
    return madePlan(opened, this.#latest)
  }

  /** Every guest whose coverage begins now is waited for; and the host is read once more. */
  async prove(): Promise<Json> {
    const due = this.#latest?.enrollments ?? []
    const enrollments: Json[] = []
    for (const enrollment of due) enrollments.push(await startEnrollment(this.host, enrollment))
    const { plan } = await this.plan().catch((error: unknown) => {
      const why = unreadBecause(error)
      throw why === null ? error : proofUnknown(`what remains could not be looked at: ${why}`, { enrollments })
    })
    return { enrollments, remaining: plan.steps.map((step) => step.id) }
  }
}

/** The enrollment goes on by itself: it may wait for a week. One that runs already for this job is left to it. */
async function startEnrollment(host: string, { job, guests }: DueEnrollment): Promise<Json> {
  const workflowId = workflowIds.enroll(host, job)
  phase('prove', `Starting the enrollment of ${guests.join(', ')} in ${job}.`)
  try {
    await startChild('vzdumpEnrollment', {
      workflowId,
      args: [{ host, guests, job }],
      parentClosePolicy: ParentClosePolicy.ABANDON,
      staticSummary: `Guests ${guests.join(', ')} of ${host} in job ${job}: until the first scheduled archive of each`.slice(0, 180),
    })
    return { workflowId, guests: [...guests], state: 'started' }
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error
    return { workflowId, guests: [...guests], state: 'another enrollment of this job is open: run vzdumpJobs again when it has ended' }
  }
}

function madePlan({ policy, runbookDigest, route }: OpenedJobs, { plan, warnings, baseline, enrollments }: PlannedJobs): MadePlan {
  const told = warnings.map(({ code, message }): Json => ({ code, message }))
  const due = enrollments.map(({ job, guests }): Json => ({ job, guests: [...guests] }))
  return { plan, policy, runbookDigest, route, observed: { ...baseline, warnings: told, enrollments: due } }
}

function siteActivities(route: HostRoute) {
  return proxyActivities<VzdumpActivities>({
    ...atSite(route),
    startToCloseTimeout: '5 minutes',
    retry: { maximumAttempts: 5, initialInterval: '2 seconds', nonRetryableErrorTypes: ['InvalidInput', 'NotBelieved'] },
  })
}

function homeActivities() {
  return proxyActivities<VzdumpActivities>({
    ...atHome(),
    startToCloseTimeout: '1 minute',
    retry: { maximumAttempts: 5, initialInterval: '2 seconds', nonRetryableErrorTypes: ['InvalidInput', 'InvalidRunbooks', 'PlanRefused'] },
  })
}
