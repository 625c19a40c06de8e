/**
 * What a pass of the monitor tells the desk: made from the status document and from what was told before. What is gone is `closed` only when it was looked at;
 * what could not be looked at is `held`. Pure.
 */
import type { RunbookSet } from '../estate.js'
import { instantOf, localTime } from '../judge/zone.js'
import type { Finding, Severity, StatusDocument } from '../status.js'
import { contractOf } from './contract.js'
import { setDigest } from './receive.js'
import { type ClosedFinding, type DeskFinding, type DeskReport, keyOf, MOST_MESSAGE_BYTES, MOST_REPORT_BYTES } from './report.js'
import { type ProofSeen, soonStaleOf } from './soon-stale.js'
import { briefText } from './text.js'

/** What a scope told the desk last: by key, so that only changes travel. */
export interface Told {
  readonly findings: Readonly<Record<string, { readonly severity: Severity; readonly reason: string; readonly atMs: number }>>
  /** Sites with too many findings: keys of those that are told as one. */
  readonly folded: Readonly<Record<string, readonly string[]>>
}

export const NOTHING_TOLD: Told = { findings: {}, folded: {} }

/** Words are told anew after this time even when nothing else changed: a repeat tomorrow shall not say how old it was today. */
const REFRESH_MS = 6 * 3_600_000
/** Told as open for the whole estate; beyond that sites are folded. What the desk says of as many fits into one message (2 MiB). */
const MOST_OPEN = 1000
const RANK: Readonly<Record<Severity, number>> = { critical: 3, unknown: 2, warning: 1, ok: 0 }

export interface MonitorReportInput {
  readonly status: StatusDocument
  readonly runbooks: RunbookSet
  readonly told: Told
  readonly hostsUnderChange: readonly string[]
  /** What is known of proofs, of every site. */
  readonly proofs: readonly ProofSeen[]
  /** Tell everything, not only what changed. */
  readonly isWhole: boolean
}

/** @returns the report, and what will have been told once the desk has it */
export function monitorReport(input: MonitorReportInput): { report: DeskReport; told: Told } {
  const { status, runbooks, told } = input
  const nowMs = Date.parse(status.takenAt)
  const { findings, folded } = fold(findingsOf(status), told, runbooks)
  const current = new Map(findings.map((finding) => [keyOf(finding), finding]))
  const closed: ClosedFinding[] = []
  const held: DeskReport['held'][number][] = []
  for (const key of Object.keys(told.findings)) {
    if (current.has(key)) continue
    const end = endOf(status, key)
    if (end.kind === 'held') held.push({ key, by: end.by, why: short(end.message) })
    else closed.push({ key, why: end.kind, message: short(end.message) })
  }
  const isFresh = (finding: DeskFinding): boolean => {
    const before = told.findings[keyOf(finding)]
    return before?.severity === finding.severity && before.reason === finding.reason && nowMs - before.atMs < REFRESH_MS
  }
  const changed = findings.filter((finding) => input.isWhole || !isFresh(finding))
  const next: Record<string, Told['findings'][string]> = {}
  for (const { key } of held) {
    const before = told.findings[key]
    if (before !== undefined) next[key] = before
  }
  for (const finding of findings) {
    const key = keyOf(finding)
    next[key] = { severity: finding.severity, reason: finding.reason, atMs: isFresh(finding) && !input.isWhole ? (told.findings[key]?.atMs ?? nowMs) : nowMs }
  }
  const report: DeskReport = {
    scope: 'monitor',
    passId: status.passId,
    takenAt: status.takenAt,
    estate: status.estate,
    rulesDigest: status.rulesDigest,
    periodSeconds: status.periodSeconds,
    contract: contractOf(runbooks.alerts),
    digestDueAt: new Date(nextTimeOfDay(nowMs / 1000, runbooks.alerts.digestTime, runbooks.estate.timezone) * 1000).toISOString(),
    changed,
    closed,
    set: toldSet(next),
    held,
    underChange: input.hostsUnderChange,
    soonStale: soonStaleOf(status, runbooks, input.proofs),
    seen: { expected: status.expected, seen: status.seen },
  }
  return { report: input.isWhole ? report : bounded(report), told: { findings: next, folded } }
}

