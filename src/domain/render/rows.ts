/** The status document as rows to show: one kind of row for targets, guests, jobs, storages and hosts, grouped by site and host, worst first. */
import type { Finding, Severity, State, StatusDocument } from '../status.js'
import { worstSeverity } from '../status.js'
import { inert } from './inert.js'
import { ageOfLimit, duration, instant, size } from './quantities.js'

export type RowKind = 'host' | 'storage' | 'job' | 'guest' | 'target'

/** All texts are inert already. */
export interface Row {
  readonly kind: RowKind
  readonly name: string
  /** Empty for a finding that is about something other than the state of the thing. */
  readonly state: State | ''
  readonly reason: string
  readonly severity: Severity
  /** Age and limit, free space, next run: what there is to measure. Empty when nothing is. */
  readonly measure: string
  /** The true cause in a sentence; null when another row tells it (`mark` says which). */
  readonly cause: string | null
  readonly next: string | null
  /** Silenced, inhibited. Empty when neither. */
  readonly mark: string
}

export interface HostGroup {
  readonly host: string
  readonly node: string | null
  readonly worst: Severity
  readonly rows: readonly Row[]
}

export interface SiteGroup {
  readonly site: string
  readonly worst: Severity
  readonly hosts: readonly HostGroup[]
}

export interface ExtraFinding {
  readonly subject: string
  readonly severity: Severity
  readonly reason: string
  readonly message: string
  readonly next: string | null
}

export interface StatusRows {
  readonly sites: readonly SiteGroup[]
  /** Findings that belong to no host: about the monitor itself, the runbook files. Worst first. */
  readonly extra: readonly ExtraFinding[]
  readonly counts: Readonly<Record<Severity, number>>
}

const SEVERITY_RANK: Readonly<Record<Severity, number>> = { critical: 0, unknown: 1, warning: 2, ok: 3 }
const KIND_RANK: Readonly<Record<RowKind, number>> = { host: 0, storage: 1, job: 2, guest: 3, target: 4 }

/** Arranges a document for showing. Nothing is lost: every entry is a row, every finding is told by a row or is in `extra`. */
export function statusRows(document: StatusDocument): StatusRows {
  const placed: { readonly site: string; readonly host: string; readonly row: Row }[] = [
    ...document.hosts.map((entry) => ({ ...placeOf(entry), row: row('host', entry.host, entry, clockMeasure(entry.clockSkewSeconds)) })),
    ...document.storages.map((entry) => ({
      ...placeOf(entry),
      row: row('storage', entry.id, entry, entry.freeBytes === null ? '' : `${size(entry.freeBytes)} free`),
    })),
    ...document.jobs.map((entry) => ({
      ...placeOf(entry),
      row: row('job', entry.id, entry, entry.nextRunAt === null ? '' : `next ${instant(entry.nextRunAt)}`),
    })),
    ...document.guests.map((entry) => ({ ...placeOf(entry), row: row('guest', `${entry.vmid} ${entry.name}`, entry, entry.type === 'lxc' ? 'CT' : 'VM') })),
    ...document.targets.map((entry) => ({ ...placeOf(entry), row: targetRow(entry) })),
  ]
  const extra: ExtraFinding[] = []
  const entries = entriesBySubject(document)
  for (const finding of document.findings.filter((each) => !isTold(each, entries))) {
    const place = placeOfFinding(finding.subject, document)
    if (place === undefined) extra.push(extraFinding(finding))
    else placed.push({ site: place.site, host: place.host, row: findingRow(finding, place) })
  }
  const nodes = new Map(document.hosts.map((host) => [`${host.site}\n${host.host}`, host.node]))
  const sites = [...groupBy(placed, (entry) => entry.site)].map(([site, ofSite]) => {
    const hosts = [...groupBy(ofSite, (entry) => entry.host)].map(([host, ofHost]) => {
      const rows = ofHost.map((entry) => entry.row).sort(byUrgency)
      const node = nodes.get(`${site}\n${host}`) ?? null
      return { host: inert(host), node: node === null ? null : inert(node), worst: worstSeverity(rows.map((each) => each.severity)), rows }
    })
    return { site: inert(site), worst: worstSeverity(hosts.map((host) => host.worst)), hosts: hosts.sort((a, b) => byWorst(a, b) || compare(a.host, b.host)) }
  })
  const counts: Record<Severity, number> = { critical: 0, unknown: 0, warning: 0, ok: 0 }
  for (const { row: each } of placed) counts[each.severity] += 1
  extra.sort((a, b) => SEVERITY_RANK[a.severity] - SEVERITY_RANK[b.severity] || compare(a.subject, b.subject))
  for (const finding of extra) counts[finding.severity] += 1
  return { sites: sites.sort((a, b) => byWorst(a, b) || compare(a.site, b.site)), extra, counts }
}

/** `2 critical, 1 unknown, 3 warnings, 40 ok`; kinds that do not occur are left out, `ok` never is. */
export function countsInWords(counts: Readonly<Record<Severity, number>>): string {
  const parts = (['critical', 'unknown', 'warning'] as const).filter((severity) => counts[severity] > 0).map((severity) => `${counts[severity]} ${severity}`)
  return [...parts, `${counts.ok} ok`].join(', ')
}

