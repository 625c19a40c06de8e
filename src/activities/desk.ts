/**
 * The activities around the alert desk, all of them of the worker that owns the state folder: tell it what a pass found, read everything for a desk that lost its way,
 * write down what it says.
 */
import { ApplicationFailure, log } from '@temporalio/activity'
import { contractOf } from '../domain/desk/contract.js'
import type { DeskEvidence, DeskPublished, DeskWord, FindingsReport, KnownKey, TellResult } from '../domain/desk/messages.js'
import { bounded, mergeFindings, monitorReport, nextTimeOfDay, type Told, toldSet } from '../domain/desk/monitor-report.js'
import { type DeskFinding, type DeskReport, keyOf, MOST_MESSAGE_BYTES } from '../domain/desk/report.js'
import { briefText } from '../domain/desk/text.js'
import type { RunbookSet } from '../domain/estate.js'
import { type Redact, redactDeep } from '../domain/redact.js'
import { type ReceiptBody, type StateFolder, StateUnusable } from '../state/index.js'
import type { RunbookKeeper } from './runbook-keeper.js'
import { openMarks } from './watcher.js'

export interface DeskDeps {
  readonly runbooks: RunbookKeeper
  readonly state: StateFolder
  readonly redact: Redact
  readonly version: string
  readonly now: () => Date
  /** Signals the desk, and starts it where it does not run. */
  readonly signalDesk: (report: DeskReport) => Promise<void>
  /** Hosts that a changing run of ours is applying to, or was since then. */
  readonly hostsUnderChange: (since: Date) => Promise<readonly string[]>
}

export type DeskActivities = ReturnType<typeof createDeskActivities>

const MONITOR = 'monitor'

