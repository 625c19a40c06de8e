/**
 * What one pass saw on one host, as plain JSON of bounded size: the contract between the probe (which reads) and the judge
 * (which decides). Whatever could not be read says so itself, with a reason; nothing is ever silently left out.
 */
import type { HostKind } from './estate.js'
import type { ConnectionReason, Instant } from './status.js'

/** Why a single thing could not be read although the host answered. */
export type UnreadCode = 'failed' | 'timed_out' | 'truncated' | 'unparseable' | 'not_asked'

/** A value, or why there is none. `remark` is what the command wrote to standard error although it succeeded. */
export type Reading<T> =
  | { readonly ok: true; readonly value: T; readonly remark?: string }
  | { readonly ok: false; readonly code: UnreadCode; readonly why: string }

// ---------------------------------------------------------------------------------------------------- what is asked

/** A folder and the patterns of the targets in it; one reading serves all of them. */
export interface DirectoryPlan {
  readonly id: string
  readonly basePath: string
  /** Shell patterns relative to `basePath`, one for each target. */
  readonly globs: readonly string[]
  /** Holds vzdump archives: listed by guest, with the files vzdump puts beside an archive. */
  readonly vzdump: boolean
}

/** A producer that lives on this host. `id` is its index within the plan; several targets may share one. */
export type ProducerPlan =
  | { readonly id: string; readonly kind: 'cron'; readonly match: string }
  | { readonly id: string; readonly kind: 'timer'; readonly unit: string }
  | { readonly id: string; readonly kind: 'transfer'; readonly match: string; readonly destination: string }

/** Everything that one command reads on one host. */
export interface HostProbePlan {
  readonly host: string
  readonly site: string
  readonly kind: HostKind
  readonly sshAlias: string
  readonly sudo: boolean
  readonly deadlineMs: number
  readonly directories: readonly DirectoryPlan[]
  readonly producers: readonly ProducerPlan[]
  /** On Proxmox hosts: the node name that `estate.yaml` declares, and the job whose schedule and runs matter most, where one does. */
  readonly proxmox: { readonly node: string; readonly job?: string } | null
}

// ---------------------------------------------------------------------------------------------------- what was seen

export interface ClockReading {
  /** Host's clock at the end of the reading, seconds since the epoch. */
  readonly epochSeconds: number
  /** Host's clock minus the worker's, seconds, at the mid-point of what is possible. */
  readonly skewSeconds: number
  /** The true skew lies within ± this many seconds of `skewSeconds`. */
  readonly uncertaintySeconds: number
  /** `+HHMM` as `date +%z` prints it. */
  readonly utcOffset: string
  /** IANA name where the host tells it. */
  readonly zone: string | null
}

export interface FileSeen {
  /** Relative to the folder; control characters are shown as `\n`, `\xNN`, never raw. */
  readonly name: string
  readonly sizeBytes: number
  /** Whole seconds since the epoch, by the host's clock. */
  readonly mtimeSeconds: number
  readonly type: 'file' | 'directory' | 'other'
  /** Which of the plan's patterns the shell found it by; -1 in vzdump folders, which are listed whole. */
  readonly glob: number
}

/** How many files a family (a pattern, or a vzdump guest and file kind) has when not all of them are listed. */
export interface FamilyCount {
  readonly family: string
  readonly count: number
}

/** Lines of a log that carry a verdict or its cause, cut to a bounded length. */
export interface LogExcerpt {
  /** File name of a per-guest log, or UPID of a task. */
  readonly name: string
  readonly lines: readonly string[]
}

export interface DirectorySeen {
  readonly state: 'present' | 'missing' | 'unreadable' | 'not_a_directory'
  /** Newest first, at most 40 of each family. */
  readonly files: readonly FileSeen[]
  /** Temporary names beside the targets' files: rsync's, `*.tmp`, `*.part`. Newest first. */
  readonly temporary: readonly FileSeen[]
  readonly counts: readonly FamilyCount[]
  /** Names that were there and could not be looked at (gone meanwhile, or dangling links). */
  readonly unlooked: number
  readonly freeBytes: number | null
  readonly totalBytes: number | null
  readonly mountPoint: string | null
  /** The newest three logs of each guest; one without lines was read and holds nothing telling. */
  readonly logs: readonly LogExcerpt[]
}

export interface DirectoryObservation {
  /** Id within the plan, or `x0`… for dump folders that only the host's storage configuration names. */
  readonly id: string
  readonly basePath: string
  readonly vzdump: boolean
  /** The plan's patterns; `FileSeen.glob` is an index into them. */
  readonly globs: readonly string[]
  readonly reading: Reading<DirectorySeen>
}

export interface ProducerSeen {
  /** Cron: how many active lines contain the words. Transfer: likewise. Timer: 1 when the unit is active, else 0. */
  readonly lines: number
  /** Timer: what systemd says (`active`, `inactive`, `not-found`, …). */
  readonly unitState?: string
  /** Transfer: whether the source's own key opened the destination, and if not, what ssh said. */
  readonly ssh?: { readonly ok: boolean; readonly exitCode: number; readonly said: string }
}

export interface ProducerObservation {
  readonly id: string
  readonly reading: Reading<ProducerSeen>
}

export interface Mount {
  readonly device: string
  readonly path: string
  readonly type: string
}

/** One row of `/cluster/backup`; only what the judge uses. */
export interface JobSeen {
  readonly id: string
  readonly enabled: boolean
  readonly schedule: string | null
  readonly nextRunSeconds: number | null
  readonly vmids: readonly number[] | null
  readonly all: boolean
  readonly exclude: readonly number[]
  readonly pool: string | null
  readonly node: string | null
  readonly storage: string | null
  readonly dumpdir: string | null
  readonly pruneBackups: Readonly<Record<string, string>> | null
  readonly comment: string | null
  /** From the old `/etc/pve/vzdump.cron`: its id changes whenever that file changes. */
  readonly legacyCron: boolean
}

