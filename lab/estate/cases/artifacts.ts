/** Cases about the artifacts themselves: too old, cut off, still being written, from the future. */

import { NAS_USER } from '../apps.js'
import { editConfig, rowOf } from '../config-edits.js'
import { ESTATE_ZONE } from '../estate-plan.js'
import { SHOP_BACKUPS } from '../jobs.js'
import { Zone } from '../zone.js'
import { afterNewest, ageTo, newestOf } from './files.js'
import type { HurtCase } from './types.js'

const DUMP = `${SHOP_BACKUPS}/dump`
const APPS = '/volume1/backups/apps'
const HOUR = 3600
const GB = 1_000_000_000
const zone = new Zone(ESTATE_ZONE)

/** A cut-off log: begun, never finished. */
const BROKEN_LOG = (vmid: number, at: string, archive: string) =>
  [
    `Starting Backup of VM ${vmid} (qemu)`,
    'status = running',
    'backup mode: snapshot',
    'ionice priority: 7',
    `creating vzdump archive '${DUMP}/${archive}'`,
    '  3% (16.9 GiB of 564.0 GiB) in 3m 1s, read: 95.6 MiB/s, write: 91.2 MiB/s',
  ]
    .map((text) => `${at} INFO: ${text}\n`)
    .join('')

export const ARTIFACT_CASES: readonly HurtCase[] = [
  {
    name: 'I2',
    title: 'A power cut left a partial archive',
    what: 'the newest archive of guest 200 has 34 GB of the usual 186 and a log that stops in the middle',
    async hurt(_lab, surgery) {
      const { begun, ended } = await afterNewest(surgery, 'pve', DUMP, /^vzdump-qemu-200-.*\.vma\.zst$/)
      const archive = `vzdump-qemu-200-${zone.archiveStamp(begun)}.vma.zst`
      surgery.write('pve', { path: `${DUMP}/${archive}`, sizeBytes: 34 * GB, mtime: ended }, begun)
      surgery.write(
        'pve',
        { path: `${DUMP}/${archive.replace('.vma.zst', '.log')}`, content: BROKEN_LOG(200, zone.logStamp(begun), archive), mtime: ended },
        begun,
      )
    },
    expect: [
      {
        kind: 'target',
        ids: ['vm-200-docker-host-primary'],
        state: 'PARTIAL',
        reason: ['log_incomplete', 'too_small'],
        severity: 'critical',
        messageIncludes: ['vzdump-qemu-200-', 'last good'],
      },
      { kind: 'guest', ids: ['200'], host: 'pve', state: 'PARTIAL', optional: true },
    ],
    verdict: 'critical',
  },
  {
    name: 'I9',
    title: 'The Home Assistant backup is older than its limit by one second',
    what: 'the target app-home-assistant is switched on and its newest backup is 48 h 00 m 01 s old',
    async hurt(_lab, surgery) {
      const now = await surgery.now('nas')
      surgery.config('inventory.yaml', (folder) =>
        editConfig(folder, 'inventory.yaml', (document) => {
          const row = rowOf(document, 'targets', 'name', 'app-home-assistant')
          row.set('enabled', true)
          row.delete('waiver')
        }),
      )
      for (const [name, age] of [
        ['a1f0c3d2', 107 * HOUR],
        ['b7e4d9a0', 48 * HOUR + 1],
      ] as const) {
        surgery.write('nas', { path: `${APPS}/home-assistant/${name}.tar`, content: Buffer.alloc(20_480, name), mtime: now - age, owner: NAS_USER }, now)
      }
    },
    expect: [{ kind: 'target', ids: ['app-home-assistant'], state: 'STALE', reason: 'stale', severity: 'critical', messageIncludes: ['48 h'] }],
    newFindings: 1,
    verdict: 'critical',
  },
  {
    name: 'I11',
    title: 'One fault is one incident, however old it grows',
    what: 'the newest Gitea dump is 31 hours old, and the monitor looks twice',
    async hurt(_lab, surgery) {
      await ageTo(surgery, 'nas', `${APPS}/gitea`, /^gitea-db-.*\.sql\.gz$/, 31 * HOUR)
    },
    expect: [{ kind: 'target', ids: ['app-gitea'], state: 'STALE', reason: 'stale', severity: 'critical', messageIncludes: ['31 h'] }],
    newFindings: 1,
    verdict: 'critical',
    passes: 2,
  },
  {
    name: 'I13',
    title: 'One second over 26 hours is over 26 hours',
    what: 'the newest Infisical dump is 26 h 00 m 01 s old',
    async hurt(_lab, surgery) {
      await ageTo(surgery, 'nas', `${APPS}/infisical`, /^infisical-db-.*\.sql\.gz$/, 26 * HOUR + 1)
    },
    expect: [{ kind: 'target', ids: ['app-infisical'], state: 'STALE', reason: 'stale', severity: 'critical', messageIncludes: ['26 h'] }],
    verdict: 'critical',
  },
  {
    name: 'I14',
    title: 'A file from the future proves nothing',
    what: 'the newest Ghostfolio dump has a modification time three hours ahead',
    async hurt(_lab, surgery) {
      const newest = newestOf(surgery, 'nas', `${APPS}/ghostfolio`, /^ghostfolio-db-/)
      surgery.setTime('nas', newest.path, (await surgery.now('nas')) + 3 * HOUR)
    },
    expect: [{ kind: 'target', ids: ['app-ghostfolio'], state: 'UNKNOWN', reason: 'future_mtime', severity: 'unknown', messageIncludes: ['future'] }],
    verdict: 'unknown',
  },
  {
    name: 'truncated-archive',
    title: 'An archive is shorter than it was',
    what: 'the newest archive of guest 204 is cut to a third, its log still says finished',
    async hurt(_lab, surgery) {
      const newest = newestOf(surgery, 'pve', DUMP, /^vzdump-qemu-204-.*\.vma\.zst$/)
      surgery.write('pve', { path: newest.path, sizeBytes: Math.floor(newest.sizeBytes / 3), mtime: newest.mtime }, newest.mtime)
    },
    expect: [
      { kind: 'target', ids: ['vm-204-infra-core-primary'], state: 'PARTIAL', reason: 'too_small', severity: 'critical' },
      { kind: 'guest', ids: ['204'], host: 'pve', state: 'PARTIAL', optional: true },
    ],
    verdict: 'critical',
  },
  {
    name: 'empty-archive',
    title: 'A dump of zero bytes',
    what: 'the newest Firefly dump is empty',
    async hurt(_lab, surgery) {
      const newest = newestOf(surgery, 'nas', `${APPS}/finance`, /^firefly-db-/)
      surgery.write('nas', { path: newest.path, content: '', mtime: newest.mtime, owner: NAS_USER }, newest.mtime)
    },
    expect: [{ kind: 'target', ids: ['app-firefly'], state: 'PARTIAL', reason: 'empty', severity: 'critical' }],
    verdict: 'critical',
  },
  {
    name: 'partial-archive',
    title: 'A finished name without a finished log',
    what: 'the newest archive of guest 214 has lost its log',
    async hurt(_lab, surgery) {
      const newest = newestOf(surgery, 'pve', DUMP, /^vzdump-qemu-214-.*\.vma\.zst$/)
      surgery.remove('pve', newest.path.replace('.vma.zst', '.log'))
    },
    expect: [
      { kind: 'target', ids: ['vm-214-communications-stack-primary'], state: 'PARTIAL', reason: 'log_incomplete' },
      { kind: 'guest', ids: ['214'], host: 'pve', state: 'PARTIAL', optional: true },
    ],
    verdict: 'critical',
  },
  {
    name: 'leftover-dat',
    title: 'What a crash leaves behind',
    what: 'guest 211 has a .dat and a .tmp of a run that nobody finishes, and is still locked',
    async hurt(_lab, surgery) {
      const { begun, ended } = await afterNewest(surgery, 'pve', DUMP, /^vzdump-qemu-211-.*\.vma\.zst$/)
      const base = `${DUMP}/vzdump-qemu-211-${zone.archiveStamp(begun)}`
      surgery.write('pve', { path: `${base}.vma.dat`, sizeBytes: 4 * GB, mtime: ended }, begun)
      surgery.write('pve', { path: `${base}.tmp/qemu-server.conf`, content: 'name: finance-stack\n', mtime: begun }, begun)
      surgery.setTime('pve', `${base}.tmp`, begun)
      surgery.edit('pve', '/etc/pve/nodes/pve/qemu-server/211.conf', (text) => `lock: backup\n${text}`)
    },
    expect: [
      {
        kind: 'target',
        ids: ['vm-211-finance-stack-primary'],
        state: 'PARTIAL',
        reason: 'log_incomplete',
        severity: 'critical',
        messageIncludes: ['temporary name', 'last good'],
      },
      { kind: 'guest', ids: ['211'], host: 'pve', state: 'PARTIAL', optional: true },
      { kind: 'finding', ids: ['*/guest/pve/211'], optional: true },
    ],
    verdict: 'critical',
  },
  {
    name: 'future-mtime',
    title: 'An archive from the future',
    what: 'the newest archive of guest 202 has a modification time two days ahead',
    async hurt(_lab, surgery) {
      const newest = newestOf(surgery, 'pve', DUMP, /^vzdump-qemu-202-.*\.vma\.zst$/)
      surgery.setTime('pve', newest.path, (await surgery.now('pve')) + 48 * HOUR)
    },
    expect: [
      { kind: 'target', ids: ['vm-202-primary'], state: 'UNKNOWN', reason: 'future_mtime' },
      { kind: 'guest', ids: ['202'], host: 'pve', state: 'UNKNOWN', optional: true },
    ],
    verdict: 'unknown',
  },
  {
    name: 'folder-gone',
    title: 'The folder of a target does not exist',
    what: 'the folder of the Vaultwarden dumps is gone from the NAS',
    async hurt(_lab, surgery) {
      surgery.remove('nas', `${APPS}/vaultwarden`)
    },
    expect: [{ kind: 'target', ids: ['app-vaultwarden'], state: 'MISSING', reason: 'path_missing', severity: 'critical' }],
    verdict: 'critical',
  },
  {
    name: 'folder-empty',
    title: 'The folder of a target is empty',
    what: 'all Ghostfolio dumps are gone from the NAS, their producer is there',
    async hurt(_lab, surgery) {
      surgery.emptyFolder('nas', `${APPS}/ghostfolio`)
    },
    expect: [{ kind: 'target', ids: ['app-ghostfolio'], state: 'MISSING', reason: 'no_matches', severity: 'critical' }],
    verdict: 'critical',
  },
]
