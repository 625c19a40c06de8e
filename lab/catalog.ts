/** Which hosts a lab has, and who logs in there. Names are those of the example estate; users differ by host as on the real one. */

export interface LabUser {
  readonly name: string
  readonly uid: number
  readonly gid: number
  readonly home: string
  /** May use sudo without a password. */
  readonly sudo: boolean
}

export type LabHostKind = 'proxmox' | 'nas' | 'guest' | 'home-assistant'

export interface HostSpec {
  readonly name: string
  /** `uname -n`; on a Proxmox host the node's name. */
  readonly hostname: string
  readonly kind: LabHostKind
  readonly user: LabUser
  /** Hosts that root of this one reaches by SSH with a key of its own. */
  readonly trusts: readonly string[]
}

const ROOT: LabUser = { name: 'root', uid: 0, gid: 0, home: '/root', sudo: false }

function person(name: string): LabUser {
  return { name, uid: 1000, gid: 1000, home: `/home/${name}`, sudo: true }
}

function guest(name: string, user: string, trusts: readonly string[] = []): HostSpec {
  return { name, hostname: name, kind: 'guest', user: person(user), trusts }
}

/** The order decides addresses and link names: only append. */
export const HOSTS: readonly HostSpec[] = [
  { name: 'pve', hostname: 'pve', kind: 'proxmox', user: ROOT, trusts: ['nas'] },
  { name: 'proxmox-home', hostname: 'pve', kind: 'proxmox', user: ROOT, trusts: [] },
  // DSM: the first administrator has uid 1026, group users, and no root.
  {
    name: 'nas',
    hostname: 'nas',
    kind: 'nas',
    user: { name: 'backup-admin', uid: 1026, gid: 100, home: '/var/services/homes/backup-admin', sudo: false },
    trusts: [],
  },
  {
    name: 'home-assistant',
    hostname: 'homeassistant',
    kind: 'home-assistant',
    user: { name: 'hassio', uid: 1000, gid: 1000, home: '/home/hassio', sudo: false },
    trusts: [],
  },
  guest('automation-stack', 'automation'),
  guest('infra-core', 'ubuntu', ['nas']),
  guest('dev-tools', 'ronny', ['nas']),
  guest('download-stack', 'ubuntu'),
  guest('streaming-stack', 'ubuntu'),
  guest('finance-stack', 'ubuntu', ['nas']),
  guest('communications-stack', 'ubuntu'),
]

export const TIME_ZONE = 'America/New_York'

/** Only BusyBox and what such a system really has beside it is to be seen over SSH. */
export function hasBusyBoxOnly(kind: LabHostKind): boolean {
  return kind === 'nas' || kind === 'home-assistant'
}

/** The programs of `lab/pve/` that a Proxmox host has on its PATH, and where. */
export const PVE_PROGRAMS: Readonly<Record<string, string>> = {
  pvesh: '/usr/bin/pvesh',
  pveversion: '/usr/bin/pveversion',
  vzdump: '/usr/bin/vzdump',
  vma: '/usr/bin/vma',
  pvescheduler: '/usr/bin/pvescheduler',
  pvesm: '/usr/sbin/pvesm',
  qm: '/usr/sbin/qm',
  pct: '/usr/sbin/pct',
  qmrestore: '/usr/sbin/qmrestore',
  'proxmox-mail-forward': '/usr/libexec/proxmox-mail-forward-as-root',
}

/** Where `lab/pve/` is to be found on a Proxmox host. */
export const PVE_FOLDER = '/usr/share/nightshift-lab-pve'