export interface GuestSeen {
  readonly vmid: number
  readonly type: 'qemu' | 'lxc'
  readonly name: string
  readonly status: string
  readonly template: boolean
  readonly lock: string | null
}

/** Lines of a guest's configuration file (main section only). */
export interface GuestConfig {
  readonly vmid: number
  readonly type: 'qemu' | 'lxc'
  readonly node: string
  readonly name: string | null
  readonly smbiosUuid: string | null
  /** `meta: …,ctime=N`: when this guest was created (kept by restores). */
  readonly createdSeconds: number | null
  readonly lock: string | null
  readonly template: boolean
  readonly agent: boolean
}

export interface StorageConfig {
  readonly id: string
  readonly type: string
  readonly path: string | null
  readonly content: string
  readonly disabled: boolean
  readonly isMountpoint: string | null
  readonly nodes: readonly string[] | null
  readonly pruneBackups: Readonly<Record<string, string>> | null
  readonly shared: boolean
}

export interface StorageState {
  readonly id: string
  readonly type: string
  readonly active: boolean
  readonly enabled: boolean
  readonly content: string
  readonly availBytes: number | null
  readonly totalBytes: number | null
}

export interface TaskSeen {
  readonly upid: string
  /** VMID when the run covers exactly one guest, else empty. */
  readonly guest: string
  readonly startSeconds: number
  readonly endSeconds: number | null
  /** `OK`, `WARNINGS: n`, `RUNNING`, `unexpected status`, or the error. */
  readonly status: string
  readonly user: string
}

/** `/var/lib/pve-manager/jobs/vzdump-ID.json`: the only tie of a task to a job. */
export interface JobStateFile {
  readonly jobId: string
  readonly state: string
  readonly upid: string | null
  readonly message: string | null
  readonly updatedSeconds: number | null
}

export interface ScheduleSeen {
  readonly schedule: string
  /** The host's own next runs, seconds since the epoch. */
  readonly runs: Reading<readonly number[]>
}

export interface PoolSeen {
  readonly id: string
  readonly vmids: readonly number[]
}

export interface CreationSeen {
  readonly vmid: number
  readonly startSeconds: number
}

export interface AgentSeen {
  readonly vmid: number
  readonly answers: boolean
  readonly said: string
}

export interface ProxmoxObservation {
  /** Node folders under `/etc/pve/nodes`. */
  readonly nodes: Reading<readonly string[]>
  readonly jobs: Reading<readonly JobSeen[]>
  readonly guests: Reading<readonly GuestSeen[]>
  readonly configs: Reading<readonly GuestConfig[]>
  readonly storageConfigs: Reading<readonly StorageConfig[]>
  readonly storages: Reading<readonly StorageState[]>
  readonly tasks: Reading<readonly TaskSeen[]>
  readonly taskLogs: Reading<readonly LogExcerpt[]>
  readonly jobStates: Reading<readonly JobStateFile[]>
  readonly schedules: readonly ScheduleSeen[]
  /** Schedules of live jobs that were not asked about, to stay within the bound of Proxmox processes. */
  readonly schedulesNotAsked: number
  readonly pools: Reading<readonly PoolSeen[]>
  /** Newest creation of each guest that the task index still knows (`qmcreate`, `vzcreate`). */
  readonly creations: Reading<readonly CreationSeen[]>
  /** Asked only where the newest backup log gives reason to. */
  readonly agents: readonly AgentSeen[]
}

/** What the parser gets out of one probe's output; `observeHost` adds times and skew. */
export interface HostReading {
  /** The last marker arrived: nothing was cut off. */
  readonly complete: boolean
  readonly hostname: Reading<string>
  readonly clock: Reading<{
    readonly startSeconds: number
    readonly endSeconds: number
    readonly resolutionSeconds: number
    readonly utcOffset: string
    readonly zone: string | null
  }>
  readonly mounts: Reading<readonly Mount[]>
  readonly directories: readonly DirectoryObservation[]
  readonly producers: readonly ProducerObservation[]
  readonly proxmox: ProxmoxObservation | null
}

export interface HostObservation extends Omit<HostReading, 'clock'> {
  readonly schema: 'nightshift.observation/1'
  readonly host: string
  /** Whether the host could be looked at at all. When not ok, every reading is an unread one. */
  readonly outcome: { readonly ok: true } | { readonly ok: false; readonly reason: ConnectionReason; readonly message: string; readonly next: string | null }
  readonly startedAt: Instant
  readonly finishedAt: Instant
  readonly connectMs: number
  readonly remoteMs: number
  readonly outputBytes: number
  readonly clock: Reading<ClockReading>
}

export const readOk = <T>(value: T, remark?: string): Reading<T> => (remark ? { ok: true, value, remark } : { ok: true, value })
export const unread = (code: UnreadCode, why: string): { readonly ok: false; readonly code: UnreadCode; readonly why: string } => ({ ok: false, code, why })

/** The observation of a host that could not be looked at: every reading says why. */
export function unreadHost(
  host: string,
  failure: { reason: ConnectionReason; message: string; next?: string | null },
  at: { startedAt: Instant; finishedAt: Instant },
): HostObservation {
  const nothing = unread('failed', failure.message)
  return {
    schema: 'nightshift.observation/1',
    host,
    outcome: { ok: false, reason: failure.reason, message: failure.message, next: failure.next ?? null },
    ...at,
    connectMs: 0,
    remoteMs: 0,
    outputBytes: 0,
    complete: false,
    hostname: nothing,
    clock: nothing,
    mounts: nothing,
    directories: [],
    producers: [],
    proxmox: null,
  }
}
