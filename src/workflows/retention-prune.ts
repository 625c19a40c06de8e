/**
 * Removes backup archives that nobody needs any more. A preview (the default) changes nothing and ends with how each guest stands against what is wanted.
 * With `mode: remove`: what stays is read to its end, what goes is asked of the host and of a person, each archive is looked at again right before it goes.
 */
import { ApplicationFailure, proxyActivities, setCurrentDetails, upsertSearchAttributes } from '@temporalio/workflow'
import type { RetentionActivities } from '../activities/retention.js'
import type { ChangeResult } from '../domain/change/apply.js'
import type { Json } from '../domain/change/plan.js'
import type { ComplianceLine } from '../domain/retention/plan.js'
import type { OpenedRetention, PlannedRetention } from '../domain/retention/run.js'
import { ApprovalDesk } from './approval.js'
import { type MadePlan, proofUnknown, runChange, runPreview, unreadBecause } from './change-shell.js'
import { retentionPruneInput } from './inputs.js'
import { proveArtifact } from './prove-artifact.js'
import { atHome, atSite } from './routes.js'
import { parseInput, phase, runbookAttributes } from './shell.js'

const RUNBOOK = 'retentionPrune'

/** A host that is away for longer while an archive of it is to be read: then the plan is refused. */
const PROOF_PATIENCE_SECONDS = 3600

const MOST_DETAILS_CHARACTERS = 15_000

export interface RetentionPruneInput {
  readonly host: string
  /** Only this storage. */
  readonly storage?: string
  /** Only these guests. */
  readonly guests?: readonly number[]
  /** `preview` unless told: says what would go, changes nothing. */
  readonly mode?: 'preview' | 'remove'
  readonly requestedBy?: string
}

export interface RetentionPruneResult extends ChangeResult {
  /** How each guest stands on each storage: before a removal that was not carried out, after one that was. */
  readonly compliance: readonly ComplianceLine[]
}

export async function retentionPrune(rawInput: RetentionPruneInput): Promise<RetentionPruneResult> {
  const input = parseInput(RUNBOOK, retentionPruneInput, rawInput)
  upsertSearchAttributes(runbookAttributes(RUNBOOK, { host: input.host, ...(input.storage === undefined ? {} : { target: input.storage }) }))
  const desk = new ApprovalDesk(RUNBOOK, input.host, input.requestedBy ?? null)
  const run = new Prune(input)
  const about = { runbook: RUNBOOK, host: input.host, requestedBy: input.requestedBy ?? null }
  const result =
    input.mode === 'remove'
      ? await runChange({ ...about, desk, makePlan: () => run.planOfRemoval(), prove: () => run.lookAgain() })
      : await runPreview(
          about,
          'plan',
          () => run.preview(),
          ({ plan }) => `preview, nothing was changed: ${plan.steps.length} archives would go${run.unread}`,
        )
  return ended(run, result)
}

/** The last thing that a run shows: how each guest stands. */
function ended(run: Prune, result: ChangeResult): RetentionPruneResult {
  const { compliance = [], table = '', plan } = run.latest ?? {}
  const warnings = (plan?.warnings ?? []).map(({ message }) => `- ${message}`).join('\n')
  phase('done', result.message)
  setCurrentDetails(`**${result.state}** · ${result.message}\n\n${table}\n\n${warnings}`.slice(0, MOST_DETAILS_CHARACTERS))
  return { ...result, compliance }
}

function madePlan(opened: OpenedRetention, { plan, compliance }: PlannedRetention): MadePlan {
  const { policy, runbookDigest, route } = opened
  const warnings = plan.warnings.map(({ code, message }) => ({ code, message }))
  return { plan, policy, runbookDigest, route, observed: { guests: compliance.map((line): Json => ({ ...line })), warnings } }
}

class Prune {
  /** What was planned last: the compliance that the run ends with. */
  latest: PlannedRetention | undefined

  constructor(private readonly input: RetentionPruneInput) {}