interface Place {
  readonly site: string
  readonly host: string
  readonly kind: RowKind
  readonly id: string
}

/** Everything that is judged, by the subject that findings name it with. */
function entriesBySubject(document: StatusDocument): Map<string, Judged> {
  return new Map<string, Judged>([
    ...document.targets.map((entry): [string, Judged] => [`${entry.site}/target/${entry.id}`, entry]),
    ...document.guests.map((entry): [string, Judged] => [`${entry.site}/guest/${entry.host}/${entry.vmid}`, entry]),
    ...document.jobs.map((entry): [string, Judged] => [`${entry.site}/job/${entry.host}/${entry.id}`, entry]),
    ...document.storages.map((entry): [string, Judged] => [`${entry.site}/storage/${entry.host}/${entry.id}`, entry]),
    ...document.hosts.map((entry): [string, Judged] => [`${entry.site}/host/${entry.host}`, entry]),
  ])
}

/** Whether the row of its subject says the same already. A finding stands alone in a mail, so it may name its subject before the words of the entry. */
function isTold(finding: Finding, entries: ReadonlyMap<string, Judged>): boolean {
  const entry = entries.get(finding.subject)
  return entry !== undefined && entry.severity !== 'ok' && finding.message.endsWith(entry.message)
}

/** Under which host a finding belongs: subjects are `site/target/NAME`, `site/host/HOST` and `site/{guest,job,storage}/HOST/ID`. */
function placeOfFinding(subject: string, document: StatusDocument): Place | undefined {
  const [site = '', kind = '', ...rest] = subject.split('/')
  const id = rest.join('/')
  if (kind === 'target') {
    const target = document.targets.find((entry) => entry.site === site && entry.id === id)
    return target === undefined ? undefined : { site, host: target.host, kind, id }
  }
  const host = document.hosts.find((entry) => entry.site === site && (entry.host === id || id.startsWith(`${entry.host}/`)))?.host
  if (host === undefined) return undefined
  if (kind === 'host' && host === id) return { site, host, kind, id }
  if (kind === 'guest' || kind === 'job' || kind === 'storage') return { site, host, kind, id: id.slice(host.length + 1) }
  return undefined
}

function findingRow(finding: Finding, place: Place): Row {
  const { reason, severity, message, next } = extraFinding(finding)
  return { kind: place.kind, name: inert(place.id), state: '', reason, severity, measure: reason.replaceAll('_', ' '), cause: message, next, mark: '' }
}

interface Judged {
  readonly state: State
  readonly reason: string
  readonly severity: Severity
  readonly message: string
  readonly next: string | null
}

function row(kind: RowKind, name: string, entry: Judged, measure: string): Row {
  return {
    kind,
    name: inert(name),
    state: entry.state,
    reason: inert(entry.reason),
    severity: entry.severity,
    measure,
    cause: inert(entry.message),
    next: entry.next === null ? null : inert(entry.next),
    mark: '',
  }
}

function targetRow(entry: StatusDocument['targets'][number]): Row {
  const plain = row('target', entry.id, entry, entry.enabled ? targetMeasure(entry) : '')
  const marks = [
    entry.inhibitedBy === null ? '' : `because of ${inert(entry.inhibitedBy)}`,
    entry.silencedUntil === null ? '' : `silenced until ${instant(entry.silencedUntil)}`,
  ].filter((mark) => mark !== '')
  return { ...plain, cause: entry.inhibitedBy === null ? plain.cause : null, next: entry.inhibitedBy === null ? plain.next : null, mark: marks.join(', ') }
}

function targetMeasure(entry: StatusDocument['targets'][number]): string {
  const age = ageOfLimit(entry.ageSeconds, entry.limitSeconds)
  if (entry.severity === 'ok') return entry.artifact === null ? age : `${age}, ${size(entry.artifact.sizeBytes)}`
  return entry.lastGood === null || entry.lastGood.ageSeconds === entry.ageSeconds ? age : `${age}, last good ${duration(entry.lastGood.ageSeconds)} old`
}

function clockMeasure(skewSeconds: number | null): string {
  return skewSeconds === null || Math.abs(skewSeconds) < 2 ? '' : `clock ${duration(Math.abs(skewSeconds))} ${skewSeconds > 0 ? 'ahead' : 'behind'}`
}

function extraFinding(finding: Finding): ExtraFinding {
  return {
    subject: inert(finding.subject),
    severity: finding.severity,
    reason: inert(finding.reason),
    message: inert(finding.message),
    next: finding.next === null ? null : inert(finding.next),
  }
}

function placeOf(entry: { readonly site: string; readonly host: string }): { site: string; host: string } {
  return { site: entry.site, host: entry.host }
}

function byUrgency(a: Row, b: Row): number {
  return SEVERITY_RANK[a.severity] - SEVERITY_RANK[b.severity] || KIND_RANK[a.kind] - KIND_RANK[b.kind] || compare(a.name, b.name)
}

function byWorst(a: { readonly worst: Severity }, b: { readonly worst: Severity }): number {
  return SEVERITY_RANK[a.worst] - SEVERITY_RANK[b.worst]
}

function compare(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true })
}

function groupBy<T>(items: readonly T[], key: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const group = groups.get(key(item))
    if (group === undefined) groups.set(key(item), [item])
    else group.push(item)
  }
  return groups
}
