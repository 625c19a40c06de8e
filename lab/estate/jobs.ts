/**
 * The backup jobs and storages of the two named states. Data only; `pve-files.ts` writes them as Proxmox does.
 */

export interface LabSchedule {
  /** The calendar event as it stands in jobs.cfg. */
  readonly event: string
  readonly hour: number
  readonly minute: number
  /** 0 = Sunday; absent = every day. */
  readonly weekday?: number
}

export interface LabJob {
  readonly id: string
  readonly enabled: boolean
  readonly schedule: LabSchedule
  /** Absent = `all 1`. */
  readonly vmids?: readonly number[]
  readonly storage: string
  readonly comment?: string
  /** Overrides the storage's retention: `keep-last`. */
  readonly keepLast?: number
  /** Since when it has run, days ago. */
  readonly sinceDays: number
}

export interface LabStorage {
  readonly id: string
  readonly type: 'dir' | 'nfs'
  readonly path: string
  /** Fields of storage.cfg beside `path`, in the order Proxmox writes them. */
  readonly fields: readonly (readonly [string, string])[]
  readonly keepLast: number | 'all'
}

export const SHOP_BACKUPS = '/tank/backups/vzdump'
export const HOME_BACKUPS = '/mnt/pve/synology-backups'

const TWO = { event: '02:00', hour: 2, minute: 0 }
const THREE = { event: '03:00', hour: 3, minute: 0 }
const QUARTER_PAST_THREE = { event: '03:15', hour: 3, minute: 15 }
const SUNDAY_FOUR = { event: 'sun 04:00', hour: 4, minute: 0, weekday: 0 }

export const ALL_SHOP_VMIDS = [200, 202, 203, 204, 205, 206, 207, 209, 210, 211, 212, 213, 214, 215] as const
/** What the job named when the seeds' audit looked at it. */
export const SHOP_VMIDS_AS_FOUND = [200, 202, 203, 204] as const

function shopJob(vmids: readonly number[]): LabJob {
  return { id: 'backup-pve-daily', enabled: true, schedule: TWO, vmids, storage: 'tank-backups', comment: 'shop: every guest, nightly', sinceDays: 400 }
}

export const HEALTHY_SHOP_JOBS: readonly LabJob[] = [shopJob(ALL_SHOP_VMIDS)]
export const HEALTHY_HOME_JOBS: readonly LabJob[] = [
  {
    id: 'backup-home-p0-daily',
    enabled: true,
    schedule: THREE,
    vmids: [100],
    storage: 'synology-backups',
    comment: 'P0: Home Assistant',
    keepLast: 3,
    sinceDays: 400,
  },
  {
    id: 'backup-home-p2-weekly',
    enabled: true,
    schedule: SUNDAY_FOUR,
    vmids: [105],
    storage: 'synology-backups',
    comment: 'P2: rebuildable',
    keepLast: 2,
    sinceDays: 400,
  },
]

export const AS_FOUND_SHOP_JOBS: readonly LabJob[] = [shopJob(SHOP_VMIDS_AS_FOUND)]
/** Three tiers that were set up and switched off, beside an older job on a storage that does not exist. */
export const AS_FOUND_HOME_JOBS: readonly LabJob[] = [
  { id: 'backup-c1ff91b4-5175', enabled: false, schedule: TWO, storage: 'synology-nas-storage', sinceDays: 0 },
  { id: 'backup-home-p0-daily', enabled: false, schedule: THREE, vmids: [100, 102], storage: 'synology-backups', comment: 'P0', keepLast: 3, sinceDays: 0 },
  {
    id: 'backup-home-p1-daily',
    enabled: false,
    schedule: QUARTER_PAST_THREE,
    vmids: [103],
    storage: 'synology-backups',
    comment: 'P1',
    keepLast: 3,
    sinceDays: 0,
  },
  {
    id: 'backup-home-p2-weekly',
    enabled: false,
    schedule: SUNDAY_FOUR,
    vmids: [101, 105],
    storage: 'synology-backups',
    comment: 'P2',
    keepLast: 2,
    sinceDays: 0,
  },
]

export const SHOP_STORAGE: LabStorage = {
  id: 'tank-backups',
  type: 'dir',
  path: SHOP_BACKUPS,
  fields: [
    ['content', 'backup'],
    ['is_mountpoint', '/tank'],
  ],
  keepLast: 2,
}

/** @param keepLast 3 when healthy; as found the storage kept everything. */
export function homeStorage(keepLast: 3 | 'all'): LabStorage {
  return {
    id: 'synology-backups',
    type: 'nfs',
    path: HOME_BACKUPS,
    fields: [
      ['export', '/volume1/backups/proxmox_backups'],
      ['server', '10.0.0.150'],
      ['content', 'backup'],
      ['options', 'vers=4.1'],
    ],
    keepLast,
  }
}