/** Digest and size of what was told, as the desk works them out for itself. */
export function toldSet(findings: Told['findings']): DeskReport['set'] {
  const rows = Object.entries(findings).map(([key, { severity, reason }]) => ({ ...splitKey(key), severity, reason }))
  return { digest: setDigest(rows), count: rows.length }
}

/** Too big for a signal: only the frame goes, the digest then does not agree, and the desk reads the whole. */
export function bounded(report: DeskReport): DeskReport {
  return new TextEncoder().encode(JSON.stringify(report)).length <= MOST_REPORT_BYTES ? report : { ...report, changed: [], closed: [], held: [] }
}

export function splitKey(key: string): { subject: string; condition: string } {
  const at = key.lastIndexOf(' ')
  return { subject: key.slice(0, at), condition: key.slice(at + 1) }
}

const short = (text: string): string => briefText(text, MOST_MESSAGE_BYTES)

/** Findings with one identity are one: the worst decides, the others are added in words. The desk's own incidents are not told to it. */
export function mergeFindings(findings: readonly Finding[]): Finding[] {
  const merged = new Map<string, Finding>()
  for (const finding of [...findings].sort((a, b) => RANK[b.severity] - RANK[a.severity])) {
    const key = keyOf(finding)
    const before = merged.get(key)
    merged.set(key, before === undefined ? finding : { ...before, message: `${before.message}; ${finding.message}` })
  }
  return [...merged.values()]
}

function findingsOf(status: StatusDocument): DeskFinding[] {
  const targets = new Map(status.targets.map((row) => [row.id, row]))
  const takenAtMs = Date.parse(status.takenAt)
  return mergeFindings(status.findings.filter(({ reason }) => !REASONS_OF_THE_DESK.includes(reason))).map((finding) => {
    const { site, kind, id } = partsOf(finding.subject)
    const target = kind === 'target' ? targets.get(id) : undefined
    const lastGood = target?.lastGood ?? null
    return {
      subject: finding.subject,
      condition: finding.condition,
      site,
      host: hostOf(status, finding.subject, finding.condition),
      severity: finding.severity,
      reason: finding.reason,
      message: short(finding.message),
      next: finding.next === null ? null : short(finding.next),
      since: target !== undefined && finding.condition !== 'blind' && finding.condition !== 'config' ? target.since : null,
      lastGood: lastGood === null ? null : { path: short(lastGood.path), at: new Date(takenAtMs - lastGood.ageSeconds * 1000).toISOString() },
    }
  })
}

/** Findings that the status shows because the desk said so. */
export const REASONS_OF_THE_DESK: readonly string[] = ['outbox_late', 'desk_silent']

function partsOf(subject: string): { site: string; kind: string; id: string } {
  const [site = '', kind = '', ...rest] = subject.split('/')
  return { site, kind, id: rest.join('/') }
}

function hostOf(status: StatusDocument, subject: string, condition: string): string | null {
  const { kind, id } = partsOf(subject)
  if (kind === 'target') return status.targets.find((row) => row.id === id)?.host ?? null
  if (kind === 'guest' || kind === 'job' || kind === 'storage') return id.split('/')[0] ?? null
  return kind === 'host' && condition !== 'blind' ? id : null
}

type End =
  | { readonly kind: 'recovered' | 'not_watched'; readonly message: string }
  | { readonly kind: 'held'; readonly by: string | null; readonly message: string }

/** Conditions of one thing that take turns: a backup that failed is not fresh because nobody calls it stale any more. */
const ABOUT_THE_COPY = ['freshness', 'job-result', 'integrity', 'coverage']

