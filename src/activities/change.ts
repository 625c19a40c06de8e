/**
 * The activities of the change shell: one step on a host, one step on the runbook files, the record of what is being changed, the check of a signature,
 * the receipt of a run.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { activityInfo, cancelled, getClient } from '@temporalio/activity'
import { ApplicationFailure } from '@temporalio/common'
import type { ApplyRecord, StepState } from '../domain/change/apply.js'
import { APPROVAL_NAMESPACE, type ApprovalAnswer, approvalMessage } from '../domain/change/approval.js'
import type { Check, Effect, PlanStep } from '../domain/change/plan.js'
import { parseReport, remoteProgram, type StepReport } from '../domain/change/remote-program.js'
import type { HostRoute } from '../domain/proof/types.js'
import { makeRedact, type Redact, redactDeep } from '../domain/redact.js'
import { RunbookErrors } from '../runbooks/index.js'
import { SshError } from '../ssh/index.js'
import type { ReceiptBody } from '../state/index.js'
import { differencesInRunbooks, editRunbooks } from './change-runbooks.js'
import type { SshRunner } from './host-probe.js'
import type { StateDeps } from './monitor.js'

/** Longer than any call of the API that a step makes; what takes longer belongs into a unit on the host. */
const STEP_DEADLINE_MS = 180_000
const MOST_REPORT_BYTES = 512 * 1024
const SECRET = /\{\{secret:([^}]+)\}\}/g

export interface ChangeSiteDeps {
  readonly ssh: (alias: string) => SshRunner
  /** Resolves `env:NAME` and `file:PATH`. */
  readonly secret: (reference: string) => Promise<string>
  /** The lock file on the host; `APPLY_LOCK_PATH` unless told. */
  readonly lockPath?: string
}

export interface ChangeStateDeps extends StateDeps {
  readonly configDir: string
  readonly redact: Redact
}

export type ChangeActivities = ReturnType<typeof createChangeSiteActivities> & ReturnType<typeof createChangeStateActivities>

/** A step as it is carried out: as planned, or taken back. */
export interface StepRequest {
  readonly route: HostRoute
  readonly step: Pick<PlanStep, 'id' | 'before' | 'after' | 'effect'>
}

export type StepAnswer = StepReport & {
  /** 1 unless an earlier attempt's answer was lost. */
  readonly attempt: number
}

export function createChangeSiteActivities(deps: ChangeSiteDeps) {
  return {
    /**
     * Compare, effect and read back on the host, in one command. Repeating it is safe: what took place already is found and not done again.
     * @throws ApplicationFailure of the connection's reason; whether the effect took place is then unknown until it is asked again
     */
    async applyStep({ route, step }: StepRequest): Promise<StepAnswer> {
      const { order, redact } = await withSecrets(step, deps.secret)
      try {
        const asked = deps.ssh(route.sshAlias).run(route.sshAlias, {
          argv: ['perl', '-'],
          stdin: remoteProgram(order, deps.lockPath),
          sudo: route.sudo,
          deadlineMs: STEP_DEADLINE_MS,
          maxOutputBytes: MOST_REPORT_BYTES,
        })
        // A worker that is told to stop goes without the answer. The program on the host is not killed in the middle of an effect: it holds the lock until
        // it is done, and the next attempt finds what it did.
        const { stdoutText } = await Promise.race([asked, cancelled()])
        const report = reportOf(stdoutText, step.id)
        if (report.outcome === 'busy') throw ApplicationFailure.create({ message: `${route.host}: ${report.said}`, type: 'HostBusy' })
        return { ...redactDeep(report, redact), attempt: activityInfo().attempt }
      } catch (error) {
        if (error instanceof SshError)
          throw ApplicationFailure.create({ message: error.message, type: error.reason, nonRetryable: NEVER_MENDS.has(error.reason) })
        throw error
      }
    },
  }
}

/** Reasons of a connection that no later attempt mends by itself. */
const NEVER_MENDS: ReadonlySet<string> = new Set([
  'auth_denied',
  'host_key_mismatch',
  'host_key_unknown',
  'host_key_revoked',
  'unsupported_ssh_config',
  'bad_ssh_key',
])

function reportOf(stdout: string, stepId: string): StepReport {
  try {
    return parseReport(stdout)
  } catch {
    throw ApplicationFailure.create({ message: `step "${stepId}": the host's answer is not that of our program: ${stdout.slice(0, 200)}`, type: 'BadReport' })
  }
}

type Order = Pick<PlanStep, 'before' | 'after' | 'effect'>

/** Fills in `{{secret:REFERENCE}}` in what is compared, written or given to a program, and gives a redactor that knows what was filled in: the effect may print it. */
async function withSecrets(step: Order, secret: (reference: string) => Promise<string>): Promise<{ order: Order; redact: Redact }> {
  const { before, after, effect } = step
  const texts = [...before, ...after, effect].map((each) => ('content' in each ? each.content : 'stdin' in each ? (each.stdin ?? '') : ''))
  const references = new Set(texts.flatMap((text) => [...text.matchAll(SECRET)].map(([, reference = '']) => reference)))
  const values = new Map(await Promise.all([...references].map(async (reference) => [reference, await secret(reference)] as const)))
  const fill = (text: string) => text.replace(SECRET, (_all, reference: string) => values.get(reference) ?? '')
  const filled = <T extends Check | Effect>(each: T): T =>
    'content' in each ? { ...each, content: fill(each.content) } : 'stdin' in each && each.stdin !== undefined ? { ...each, stdin: fill(each.stdin) } : each
  const order = { before: before.map(filled), after: after.map(filled), effect: filled(effect) }
  return { order, redact: makeRedact([...values].map(([name, value]) => ({ name, value }))) }
}

