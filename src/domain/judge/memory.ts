/**
 * What the judge keeps from pass to pass: usual sizes and durations, when a job was next due, since when a state lasts.
 * Plain JSON, bounded. Losing it is safe: nothing turns green for lack of memory.
 */
import type { Instant } from '../status.js'

export interface TargetMemory {
  readonly state: string
  readonly reason: string
  readonly since: Instant
  /** Newest artifact that was ever judged good: its path and mtime (seconds). */
  readonly lastGood?: { readonly path: string; readonly mtime: number }
  /** Sizes of good artifacts by series (a guest, or the target), oldest first, each with its mtime so that it counts once. */
  readonly sizes?: Readonly<Record<string, readonly (readonly [mtime: number, bytes: number])[]>>
}

export interface GuestMemory {
  readonly name: string
  readonly type: 'qemu' | 'lxc'
  /** smbios UUID as first seen, and since when another one than before. */
  readonly incarnation?: { readonly id: string; readonly since: number }
  /** The first due time after the guest was first seen in an enabled job without an artifact. */
  readonly firstDueAt?: number
  readonly sawArtifact?: boolean
}

export interface JobMemory {
  /** The next run that the host last told. */
  readonly nextRunAt?: number
  /** The latest run time that has passed by the host's own earlier word. */
  readonly lastDueAt?: number
  readonly schedule?: string
  /** Seconds, oldest first. */
  readonly durations?: readonly number[]
  /** UPIDs that `durations` already holds. */
  readonly counted?: readonly string[]
}

export interface HostMemory {
  readonly storages: readonly string[]
}

export interface JudgeMemory {
  readonly version: 1
  readonly targets: Readonly<Record<string, TargetMemory>>
  /** Key: `host/vmid`. */
  readonly guests: Readonly<Record<string, GuestMemory>>
  /** Key: `host/job id`. */
  readonly jobs: Readonly<Record<string, JobMemory>>
  readonly hosts: Readonly<Record<string, HostMemory>>
}

/** Being written during a pass. */
export interface MemoryDraft {
  targets: Record<string, TargetMemory>
  guests: Record<string, GuestMemory>
  jobs: Record<string, JobMemory>
  hosts: Record<string, HostMemory>
}

export const MOST_SIZES = 14
export const MOST_DURATIONS = 20

export function emptyMemory(): JudgeMemory {
  return { version: 1, targets: {}, guests: {}, jobs: {}, hosts: {} }
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

/** Memory of an unknown shape (lost, older, damaged) counts as none. */
export function readMemory(value: unknown): JudgeMemory {
  if (!isRecord(value) || value.version !== 1) return emptyMemory()
  const { targets, guests, jobs, hosts } = value
  if (!isRecord(targets) || !isRecord(guests) || !isRecord(jobs) || !isRecord(hosts)) return emptyMemory()
  return value as unknown as JudgeMemory
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}

/** Nearest-rank percentile, 0 < share ≤ 1; of an empty list 0. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))] ?? 0
}
