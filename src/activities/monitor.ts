/**
 * The activities of the monitor. `openPass` and `closePass` run only in the one worker that owns the state folder;
 * `observeSite` runs there too, or in a worker that sits at the site and holds nothing but SSH keys.
 */
import { gunzipSync, gzipSync } from 'node:zlib'
import { ApplicationFailure, cancellationSignal } from '@temporalio/activity'
import pLimit from 'p-limit'
import { canonicalJson, sha256Hex } from '../domain/canonical.js'
import { firstUntaken, withDeskMarks } from '../domain/desk/snapshot.js'
import type { Host, RunbookSet } from '../domain/estate.js'
import { judgePass } from '../domain/judge/index.js'
import { receiptNotWritten, withFindings, withRunbookFindings } from '../domain/judge/runbook-findings.js'
import {
  MOST_FINDINGS_IN_RESULT,
  MOST_HOSTS_IN_READING,
  type PassPlan,
  type PassResult,
  type SitePlan,
  type SiteReading,
  type SiteUnread,
} from '../domain/monitor.js'
import { type HostObservation, type HostProbePlan, unreadHost } from '../domain/observation.js'
import { planHostProbe } from '../domain/probe/plan.js'
import { type Redact, redactDeep } from '../domain/redact.js'
import { markFindings } from '../domain/relay/marks.js'
import { renderStatusMarkdown } from '../domain/render/status-markdown.js'
import type { Finding, Severity, StatusDocument } from '../domain/status.js'
import { RunbookErrors } from '../runbooks/index.js'
import type { StateFolder } from '../state/index.js'
import { observeHost, type SshRunner } from './host-probe.js'
import type { RunbookKeeper } from './runbook-keeper.js'

/** The SSH side: all that a site's worker needs. */
export interface ReadingDeps {
  readonly ssh: (alias: string) => SshRunner
  readonly redact: Redact
  readonly now: () => Date
}

/** The state side: only where the state folder is. */
export interface StateDeps {
  readonly runbooks: RunbookKeeper
  readonly state: StateFolder
  readonly onStatus: (status: StatusDocument) => void
  /** Of this program; part of every receipt. */
  readonly version: string
}

export type MonitorActivities = ReturnType<typeof createSiteActivities> & ReturnType<typeof createStateActivities>

/** Room for the details in a history: the whole table is in the status document. */
const MOST_DETAILS_BYTES = 6_000

const pack = (value: unknown): string => gzipSync(JSON.stringify(value)).toString('base64')
const unpack = <T>(packed: string): T => JSON.parse(gunzipSync(Buffer.from(packed, 'base64')).toString('utf8')) as T

/**
 * Reads one site: one connection and one command per host, hosts side by side.
 * @param local the state side when this worker has it; without it plans and observations travel packed
 */
export function createSiteActivities(deps: ReadingDeps, local?: StateDeps) {
  return {
    async observeSite(args: SitePlan & { passId: string }): Promise<SiteReading> {
      const { plans, maxHostsAtOnce } = await readingList(args, local)
      const limit = pLimit(maxHostsAtOnce)
      const observations = await Promise.all(plans.map((plan) => limit(() => readHost(deps, plan))))
      const digest = sha256Hex(canonicalJson(observations))
      const reading = { site: args.site, ...gist(observations), digest }
      if (local === undefined) return { ...reading, packedObservations: pack(observations) }
      local.state.putObservation(args.passId, args.site, observations)
      return reading
    },
  }
}

/** What the history keeps of a reading: as much for fifty hosts as for two. */
function gist(observations: readonly HostObservation[]): Pick<SiteReading, 'hostCount' | 'unreadable' | 'slowestMs' | 'slowestConnectMs'> {
  const unreadable = observations.flatMap(({ host, outcome }) => (outcome.ok ? [] : [{ host, reason: outcome.reason }]))
  return {
    hostCount: observations.length,
    unreadable: { count: unreadable.length, first: unreadable.slice(0, MOST_HOSTS_IN_READING) },
    slowestMs: Math.max(0, ...observations.map((seen) => Date.parse(seen.finishedAt) - Date.parse(seen.startedAt))),
    slowestConnectMs: Math.round(Math.max(0, ...observations.map((seen) => seen.connectMs))),
  }
}

async function readingList(args: SitePlan, local: StateDeps | undefined): Promise<{ plans: HostProbePlan[]; maxHostsAtOnce: number }> {
  if (args.packedPlans !== undefined) return unpack(args.packedPlans)
  if (local === undefined) {
    throw ApplicationFailure.nonRetryable(
      `site ${args.site} was given without a reading list to a worker that has no runbooks; set task_queue for that site in estate.yaml`,
      'InvalidInput',
    )
  }
  const { set } = await local.runbooks.current()
  return readingListOf(set, args.site)
}

function readingListOf(set: RunbookSet, site: string): { plans: HostProbePlan[]; maxHostsAtOnce: number } {
  return {
    plans: set.estate.hosts.filter((host) => host.site === site).map((host) => planHostProbe(set, host.name)),
    maxHostsAtOnce: set.estate.monitor.maxHostsAtOnce,
  }
}

async function readHost(deps: ReadingDeps, plan: HostProbePlan): Promise<HostObservation> {
  const seen = await observeHost(deps.ssh(plan.sshAlias), plan, { now: deps.now, signal: cancellationSignal() })
  return redactDeep(seen, deps.redact)
}

