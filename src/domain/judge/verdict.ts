/** Puts the rows together: what was expected and seen, whether the monitor itself failed, the worst of all, a fixed order. */
import type { Finding, Severity, StatusDocument } from '../status.js'
import { worstSeverity } from '../status.js'
import type { JudgeInput } from './index.js'
import type { GuestMemory, JobMemory, JudgeMemory, TargetMemory } from './memory.js'
import type { Pass, Rows } from './pass.js'
import { subjectOf } from './pass.js'
import { report } from './report.js'
import type { JudgedTarget } from './targets.js'

const RANK: Readonly<Record<Severity, number>> = { critical: 0, unknown: 1, warning: 2, ok: 3 }
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

export function concludePass(
  pass: Pass,
  input: JudgeInput,
  rows: Omit<Rows, 'targets'> & { targets: readonly JudgedTarget[] },
): { status: StatusDocument; memory: JudgeMemory } {
  const enabled = rows.targets.filter(({ row }) => row.enabled)
  const seen = enabled.filter(({ looked }) => looked).length
  judgeMonitor(pass, enabled.length, seen)
  const targets = rows.targets.map(({ row }) => row)
  const findings = sortFindings(pass.findings)
  const everything: { severity: Severity }[] = [...targets, ...rows.guests, ...rows.jobs, ...rows.storages, ...rows.hosts, ...findings]
  const { estate } = pass.runbooks
  return {
    status: {
      schema: 'nightshift.status/1',
      estate: estate.id,
      takenAt: pass.now,
      ...input.pass,
      rulesDigest: pass.runbooks.digest,
      periodSeconds: estate.monitor.periodSeconds,
      stale: false,
      verdict: worstSeverity(everything.map(({ severity }) => severity)),
      expected: enabled.length,
      seen,
      targets: targets.sort((a, b) => compare(a.id, b.id)),
      guests: rows.guests.sort((a, b) => compare(a.host, b.host) || a.vmid - b.vmid),
      jobs: rows.jobs.sort((a, b) => compare(a.host, b.host) || compare(a.id, b.id)),
      storages: rows.storages.sort((a, b) => compare(a.host, b.host) || compare(a.id, b.id)),
      hosts: rows.hosts.sort((a, b) => compare(a.host, b.host)),
      findings,
    },
    memory: boundedMemory(pass),
  }
}

/** "Nothing seen" is never green: no enabled target, or none of them seen, is a failure of the monitor itself (I12). */
function judgeMonitor(pass: Pass, expected: number, seen: number): void {
  const { id } = pass.runbooks.estate
  const subject = subjectOf(id, 'monitor', id)
  if (expected === 0) {
    report(pass, subject, 'blind', {
      reason: 'nothing_enabled',
      severity: 'unknown',
      message: 'the inventory has no enabled target, so nothing is watched',
      next: 'enable targets in inventory.yaml',
    })
  } else if (seen === 0) {
    report(pass, subject, 'blind', {
      reason: 'nothing_seen',
      severity: 'unknown',
      message: `0 of ${expected} enabled targets could be looked at: the monitor itself is blind`,
      next: 'run nightshift doctor',
    })
  }
}

/** Worst first, then by subject; the same finding said twice is said once. */
function sortFindings(findings: readonly Finding[]): Finding[] {
  const unique = new Map(findings.map((finding) => [`${finding.subject}\n${finding.condition}\n${finding.reason}\n${finding.message}`, finding]))
  return [...unique.values()].sort(
    (a, b) =>
      RANK[a.severity] - RANK[b.severity] ||
      compare(a.subject, b.subject) ||
      compare(a.condition, b.condition) ||
      compare(a.reason, b.reason) ||
      compare(a.message, b.message),
  )
}

/** In a fixed order, so that the same pass gives the same bytes; only what the runbooks and hosts of this pass know stays. */
function boundedMemory(pass: Pass): JudgeMemory {
  const { targets, guests, jobs, hosts } = pass.draft
  const sorted = <T>(record: Record<string, T>): Record<string, T> => Object.fromEntries(Object.entries(record).sort(([a], [b]) => compare(a, b)))
  return JSON.parse(
    JSON.stringify({
      version: 1,
      targets: sorted<TargetMemory>(targets),
      guests: sorted<GuestMemory>(guests),
      jobs: sorted<JobMemory>(jobs),
      hosts: sorted(hosts),
    }),
  ) as JudgeMemory
}
