/**
 * The guests of the estate: what each machine is, how big its archive is, whether it runs. Data only.
 */

export interface LabDisk {
  /** `scsi0`, `rootfs`, … */
  readonly key: string
  readonly sizeGib: number
  /** Left out of backups (`backup=0`). */
  readonly excluded?: boolean
}

export interface LabGuest {
  readonly vmid: number
  readonly name: string
  readonly type: 'qemu' | 'lxc'
  readonly cores: number
  readonly memoryMib: number
  readonly disks: readonly LabDisk[]
  /** Usual size of one archive, bytes. */
  readonly archiveBytes: number
  readonly running: boolean
  readonly tags?: string
  /** How long ago it was created, days. */
  readonly ageDays: number
}

const GB = 1_000_000_000

function vm(
  vmid: number,
  name: string,
  cores: number,
  memoryGib: number,
  diskGib: readonly number[],
  archiveGb: number,
  ageDays: number,
  tags?: string,
): LabGuest {
  return {
    vmid,
    name,
    type: 'qemu',
    cores,
    memoryMib: memoryGib * 1024,
    disks: diskGib.map((sizeGib, index) => ({ key: `scsi${index}`, sizeGib })),
    archiveBytes: archiveGb * GB,
    running: true,
    ageDays,
    ...(tags === undefined ? {} : { tags }),
  }
}

/** Shop: Dell R730xd. */
export const SHOP_GUESTS: readonly LabGuest[] = [
  vm(200, 'docker-host', 16, 64, [64, 500], 186, 1180, 'legacy'),
  vm(202, 'automation-stack', 4, 8, [60], 12.4, 940),
  vm(203, 'immich', 8, 16, [40, 200], 48.2, 900),
  vm(204, 'infra-core', 4, 8, [50], 9.1, 640, 'critical'),
  vm(205, 'observability', 4, 8, [80], 14.8, 560),
  vm(206, 'dev-tools', 4, 8, [60], 11.2, 540),
  vm(207, 'ai-consolidation', 12, 32, [120], 21.3, 470, 'critical'),
  vm(209, 'download-stack', 4, 8, [50], 6.8, 460, 'media'),
  vm(210, 'streaming-stack', 6, 12, [50], 7.9, 455, 'media'),
  vm(211, 'finance-stack', 4, 8, [60], 10.5, 430, 'critical'),
  vm(212, 'mint-data', 4, 8, [80], 16.1, 425),
  vm(213, 'mint-apps', 4, 8, [60], 9.4, 425),
  vm(214, 'communications-stack', 4, 8, [80], 13.7, 420),
  vm(215, 'surveillance-stack', 6, 8, [60], 21.9, 395),
]

/** Home: Beelink. Its node is named `pve` as well. */
export const HOME_GUESTS: readonly LabGuest[] = [
  vm(100, 'homeassistant', 2, 4, [64], 11.6, 1500, 'p0'),
  {
    vmid: 105,
    name: 'pihole-home',
    type: 'lxc',
    cores: 1,
    memoryMib: 512,
    disks: [{ key: 'rootfs', sizeGib: 8 }],
    archiveBytes: 0.61 * GB,
    running: false,
    tags: 'p2',
    ageDays: 1310,
  },
]

export function guestOf(guests: readonly LabGuest[], vmid: number): LabGuest {
  const guest = guests.find((one) => one.vmid === vmid)
  if (guest === undefined) throw new Error(`no guest ${vmid} in the lab's estate`)
  return guest
}