/** Reads the runbooks at the start of a pass; judges and writes at its end. */
export function createStateActivities(deps: ReadingDeps & StateDeps) {
  return {
    async openPass(args: { passId: string; workflowId: string }): Promise<PassPlan> {
      const { set } = await readRunbooks(deps.runbooks)
      return {
        passId: args.passId,
        estate: set.estate.id,
        rulesDigest: set.digest,
        enabledTargets: set.inventory.targets.filter((target) => target.enabled).length,
        sites: set.estate.sites
          .map((site) => ({ site, hosts: set.estate.hosts.filter((host) => host.site === site.id) }))
          .filter(({ hosts }) => hosts.length > 0)
          .map(({ site, hosts }) => ({
            site: site.id,
            hostCount: hosts.length,
            deadlineSeconds: siteDeadlineSeconds(set, hosts),
            ...(site.taskQueue === undefined ? {} : { taskQueue: site.taskQueue, packedPlans: pack(readingListOf(set, site.id)) }),
          })),
      }
    },

    async closePass(args: { passId: string; workflowId: string; runId: string; readings: readonly (SiteReading | SiteUnread)[] }): Promise<PassResult> {
      const { set, warnings, problem } = await deps.runbooks.current()
      const takenAt = deps.now().toISOString()
      const observations = args.readings.flatMap((reading) => observationsOf(deps, set, args.passId, reading, takenAt))
      const judgeFrom = performance.now()
      const judged = judgePass({
        runbooks: set,
        observations,
        memory: deps.state.readMemory(),
        enrollments: deps.state.enrollments.list(),
        now: takenAt,
        pass: { passId: args.passId, workflowId: args.workflowId, runId: args.runId },
      })
      const desk = deps.state.desk.snapshot()
      const judgedStatus = withRunbookFindings(judged.status, { warnings, problem })
      const marked = withDeskMarks(judgedStatus, desk, firstUntaken(deps.state.passes(), desk))
      const status = redactDeep(withFindings(marked, markFindings(marked, set, deps.state.marks.unmarked())), deps.redact)
      const writeFrom = performance.now()
      const observationsDigest = sha256Hex(canonicalJson(args.readings.map((reading) => ('digest' in reading ? reading.digest : reading.unread))))
      const publish = (document: StatusDocument) => deps.state.writePass({ status: document, memory: judged.memory, observationsDigest }).written
      const stages = () => ({ judge: Math.round(writeFrom - judgeFrom), write: Math.round(performance.now() - writeFrom) })
      if (!publish(status)) return { ...summarise(status, false, null), stageMs: stages() }
      const evidence = await writeReceipt(deps, set, status, observationsDigest)
      const final = evidence.finding === null ? status : withFindings(status, [evidence.finding])
      if (final !== status) publish(final)
      deps.onStatus(final)
      return { ...summarise(final, true, evidence.receipt), stageMs: stages() }
    },
  }
}

/** The receipt, if one is due. That it could not be written does not take the pass back; it is said in the status. */
async function writeReceipt(
  deps: ReadingDeps & StateDeps,
  set: RunbookSet,
  status: StatusDocument,
  observationsDigest: string,
): Promise<{ receipt: PassResult['receipt']; finding: Finding | null }> {
  try {
    const receipt = await deps.state.receiptForPass({ status, observationsDigest, settings: set.estate.receipts, version: deps.version })
    return { receipt, finding: null }
  } catch (error) {
    const cause = deps.redact(error instanceof Error ? error.message : String(error))
    return { receipt: null, finding: receiptNotWritten(status.estate, cause) }
  }
}

async function readRunbooks(keeper: RunbookKeeper) {
  try {
    return await keeper.refresh()
  } catch (error) {
    if (error instanceof RunbookErrors) throw ApplicationFailure.nonRetryable(error.message, 'InvalidRunbooks')
    throw error
  }
}

/** Hosts beyond `maxHostsAtOnce` wait for the ones before them. */
function siteDeadlineSeconds(set: RunbookSet, hosts: readonly Host[]): number {
  const { hostDeadlineSeconds, maxHostsAtOnce } = set.estate.monitor
  return hostDeadlineSeconds * Math.ceil(hosts.length / maxHostsAtOnce)
}

function observationsOf(deps: StateDeps, set: RunbookSet, passId: string, reading: SiteReading | SiteUnread, at: string): HostObservation[] {
  if ('unread' in reading) {
    return set.estate.hosts
      .filter((host) => host.site === reading.site)
      .map((host) => unreadHost(host.name, { reason: reading.unread.reason, message: reading.unread.message }, { startedAt: at, finishedAt: at }))
  }
  if (reading.packedObservations !== undefined) return unpack<HostObservation[]>(reading.packedObservations)
  return storedObservations(deps.state, passId, reading.site)
}

/** What `observeSite` of this very process put there. */
function storedObservations(state: StateFolder, passId: string, site: string): HostObservation[] {
  const stored = state.getObservations(passId).find((each) => each.key === site)
  return stored === undefined ? [] : (stored.value as HostObservation[])
}

function summarise(status: StatusDocument, written: boolean, receipt: PassResult['receipt']): Omit<PassResult, 'stageMs'> {
  const counts: Record<Severity, number> = { ok: 0, warning: 0, unknown: 0, critical: 0 }
  for (const target of status.targets) if (target.enabled) counts[target.severity] += 1
  const findings = status.findings.map(({ subject, reason, severity, message }) => ({ subject, reason, severity, message: message.slice(0, 240) }))
  return {
    passId: status.passId,
    takenAt: status.takenAt,
    verdict: status.verdict,
    expected: status.expected,
    seen: status.seen,
    counts,
    findings: findings.slice(0, MOST_FINDINGS_IN_RESULT),
    findingsTotal: findings.length,
    findingsDigest: sha256Hex(canonicalJson(findings)),
    statusDigest: sha256Hex(canonicalJson(status)),
    written,
    details: renderStatusMarkdown(status, { maxBytes: MOST_DETAILS_BYTES }),
    receipt,
  }
}
