/** Judges the storages that backups use: known, enabled, active, really mounted, with room for the next run. */
import type { StorageConfig } from '../observation.js'
import { normaliseFolder } from '../probe/plan.js'
import type { StorageStatus } from '../status.js'
import { readVzdumpName } from './artifacts.js'
import { median } from './memory.js'
import type { HostView, Pass } from './pass.js'
import { severityOf, subjectOf } from './pass.js'
import type { ProxmoxView, ProxmoxViews } from './proxmox.js'
import type { Verdict } from './report.js'
import { onHost, report } from './report.js'
import { sizeInWords } from './words.js'

/** Storage types whose path must be a mount of its own. */
const MOUNTED_TYPES = new Set(['nfs', 'cifs', 'cephfs', 'glusterfs'])

export const storageSubject = (view: HostView, id: string): string => subjectOf(view.host.site, 'storage', `${view.host.name}/${id}`)

export function judgeStorages(pass: Pass, proxmox: ProxmoxViews): StorageStatus[] {
  const rows: StorageStatus[] = []
  for (const view of pass.hosts.values()) {
    if (view.host.kind !== 'proxmox') continue
    const own = proxmox.get(view.host.name)
    const ids = own ? usedStorages(pass, own) : null
    const known = pass.memory.hosts[view.host.name]?.storages ?? []
    pass.draft.hosts[view.host.name] = { storages: ids ?? known }
    for (const id of ids ?? known) rows.push(judgeStorage(pass, view, own, id))
  }
  return rows
}

/** Named by a job that is enabled, or holding a target's folder. Null when the configuration could not be read. */
function usedStorages(pass: Pass, own: ProxmoxView): string[] | null {
  if (!own.seen.storageConfigs.ok) return null
  const used = new Set((own.jobs ?? []).flatMap(({ seen }) => (seen.enabled && seen.storage !== null ? [seen.storage] : [])))
  for (const target of pass.runbooks.inventory.targets) {
    if (target.host !== own.view.host.name || target.decommissioned) continue
    const holder = storageOfPath(own, target.basePath)
    if (holder) used.add(holder.id)
  }
  return own.seen.storageConfigs.value.filter(({ id }) => used.has(id)).map(({ id }) => id)
}

/** The storage with the longest path that holds this folder. */
export function storageOfPath(own: ProxmoxView, path: string): StorageConfig | null {
  if (!own.seen.storageConfigs.ok) return null
  const folder = `${normaliseFolder(path)}/`
  const holders = own.seen.storageConfigs.value.filter((config) => config.path !== null && folder.startsWith(`${normaliseFolder(config.path)}/`))
  return holders.sort((a, b) => (b.path?.length ?? 0) - (a.path?.length ?? 0))[0] ?? null
}

/** Where a storage has to be mounted, or null when it may lie on any file system. */
export function mountPointOf(config: StorageConfig): string | null {
  if (config.path === null) return null
  if (MOUNTED_TYPES.has(config.type)) return normaliseFolder(config.path)
  if (config.isMountpoint === null || config.isMountpoint === '0' || config.isMountpoint === 'no') return null
  return normaliseFolder(config.isMountpoint.startsWith('/') ? config.isMountpoint : config.path)
}

/** False only when the host's mounts were read and the storage is not among them. */
export function isMounted(own: ProxmoxView, config: StorageConfig): boolean {
  const needed = mountPointOf(config)
  const mounts = own.view.seen?.mounts
  return needed === null || !mounts?.ok || mounts.value.some(({ path }) => normaliseFolder(path) === needed)
}

