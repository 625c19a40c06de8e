/**
 * What a receipt says. A receipt is the evidence of one run: canonical JSON (RFC 8785), signed, chained to the one before.
 * Nothing free-form from a host goes into one: reasons and digests, not messages, so that no secret can.
 */
import { canonicalJson, sha256Hex } from '../../domain/canonical.js'
import type { Finding, Severity, StatusDocument } from '../../domain/status.js'

export const RECEIPT_SCHEMA = 'nightshift.receipt/1'

/** Everything about a run that its caller knows; number, `previous` and time of writing come from the appender. */
export interface ReceiptBody {
  /** `monitor`, `trust`, later one per runbook. With workflow and run id it is the identity: the same one is never written twice. */
  readonly kind: string
  readonly run: {
    readonly runbook: string
    /** SHA-256 of the rules in force. */
    readonly runbookDigest: string | null
    readonly workflowId: string
    readonly runId: string
    /** Version of nightshift. */
    readonly version: string
  }
  /** Who asked for the run: `schedule`, or a user of the machine. */
  readonly requestedBy: string
  /** Who approved which plan; null where nothing had to be approved. */
  readonly approval: { readonly digest: string; readonly approver: string; readonly at: string; readonly signed: boolean } | null
  /** What was observed, by digest and figure. */
  readonly observed: Readonly<Record<string, unknown>>
  readonly steps: readonly { readonly what: string; readonly outcome: string }[]
  readonly outcome: Readonly<Record<string, unknown>>
  /** Times of the stages, by name. */
  readonly times: Readonly<Record<string, string>>
}

export interface Receipt extends ReceiptBody {
  readonly schema: typeof RECEIPT_SCHEMA
  readonly estate: string
  /** From 1, without a gap. */
  readonly number: number
  /** SHA-256 of the bytes of the receipt before; null in the first. */
  readonly previous: string | null
  readonly writtenAt: string
}

/** A Temporal Schedule appends the nominal time to the workflow id of the runs that it starts. */
const SCHEDULED_ID = /-\d{4}-\d{2}-\d{2}T[\d:.]+Z$/

/** The bytes of a receipt: exactly its canonical JSON. */
export function receiptText(receipt: Receipt): string {
  return canonicalJson(receipt)
}

/** The identity of a run's receipt. */
export function receiptKey(body: Pick<ReceiptBody, 'kind' | 'run'>): string {
  return canonicalJson([body.run.workflowId, body.run.runId, body.kind])
}

/** Reads a receipt; undefined when the text is none. Says nothing about signature or chain. */
export function parseReceipt(text: string): Receipt | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const receipt = value as Partial<Record<keyof Receipt, unknown>>
  const ok =
    receipt.schema === RECEIPT_SCHEMA &&
    typeof receipt.estate === 'string' &&
    typeof receipt.number === 'number' &&
    (receipt.previous === null || typeof receipt.previous === 'string') &&
    typeof receipt.writtenAt === 'string' &&
    isBody(value)
  return ok ? (value as Receipt) : undefined
}

/** True for what has the members of a receipt's body, whoever wrote it. */
export function isBody(value: unknown): value is ReceiptBody {
  if (typeof value !== 'object' || value === null) return false
  const body = value as Partial<Record<keyof ReceiptBody, unknown>>
  if (typeof body.kind !== 'string' || typeof body.requestedBy !== 'string' || typeof body.run !== 'object' || body.run === null) return false
  const run = body.run as Partial<Record<keyof ReceiptBody['run'], unknown>>
  return (
    typeof run.workflowId === 'string' &&
    typeof run.runId === 'string' &&
    typeof run.runbook === 'string' &&
    isRecord(body.observed) &&
    isRecord(body.outcome) &&
    isRecord(body.times) &&
    Array.isArray(body.steps)
  )
}

function isRecord(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The receipt of a pass of the monitor. `previousVerdict` is null when there is no receipt of an earlier pass. */
export function monitorReceipt(pass: {
  readonly status: StatusDocument
  readonly observationsDigest: string
  readonly why: string
  readonly previousVerdict: string | null
  readonly version: string
}): ReceiptBody {
  const { status } = pass
  return {
    kind: 'monitor',
    run: { runbook: 'backupMonitor', runbookDigest: status.rulesDigest, workflowId: status.workflowId, runId: status.runId, version: pass.version },
    requestedBy: SCHEDULED_ID.test(status.workflowId) ? 'schedule' : 'operator',
    approval: null,
    observed: {
      passId: status.passId,
      observationsDigest: pass.observationsDigest,
      statusDigest: sha256Hex(canonicalJson(status)),
      expected: status.expected,
      seen: status.seen,
    },
    steps: [],
    outcome: {
      why: pass.why,
      verdict: status.verdict,
      previousVerdict: pass.previousVerdict,
      verdictsDigest: verdictsDigest(status),
      counts: {
        targets: countBySeverity(status.targets),
        guests: countBySeverity(status.guests),
        jobs: countBySeverity(status.jobs),
        storages: countBySeverity(status.storages),
        hosts: countBySeverity(status.hosts),
      },
      findings: status.findings.map(summaryOf),
    },
    times: { takenAt: status.takenAt },
  }
}

/** A digest over who has which verdict: the document's and each entry's severity. Ages, messages and times do not count. */
export function verdictsDigest(status: StatusDocument): string {
  const entries = [
    ...status.targets.map((entry) => ['target', entry.site, entry.id, entry.severity]),
    ...status.guests.map((entry) => ['guest', entry.site, `${entry.host}/${entry.vmid}`, entry.severity]),
    ...status.jobs.map((entry) => ['job', entry.site, `${entry.host}/${entry.id}`, entry.severity]),
    ...status.storages.map((entry) => ['storage', entry.site, `${entry.host}/${entry.id}`, entry.severity]),
    ...status.hosts.map((entry) => ['host', entry.site, entry.host, entry.severity]),
    ...status.findings.map((entry) => ['finding', entry.subject, entry.condition, entry.severity]),
  ]
  return sha256Hex(canonicalJson([status.verdict, [...new Set(entries.map((entry) => canonicalJson(entry)))].sort()]))
}

function summaryOf(finding: Finding) {
  return { subject: finding.subject, condition: finding.condition, severity: finding.severity, reason: finding.reason }
}

function countBySeverity(entries: readonly { readonly severity: Severity }[]): Record<Severity, number> {
  const counts: Record<Severity, number> = { ok: 0, warning: 0, critical: 0, unknown: 0 }
  for (const entry of entries) counts[entry.severity] += 1
  return counts
}
