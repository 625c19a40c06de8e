/**
 * The activities of an enrollment. `lookAtEnrollment` reads a host and judges what it saw; it needs SSH only and changes nothing.
 * The others run beside the runbook files and the state folder.
 */
import { gunzipSync } from 'node:zlib'
import { ApplicationFailure, cancellationSignal } from '@temporalio/activity'
import { type ChangePlan, sealPlan } from '../domain/change/plan.js'
import { judgeEnrollment } from '../domain/enroll/judge.js'
import type { OpenEnrollment } from '../domain/enroll/open.js'
import { chooseJob, planEnrollment, planRollOut } from '../domain/enroll/plan.js'
import type { OpenedEnrollment } from '../domain/enroll/run.js'
import { type Enrolled, editsFor } from '../domain/enroll/runbook-edits.js'
import type { EnrollmentLook, EnrollmentQuestion } from '../domain/enroll/types.js'
import { planValidation } from '../domain/enroll/validation.js'
import type { RunbookSet } from '../domain/estate.js'
import { instantOf } from '../domain/judge/zone.js'
import type { HostProbePlan } from '../domain/observation.js'
import { planHostProbe } from '../domain/probe/plan.js'
import { readValidationAnswer, type ValidationSeen } from '../domain/proof/answers.js'
import { validationProgram } from '../domain/proof/programs.js'
import type { HostRoute } from '../domain/proof/types.js'
import { redactDeep } from '../domain/redact.js'
import type { VzdumpObservation } from '../domain/vzdump/observation.js'
import { questionsOf } from '../domain/vzdump/wanted.js'
import type { VzdumpHost } from '../domain/vzdump-runbook.js'
import { RunbookErrors } from '../runbooks/index.js'
import { runPerl } from './artifact-proof.js'
import { editRunbooks } from './change-runbooks.js'
import { observeHost } from './host-probe.js'
import type { ReadingDeps, StateDeps } from './monitor.js'
import { routeOf } from './vzdump.js'

export type EnrollmentActivities = ReturnType<typeof createEnrollmentSiteActivities> & ReturnType<typeof createEnrollmentStateActivities>

export function createEnrollmentSiteActivities(deps: ReadingDeps) {
  return {
    /** One connection, one command. A host that cannot be looked at is part of the answer. */
    async lookAtEnrollment(args: { route: HostRoute; probe: HostProbePlan; question: EnrollmentQuestion }): Promise<EnrollmentLook> {
      const { route, probe, question } = args
      const plan = { ...probe, proxmox: { node: route.node, job: question.job } }
      const seen = await observeHost(deps.ssh(route.sshAlias), plan, { now: deps.now, signal: cancellationSignal() })
      return redactDeep(judgeEnrollment(seen, route.node, question), deps.redact)
    },

    /** Is a backup by hand over, and what did it make? @throws ApplicationFailure `HostRefused` (retryable) */
    async readValidation(args: { route: HostRoute; unit: string; guests: readonly number[] }): Promise<ValidationSeen> {
      const { route, unit, guests } = args
      const seen = readValidationAnswer(await runPerl(deps, route, validationProgram({ unit, guests })))
      if (seen === null) throw ApplicationFailure.retryable(`${route.host} gave no answer about ${unit} that can be read`, 'HostRefused')
      return redactDeep(seen, deps.redact)
    },
  }
}