function judgeStorage(pass: Pass, view: HostView, own: ProxmoxView | undefined, id: string): StorageStatus {
  const subject = storageSubject(view, id)
  const row = (state: StorageStatus['state'], verdict: Verdict, freeBytes: number | null): StorageStatus => ({
    site: view.host.site,
    host: view.host.name,
    id,
    state,
    ...verdict,
    freeBytes,
  })
  const unknown = (message: string): StorageStatus =>
    row('UNKNOWN', { reason: view.up ? 'probe_failed' : view.reason, severity: 'unknown', message, next: null }, null)
  if (!own) return unknown(`storage ${id}: ${view.host.name} could not be looked at`)
  const config = own.seen.storageConfigs.ok ? own.seen.storageConfigs.value.find((entry) => entry.id === id) : undefined
  if (!own.seen.storages.ok || !config) return unknown(`storage ${id}: ${own.seen.storages.ok ? 'its configuration could not be read' : own.seen.storages.why}`)
  const live = own.seen.storages.value.find((entry) => entry.id === id)
  const fail = (
    state: 'FAILED' | 'MISSING' | 'DISABLED',
    condition: 'space' | 'config',
    verdict: Omit<Verdict, 'severity'>,
    freeBytes: number | null = live?.availBytes ?? null,
  ): StorageStatus => {
    const full: Verdict = { ...verdict, severity: severityOf(state, false) }
    report(pass, subject, condition, state === 'DISABLED' ? { ...full, severity: 'critical' } : full)
    return row(state, state === 'DISABLED' ? { ...full, severity: 'critical' } : full, freeBytes)
  }
  const remark = own.seen.storages.remark
  const { sshAlias, name } = view.host
  if (config.disabled || live?.enabled === false) {
    return fail('DISABLED', 'config', {
      reason: 'storage_disabled',
      message: `storage ${id} on ${name} is disabled, but backups go there`,
      next: onHost(sshAlias, `pvesm set ${id} --disable 0`),
    })
  }
  if (!isMounted(own, config)) {
    return fail('FAILED', 'config', {
      reason: 'storage_not_mounted',
      message: `storage ${id} on ${name} is not mounted at ${mountPointOf(config)}: what is written there fills the root disk, and the archives on the share cannot be seen`,
      next: onHost(sshAlias, `pvesm status --storage ${id}; mount | grep ${mountPointOf(config)}`),
    })
  }
  if (!live?.active) {
    return fail('FAILED', 'config', {
      reason: 'storage_inactive',
      message: `storage ${id} on ${name} is not active${remark ? `: ${remark}` : ''}`,
      next: onHost(sshAlias, `pvesm status --storage ${id}`),
    })
  }
  const need = nextRunNeeds(own, config)
  const free = live.availBytes
  if (free !== null && need !== null && need.bytes > free) {
    return fail('FAILED', 'space', {
      reason: 'no_room',
      message: `storage ${id} on ${name} has no room for the next run of ${need.job}: ${sizeInWords(free)} are free, about ${sizeInWords(need.bytes)} are needed`,
      next: `look at retention and at what may go: ${onHost(sshAlias, `pvesm prune-backups ${id} --dry-run 1`)}`,
    })
  }
  if (keepsAll(own, config)) {
    const verdict: Verdict = {
      reason: 'keep_all',
      severity: 'warning',
      message: `storage ${id} on ${name} keeps every archive (${config.pruneBackups?.['keep-all'] === '1' ? 'keep-all=1' : 'no prune-backups'}), so it fills up`,
      next: onHost(sshAlias, `pvesm set ${id} --prune-backups keep-last=3`),
    }
    report(pass, subject, 'space', verdict)
    return row('OK', verdict, free)
  }
  const freeText = free === null ? '' : `, ${sizeInWords(free)} free`
  return row('OK', { reason: 'ok', severity: 'ok', message: `active${mountPointOf(config) ? ', mounted' : ''}${freeText}`, next: null }, free)
}

/**
 * Room that the largest of the jobs onto this storage needs. vzdump prunes a guest right after its backup: a guest that has
 * its full number of archives needs room for one more only while it runs, so of those the largest counts once; guests that
 * keep all, or have not reached their number, add up.
 */
function nextRunNeeds(own: ProxmoxView, config: StorageConfig): { job: string; bytes: number } | null {
  let most: { job: string; bytes: number } | null = null
  const archives = archivesOf(own, config)
  for (const job of own.jobs ?? []) {
    if (!job.seen.enabled || job.seen.storage !== config.id) continue
    const keep = keepCount(job.seen.pruneBackups ?? config.pruneBackups)
    let adding = 0
    let largest = 0
    for (const vmid of job.covers) {
      const sizes = archives.get(vmid) ?? []
      if (sizes.length === 0) continue
      const usual = median(sizes)
      if (keep === null || sizes.length < keep) adding += usual
      else largest = Math.max(largest, usual)
    }
    const bytes = Math.round((adding + largest) * 1.1)
    if (!most || bytes > most.bytes) most = { job: job.seen.id, bytes }
  }
  return most
}

function archivesOf(own: ProxmoxView, config: StorageConfig): Map<number, number[]> {
  const sizes = new Map<number, number[]>()
  const inside = `${normaliseFolder(config.path ?? '/nowhere')}/`
  for (const { basePath, reading } of own.view.seen?.directories ?? []) {
    if (!reading.ok || !`${normaliseFolder(basePath)}/`.startsWith(inside)) continue
    for (const file of reading.value.files) {
      const name = readVzdumpName(file.name, own.view.zone)
      if (!name || file.type !== 'file' || !/^(?:vma|tar|tgz)/.test(name.extension) || name.extension.endsWith('dat')) continue
      if (/notes|protected/.test(name.extension)) continue
      sizes.set(name.vmid, [...(sizes.get(name.vmid) ?? []), file.sizeBytes])
    }
  }
  return sizes
}

/** Nothing is ever pruned here: neither by the storage's own retention nor by that of every job that writes to it. */
function keepsAll(own: ProxmoxView, config: StorageConfig): boolean {
  if (keepCount(config.pruneBackups) !== null) return false
  const writers = (own.jobs ?? []).filter(({ seen }) => seen.enabled && seen.storage === config.id)
  return writers.length === 0 || writers.some(({ seen }) => keepCount(seen.pruneBackups) === null)
}

/** The most archives that a retention keeps of a guest; null when it keeps all. */
function keepCount(retention: Readonly<Record<string, string>> | null): number | null {
  if (retention === null || retention['keep-all'] === '1') return null
  const sum = Object.entries(retention).reduce((total, [key, value]) => (key === 'keep-all' ? total : total + (Number(value) || 0)), 0)
  return sum > 0 ? sum : null
}
