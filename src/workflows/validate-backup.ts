/** `validate: now` of an enrollment: one backup by hand, by approval, proven to levels 1 and 2. It never counts as the first scheduled artifact. */
import { ActivityFailure, condition, isCancellation, proxyActivities, rootCause, workflowInfo } from '@temporalio/workflow'
import type { EnrollmentActivities } from '../activities/enrollment.js'
import type { Json } from '../domain/change/plan.js'
import type { OpenedEnrollment } from '../domain/enroll/run.js'
import type { ApprovalDesk } from './approval.js'
import { applyPlan } from './change-shell.js'
import { proveArtifact } from './prove-artifact.js'
import { atHome, atSite } from './routes.js'
import { phase } from './shell.js'

const POLL = { leastSeconds: 5, mostSeconds: 300 } as const

export interface Validation {
  readonly runbook: string
  readonly opened: OpenedEnrollment
  readonly guests: readonly number[]
  readonly desk: ApprovalDesk
  /** Jobs, guests and archives of the host as they are now (packed). */
  observe(): Promise<string>
}

/** Never fails the enrollment: what went wrong is the validation's result. */
export async function validateBackup(validation: Validation): Promise<Json> {
  try {
    return await validate(validation)
  } catch (error) {
    if (!(error instanceof ActivityFailure) || isCancellation(error)) throw error
    return { state: 'failed', message: rootCause(error) ?? error.message }
  }
}

async function validate({ runbook, opened, guests, desk, observe }: Validation): Promise<Json> {
  const { route, job, policy } = opened
  const unit = `nightshift-validate-${workflowInfo().runId.slice(0, 8)}.service`
  phase('plan', `Planning one backup by hand of guest ${guests.join(', ')}.`)
  const plan = await homeActivities().planValidation.executeWithOptions({ summary: 'Plan one backup by hand' }, [
    { host: route.host, job, guests, unit, packed: await observe() },
  ])
  const decision = await desk.ask([plan], policy)
  if (decision.state !== 'approved') return { state: decision.state, message: decision.message }
  const made = { plan, route, policy }
  const applied = await applyPlan({ runbook, host: route.host }, made)
  if (applied.state !== 'applied') return { state: 'failed', message: applied.message }
  for (let seconds: number = POLL.leastSeconds; ; seconds = Math.min(POLL.mostSeconds, seconds * 1.5)) {
    const seen = await siteActivities(opened).readValidation.executeWithOptions({ summary: 'Is the backup by hand over?' }, [{ route, unit, guests }])
    if (seen.state === 'over') return { state: 'done', guests: await proveAll(opened, seen.guests) }
    phase('validate', `The backup by hand of guest ${guests.join(', ')} is at work.`)
    await condition(() => false, seconds * 1000)
  }
}

async function proveAll(opened: OpenedEnrollment, made: readonly { vmid: number; volid: string | null; said: string }[]): Promise<Json> {
  const results: Json[] = []
  for (const { vmid, volid, said } of made) {
    if (volid === null) {
      results.push({ vmid, outcome: 'failed', message: said, volid: null, level: 0, sha256: null })
      continue
    }
    const { outcome, message, level, sha256 } = await proveArtifact(opened.route, volid, { say: (doing) => phase('validate', doing) })
    results.push({ vmid, outcome, message, volid, level, sha256 })
  }
  return results
}

function siteActivities({ route }: OpenedEnrollment) {
  return proxyActivities<EnrollmentActivities>({
    ...atSite(route),
    startToCloseTimeout: '1 minute',
    retry: { initialInterval: '5 seconds', maximumInterval: '10 minutes', nonRetryableErrorTypes: ['InvalidInput'] },
  })
}

function homeActivities() {
  return proxyActivities<EnrollmentActivities>({
    ...atHome(),
    startToCloseTimeout: '30 seconds',
    retry: { initialInterval: '1 second', maximumInterval: '1 minute', nonRetryableErrorTypes: ['InvalidInput', 'InvalidRunbooks', 'PlanRefused'] },
  })
}