/** What became of a finding that is not there any more. */
function endOf(status: StatusDocument, key: string): End {
  const { subject, condition } = splitKey(key)
  const { site, kind, id } = partsOf(subject)
  const hostName = kind === 'host' ? id : hostOf(status, subject, condition)
  const host = status.hosts.find((row) => row.host === hostName)
  const row = rowOf(status, kind, id)
  if (kind === 'target' && row === undefined) return { kind: 'not_watched', message: 'it is not in the inventory any more' }
  if (kind === 'host' && host === undefined) return { kind: 'not_watched', message: 'it is not in estate.yaml any more' }
  if (host !== undefined && host.state === 'UNKNOWN') {
    const cause = status.findings.find(
      (each) => each.condition === 'blind' && (each.subject === `${host.site}/host/${host.host}` || each.subject === `${host.site}/monitor/${host.site}`),
    )
    return { kind: 'held', by: cause?.subject ?? `${host.site}/host/${host.host}`, message: host.message }
  }
  if (kind === 'host') return { kind: 'recovered', message: host?.message ?? 'it answers' }
  if (row === undefined)
    return kind === 'monitor'
      ? { kind: 'recovered', message: `nothing of that kind is found about ${site} any more` }
      : { kind: 'not_watched', message: 'it is not there any more' }
  if (row.state === 'UNKNOWN') return { kind: 'held', by: row.inhibitedBy, message: row.message }
  const other = status.findings.find(
    (each) => each.subject === subject && ABOUT_THE_COPY.includes(each.condition) && !['late', 'awaiting_first_artifact'].includes(each.reason),
  )
  if (ABOUT_THE_COPY.includes(condition) && other !== undefined)
    return { kind: 'held', by: null, message: `it is not over, only called by another name now: ${other.message}` }
  if (row.state === 'DISABLED') return { kind: 'not_watched', message: row.message }
  return { kind: 'recovered', message: row.message }
}

interface Row {
  readonly state: string
  readonly message: string
  readonly inhibitedBy: string | null
}

function rowOf(status: StatusDocument, kind: string, id: string): Row | undefined {
  const plain = (row: { state: string; message: string } | undefined): Row | undefined => row && { state: row.state, message: row.message, inhibitedBy: null }
  if (kind === 'target') return status.targets.find((row) => row.id === id)
  if (kind === 'guest') return plain(status.guests.find((row) => `${row.host}/${row.vmid}` === id))
  if (kind === 'job') return plain(status.jobs.find((row) => `${row.host}/${row.id}` === id))
  if (kind === 'storage') return plain(status.storages.find((row) => `${row.host}/${row.id}` === id))
  return undefined
}

/**
 * More findings of one site than anybody reads become one. What was told by itself stays so until it is over; what was folded stays folded until it is gone,
 * so that a storm that passes does not open each of its members on its way out.
 */
function fold(findings: readonly DeskFinding[], told: Told, runbooks: RunbookSet): { findings: DeskFinding[]; folded: Told['folded'] } {
  const sites = [...new Set(findings.map(({ site }) => site))]
  const most = Math.max(1, Math.min(runbooks.alerts.limits.openPerSite, Math.floor(MOST_OPEN / Math.max(1, sites.length))))
  const kept: DeskFinding[] = []
  const folded: Record<string, readonly string[]> = {}
  for (const site of sites) {
    const here = findings.filter((finding) => finding.site === site)
    const before = new Set(told.folded[site] ?? [])
    const isTold = (finding: DeskFinding): boolean => told.findings[keyOf(finding)] !== undefined
    const isFolding = here.some((finding) => before.has(keyOf(finding))) || here.length > most
    if (!isFolding) {
      kept.push(...here)
      continue
    }
    const alone = here.filter(isTold).slice(0, most)
    const others = here.filter((finding) => !alone.includes(finding)).sort((a, b) => RANK[b.severity] - RANK[a.severity] || (keyOf(a) < keyOf(b) ? -1 : 1))
    const room = before.size > 0 ? 0 : Math.max(0, most - alone.length)
    kept.push(...alone, ...others.slice(0, room))
    const rest = others.slice(room)
    const [worst] = rest
    if (worst === undefined) continue
    folded[site] = rest.map(keyOf)
    kept.push({
      subject: `${site}/monitor/folded`,
      condition: 'coverage',
      site,
      host: null,
      severity: worst.severity,
      reason: 'too_many',
      message: short(`${rest.length} more things are wrong at ${site} than are told one by one, the worst: ${worst.message}`),
      next: 'nightshift status shows all of them',
      since: null,
      lastGood: null,
    })
  }
  return { findings: kept, folded }
}

/** The next instant at which clocks of `zone` show `time` (HH:MM), seconds since the epoch. */
export function nextTimeOfDay(nowSeconds: number, time: string, zone: string): number {
  const [hour = 0, minute = 0] = time.split(':').map(Number)
  const today = localTime(nowSeconds, zone)
  for (let days = 0; ; days++) {
    const date = new Date(Date.UTC(today.year, today.month - 1, today.day + days))
    const at = instantOf({ year: date.getUTCFullYear(), month: date.getUTCMonth() + 1, day: date.getUTCDate(), hour, minute, second: 0 }, zone)
    if (at > nowSeconds) return at
  }
}
