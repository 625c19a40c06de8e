/** Brings together what the host said, what the files look like, what is proven and what the runbooks want: the archives of each guest. Pure. */
import type { Classification, RunbookSet } from '../estate.js'
import { examine, readVzdumpName } from '../judge/artifacts.js'
import { readMemory } from '../judge/memory.js'
import { type HostView, type Pass, viewHosts } from '../judge/pass.js'
import { type ProxmoxView, viewProxmox } from '../judge/proxmox.js'
import { isMounted, mountPointOf } from '../judge/storages.js'
import { listInWords } from '../judge/words.js'
import { localDate } from '../judge/zone.js'
import type { DirectorySeen, FileSeen, HostObservation, LogExcerpt } from '../observation.js'
import { type Retention, retentionText, type VzdumpRunbook } from '../vzdump-runbook.js'
import type { Archive, GuestArchives, HostMark, MarkUnder } from './archive.js'
import { keepsAll, mostKept, parseRetention, retentionOf } from './keep.js'
import type { ReadRow, RetentionReading, StorageReading } from './reader.js'

/** What is on record about an archive: how well it is proven, and of which file that was said. */
export interface ProofOnRecord {
  readonly volid: string
  readonly sizeBytes: number
  readonly modifiedAtSeconds: number
  readonly level: number
  readonly provenAt: string
}

export interface RetentionWorld {
  readonly runbooks: RunbookSet
  readonly vzdump: VzdumpRunbook
  readonly host: string
  readonly seen: HostObservation
  readonly reading: RetentionReading
  readonly proofs: readonly ProofOnRecord[]
  /** The judge's memory, as JSON: since when a guest is the one it is. */
  readonly memory: unknown
  readonly nowSeconds: number
}

/** A storage that was looked at. */
export interface StorageArchives {
  readonly id: string
  /** Why nothing may be removed on it; null = it was read whole. */
  readonly unread: string | null
  readonly mountedAt: string | null
  readonly groups: readonly GuestArchives[]
}

export interface RetentionView {
  readonly view: HostView
  readonly proxmox: ProxmoxView
  readonly storages: readonly StorageArchives[]
}

/** @throws Error naming what could not be read, when nothing can be said about the host at all */
export function viewRetention(world: RetentionWorld): RetentionView {
  const { runbooks, seen, nowSeconds } = world
  if (!seen.outcome.ok) throw new Error(`${world.host} could not be read (${seen.outcome.reason}): ${seen.outcome.message}`)
  const hosts = viewHosts(runbooks, [seen], nowSeconds)
  const pass: Pass = {
    runbooks,
    nowSeconds,
    now: new Date(nowSeconds * 1000).toISOString(),
    hosts,
    memory: readMemory(world.memory),
    enrollments: [],
    draft: { targets: {}, guests: {}, jobs: {}, hosts: {} },
    findings: [],
  }
  const view = hosts.get(world.host)
  const proxmox = viewProxmox(pass).get(world.host)
  if (!view || !proxmox) throw new Error(`${world.host} did not answer as a Proxmox host`)
  if (proxmox.disbelief !== null) throw new Error(`the answers of ${world.host} are not believed: ${proxmox.disbelief}`)
  if (proxmox.guests === null || !proxmox.seen.configs.ok)
    throw new Error(`the guests of ${world.host} could not be read, so nobody can tell whose an archive is`)
  if (proxmox.jobs === null) throw new Error(`the jobs of ${world.host} could not be read`)
  return { view, proxmox, storages: world.reading.storages.map((storage) => viewStorage(world, view, proxmox, storage)) }
}

function viewStorage(world: RetentionWorld, view: HostView, proxmox: ProxmoxView, storage: StorageReading): StorageArchives {
  const config = proxmox.seen.storageConfigs.ok ? proxmox.seen.storageConfigs.value.find(({ id }) => id === storage.id) : undefined
  const mountedAt = config ? mountPointOf(config) : null
  const unread = whyUnread(proxmox, storage, config !== undefined && isMounted(proxmox, config), mountedAt)
  if (unread !== null || !storage.content.ok) return { id: storage.id, unread: unread ?? 'not read', mountedAt, groups: [] }
  return { id: storage.id, unread: null, mountedAt, groups: groupsOf(world, view, proxmox, storage, storage.content.value) }
}

function whyUnread(proxmox: ProxmoxView, storage: StorageReading, isMountedNow: boolean, mountedAt: string | null): string | null {
  if (storage.folder === null) return `storage ${storage.id} is no folder (${storage.type}): its own server prunes it`
  const state = proxmox.seen.storages.ok ? proxmox.seen.storages.value.find(({ id }) => id === storage.id) : undefined
  if (!state?.active) return `storage ${storage.id} is not active`
  if (!isMountedNow) return `storage ${storage.id} is not mounted${mountedAt === null ? '' : ` at ${mountedAt}`}`
  if (!storage.content.ok) return `the archives of storage ${storage.id} could not be listed: ${storage.content.why}`
  if (!storage.files.ok) return `the folder of storage ${storage.id} could not be read: ${storage.files.why}`
  if (!storage.logLines.ok) return `the logs of storage ${storage.id} could not be read: ${storage.logLines.why}`
  return null
}