export function createDeskActivities(deps: DeskDeps) {
  const { state } = deps

  /** What was told is noted only after it was: told twice is harmless, never told is not. */
  async function tell(scope: string, whole: DeskReport, told: Told): Promise<TellResult> {
    const report = bounded(whole)
    // The desk may ask for the whole before the signal has come back.
    if (scope !== MONITOR) state.desk.putTold(scope, { told: state.desk.told(scope).told, report: whole })
    await deps.signalDesk(report)
    state.desk.putTold(scope, scope === MONITOR ? { told } : { told, report: whole })
    return {
      told: 'changes',
      changed: report.changed.length,
      closed: report.closed.length,
      held: report.held.length,
      setDigest: report.set.digest,
      bytes: JSON.stringify(report).length,
    }
  }

  /** What a report speaks of was read in the time before it was dated, twice as long as a host may take at most: it may be of a change that is over by now. */
  const hostsChanging = ({ estate }: RunbookSet, takenAt: string) =>
    deps.hostsUnderChange(new Date(Date.parse(takenAt) - 2000 * estate.monitor.hostDeadlineSeconds))
  const proofsOf = ({ estate }: RunbookSet) => estate.sites.flatMap(({ id }) => state.proofs.list(id))

  async function whole(told: Told): Promise<{ report: DeskReport; told: Told }> {
    const status = state.readStatus()
    if (status === undefined) throw ApplicationFailure.retryable('there is no status yet', 'NoStatus')
    const { set } = await deps.runbooks.current()
    return monitorReport({ status, runbooks: set, told, hostsUnderChange: await hostsChanging(set, status.takenAt), proofs: proofsOf(set), isWhole: true })
  }

  return {
    /** Tells the desk what this pass changed. The pass is published by now: the desk can be down without it. */
    async tellDesk({ passId }: { passId: string }): Promise<TellResult> {
      const status = state.readStatus()
      if (status === undefined || status.passId !== passId) return { told: 'superseded', changed: 0, closed: 0, held: 0, setDigest: '', bytes: 0 }
      const { set } = await deps.runbooks.current()
      const { told } = state.desk.told(MONITOR)
      const next = monitorReport({
        status,
        runbooks: set,
        told,
        hostsUnderChange: await hostsChanging(set, status.takenAt),
        proofs: proofsOf(set),
        isWhole: false,
      })
      return tell(MONITOR, next.report, next.told)
    },

    /** Tells the desk everything that a run of another runbook finds wrong in its scope. What it told before and finds no more has recovered. */
    async tellFindings(given: FindingsReport): Promise<TellResult> {
      const { set } = await deps.runbooks.current()
      const findings = mergeFindings(redactDeep(given.findings, deps.redact)).map(deskFinding)
      const before = state.desk.told(given.scope).told
      const takenAtMs = Date.parse(given.takenAt)
      const now = Object.fromEntries(findings.map((each) => [keyOf(each), { severity: each.severity, reason: each.reason, atMs: takenAtMs }]))
      const report: DeskReport = {
        scope: given.scope,
        passId: given.passId,
        takenAt: given.takenAt,
        estate: set.estate.id,
        rulesDigest: set.digest,
        periodSeconds: given.periodSeconds,
        contract: contractOf(set.alerts),
        digestDueAt: new Date(nextTimeOfDay(takenAtMs / 1000, set.alerts.digestTime, set.estate.timezone) * 1000).toISOString(),
        changed: findings,
        closed: Object.keys(before.findings)
          .filter((key) => now[key] === undefined)
          .map((key) => ({ key, why: 'recovered', message: 'it is not found any more' })),
        set: toldSet(now),
        held: [],
        underChange: await hostsChanging(set, given.takenAt),
        soonStale: [],
        seen: null,
      }
      return tell(given.scope, report, { findings: now, folded: {} })
    },

    /** Everything that a scope finds wrong, for a desk whose own list does not agree. `known`: what the desk has open in that scope. */
    async readWhole({ scope, known }: { scope: string; known: readonly KnownKey[] }): Promise<DeskReport> {
      const findings = Object.fromEntries(known.map(({ key, severity, reason }) => [key, { severity, reason, atMs: 0 }]))
      const before = state.desk.told(scope)
      if (scope === MONITOR) {
        const next = await whole({ findings, folded: before.told.folded })
        state.desk.putTold(scope, { told: next.told })
        return next.report
      }
      if (before.report === undefined) throw ApplicationFailure.nonRetryable(`nothing was ever told about ${scope}`, 'NothingTold')
      return before.report
    },

    /**
     * Writes down what the desk says: its state for people and for the status, its decisions, and receipts for what people decided.
     * @returns which marks may now be left for the watchers; none where no watcher is declared
     */
    async publishDesk(word: DeskWord): Promise<DeskPublished> {
      state.desk.addDecisions(word.decisions)
      state.desk.putSnapshot(word.snapshot)
      const { set } = await deps.runbooks.current()
      // A chain that was cut is a person's to mend, and every pass says so: the desk must not stand still over it.
      for (const evidence of word.evidence) {
        await state.appendReceipt(receiptOf(evidence, word, set.digest, deps.version), set.estate.receipts).catch((error: unknown) => {
          if (!(error instanceof StateUnusable)) throw error
          log.error(`no receipt of ${evidence.id} was written`, { cause: error.message })
        })
      }
      return (set.emailRelay?.watchers.length ?? 0) > 0 ? { marks: openMarks(set, state, deps.now()) } : {}
    },
  }
}

function deskFinding(finding: DeskFinding | Parameters<typeof mergeFindings>[0][number]): DeskFinding {
  const [site = '', kind = '', id = ''] = finding.subject.split('/')
  const short = (text: string) => briefText(text, MOST_MESSAGE_BYTES)
  return {
    subject: finding.subject,
    condition: finding.condition,
    site,
    host: ['host', 'guest', 'job', 'storage'].includes(kind) && finding.condition !== 'blind' ? id : null,
    severity: finding.severity,
    reason: finding.reason,
    message: short(finding.message),
    next: finding.next === null ? null : short(finding.next),
    since: null,
    lastGood: null,
  }
}

/** A run of the desk lasts for days and leaves many receipts: each has the evidence's own id beside the run's. */
function receiptOf(evidence: DeskEvidence, word: DeskWord, runbookDigest: string, version: string): ReceiptBody {
  const { workflowId, runId } = word.snapshot
  return {
    kind: 'alerts',
    run: { runbook: 'alertDesk', runbookDigest, workflowId, runId: `${runId}#${evidence.id}`, version },
    requestedBy: evidence.by,
    approval: null,
    observed: { ...evidence.facts },
    steps: [{ what: evidence.what, outcome: evidence.reason }],
    outcome: { recorded: [evidence.what] },
    times: { at: evidence.at },
  }
}