  /** How many of those that stay are yet to be read, in words. */
  get unread(): string {
    const count = this.latest?.toProve.length ?? 0
    return count === 0 ? '' : `; first ${count} of those that stay would be read to their end`
  }

  async preview(): Promise<MadePlan> {
    const opened = await this.open()
    return madePlan(opened, await this.plan(opened, 'if-proven'))
  }

  open(): Promise<OpenedRetention> {
    return homeActivities().openRetention.executeWithOptions({ summary: 'Read the runbook files' }, [{ host: this.input.host }])
  }

  /** Reads the host and decides on every archive. */
  async plan(opened: OpenedRetention, counting: 'proven' | 'if-proven'): Promise<PlannedRetention> {
    const { route, probe } = opened
    const { host, storage = null, guests = null } = this.input
    const packed = await siteActivities(opened).observeRetention.executeWithOptions({ summary: `Read jobs, guests and archives of ${host}` }, [
      { route, probe, storages: storage === null ? null : [storage] },
    ])
    this.latest = await homeActivities().planPrune.executeWithOptions({ summary: 'Decide what stays and what goes' }, [
      { route, storage, guests, counting, packed },
    ])
    return this.latest
  }

  /**
   * What goes, once the copies that stay were read to their end: what turns out damaged counts no more, and an older one takes its place.
   * @throws ApplicationFailure `PlanRefused` when a copy that has to stay cannot be read
   */
  async planOfRemoval(): Promise<MadePlan> {
    const opened = await this.open()
    const tried = new Set<string>()
    for (;;) {
      const planned = await this.plan(opened, 'proven')
      if (planned.toProve.length === 0) return madePlan(opened, planned)
      for (const { volid } of planned.toProve) {
        if (tried.has(volid)) throw ApplicationFailure.nonRetryable(`${volid} changes while it is read`, 'PlanRefused')
        tried.add(volid)
        const proof = await proveArtifact(opened.route, volid, { say: (doing) => phase('verify', doing), patienceSeconds: PROOF_PATIENCE_SECONDS })
        if (proof.outcome === 'unknown') {
          throw ApplicationFailure.nonRetryable(`${volid} has to stay, and whether it is readable could not be found out: ${proof.message}`, 'PlanRefused')
        }
      }
    }
  }

  /** After the removal: as many proven copies as the plan said are left. */
  async lookAgain(): Promise<Json> {
    const before = this.latest?.compliance ?? []
    const { compliance } = await this.plan(await this.open(), 'proven').catch((error: unknown) => {
      const why = unreadBecause(error)
      throw why === null ? error : proofUnknown(`what is left could not be looked at: ${why}`, null)
    })
    const short = before.filter((line) => (compliance.find((now) => isSame(now, line))?.proven ?? 0) < line.provenLeft)
    if (short.length > 0) {
      throw ApplicationFailure.nonRetryable(
        `fewer proven copies are left than planned: ${short.map(({ storage, vmid }) => `guest ${vmid} on ${storage}`).join(', ')}`,
        'NotProven',
      )
    }
    return { guests: compliance.map((line): Json => ({ ...line })) }
  }
}

const isSame = (a: ComplianceLine, b: ComplianceLine): boolean => a.storage === b.storage && a.vmid === b.vmid && a.guest === b.guest

function siteActivities({ route }: OpenedRetention) {
  return proxyActivities<RetentionActivities>({
    ...atSite(route),
    startToCloseTimeout: '5 minutes',
    retry: { maximumAttempts: 5, initialInterval: '2 seconds', nonRetryableErrorTypes: ['InvalidInput'] },
  })
}

function homeActivities() {
  return proxyActivities<RetentionActivities>({
    ...atHome(),
    startToCloseTimeout: '1 minute',
    retry: { maximumAttempts: 5, initialInterval: '2 seconds', nonRetryableErrorTypes: ['InvalidInput', 'InvalidRunbooks', 'HostUnread'] },
  })
}