function groupsOf(world: RetentionWorld, view: HostView, proxmox: ProxmoxView, storage: StorageReading, rows: readonly ReadRow[]): GuestArchives[] {
  const files = filesOf(storage)
  const problems = problemsOf(storage, files, view, proxmox)
  const groups = new Map<string, { kind: GuestArchives['guest']; vmid: number | null; rows: { row: ReadRow; file: FileSeen | undefined; name: string }[] }>()
  for (const row of rows) {
    const name = row.volid.slice(row.volid.lastIndexOf('/') + 1)
    const vmid = readVzdumpName(name, view.zone)?.vmid ?? (row.vmid === undefined ? null : Number(row.vmid))
    const kind = ownerOf(proxmox, vmid, readVzdumpName(name, view.zone)?.startedSeconds ?? null)
    const key = `${kind}/${vmid}`
    const group = groups.get(key) ?? { kind, vmid, rows: [] }
    group.rows.push({ row, file: files.get(name), name })
    groups.set(key, group)
  }
  return [...groups.values()]
    .sort((a, b) => (a.vmid ?? 0) - (b.vmid ?? 0) || (a.kind < b.kind ? -1 : 1))
    .map(({ kind, vmid, rows: members }): GuestArchives => {
      const options = optionsFor(world, proxmox, storage, vmid)
      const pruning = options.filter(({ options: each }) => !keepsAll(each))
      const classification = classificationOf(world, vmid)
      return {
        storage: storage.id,
        vmid,
        name: vmid === null ? null : (proxmox.guests?.get(vmid)?.seen.name ?? null),
        guest: kind,
        classification,
        provenCopies: world.vzdump.retention.provenCopies[classification],
        wantedInWords: options.length === 0 ? 'all (no retention is set)' : listInWords(options.map((each) => `${retentionText(each.options)} (${each.of})`)),
        wanted: pruning.length < options.length || options.length === 0 ? null : Math.max(...pruning.map((each) => mostKept(each.options) ?? 0)),
        isRunning: vmid === null ? false : proxmox.isRunning(vmid),
        heldBack: kind === 'gone' && vmid !== null ? heldBack(world, view, vmid) : kind === 'unknown' ? 'nothing tells whose it is' : null,
        archives: members.map(({ row, file, name }) =>
          archiveOf(world, view, storage, { row, file, name, kind, options, problem: problems.get(name) ?? null }),
        ),
      }
    })
}

function ownerOf(proxmox: ProxmoxView, vmid: number | null, startedSeconds: number | null): GuestArchives['guest'] {
  if (vmid === null) return 'unknown'
  const guest = proxmox.guests?.get(vmid)
  if (!guest) {
    // a guest that lives on another node of the cluster is not gone
    return proxmox.seen.configs.ok && proxmox.seen.configs.value.some((config) => config.vmid === vmid) ? 'unknown' : 'gone'
  }
  return guest.bornSeconds !== null && startedSeconds !== null && startedSeconds < guest.bornSeconds ? 'earlier' : 'present'
}

/** The retention of every job that would back this guest up to this storage, enabled or not; where there is none, what the storage keeps. */
function optionsFor(world: RetentionWorld, proxmox: ProxmoxView, storage: StorageReading, vmid: number | null): { of: string; options: Retention }[] {
  const fallback =
    storage.options !== null
      ? { of: `storage ${storage.id}`, options: parseRetention(storage.options) }
      : { of: '/etc/vzdump.conf', options: world.reading.nodeOptions === null ? { 'keep-all': 1 } : parseRetention(world.reading.nodeOptions) }
  const jobs = (proxmox.jobs ?? []).filter(({ seen, covers, vanished }) => {
    return seen.storage === storage.id && vmid !== null && (covers.has(vmid) || vanished.includes(vmid))
  })
  if (jobs.length === 0) return [fallback]
  return jobs.map(({ seen }) =>
    seen.pruneBackups === null
      ? { of: `${fallback.of} for job ${seen.id}`, options: fallback.options }
      : { of: `job ${seen.id}`, options: retentionOf(seen.pruneBackups) },
  )
}

interface Member {
  readonly row: ReadRow
  readonly file: FileSeen | undefined
  readonly name: string
  readonly kind: GuestArchives['guest']
  readonly options: readonly { of: string; options: Retention }[]
  readonly problem: string | null
}

function archiveOf(world: RetentionWorld, view: HostView, storage: StorageReading, member: Member): Archive {
  const { row, file, name, kind } = member
  const standard = readVzdumpName(name, view.zone)
  const modifiedAtSeconds = file?.mtimeSeconds ?? 0
  const sizeBytes = file?.sizeBytes ?? Number(row.size ?? 0)
  const records = world.proofs.filter(({ volid }) => volid === row.volid)
  const record = records.find((each) => each.sizeBytes === sizeBytes && each.modifiedAtSeconds === modifiedAtSeconds)
  return {
    volid: row.volid,
    path: `${storage.folder}/${name}`,
    sizeBytes,
    modifiedAtSeconds,
    startedSeconds: standard?.startedSeconds ?? modifiedAtSeconds,
    isProtected: row.protected === 1 || row.protected === '1' || row.protected === true,
    hasStandardName: standard !== null,
    isOfEarlierGuest: kind === 'earlier',
    incomplete: member.problem,
    altered: whyAltered(row, file, record === undefined && records.length > 0),
    proofLevel: record?.level ?? 0,
    provenAt: record === undefined || record.level === 0 ? null : record.provenAt,
    isDamaged: record?.level === 0,
    marks: member.options.map((each) => markOf(storage, row.volid, each)),
  }
}

