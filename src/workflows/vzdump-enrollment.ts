/**
 * Guests into a vzdump job, and not believed before it is seen: the run ends when the first *scheduled* artifact of each is there, complete and readable,
 * and the inventory says so. What is in the job already goes straight to waiting.
 */

import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common'
import {
  ActivityFailure,
  ApplicationFailure,
  ChildWorkflowCancellationType,
  type ChildWorkflowHandle,
  condition,
  defineSignal,
  isCancellation,
  ParentClosePolicy,
  patched,
  proxyActivities,
  rootCause,
  setCurrentDetails,
  setHandler,
  sleep,
  startChild,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow'
import type { EnrollmentActivities } from '../activities/enrollment.js'
import type { VzdumpActivities } from '../activities/vzdump.js'
import type { ChangeResult } from '../domain/change/apply.js'
import type { Json } from '../domain/change/plan.js'
import type { AwaitInput, GuestOutcome, OpenedEnrollment } from '../domain/enroll/run.js'
import { workflowIds } from '../domain/ids.js'
import { ApprovalDesk } from './approval.js'
import { type awaitFirstArtifacts, dismissSignal, lookSignal, seenSignal } from './await-first-artifacts.js'
import { applyPlan, type MadePlan, runChange, writeRunReceipt } from './change-shell.js'
import { vzdumpEnrollmentInput } from './inputs.js'
import { atHome, atSite, patientAtSite } from './routes.js'
import { parseInput, phase, runbookAttributes } from './shell.js'
import { validateBackup } from './validate-backup.js'

const RUNBOOK = 'vzdumpEnrollment'

/** How often a guest that does not exist yet, or does not run yet, is looked for. */
const CONDITION_EVERY_SECONDS = 900

export const rollOutSignal = defineSignal<[{ guests: readonly number[] }]>('roll_out')

export interface VzdumpEnrollmentInput {
  readonly host: string
  readonly guests: readonly number[]
  /** The job of vzdump.yaml; left out: the one that lists them all, else the host's only scheduled one. */
  readonly job?: string
  /** What has to be so before anything is planned. `notBefore` is YYYY-MM-DD in the estate's zone. */
  readonly when?: { readonly guestExists?: boolean; readonly guestRuns?: boolean; readonly notBefore?: string }
  /** One backup by hand first, by an approval of its own; recorded as a validation, never as the first scheduled artifact. */
  readonly validate?: 'now'
  readonly requestedBy?: string
}

export async function vzdumpEnrollment(rawInput: VzdumpEnrollmentInput): Promise<ChangeResult> {
  const input = parseInput(RUNBOOK, vzdumpEnrollmentInput, rawInput) as VzdumpEnrollmentInput
  upsertSearchAttributes(runbookAttributes(RUNBOOK, { host: input.host, target: input.job ?? input.guests.join(',') }))
  const desk = new ApprovalDesk(RUNBOOK, input.host, input.requestedBy ?? null)
  const run = new Enrollment(input, desk)
  const about = { runbook: RUNBOOK, host: input.host, requestedBy: input.requestedBy ?? null }
  const startedAt = new Date().toISOString()
  try {
    await run.waitUntilAllowed()
    const result = await runChange({ ...about, desk, makePlan: () => run.plan(), prove: () => run.firstArtifacts(), provesUnchanged: true })
    return run.ended(result)
  } catch (error) {
    const refused = error instanceof ActivityFailure ? error.cause : error
    if (!(refused instanceof ApplicationFailure) || refused.type !== 'PlanRefused') throw error
    const result = { state: 'failed' as const, message: `no plan: ${refused.message}`, planDigest: null, steps: [], approval: null, proof: null }
    return { ...result, receipt: await writeRunReceipt(about, null, result, startedAt) }
  }
}

class Enrollment {
  private opened: OpenedEnrollment | undefined
  private joining: readonly number[] = []
  private sinceSeconds = 0
  private looksWanted = 0
  private readonly rollOuts: (readonly number[])[] = []
  private outcomes: readonly GuestOutcome[] = []
  private broken: string | null = null
  /** What the wait told last. */
  private seen = ''

  constructor(
    private readonly input: VzdumpEnrollmentInput,
    private readonly desk: ApprovalDesk,
  ) {
    setHandler(lookSignal, () => this.wantLook(), { description: 'Look at the host now instead of at the next time.' })
    setHandler(rollOutSignal, ({ guests }) => void this.rollOuts.push(guests), {
      description: 'Plan to take these guests out of the job again: {"guests": [211]}. Needs an approval like any plan.',
    })
    setHandler(seenSignal, ({ details }) => this.show(details), { description: 'From the wait itself: what it saw.' })
  }

  private wantLook(): void {
    this.looksWanted += 1
  }

  /** `when`: a guest that is not deployed yet, a day that has not come. */
  async waitUntilAllowed(): Promise<void> {
    const { when } = this.input
    if (when === undefined) return
    const opened = await this.open()
    const early = (opened.notBeforeMs ?? 0) - Date.now()
    if (early > 0) {
      phase('wait', `Not before ${when.notBefore}.`)
      await sleep(early, { summary: `Not before ${when.notBefore}` })
    }
    for (;;) {
      const missing = await this.missing(opened)
      if (missing.length === 0) return
      phase('wait', `Waiting for guest ${missing.join(', ')} of ${this.input.host} to ${when.guestRuns === true ? 'run' : 'exist'}.`)
      const before = this.looksWanted
      await condition(() => this.looksWanted > before, CONDITION_EVERY_SECONDS * 1000)
    }
  }

  private async missing(opened: OpenedEnrollment): Promise<readonly number[]> {
    const { guests, when } = this.input
    if (when?.guestExists !== true && when?.guestRuns !== true) return []
    const question = { job: opened.job, runs: NOTHING_TOLD, guests: guests.map((vmid) => ({ vmid, sinceSeconds: 0, identity: null, rejected: [] })) }
    const seen = await siteActivities(opened).lookAtEnrollment.executeWithOptions({ summary: 'Is the guest there?' }, [
      { route: opened.route, probe: opened.probe, question },
    ])
    return seen.verdicts.filter(({ isRunning }) => isRunning === null || (when.guestRuns === true && !isRunning)).map(({ vmid }) => vmid)
  }

  private async open(): Promise<OpenedEnrollment> {
    const { host, guests, job, when } = this.input
    this.opened = await homeActivities().openEnrollment.executeWithOptions({ summary: 'Read the runbook files' }, [
      { host, guests, ...(job === undefined ? {} : { job }), ...(when?.notBefore === undefined ? {} : { notBefore: when.notBefore }) },
    ])
    return this.opened
  }

  /** What puts the guests that are not in it into the job: nothing, when all are. */
  async plan(): Promise<MadePlan> {
    const opened = await this.open()
    const { job, route, policy, runbookDigest } = opened
    const packed = await this.observe(opened)
    const { host, guests } = this.input
    const planned = await homeActivities().planEnrollment.executeWithOptions({ summary: 'Compare with vzdump.yaml and plan' }, [{ host, job, guests, packed }])
    this.joining = planned.joining
    this.sinceSeconds = planned.hostNowSeconds
    return { plan: planned.plan, policy, runbookDigest, route, observed: { job, guests: [...guests], joining: [...planned.joining] } }
  }

  private observe(opened: OpenedEnrollment): Promise<string> {
    const { route, questions } = opened
    return jobsActivities(opened).observeVzdump.executeWithOptions({ summary: `Read jobs, guests and storages of ${route.host}` }, [{ route, questions }])
  }

  /** The wait, in a run of its own that begins anew before its history grows long. */
  async firstArtifacts(): Promise<Json> {
    const opened = this.opened ?? (await this.open())
    const { route, probe, job } = opened
    phase('wait', `Waiting for the first scheduled artifact of guest ${this.input.guests.join(', ')} from job ${job}.`)
    const input: AwaitInput = {
      route,
      probe,
      job,
      parentWorkflowId: workflowInfo().workflowId,
      runs: NOTHING_TOLD,
      guests: this.input.guests.map((vmid) => ({
        vmid,
        // What was in the job before may have its first artifact already.
        sinceSeconds: this.joining.includes(vmid) ? this.sinceSeconds : 0,
        identity: null,
        rejected: [],
        outcome: null,
      })),
    }
    try {
      const validation = this.input.validate === 'now' ? await this.validate(opened) : null
      this.outcomes = await this.follow(opened, input)
      return { job, ...(validation === null ? {} : { validation }), guests: this.outcomes.map((outcome) => ({ ...outcome }) as unknown as Json) }
    } catch (error) {
      if (isCancellation(error)) throw error
      // Only a person's yes takes a guest out of a job again: a wait that broke is no reason to undo the plan.
      this.broken = `the wait broke: ${rootCause(error) ?? String(error)}`
      return { job, guests: [], broken: this.broken }
    }
  }

  private validate(opened: OpenedEnrollment): Promise<Json> {
    const { guests } = this.input
    return validateBackup({ runbook: RUNBOOK, opened, guests, desk: this.desk, observe: () => this.observe(opened) })
  }

  /** Until the wait is over; hands on what people ask meanwhile. */
  private async follow(opened: OpenedEnrollment, input: AwaitInput): Promise<readonly GuestOutcome[]> {
    const child = await this.startWait(input)
    let isOver = false
    const result = child.result().finally(() => {
      isOver = true
    })
    result.catch(() => {})
    for (let looks = this.looksWanted; ; looks = this.looksWanted) {
      await condition(() => isOver || this.looksWanted > looks || this.rollOuts.length > 0)
      if (isOver) break
      if (this.looksWanted > looks) await child.signal(lookSignal).catch(rethrowCancellation)
      const guests = this.rollOuts.shift()
      if (guests === undefined) continue
      const message = await this.rollOut(opened, guests)
      this.show(this.seen)
      if (message !== null) await child.signal(dismissSignal, { guests, message }).catch(rethrowCancellation)
    }
    return await result
  }

  /** Named like this enrollment, so that several of one job wait side by side. The wait of an earlier run of this name may still be closing. */
  private async startWait(input: AwaitInput): Promise<ChildWorkflowHandle<typeof awaitFirstArtifacts>> {
    const { route, job, parentWorkflowId } = input
    const workflowId = patched('a wait of its own') ? workflowIds.firstArtifacts(parentWorkflowId) : workflowIds.firstArtifacts(`${route.host}/${job}`)
    for (;;) {
      try {
        return await startChild<typeof awaitFirstArtifacts>('awaitFirstArtifacts', {
          workflowId,
          args: [input],
          parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
          cancellationType: ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
          staticSummary: `First scheduled artifact of ${job} on ${route.host}`,
        })
      } catch (error) {
        if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error
        phase('wait', `The wait ${workflowId} of an earlier run has not ended yet.`)
        await sleep('1 minute', { summary: `Until ${workflowId} has ended` })
      }
    }
  }

  /** Guests out of the job again: a plan of its own, with a yes of its own. @returns what was done; null = nothing was */
  private async rollOut(opened: OpenedEnrollment, guests: readonly number[]): Promise<string | null> {
    const { host } = this.input
    const { job, route, policy } = opened
    const plan = () =>
      this.observe(opened).then((packed) => homeActivities().planRollOut.executeWithOptions({ summary: 'Plan the way out' }, [{ host, job, guests, packed }]))
    try {
      const asked = await plan()
      // Somebody wants it again: a no of weeks ago, or a yes to what could not be carried out then, is no answer.
      const decision = await (patched('a way out is asked anew') ? this.desk.askAnew([asked], policy) : this.desk.ask([asked], policy))
      if (decision.state !== 'approved') return null
      const made = { plan: asked, route, policy }
      const applied = await applyPlan({ runbook: RUNBOOK, host }, made)
      if (applied.state === 'applied') return `taken out of job ${job} by approval, without a first scheduled artifact`
      this.desk.remark(`Nobody was taken out of job ${job}: ${applied.message}.`)
    } catch (error) {
      if (!(error instanceof ActivityFailure) || isCancellation(error)) throw error
      this.desk.remark(`No plan to take ${guests.join(', ')} out of job ${job}: ${error.cause?.message ?? error.message}.`)
    }
    return null
  }

  private show(details: string): void {
    this.seen = details
    if (this.desk.view().state !== 'waiting for approval') setCurrentDetails(details)
  }

  /** A guest that went without its artifact is no success, whatever the plan did. */
  ended(result: ChangeResult): ChangeResult {
    if (this.broken !== null) return { ...result, state: 'failed', message: this.broken }
    const lost = this.outcomes.filter(({ outcome }) => outcome !== 'proven')
    const said = this.outcomes.map(({ vmid, outcome, message }) => `${vmid} ${outcome}: ${message}`).join('; ')
    const message = said === '' ? result.message : said
    return lost.length > 0 ? { ...result, state: 'failed', message } : { ...result, message }
  }
}

const NOTHING_TOLD = { schedule: null, told: [], passed: [] } as const

/** The wait that ended meanwhile needs no signal. */
function rethrowCancellation(error: unknown): void {
  if (isCancellation(error)) throw error
}

function siteActivities({ route }: OpenedEnrollment) {
  return patientAtSite<EnrollmentActivities>(route, {
    startToCloseTimeout: '2 minutes',
    retry: { initialInterval: '5 seconds', maximumInterval: '10 minutes', nonRetryableErrorTypes: ['InvalidInput'] },
  })
}

function jobsActivities({ route }: OpenedEnrollment) {
  return proxyActivities<VzdumpActivities>({
    ...atSite(route),
    startToCloseTimeout: '4 minutes',
    retry: { initialInterval: '5 seconds', maximumInterval: '10 minutes', nonRetryableErrorTypes: ['NotBelieved'] },
  })
}

function homeActivities() {
  return proxyActivities<EnrollmentActivities>({
    ...atHome(),
    startToCloseTimeout: '30 seconds',
    retry: { initialInterval: '1 second', maximumInterval: '1 minute', nonRetryableErrorTypes: ['InvalidInput', 'InvalidRunbooks', 'PlanRefused'] },
  })
}
