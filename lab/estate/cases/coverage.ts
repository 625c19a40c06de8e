/** Cases about guests and jobs: who is in which job, and jobs that change or vanish behind our back. */
import { macOf, uuidOf } from '../chance.js'
import { powerStatePath } from '../proxmox-plan.js'
import type { HurtCase } from './types.js'

const JOBS = '/etc/pve/jobs.cfg'
const DROPPED = [205, 206, 207, 209, 210]
const NEW_VMID = 216

export const COVERAGE_CASES: readonly HurtCase[] = [
  {
    name: 'I1',
    title: 'Guests that run in no backup job',
    what: `the job on pve no longer names guests ${DROPPED.join(', ')}; their machines run on`,
    async hurt(_lab, surgery) {
      surgery.edit('pve', JOBS, (text) =>
        text.replace(
          /^\tvmid (.*)$/m,
          (_line, list: string) =>
            `\tvmid ${list
              .split(',')
              .filter((vmid) => !DROPPED.includes(Number(vmid)))
              .join(',')}`,
        ),
      )
    },
    expect: [
      {
        kind: 'guest',
        ids: DROPPED.map(String),
        host: 'pve',
        state: 'MISSING',
        reason: 'not_in_any_job',
        severity: 'critical',
        messageIncludes: ['pve', 'no enabled job'],
      },
      {
        kind: 'target',
        ids: [
          'vm-205-observability-primary',
          'vm-206-dev-tools-primary',
          'vm-207-ai-consolidation-primary',
          'vm-209-download-stack-primary',
          'vm-210-streaming-stack-primary',
        ],
        state: 'MISSING',
        reason: 'not_in_any_job',
      },
    ],
    verdict: 'critical',
  },
  {
    name: 'guest-new-in-no-job',
    title: 'A new machine nobody has enrolled',
    what: `guest ${NEW_VMID} is created on pve and put into no job`,
    async hurt(_lab, surgery) {
      const now = await surgery.now('pve')
      const conf = [
        `cores: 2`,
        `memory: 2048`,
        `meta: creation-qemu=9.0.2,ctime=${now}`,
        'name: scratch',
        `net0: virtio=${macOf(NEW_VMID)},bridge=vmbr0`,
        'ostype: l26',
        `smbios1: uuid=${uuidOf('smbios', NEW_VMID)}`,
      ]
      surgery.write('pve', { path: `/etc/pve/nodes/pve/qemu-server/${NEW_VMID}.conf`, content: `${conf.join('\n')}\n` }, now)
    },
    expect: [
      {
        kind: 'guest',
        ids: [String(NEW_VMID)],
        host: 'pve',
        state: 'MISSING',
        reason: 'not_in_any_job',
        severity: 'critical',
        messageIncludes: [String(NEW_VMID), 'pve'],
      },
    ],
    verdict: 'critical',
  },
  {
    name: 'guest-stopped',
    title: 'A machine is switched off: that is no fault of its backup',
    what: 'guest 215 on pve is stopped',
    async hurt(_lab, surgery) {
      surgery.remove('pve', powerStatePath(215))
    },
    expect: [],
    verdict: 'ok',
  },
  {
    name: 'job-deleted',
    title: 'A backup job is gone',
    what: 'the only job on pve is deleted',
    async hurt(_lab, surgery) {
      surgery.edit('pve', JOBS, () => '')
    },
    expect: [
      { kind: 'guest', ids: 'all', host: 'pve', state: 'MISSING', reason: 'not_in_any_job', severity: 'critical' },
      { kind: 'target', ids: 'all', host: 'pve', state: 'MISSING', reason: ['not_in_any_job', 'no_such_job'] },
      { kind: 'job', ids: ['backup-pve-daily'], host: 'pve', state: 'MISSING', optional: true },
    ],
    verdict: 'critical',
  },
  {
    name: 'job-disabled',
    title: 'A backup job is switched off',
    what: 'the P0 job at home is switched off',
    async hurt(_lab, surgery) {
      surgery.edit('proxmox-home', JOBS, (text) => text.replace(/(vzdump: backup-home-p0-daily\n(?:\t.*\n)*?\tenabled )1/, '$10'))
    },
    expect: [
      { kind: 'job', ids: ['backup-home-p0-daily'], state: 'DISABLED' },
      { kind: 'guest', ids: ['100'], host: 'proxmox-home', state: 'MISSING', reason: 'not_in_any_job', messageIncludes: ['backup-home-p0-daily'] },
      { kind: 'target', ids: ['home-vm-100-ha-primary'], state: 'MISSING', reason: 'not_in_any_job' },
    ],
    verdict: 'critical',
  },
  {
    name: 'job-changed',
    title: 'A job names a guest that does not exist and a storage that does not exist',
    what: 'the weekly job at home is pointed at storage synology-nas-storage and also names guest 102, which is gone',
    async hurt(_lab, surgery) {
      surgery.edit('proxmox-home', JOBS, (text) =>
        text.replace(
          /(vzdump: backup-home-p2-weekly\n(?:\t.*\n)*?)\tstorage synology-backups\n\tvmid 105\n/,
          '$1\tstorage synology-nas-storage\n\tvmid 102,105\n',
        ),
      )
    },
    expect: [
      { kind: 'job', ids: ['backup-home-p2-weekly'], severity: 'critical', messageIncludes: ['synology-nas-storage'] },
      { kind: 'guest', ids: ['105'], host: 'proxmox-home', optional: true },
      { kind: 'target', ids: ['home-lxc-105-pihole-primary'], optional: true },
      { kind: 'finding', ids: ['*/guest/proxmox-home/102'], reason: 'vanished_guest', messageIncludes: ['102', 'backup-home-p2-weekly'] },
      { kind: 'storage', ids: ['synology-nas-storage'], host: 'proxmox-home', severity: 'critical', optional: true },
    ],
    verdict: 'critical',
  },
]
