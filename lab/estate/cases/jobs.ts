/** Cases about what a backup run says of itself, and about the storages it writes to. */
import { cutLink } from '../../faults.js'
import { macOf } from '../chance.js'
import { ESTATE_ZONE, NODE } from '../estate-plan.js'
import { HOME_BACKUPS, SHOP_BACKUPS } from '../jobs.js'
import { jobStatePath, taskLogPath } from '../proxmox-plan.js'
import type { Surgery } from '../surgery.js'
import { upidOf } from '../vzdump-runs.js'
import { Zone } from '../zone.js'
import { newestOf } from './files.js'
import type { HurtCase } from './types.js'

const INDEX = '/var/log/pve/tasks/index'
const GB = 1_000_000_000
const zone = new Zone(ESTATE_ZONE)

interface JobState {
  readonly upid: string
  readonly msg: string
  readonly updated: number
}

/** Start of a task, seconds since 1970, from its id. */
const startOf = (upid: string) => Number.parseInt(upid.split(':')[4] ?? '', 16)

/**
 * The latest run of a job becomes one of two guests, of which the second failed.
 * Everything that tells of the run is rewritten: task id, index line, task log, the scheduler's state.
 */
function failSecondGuest(
  surgery: Surgery,
  host: string,
  jobId: string,
  failed: { log: (at: number) => readonly string[]; seconds: number },
): { failedAt: number } {
  const statePath = jobStatePath(jobId)
  const state = JSON.parse(surgery.read(host, statePath)) as JobState
  const start = startOf(state.upid)
  const upid = upidOf(NODE, 'vzdump', '', start)
  const index = surgery.read(host, INDEX)
  const ended = Number.parseInt(new RegExp(`^${state.upid} ([0-9A-F]+) `, 'm').exec(index)?.[1] ?? '', 16)
  const failedAt = ended - 4
  const log = surgery.read(host, taskLogPath(state.upid, start)).split('\n')
  const closing = log.findIndex((line) => line.startsWith('INFO: Backup job finished'))
  const text = [
    ...log.slice(0, closing),
    ...failed.log(failedAt),
    'INFO: Backup job finished with errors',
    'INFO: notified via target `mail-to-root`',
    'TASK ERROR: job errors',
    '',
  ].join('\n')
  surgery.remove(host, taskLogPath(state.upid, start))
  surgery.write(host, { path: taskLogPath(upid, start), content: text, mtime: failedAt + failed.seconds }, ended)
  surgery.edit(host, INDEX, (lines) => lines.replace(`${state.upid} ${hex(ended)} OK`, `${upid} ${hex(ended)} job errors`))
  surgery.edit(host, statePath, (json) => json.replace(state.upid, upid).replace('"msg":"OK"', '"msg":"job errors"'))
  return { failedAt }
}

const hex = (epoch: number) => epoch.toString(16).toUpperCase().padStart(8, '0')

/** A tar that runs with mapped user numbers may not write to the export. */
function deniedContainerLog(vmid: number, name: string, at: number): string[] {
  const base = `${HOME_BACKUPS}/dump/vzdump-lxc-${vmid}-${zone.archiveStamp(at)}`
  const command = `set -o pipefail && lxc-usernsexec -m u:0:100000:65536 -m g:0:100000:65536 -- tar cpf - --totals --one-file-system -p --sparse --numeric-owner --acls '--directory=${base}.tmp' ./ | zstd --rsyncable --threads=1 >${base}.tar.dat`
  return [
    `INFO: Starting Backup of VM ${vmid} (lxc)`,
    `INFO: Backup started at ${zone.logStamp(at)}`,
    'INFO: status = stopped',
    'INFO: backup mode: stop',
    'INFO: ionice priority: 7',
    `INFO: CT Name: ${name}`,
    "INFO: including mount point rootfs ('/') in backup",
    `INFO: creating vzdump archive '${base}.tar.zst'`,
    `INFO: tar: ${base}.tmp: Cannot open: Permission denied`,
    'INFO: tar: Error is not recoverable: exiting now',
    `ERROR: Backup of VM ${vmid} failed - command '${command}' failed: exit code 2`,
    `INFO: Failed at ${zone.logStamp(at)}`,
  ]
}

