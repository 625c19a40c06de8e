/**
 * What every judge of a pass works with: the runbooks, what was seen on each host with that host's own clock and zone,
 * last pass's memory, and the place where rows and findings are gathered.
 */
import type { OpenEnrollment } from '../enroll/open.js'
import type { Host, RunbookSet } from '../estate.js'
import type { DirectorySeen, HostObservation, Reading } from '../observation.js'
import { normaliseFolder } from '../probe/plan.js'
import type { ConnectionReason, Finding, GuestStatus, HostStatus, Instant, JobStatus, Severity, StorageStatus, TargetStatus } from '../status.js'
import type { JudgeMemory, MemoryDraft } from './memory.js'
import { isZone } from './zone.js'

/** More than this between host and worker is a finding; less is ordinary drift of machines without a good time source. */
export const CLOCK_SKEW_LIMIT_SECONDS = 60

export interface HostView {
  readonly host: Host
  readonly subject: string
  readonly seen: HostObservation | null
  /** The host answered. */
  readonly up: boolean
  readonly reason: ConnectionReason | 'ok' | 'not_looked_at'
  /** The host's own clock at the moment of judging, seconds since the epoch. */
  readonly clockSeconds: number
  readonly skewSeconds: number | null
  /** The host's own zone where it told one that the runtime knows, else the estate's. */
  readonly zone: string
}

export interface Pass {
  readonly runbooks: RunbookSet
  readonly nowSeconds: number
  readonly now: Instant
  readonly hosts: ReadonlyMap<string, HostView>
  readonly memory: JudgeMemory
  /** Guests whose first scheduled artifact a run waits for. */
  readonly enrollments: readonly OpenEnrollment[]
  readonly draft: MemoryDraft
  readonly findings: Finding[]
}

export interface Rows {
  targets: TargetStatus[]
  guests: GuestStatus[]
  jobs: JobStatus[]
  storages: StorageStatus[]
  hosts: HostStatus[]
}

export const subjectOf = (site: string, kind: 'target' | 'guest' | 'job' | 'storage' | 'host' | 'monitor' | 'delivery', id: string): string =>
  `${site}/${kind}/${id}`

export function viewHosts(runbooks: RunbookSet, observations: readonly HostObservation[], nowSeconds: number): Map<string, HostView> {
  const seenBy = new Map<string, HostObservation>()
  // two observations of one host cannot be; were there two, the later one counts, whatever their order
  for (const seen of observations) {
    const other = seenBy.get(seen.host)
    if (!other || other.finishedAt < seen.finishedAt) seenBy.set(seen.host, seen)
  }
  return new Map(runbooks.estate.hosts.map((host) => [host.name, viewHost(runbooks, host, seenBy.get(host.name) ?? null, nowSeconds)]))
}

function viewHost(runbooks: RunbookSet, host: Host, seen: HostObservation | null, nowSeconds: number): HostView {
  const clock = seen?.clock?.ok ? seen.clock.value : null
  // a skew smaller than its own measuring error is none: ages then are exact by the worker's clock
  const skew = clock && Math.abs(clock.skewSeconds) > Math.max(1, clock.uncertaintySeconds) ? clock.skewSeconds : 0
  const zone = clock?.zone && isZone(clock.zone) ? clock.zone : runbooks.estate.timezone
  return {
    host,
    subject: subjectOf(host.site, 'host', host.name),
    seen,
    up: seen?.outcome.ok === true,
    reason: seen === null ? 'not_looked_at' : seen.outcome.ok ? 'ok' : seen.outcome.reason,
    clockSeconds: nowSeconds + skew,
    skewSeconds: clock?.skewSeconds ?? null,
    zone,
  }
}

/** The reading of a folder on a host, whichever kind of listing it came from. */
export function directoryOf(view: HostView, basePath: string, vzdump: boolean): { reading: Reading<DirectorySeen>; globs: readonly string[] } | null {
  const path = normaliseFolder(basePath)
  const found = view.seen?.directories.find((entry) => normaliseFolder(entry.basePath) === path && entry.vzdump === vzdump)
  return found ? { reading: found.reading, globs: found.globs } : null
}

export const isoOf = (seconds: number): Instant => new Date(Math.round(seconds * 1000)).toISOString()

/** The operator's governance band by age; shown, never a verdict. */
export function bandOf(ageSeconds: number | null): 'OK' | 'WARNING' | 'CRITICAL' | null {
  if (ageSeconds === null) return null
  if (ageSeconds < 24 * 3600) return 'OK'
  return ageSeconds <= 48 * 3600 ? 'WARNING' : 'CRITICAL'
}

/** Severity of a state by design: broken promises of rebuildable things are warnings. */
export function severityOf(state: TargetStatus['state'], rebuildable: boolean): Severity {
  switch (state) {
    case 'OK':
      return 'ok'
    case 'LATE':
    case 'DISABLED':
      return 'warning'
    case 'UNKNOWN':
      return 'unknown'
    default:
      return rebuildable ? 'warning' : 'critical'
  }
}
