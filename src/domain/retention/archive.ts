/** What the retention rule knows of one archive, of one guest's archives on one storage, and what it decides. Pure data. */
import type { Classification } from '../estate.js'
import type { Retention } from '../vzdump-runbook.js'

/** What the host answered for an archive under one set of options (pve-storage PVE/Storage.pm prune_mark_backup_group); null = it did not name it. */
export type HostMark = 'keep' | 'remove' | 'protected' | 'renamed'

/** The answer to one question "what would these options remove?", for one archive. */
export interface MarkUnder {
  /** Whose options: `job backup-pve-daily`, `storage tank-backups`. */
  readonly of: string
  readonly options: Retention
  /** null: the host did not name this archive; a reason: it could not be asked. */
  readonly mark: HostMark | null
  readonly unanswered?: string
}

export interface Archive {
  readonly volid: string
  /** Absolute, on the host. */
  readonly path: string
  readonly sizeBytes: number
  /** mtime, whole seconds since the epoch. */
  readonly modifiedAtSeconds: number
  /** When the backup began, from its name in the host's zone; its mtime where the name tells nothing. */
  readonly startedSeconds: number
  readonly isProtected: boolean
  /** `vzdump-TYPE-VMID-DATE.EXT`, and nothing else. */
  readonly hasStandardName: boolean
  /** Begun before the guest that has the number now existed. */
  readonly isOfEarlierGuest: boolean
  /** Why it does not count as complete (no finished log, smaller than its log says, empty), in one sentence. */
  readonly incomplete: string | null
  /** Why it is not the file that is on record (another size or time than listed, or than when it was proven). */
  readonly altered: string | null
  /** 2 and more: it was read to its end and is proven. */
  readonly proofLevel: number
  readonly provenAt: string | null
  /** It was read and found damaged. */
  readonly isDamaged: boolean
  readonly marks: readonly MarkUnder[]
}

/** The archives of one guest on one storage. An earlier guest with the same number is a group of its own. */
export interface GuestArchives {
  readonly storage: string
  readonly vmid: number | null
  readonly name: string | null
  /** `earlier`: of an earlier guest with this number; `gone`: no guest has this number. */
  readonly guest: 'present' | 'earlier' | 'gone' | 'unknown'
  readonly classification: Classification
  /** K: fewest proven archives that are ever left. */
  readonly provenCopies: number
  /** What the jobs or the storage keep, in words: `keep-last=2 (job backup-pve-daily)`. */
  readonly wantedInWords: string
  /** Most archives that those options keep; null = all. */
  readonly wanted: number | null
  /** A backup of this guest is at work; null = nobody can tell. */
  readonly isRunning: boolean | null
  /** The archives of a guest that is gone are kept: until when, or for want of a decision. */
  readonly heldBack: string | null
  readonly archives: readonly Archive[]
}

export type Why =
  | 'remove'
  | 'host_keeps'
  | 'host_not_asked'
  | 'protected'
  | 'renamed'
  | 'newest_proven'
  | 'proven_copies'
  | 'too_few_proven'
  | 'unfinished'
  | 'altered'
  | 'running'
  | 'held_back'
  | 'not_selected'
  | 'next_run'

export interface Decision {
  readonly archive: Archive
  readonly removes: boolean
  readonly why: Why
  /** One sentence: why it stays, or goes. */
  readonly sentence: string
}

/** The level from which an archive counts as proven: it was read to its end. */
export const PROVEN_LEVEL = 2

export const isProven = (archive: Archive): boolean => archive.proofLevel >= PROVEN_LEVEL && archive.altered === null && !archive.isDamaged