const TASK_ONLY = /^INFO: (Backup started at|Failed at) /

export const JOB_CASES: readonly HurtCase[] = [
  {
    name: 'I5',
    title: 'A container may not write to the NFS share, the machine of the same job may',
    what: 'CT 103 stands in the P0 job at home beside VM 100; last night VM 100 was saved and CT 103 failed with "Permission denied"',
    async hurt(_lab, surgery) {
      const host = 'proxmox-home'
      const now = await surgery.now(host)
      const conf = [
        'arch: amd64',
        'cores: 2',
        'hostname: download-home',
        'memory: 1024',
        `net0: name=eth0,bridge=vmbr0,hwaddr=${macOf(103)},ip=dhcp,type=veth`,
        'ostype: debian',
        'rootfs: local:103/vm-103-disk-0.raw,size=16G',
        'swap: 512',
        'unprivileged: 1',
      ]
      surgery.write(host, { path: `/etc/pve/nodes/${NODE}/lxc/103.conf`, content: `${conf.join('\n')}\n`, mtime: now - 30 * 86_400 }, now)
      surgery.write(host, { path: '/var/lib/vz/images/103/vm-103-disk-0.raw', sizeBytes: 16 * 2 ** 30 }, now)
      surgery.edit(host, '/etc/pve/jobs.cfg', (text) => text.replace('\tvmid 100\n', '\tvmid 100,103\n'))
      const { failedAt } = failSecondGuest(surgery, host, 'backup-home-p0-daily', { seconds: 0, log: (at) => deniedContainerLog(103, 'download-home', at) })
      const log = deniedContainerLog(103, 'download-home', failedAt).filter((line) => !TASK_ONLY.test(line))
      surgery.write(
        host,
        {
          path: `${HOME_BACKUPS}/dump/vzdump-lxc-103-${zone.archiveStamp(failedAt)}.log`,
          content: log.map((line) => `${zone.logStamp(failedAt)} ${line}\n`).join(''),
          mtime: failedAt,
        },
        now,
      )
      const created = now - 30 * 86_400
      surgery.edit(host, INDEX, (lines) => `${upidOf(NODE, 'vzcreate', '103', created)} ${hex(created + 21)} OK\n${lines}`)
    },
    expect: [
      {
        kind: 'guest',
        ids: ['103'],
        host: 'proxmox-home',
        state: 'FAILED',
        reason: 'job_failed',
        severity: 'critical',
        messageIncludes: ['Permission denied'],
      },
      { kind: 'job', ids: ['backup-home-p0-daily'], host: 'proxmox-home', state: 'FAILED', reason: 'job_failed', messageIncludes: ['103'] },
    ],
    verdict: 'critical',
  },
  {
    name: 'I7',
    title: 'A machine runs, cut off from the network, its guest agent dead',
    what: 'infra-core (VM 204) cannot be reached, its agent does not answer, and its last backup could not freeze the file systems',
    async hurt(lab, surgery) {
      const archive = newestOf(surgery, 'pve', `${SHOP_BACKUPS}/dump`, /^vzdump-qemu-204-.*\.vma\.zst$/)
      surgery.edit('pve', archive.path.replace('.vma.zst', '.log'), unfrozen)
      surgery.setTime('pve', archive.path.replace('.vma.zst', '.log'), archive.mtime)
      surgery.agentDead('pve', 204)
      await surgery.fault('link', 'infra-core', () => cutLink(lab.host('infra-core')))
    },
    expect: [
      { kind: 'host', ids: ['infra-core'], state: 'UNKNOWN', reason: 'connect_timeout' },
      { kind: 'guest', ids: ['204'], host: 'pve', messageIncludes: ['agent', 'not application-consistent'] },
      { kind: 'target', ids: ['vm-204-infra-core-primary'], optional: true },
      { kind: 'target', ids: ['app-infisical', 'app-vaultwarden'], optional: true },
    ],
    verdict: 'unknown',
  },
  {
    name: 'storage-unmounted',
    title: 'The backup storage is not mounted',
    what: 'the NFS share of proxmox-home is unmounted; its folder is empty',
    async hurt(lab, surgery) {
      await surgery.fault('unmounted', 'proxmox-home', () => lab.host('proxmox-home').unmount(HOME_BACKUPS), HOME_BACKUPS)
    },
    expect: [
      { kind: 'storage', ids: ['synology-backups'], host: 'proxmox-home', severity: 'critical', messageIncludes: ['mount'] },
      { kind: 'target', ids: ['home-vm-100-ha-primary', 'home-lxc-105-pihole-primary'], optional: true },
      { kind: 'guest', ids: ['100', '105'], host: 'proxmox-home', optional: true },
      { kind: 'job', ids: 'all', host: 'proxmox-home', optional: true },
    ],
    verdict: 'critical',
  },
  {
    name: 'disk-full',
    title: 'No room for the next run',
    what: 'the pool of pve has 5 GB left, the next run needs some 390',
    async hurt(lab, surgery) {
      await surgery.fault('disk-full', 'pve', () => lab.host('pve').fillDisk('/tank', 5 * GB), '/tank')
    },
    expect: [{ kind: 'storage', ids: ['tank-backups'], host: 'pve', messageIncludes: ['room'] }],
    verdict: 'critical',
  },
  {
    name: 'job-failed-whole',
    title: 'A run ended before any guest',
    what: 'the weekly run at home ended with "could not activate storage", as its task and the scheduler say; the archive of the week before is left',
    async hurt(_lab, surgery) {
      const host = 'proxmox-home'
      const state = JSON.parse(surgery.read(host, jobStatePath('backup-home-p2-weekly'))) as JobState
      const start = startOf(state.upid)
      const why = "could not activate storage 'synology-backups': storage 'synology-backups' is not online"
      const newest = newestOf(surgery, host, `${HOME_BACKUPS}/dump`, /^vzdump-lxc-105-.*\.tar\.zst$/)
      for (const suffix of ['.tar.zst', '.tar.zst.notes', '.log']) surgery.remove(host, newest.path.replace('.tar.zst', suffix))
      const log = [
        "INFO: starting new backup job: vzdump 105 --mode snapshot --quiet 1 --compress zstd --storage synology-backups --notes-template '{{guestname}}'",
        `ERROR: ${why}`,
        `TASK ERROR: ${why}`,
        '',
      ]
      surgery.write(host, { path: taskLogPath(state.upid, start), content: log.join('\n'), mtime: start + 1 }, start + 1)
      surgery.edit(host, INDEX, (lines) => lines.replace(new RegExp(`^(${state.upid} [0-9A-F]+) OK$`, 'm'), `$1 ${why}`))
      surgery.edit(host, jobStatePath('backup-home-p2-weekly'), (json) => json.replace('"msg":"OK"', `"msg":${JSON.stringify(why)}`))
    },
    expect: [
      { kind: 'job', ids: ['backup-home-p2-weekly'], state: 'FAILED', reason: 'job_failed', messageIncludes: ['could not activate storage'] },
      { kind: 'guest', ids: ['105'], host: 'proxmox-home', state: 'FAILED', reason: 'job_failed' },
      { kind: 'target', ids: ['home-lxc-105-pihole-primary'], state: 'FAILED', reason: 'job_failed' },
    ],
    verdict: 'critical',
  },
]

/** The log of a run whose guest did not answer the freeze. */
function unfrozen(log: string): string {
  return log.replace(
    /^(\S+ \S+) (INFO: issuing guest-agent 'fs-(freeze|thaw)' command)$/gm,
    (_line, at: string, said: string, verb: string) => `${at} ${said}\n${at} ERROR: VM 204 qmp command 'guest-fsfreeze-${verb}' failed - got timeout`,
  )
}