export function createChangeStateActivities(deps: ChangeStateDeps) {
  const { state, configDir } = deps
  return {
    /** A step on the runbook files: the same three moves as on a host. */
    async applyRunbookStep({ step }: { step: StepRequest['step'] }): Promise<StepAnswer> {
      const { attempt } = activityInfo()
      const report = (outcome: StepReport['outcome'], differences: StepReport['differences']): StepAnswer => ({
        outcome,
        differences,
        said: '',
        exitCode: null,
        attempt,
      })
      const differences = (checks: readonly Check[]) => differencesInRunbooks(configDir, checks).catch(asInvalidRunbooks)
      if (step.after.length > 0 && (await differences(step.after)).length === 0) return report('already', [])
      const moved = await differences(step.before)
      if (moved.length > 0) return report('moved', moved)
      if (step.effect.kind !== 'runbook') throw ApplicationFailure.nonRetryable(`step "${step.id}" does not edit runbook files`, 'InvalidInput')
      await editRunbooks(configDir, step.effect).catch(asInvalidRunbooks)
      const left = await differences(step.after)
      return report(left.length === 0 ? 'applied' : 'failed', left)
    },

    async beginApply(args: { record: ApplyRecord }): Promise<void> {
      state.applies.begin(args.record)
    },

    async recordStep(args: { host: string; id: string; stepId: string; state: StepState }): Promise<void> {
      state.applies.step(args.host, args.id, args.stepId, args.state)
    },

    async endApply(args: { host: string; id: string }): Promise<void> {
      state.applies.end(args.host, args.id)
    },

    /** The first record of this host that no run carries out any more, and that was not ended; null when there is none. */
    async unfinishedApply(args: { host: string; applyWorkflowId: string }): Promise<ApplyRecord | null> {
      const [record] = state.applies.open(args.host)
      return record === undefined || (await isRunning(args.applyWorkflowId)) ? null : record
    },

    /** Who changes this host now, in words; null when nobody does. */
    async describeHolder(args: { host: string; applyWorkflowId: string }): Promise<string | null> {
      if (!(await isRunning(args.applyWorkflowId))) return null
      const record = state.applies.open(args.host).at(-1)
      return record === undefined ? args.applyWorkflowId : `${record.workflowId} (${record.runbook})`
    },

    /** Checks a signature over a decision against `allowed_signers` of the configuration folder. */
    async checkApproval(args: {
      estate: string
      workflowId: string
      runId: string
      decision: 'approve' | 'reject'
      answer: ApprovalAnswer
    }): Promise<{ valid: true } | { valid: false; why: string }> {
      return await verifySignature(join(configDir, 'allowed_signers'), approvalMessage(args), args.answer)
    },

    /** Appends the receipt of a run, or finds the one that it has. */
    async writeRunReceipt(args: {
      body: Omit<ReceiptBody, 'run'> & { run: Omit<ReceiptBody['run'], 'version'> }
    }): Promise<{ number: number; sha256: string }> {
      const { set } = await deps.runbooks.current()
      const body: ReceiptBody = redactDeep({ ...args.body, run: { ...args.body.run, version: deps.version } }, deps.redact)
      const { number, sha256 } = await state.appendReceipt(body, set.estate.receipts)
      return { number, sha256 }
    },
  }
}

function asInvalidRunbooks(error: unknown): never {
  if (error instanceof RunbookErrors) throw ApplicationFailure.nonRetryable(error.message, 'InvalidRunbooks')
  throw error
}

async function isRunning(workflowId: string): Promise<boolean> {
  try {
    return (await getClient().workflow.getHandle(workflowId).describe()).status.name === 'RUNNING'
  } catch (error) {
    if (error instanceof Error && error.name === 'WorkflowNotFoundError') return false
    throw error
  }
}

const run = promisify(execFile)

/** `ssh-keygen -Y verify`; the message goes over standard input, the signature through a file that lives as long as the check. */
async function verifySignature(allowedSigners: string, message: string, answer: ApprovalAnswer): Promise<{ valid: true } | { valid: false; why: string }> {
  if (answer.signature === undefined) return { valid: false, why: 'there is no signature' }
  if (!/^[A-Za-z0-9._@+-]{1,100}$/.test(answer.approver)) return { valid: false, why: 'the name of the approver cannot be a principal of allowed_signers' }
  const folder = await mkdtemp(join(tmpdir(), 'nightshift-approval-'))
  try {
    const signature = join(folder, 'signature')
    await writeFile(signature, answer.signature, { mode: 0o600 })
    const child = run('ssh-keygen', ['-Y', 'verify', '-f', allowedSigners, '-I', answer.approver, '-n', APPROVAL_NAMESPACE, '-s', signature], {
      timeout: 10_000,
    })
    child.child.stdin?.end(message)
    await child
    return { valid: true }
  } catch (error) {
    const { stderr = '', stdout = '' } = error as { stderr?: string; stdout?: string }
    const said = `${stderr} ${stdout}`.replace(/\s+/g, ' ').trim().replaceAll(folder, '')
    return { valid: false, why: `${said || 'ssh-keygen could not be run'} (allowed signers: ${allowedSigners})` }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
