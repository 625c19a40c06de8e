/**
 * What shall lie on a host, as data: files with content or only a size, folders, links, owners, times.
 * The planners produce it, `write-files.ts` puts it there, tests look at it without any host.
 */

export interface PlannedFile {
  /** Absolute on the host. Missing folders above it are made. */
  readonly path: string
  /** Text or bytes; a file with `sizeBytes` instead is sparse: it has the length and no data. */
  readonly content?: string | Uint8Array
  readonly sizeBytes?: number
  /** Seconds since 1970; absent: when the plan was made (`now`). */
  readonly mtime?: number
  /** 0o644 unless told. */
  readonly mode?: number
  /** A user of that host; root unless told. */
  readonly owner?: string
}

export interface PlannedFolder {
  readonly path: string
  /** 0o755 unless told. */
  readonly mode?: number
  readonly owner?: string
}

/** A file system of its own below `path`, as big as a real one: space and "really mounted" are true. */
export interface PlannedDisk {
  readonly path: string
  readonly sizeBytes: number
  readonly name: string
  /** The same file system as a disk of another host, seen from this folder of it down: what NFS is at a real site. */
  readonly sharedFrom?: { readonly host: string; readonly disk: string; readonly subPath: string }
}

export interface HostPlan {
  readonly disks: readonly PlannedDisk[]
  /** Emptied before anything is written: what an earlier state left there must not stay. */
  readonly emptied: readonly string[]
  readonly folders: readonly PlannedFolder[]
  readonly files: readonly PlannedFile[]
}

export function mergePlans(...plans: readonly Partial<HostPlan>[]): HostPlan {
  return {
    disks: plans.flatMap((plan) => plan.disks ?? []),
    emptied: plans.flatMap((plan) => plan.emptied ?? []),
    folders: plans.flatMap((plan) => plan.folders ?? []),
    files: plans.flatMap((plan) => plan.files ?? []),
  }
}