export function createEnrollmentStateActivities(deps: ReadingDeps & StateDeps & { readonly configDir: string }) {
  return {
    /** @throws ApplicationFailure `InvalidInput` (host, job), `InvalidRunbooks` */
    async openEnrollment(args: { host: string; guests: readonly number[]; job?: string; notBefore?: string }): Promise<OpenedEnrollment> {
      const { set, entry } = await runbooksOf(deps, args.host)
      const job = refusedAs('InvalidInput', () => chooseJob(entry, args.guests, args.job))
      const probe = planHostProbe(set, args.host)
      return {
        route: routeOf(set, args.host),
        policy: set.vzdump.approval,
        runbookDigest: set.vzdump.digest,
        questions: questionsOf(entry),
        job: job.id,
        probe: {
          ...probe,
          producers: [],
          directories: probe.directories.filter(({ vzdump }) => vzdump),
          proxmox: { node: probe.proxmox?.node ?? args.host, job: job.id },
        },
        notBeforeMs: args.notBefore === undefined ? null : startOfDay(args.notBefore, set.estate.timezone) * 1000,
      }
    },

    /** @throws ApplicationFailure `PlanRefused` when the guests cannot join; as `openEnrollment` */
    async planEnrollment(args: {
      host: string
      job: string
      guests: readonly number[]
      packed: string
    }): Promise<{ plan: ChangePlan; joining: readonly number[]; hostNowSeconds: number }> {
      const { set, entry } = await runbooksOf(deps, args.host)
      const seen = unpack(args.packed)
      const { draft, joining } = refusedAs('PlanRefused', () => planEnrollment(seen, set, chooseJob(entry, args.guests, args.job), args.guests))
      return redactDeep({ plan: sealPlan(draft), joining, hostNowSeconds: seen.epochSeconds }, deps.redact)
    },

    /** @throws ApplicationFailure as `planEnrollment` */
    async planRollOut(args: { host: string; job: string; guests: readonly number[]; packed: string }): Promise<ChangePlan> {
      const { entry } = await runbooksOf(deps, args.host)
      const draft = refusedAs('PlanRefused', () => planRollOut(unpack(args.packed), chooseJob(entry, args.guests, args.job), args.guests))
      return redactDeep(sealPlan(draft), deps.redact)
    },

    /** @throws ApplicationFailure as `planEnrollment` */
    async planValidation(args: { host: string; job: string; guests: readonly number[]; unit: string; packed: string }): Promise<ChangePlan> {
      const { entry } = await runbooksOf(deps, args.host)
      const draft = refusedAs('PlanRefused', () => planValidation(unpack(args.packed), entry, chooseJob(entry, args.guests, args.job), args.guests, args.unit))
      return redactDeep(sealPlan(draft), deps.redact)
    },

    /** Tells the monitor which guests are waited for (and that others are not any more). Repeating it changes nothing. */
    async noteEnrollments(args: { workflowId: string; open: readonly OpenEnrollment[]; closed: readonly { host: string; vmid: number }[] }): Promise<void> {
      for (const enrollment of args.open) deps.state.enrollments.put(enrollment)
      for (const { host, vmid } of args.closed) deps.state.enrollments.remove(host, vmid, args.workflowId)
    },

    /**
     * The first scheduled artifact is proven: `enabled: true` in inventory.yaml (an entry where there is none), its producer, the job's event. Each file is
     * replaced only when nobody changed it meanwhile, else the activity is repeated on what is there then. What is so already stays.
     * @returns what is so now, for people
     */
    async recordEnrolled(args: Enrolled): Promise<readonly string[]> {
      const { set } = await runbooksOf(deps, args.host)
      const { effects, words } = editsFor(set, args)
      for (const effect of effects) await editRunbooks(deps.configDir, effect)
      await deps.runbooks.refresh()
      return words
    },
  }
}

const unpack = (packed: string): VzdumpObservation => JSON.parse(gunzipSync(Buffer.from(packed, 'base64')).toString('utf8')) as VzdumpObservation

async function runbooksOf(deps: StateDeps, host: string): Promise<{ set: RunbookSet & { vzdump: NonNullable<RunbookSet['vzdump']> }; entry: VzdumpHost }> {
  const { set, problem } = await deps.runbooks.refresh().catch((error: unknown) => {
    throw error instanceof RunbookErrors ? ApplicationFailure.nonRetryable(error.message, 'InvalidRunbooks') : error
  })
  if (problem !== undefined) throw ApplicationFailure.nonRetryable(problem.errors.join('; '), 'InvalidRunbooks')
  const { vzdump } = set
  if (vzdump === undefined)
    throw ApplicationFailure.nonRetryable('there is no vzdump.yaml beside estate.yaml: it says which guest belongs to which job', 'InvalidRunbooks')
  const entry = vzdump.hosts.find((each) => each.host === host)
  if (entry === undefined) {
    throw ApplicationFailure.nonRetryable(
      `vzdump.yaml has no entry for host ${host} (there: ${vzdump.hosts.map((each) => each.host).join(', ')})`,
      'InvalidInput',
    )
  }
  return { set: { ...set, vzdump }, entry }
}

/** A planner refuses by RangeError. */
function refusedAs<T>(type: string, plan: () => T): T {
  try {
    return plan()
  } catch (error) {
    if (error instanceof RangeError) throw ApplicationFailure.nonRetryable(error.message, type)
    throw error
  }
}

function startOfDay(date: string, zone: string): number {
  const [year = 1970, month = 1, day = 1] = date.split('-').map(Number)
  return instantOf({ year, month, day, hour: 0, minute: 0, second: 0 }, zone)
}
