/**
 * The text of Proxmox' own configuration files: `/etc/pve/{jobs,storage,user,datacenter}.cfg` and one file per guest.
 * Layout and key order as `write_config` leaves them (pve-common PVE/SectionConfig.pm).
 */
import { macOf, uuidOf } from './chance.js'
import type { LabGuest } from './guests.js'
import type { LabJob, LabStorage } from './jobs.js'
import { DISK_STORAGE } from './vzdump-text.js'

export type Property = readonly [key: string, value: string]

/** One section: header, then a tab before each `key value`, a blank line behind. */
export function section(type: string, id: string, properties: readonly Property[]): string {
  return `${type}: ${id}\n${properties.map(([key, value]) => `\t${key} ${value}\n`).join('')}\n`
}

/** `comment` first and percent-encoded, then `schedule`, then the rest by name. */
export function jobSection(job: LabJob): string {
  const rest: Property[] = [
    ...(job.vmids === undefined ? [['all', '1'] as const] : []),
    ['compress', 'zstd'],
    ['enabled', job.enabled ? '1' : '0'],
    ['mode', 'snapshot'],
    ['notes-template', '{{guestname}}'],
    ...(job.keepLast === undefined ? [] : [['prune-backups', `keep-last=${job.keepLast}`] as const]),
    ['storage', job.storage],
    ...(job.vmids === undefined ? [] : [['vmid', job.vmids.join(',')] as const]),
  ]
  const comment: Property[] = job.comment === undefined ? [] : [['comment', job.comment.replaceAll('%', '%25').replaceAll(':', '%3A')]]
  return section('vzdump', job.id, [...comment, ['schedule', job.schedule.event], ...rest])
}

export function jobsCfg(jobs: readonly LabJob[]): string {
  return jobs.map(jobSection).join('')
}

export function storageCfg(storages: readonly LabStorage[]): string {
  const local = section('dir', 'local', [
    ['path', '/var/lib/vz'],
    ['content', 'iso,vztmpl,images,rootdir'],
  ])
  return local + storages.map(storageSection).join('')
}

function storageSection(storage: LabStorage): string {
  const prune: Property = ['prune-backups', storage.keepLast === 'all' ? 'keep-all=1' : `keep-last=${storage.keepLast}`]
  const [first, second] = storage.type === 'nfs' ? [storage.fields.slice(0, 1), storage.fields.slice(1)] : [[], storage.fields]
  return section(storage.type, storage.id, [...first, ['path', storage.path], ...second, prune])
}

export const USER_CFG = 'user:root@pam:1:0:::ronny@example.invalid::\n\n\n\n\n'
export const DATACENTER_CFG = 'keyboard: en-us\n'

/** `/etc/pve/nodes/NODE/{qemu-server,lxc}/ID.conf` */
export function guestConf(guest: LabGuest, now: number): string {
  const createdAt = now - guest.ageDays * 86_400
  return (guest.type === 'qemu' ? vmConf(guest, createdAt) : containerConf(guest)).map(([key, value]) => `${key}: ${value}\n`).join('')
}

function vmConf(guest: LabGuest, createdAt: number): Property[] {
  return [
    ['agent', '1'],
    ['boot', 'order=scsi0'],
    ['cores', String(guest.cores)],
    ['cpu', 'x86-64-v2-AES'],
    ['memory', String(guest.memoryMib)],
    ['meta', `creation-qemu=9.0.2,ctime=${createdAt}`],
    ['name', guest.name],
    ['net0', `virtio=${macOf(guest.vmid, guest.name)},bridge=vmbr0,firewall=1`],
    ['numa', '0'],
    ['onboot', '1'],
    ['ostype', 'l26'],
    ...guest.disks.map(
      (disk, index): Property => [
        disk.key,
        `${DISK_STORAGE}:${guest.vmid}/vm-${guest.vmid}-disk-${index}.raw${disk.excluded ? ',backup=0' : ''},iothread=1,size=${disk.sizeGib}G`,
      ],
    ),
    ['scsihw', 'virtio-scsi-single'],
    ['smbios1', `uuid=${uuidOf('smbios', guest.vmid, guest.name)}`],
    ['sockets', '1'],
    ...(guest.tags === undefined ? [] : [['tags', guest.tags] as const]),
    ['vmgenid', uuidOf('vmgenid', guest.vmid, guest.name)],
  ]
}

function containerConf(guest: LabGuest): Property[] {
  return [
    ['arch', 'amd64'],
    ['cores', String(guest.cores)],
    ['features', 'nesting=1'],
    ['hostname', guest.name],
    ['memory', String(guest.memoryMib)],
    ['net0', `name=eth0,bridge=vmbr0,hwaddr=${macOf(guest.vmid, guest.name)},ip=dhcp,type=veth`],
    ['onboot', '1'],
    ['ostype', 'debian'],
    ['rootfs', `${DISK_STORAGE}:${guest.vmid}/vm-${guest.vmid}-disk-0.raw,size=${guest.disks[0]?.sizeGib ?? 8}G`],
    ['swap', '512'],
    ...(guest.tags === undefined ? [] : [['tags', guest.tags] as const]),
    ['unprivileged', '1'],
  ]
}
