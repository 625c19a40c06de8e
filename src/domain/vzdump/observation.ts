/**
 * What is true on a Proxmox host about its backup jobs, guests and storages, as plain JSON of bounded size: the contract between
 * the reading (`reader.ts`) and the planner. What a change must be able to put back is kept exactly as the host told it.
 */
import type { Json } from '../change/plan.js'

/** A row of an API answer, exactly as the host told it. */
export type Row = { readonly [key: string]: Json }

/** An answer of the host, or why there is none. */
export type Answer<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly why: string }

export interface StorageNow {
  readonly id: string
  readonly type: string
  /** Storage-wide retention as the host tells it; null = not set. */
  readonly retention: Json
  readonly holdsBackups: boolean
  readonly disabled: boolean
  /** null: on every node. */
  readonly nodes: readonly string[] | null
  /** null: the host did not say. */
  readonly active: boolean | null
  readonly shared: boolean
  /** Its archives, newest first; null = not asked, for it is disabled, elsewhere, or holds no backups. */
  readonly archives: Answer<readonly ArchiveNow[]> | null
}

export interface ArchiveNow {
  readonly volid: string
  /** From the name; null where it has none. */
  readonly vmid: number | null
  readonly sizeBytes: number | null
  readonly createdSeconds: number | null
  readonly protected: boolean
}

export interface GuestNow {
  readonly vmid: number
  readonly type: 'qemu' | 'lxc'
  readonly name: string
  /** The node whose configuration folder it stands in. */
  readonly node: string
  /** `running`, `stopped`, …; null for guests of other nodes of a cluster. */
  readonly status: string | null
  readonly template: boolean
  /** VMs: a guest agent is configured. */
  readonly agent: boolean
  /** Disks and mount points that backups leave out. */
  readonly leftOut: readonly string[]
  readonly smbiosUuid: string | null
  readonly createdSeconds: number | null
}

export interface ScheduleRuns {
  readonly schedule: string
  /** The host's own next runs, seconds since the epoch. */
  readonly runs: Answer<readonly number[]>
}

export interface PruneAnswer {
  readonly storage: string
  /** As asked: `keep-last=3`; empty = the storage's own. */
  readonly options: string
  /** Archives that the host would remove, of all guests. */
  readonly removes: Answer<readonly string[]>
}

export interface VzdumpObservation {
  readonly schema: 'nightshift.vzdump-observation/1'
  readonly host: string
  readonly node: string
  /** The host's clock. */
  readonly epochSeconds: number
  readonly zone: string | null
  readonly nodes: readonly string[]
  /** Rows of `/cluster/backup`, in the host's order. */
  readonly jobs: readonly Row[]
  readonly storages: readonly StorageNow[]
  readonly guests: readonly GuestNow[]
  /** Resource pools and their direct members; null = they could not be read. */
  readonly pools: readonly { readonly id: string; readonly vmids: readonly number[] }[] | null
  readonly schedules: readonly ScheduleRuns[]
  readonly prunes: readonly PruneAnswer[]
  /** The last run of a job, by the scheduler's own state file: seconds that it took, null = never ran or still runs. */
  readonly lastRuns: readonly { readonly job: string; readonly seconds: number | null; readonly message: string | null }[]
  /** Removals of guests that the task index still knows, newest of each. */
  readonly destroyed: readonly { readonly vmid: number; readonly epochSeconds: number }[]
  /** Active lines of the old `/etc/pve/vzdump.cron`. */
  readonly legacyCronLines: readonly string[]
  /** `prune-backups` of /etc/vzdump.conf: what counts where neither job nor storage says anything. */
  readonly nodeRetention: string | null
  /** What the host said on standard error although it answered. */
  readonly remarks: readonly string[]
}

/** What the planner needs to hear beside what is always read. */
export interface VzdumpQuestions {
  readonly schedules: readonly string[]
  readonly prunes: readonly { readonly storage: string; readonly options: string }[]
}

/** `pvesh` prints booleans as 1/0, rows of `vzdump.cron` as `"1"`/`""`. */
export function isTrue(value: Json | undefined): boolean {
  return value === true || value === 'true' || (typeof value === 'number' && value !== 0) || (typeof value === 'string' && value !== '' && value !== '0')
}

/** A list of guest numbers as Proxmox stores it; leading zeros go, 0 is dropped (pve-manager PVE/VZDump.pm, get_included_guests). */
export function vmidsOf(value: Json | undefined): number[] {
  if (typeof value !== 'string' && typeof value !== 'number') return []
  const numbers = String(value)
    .split(/[\s,;]+/)
    .filter((part) => /^\d+$/.test(part))
    .map(Number)
  return [...new Set(numbers.filter((vmid) => vmid > 0))].sort((a, b) => a - b)
}

/** A row that comes from `vzdump.cron`: its id is the SHA-1 of the whole file and a number, and changes with the file. */
export function isLegacyCron(job: Row): boolean {
  return /^[0-9a-f]{40}:\d+$/.test(String(job.id))
}
