/**
 * What the lab's copy of the runbooks says otherwise than the repository's example, per state. Comments and order are kept.
 *   healthy   a decision (waiver) for every target that is switched off, and for the mail server that stands on a host it reports about
 *   as-found  the operator's files as the audits saw them: targets of guests outside of pve's job switched off, three dead guests
 *             of home still listed, the weekly event without its day; vzdump.yaml wants the three tiers of home with the guests they named, and pve's job without 215
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Document, parseDocument, type YAMLMap, type YAMLSeq } from 'yaml'
import { replaceFile } from '../../src/files/replace-file.js'
import type { EstateState } from './estate-plan.js'
import { ALL_SHOP_VMIDS, HOME_BACKUPS, SHOP_VMIDS_AS_FOUND } from './jobs.js'

export type ConfigFile = 'estate.yaml' | 'inventory.yaml' | 'calendar.yaml' | 'vzdump.yaml' | 'alerts.yaml'

/** Changes one file of a configuration folder through its document, so that comments stay. */
export function editConfig(folder: string, file: ConfigFile, change: (document: Document.Parsed) => void): void {
  const path = join(folder, file)
  const document = parseDocument(readFileSync(path, 'utf8'))
  change(document)
  replaceFile(path, document.toString({ lineWidth: 0, flowCollectionPadding: true }))
}

/** The row of a list whose `key` has that value. */
export function rowOf(document: Document.Parsed, list: string, key: string, value: string): YAMLMap {
  const rows = document.get(list) as YAMLSeq<YAMLMap>
  const row = rows.items.find((one) => one.get(key) === value)
  if (row === undefined) throw new Error(`the example runbooks have no ${list} entry with ${key}: ${value}`)
  return row
}

/** @param now the lab's clock */
export function editRunbooks(folder: string, state: EstateState, now: Date): void {
  if (state === 'healthy') waive(folder, now)
  else asFound(folder)
}

function waive(folder: string, now: Date): void {
  const until = new Date(now.getTime() + 365 * 86_400_000).toISOString().slice(0, 10)
  editConfig(folder, 'alerts.yaml', (document) => {
    document.setIn(['mail', 'waiver'], document.createNode({ reason: 'lab: the watcher at home tells when the shop is gone', until }))
  })
  editConfig(folder, 'inventory.yaml', (document) => {
    for (const row of (document.get('targets') as YAMLSeq<YAMLMap>).items) {
      if (row.get('enabled') === false) row.set('waiver', document.createNode({ reason: 'lab: switched off by decision of the operator', until }))
    }
  })
}

const PRIMARY_TARGET = /^vm-(\d+)-.*primary$|^vm-(\d+)-primary$/
/** At the time nobody had set up a dump of Infisical. */
const ALSO_DISABLED = ['app-infisical']
/** The audit looked for it and found nothing: it was switched on. */
const ALSO_ENABLED = ['vm-200-docker-host-offsite']

const DEAD_HOME_TARGETS = [
  { name: 'home-vm-101-immich-primary', vmid: 101, enabled: false, glob: 'vzdump-qemu-101-*.vma.zst', stale_after_hours: 168, classification: 'important' },
  { name: 'home-vm-102-vaultwarden-primary', vmid: 102, enabled: true, glob: 'vzdump-qemu-102-*.vma.zst', stale_after_hours: 26, classification: 'critical' },
  { name: 'home-lxc-103-download-primary', vmid: 103, enabled: false, glob: 'vzdump-lxc-103-*.tar.zst', stale_after_hours: 26, classification: 'important' },
] as const

function asFound(folder: string): void {
  vzdumpAsFound(folder)
  const inJob = new Set<number>(SHOP_VMIDS_AS_FOUND)
  editConfig(folder, 'inventory.yaml', (document) => {
    const targets = document.get('targets') as YAMLSeq<YAMLMap>
    for (const row of targets.items) {
      const name = String(row.get('name'))
      const [, named, bare] = PRIMARY_TARGET.exec(name) ?? []
      const vmid = Number(named ?? bare)
      if ((ALL_SHOP_VMIDS as readonly number[]).includes(vmid) && !inJob.has(vmid)) row.set('enabled', false)
      if (ALSO_DISABLED.includes(name)) row.set('enabled', false)
      if (ALSO_ENABLED.includes(name)) row.set('enabled', true)
    }
    for (const { vmid: _, name, enabled, ...rest } of DEAD_HOME_TARGETS) {
      targets.add(document.createNode({ name, enabled, kind: 'file_glob', host: 'proxmox-home', base_path: `${HOME_BACKUPS}/dump`, ...rest }) as YAMLMap)
    }
  })
  editConfig(folder, 'estate.yaml', (document) => {
    for (const { name, vmid } of DEAD_HOME_TARGETS) document.setIn(['produced_by', name], document.createNode({ vzdump: { host: 'proxmox-home', vmid } }))
  })
  editConfig(folder, 'calendar.yaml', (document) => {
    const guestsOf = (id: string, vmids: readonly number[]) => rowOf(document, 'events', 'id', id).set('guests', document.createNode(vmids))
    guestsOf('vzdump-pve-daily', [200, 202, 203, 204, 205, 206, 207, 209, 210])
    guestsOf('vzdump-home-p0-daily', [100, 102])
    guestsOf('vzdump-home-p2-weekly', [101, 105])
    rowOf(document, 'events', 'id', 'vzdump-home-p2-weekly').delete('byday')
    const dead = {
      id: 'vzdump-home-p1-daily',
      summary: 'vzdump: home P1 (download-home)',
      freq: 'DAILY',
      byhour: 3,
      byminute: 15,
      duration_minutes: 30,
      source: 'proxmox-home:/etc/pve/jobs.cfg',
      guests: [103],
      job: 'proxmox-home/backup-home-p1-daily',
    }
    ;(document.get('events') as YAMLSeq<YAMLMap>).add(document.createNode(dead) as YAMLMap)
  })
}

/** The tiers as they were set up, dead guests and all; nobody had decided about 215 yet. */
function vzdumpAsFound(folder: string): void {
  editConfig(folder, 'vzdump.yaml', (document) => {
    const [shop, home] = (document.get('hosts') as YAMLSeq<YAMLMap>).items.map((row) => row.get('jobs') as YAMLSeq<YAMLMap>)
    if (shop === undefined || home === undefined) throw new Error('the example vzdump.yaml has not the two Proxmox hosts')
    const give = (job: YAMLMap | undefined, guests: readonly number[]) => job?.set('guests', document.createNode(guests, { flow: true }))
    give(
      shop.items[0],
      ALL_SHOP_VMIDS.filter((vmid) => vmid !== 215),
    )
    give(home.items[0], [100, 102])
    give(home.items[1], [101, 105])
    const p1 = { id: 'backup-home-p1-daily', tier: 'P1', guests: [103], schedule: '03:15', storage: 'synology-backups', retention: { keep_last: 3 } }
    home.add(document.createNode({ ...p1, mode: 'snapshot', compress: 'zstd' }, { flow: true }) as YAMLMap)
  })
}