function whyAltered(row: ReadRow, file: FileSeen | undefined, isAnotherFile: boolean): string | null {
  if (!file) return 'the host lists it, but its folder does not hold it'
  if (row.size !== undefined && Number(row.size) !== file.sizeBytes) return `the host lists it with ${row.size} bytes, its file has ${file.sizeBytes}`
  return isAnotherFile ? 'it is not the file that was once proven under this name: its size or time is another' : null
}

function markOf(storage: StorageReading, volid: string, { of, options }: { of: string; options: Retention }): MarkUnder {
  if (keepsAll(options)) return { of, options, mark: 'keep' }
  const asked = storage.asked.find((each) => retentionText(parseRetention(each.options)) === retentionText(options))
  if (!asked) return { of, options, mark: null, unanswered: 'it was not asked about them' }
  if (!asked.marks.ok) return { of, options, mark: null, unanswered: asked.marks.why }
  const mark = asked.marks.value.find((row) => row.volid === volid)?.mark
  return { of, options, mark: (['keep', 'remove', 'protected', 'renamed'] as const).find((known): known is HostMark => known === mark) ?? null }
}

/** `SIZE MTIME NAME` by name. */
function filesOf(storage: StorageReading): Map<string, FileSeen> {
  const files = new Map<string, FileSeen>()
  for (const line of storage.files.ok ? storage.files.value : []) {
    const match = /^(\d+) (\d+)(?:\.\d*)? (.+)$/.exec(line)
    if (match?.[3]) files.set(match[3], { name: match[3], sizeBytes: Number(match[1]), mtimeSeconds: Number(match[2]), type: 'file', glob: -1 })
  }
  return files
}

/** Why an archive does not count as complete: the monitor's own judgement, so that the two never differ. */
function problemsOf(storage: StorageReading, files: ReadonlyMap<string, FileSeen>, view: HostView, proxmox: ProxmoxView): Map<string, string> {
  const logs = new Map<string, string[]>([...files.keys()].filter((name) => name.endsWith('.log')).map((name) => [name, []]))
  for (const line of storage.logLines.ok ? storage.logLines.value : []) {
    const colon = line.indexOf('.log:')
    if (colon > 0) logs.get(line.slice(0, colon + 4))?.push(line.slice(colon + 5))
  }
  const folder: DirectorySeen = {
    state: 'present',
    files: [...files.values()],
    temporary: [],
    counts: [],
    unlooked: 0,
    freeBytes: null,
    totalBytes: null,
    mountPoint: null,
    logs: [...logs].map(([name, lines]): LogExcerpt => ({ name, lines })),
  }
  const examined = examine(folder, {
    basePath: storage.folder ?? '',
    glob: 'vzdump-*',
    globIndex: -1,
    hostNowSeconds: view.clockSeconds,
    zone: view.zone,
    ownDumpFolder: true,
    running: proxmox.isRunning,
    belongs: () => true,
    remembered: {},
  })
  return new Map(examined.artifacts.flatMap(({ name, problem }) => (problem === null ? [] : [[name, problem.text] as const])))
}

const STRICTEST: readonly Classification[] = ['critical', 'important', 'rebuildable']

/** The decision in estate.yaml, else the strictest class of the targets that the guest's archives are for, else `important` (as the monitor has it). */
export function classificationOf(world: Pick<RetentionWorld, 'runbooks' | 'host'>, vmid: number | null): Classification {
  const { estate, inventory } = world.runbooks
  const decided = estate.guests.find((guest) => guest.host === world.host && guest.vmid === vmid)?.classification
  if (decided) return decided
  const classes = inventory.targets.flatMap((target) => {
    const producer = estate.producedBy[target.id]
    return producer?.kind === 'vzdump' && producer.host === world.host && producer.vmid === vmid && !target.decommissioned ? [target.classification] : []
  })
  return STRICTEST.find((each) => classes.includes(each)) ?? 'important'
}

/** Archives of a guest that is gone stay until the day that a person set, and for ever while nobody did. */
function heldBack(world: RetentionWorld, view: HostView, vmid: number): string | null {
  const decision = world.vzdump.hosts.find(({ host }) => host === world.host)?.leftovers.find(({ guest }) => guest === vmid)
  if (!decision) return `guest ${vmid} is gone and vzdump.yaml holds no decision (leftovers) about its archives`
  const today = localDate(view.clockSeconds, world.runbooks.estate.timezone)
  return today > decision.keepUntil ? null : `guest ${vmid} is gone; its archives are kept until ${decision.keepUntil}: ${decision.reason}`
}
