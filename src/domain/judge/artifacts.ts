/**
 * Which files of a folder are a target's artifacts, which of them are complete, and what is half there.
 * Completeness goes beyond the newest name: the finished line of vzdump's log, no `.dat`/`.tmp`/temporary name, a plausible size.
 */
import type { DirectorySeen, FileSeen, LogExcerpt } from '../observation.js'
import { matchesGlob } from '../probe/glob.js'
import { median } from './memory.js'
import { sizeInWords } from './words.js'
import { instantOf } from './zone.js'

export interface Artifact {
  readonly name: string
  readonly path: string
  readonly sizeBytes: number
  readonly mtimeSeconds: number
  /** Artifacts are compared in size only within a series: one guest's archives, or a target's files. */
  readonly series: string
  /** When the backup began, from the archive's name; for other files their mtime. */
  readonly startedSeconds: number
  readonly problem: Problem | null
}

export interface Problem {
  readonly reason: 'empty' | 'too_small' | 'log_incomplete'
  readonly text: string
}

/** Something half written under a temporary name. */
export interface HalfDone {
  readonly name: string
  readonly mtimeSeconds: number
  readonly sizeBytes: number
  readonly inProgress: boolean
  readonly vmid: number | null
}

/** A vzdump log without an archive: that run failed. */
export interface FailedRun {
  readonly vmid: number
  readonly startedSeconds: number
  readonly text: string
}

export interface ArtifactSet {
  /** Newest first. */
  readonly artifacts: readonly Artifact[]
  readonly total: number
  readonly halfDone: HalfDone | null
  readonly failedRun: FailedRun | null
  /** Archives of an earlier guest with the same number: seen, never counted. */
  readonly ofEarlierGuest: number
}

export interface ExamineOptions {
  readonly basePath: string
  readonly glob: string
  /** Index of the pattern within the folder's reading; -1 for vzdump folders. */
  readonly globIndex: number
  readonly hostNowSeconds: number
  readonly zone: string
  /** A dump folder of the Proxmox host itself, where every finished archive gets its log beside it. */
  readonly ownDumpFolder: boolean
  /** Whether a vzdump task is at work on that guest; null when the tasks could not be read. */
  readonly running: (vmid: number) => boolean | null
  /** Whether an archive begun then is of the guest that has the number now. */
  readonly belongs: (vmid: number, startedSeconds: number) => boolean
  /** Sizes remembered from earlier passes, by series: [mtime, bytes]. */
  readonly remembered: Readonly<Record<string, readonly (readonly [number, number])[]>>
}

/** A temporary name that has not grown for this long is left over, not in progress (where no task list can tell). */
export const QUIET_TEMPORARY_SECONDS = 900

/** With at least three to compare with, less than half of their median is too small; with fewer, less than a fifth. */
export const TOO_SMALL = { comparisons: 3, share: 0.5, shareWithFewer: 0.2, ignoreBelowBytes: 4096 } as const

/** gzip of nothing has 20 bytes and its file name, zstd of nothing 9 to 13. */
const EMPTY_ARCHIVE_BYTES = 64

const VZDUMP_NAME = /^vzdump-(qemu|lxc|openvz)-(\d+)-(\d{4})_(\d\d)_(\d\d)-(\d\d)_(\d\d)_(\d\d)\.(.+)$/
const ARCHIVE_EXTENSION = /^(?:tgz|(?:tar|vma)(?:\.(?:gz|lzo|zst|bz2))?)$/
const TEMPORARY_SUFFIX = /\.(?:tmp|part|partial|filepart)$/

export interface VzdumpName {
  readonly vmid: number
  readonly type: 'qemu' | 'lxc'
  /** Name up to the time stamp: archive, log and notes share it. */
  readonly base: string
  readonly extension: string
  readonly startedSeconds: number
}

/** The parts of a standard vzdump name (proxmox.md: the time is the node's local wall clock), or null. */
export function readVzdumpName(name: string, zone: string): VzdumpName | null {
  const match = VZDUMP_NAME.exec(name)
  if (!match) return null
  const [year, month, day, hour, minute, second] = match.slice(3, 9).map(Number) as [number, number, number, number, number, number]
  if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60) return null
  const extension = match[9] ?? ''
  return {
    vmid: Number(match[2]),
    type: match[1] === 'qemu' ? 'qemu' : 'lxc',
    base: name.slice(0, name.length - extension.length - 1),
    extension,
    startedSeconds: instantOf({ year, month, day, hour, minute, second }, zone),
  }
}

export function examine(folder: DirectorySeen, options: ExamineOptions): ArtifactSet {
  const matching = folder.files.filter((file) => (options.globIndex >= 0 ? file.glob === options.globIndex : matchesGlob(options.glob, file.name)))
  const regular = matching.filter((file) => file.type === 'file' && !isTemporaryName(file.name))
  const logs = new Map(folder.logs.map((log) => [log.name, log]))
  const names = new Set(folder.files.map((file) => file.name))
  const artifacts: Artifact[] = []
  let ofEarlierGuest = 0
  for (const file of regular) {
    const vzdump = readVzdumpName(file.name, options.zone)
    if (vzdump && !ARCHIVE_EXTENSION.test(vzdump.extension)) continue
    if (vzdump && !options.belongs(vzdump.vmid, vzdump.startedSeconds)) {
      ofEarlierGuest++
      continue
    }
    artifacts.push({
      name: file.name,
      path: joinPath(options.basePath, file.name),
      sizeBytes: file.sizeBytes,
      mtimeSeconds: file.mtimeSeconds,
      series: vzdump ? `${vzdump.type}-${vzdump.vmid}` : '',
      startedSeconds: vzdump?.startedSeconds ?? file.mtimeSeconds,
      problem: null,
    })
  }
  artifacts.sort((a, b) => b.mtimeSeconds - a.mtimeSeconds || (a.name < b.name ? 1 : -1))
  const judged = artifacts.map((artifact) => ({ ...artifact, problem: problemOf(artifact, artifacts, logs, names, options) }))
  return {
    artifacts: judged,
    total: judged.length + notListed(folder, options),
    halfDone: findHalfDone(folder, options, judged),
    failedRun: findFailedRun(folder, options, judged),
    ofEarlierGuest,
  }
}

const joinPath = (folder: string, name: string): string => (folder === '/' ? `/${name}` : `${folder}/${name}`)
const baseName = (name: string): string => name.slice(name.lastIndexOf('/') + 1)

function isTemporaryName(name: string): boolean {
  return TEMPORARY_SUFFIX.test(name) || baseName(name).startsWith('.')
}

function notListed(folder: DirectorySeen, options: ExamineOptions): number {
  const label = `f${options.globIndex}`
  let more = 0
  for (const { family, count } of folder.counts) {
    const listed = (name: string): boolean => name.replace(/\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d/g, '@') === family.replace(/^\.\//, '')
    if (options.globIndex >= 0 ? family === label : folder.files.some((file) => listed(file.name) && matchesGlob(options.glob, file.name))) {
      more +=
        count -
        (options.globIndex >= 0
          ? folder.files.filter((file) => file.glob === options.globIndex).length
          : folder.files.filter((file) => listed(file.name)).length)
    }
  }
  return Math.max(0, more)
}

function problemOf(
  artifact: Artifact,
  all: readonly Artifact[],
  logs: ReadonlyMap<string, LogExcerpt>,
  names: ReadonlySet<string>,
  options: ExamineOptions,
): Problem | null {
  if (artifact.sizeBytes === 0) return { reason: 'empty', text: `${artifact.name} is empty (0 bytes)` }
  if (/\.(?:gz|tgz|zst|bz2|xz|lzo|zip)$/.test(artifact.name) && artifact.sizeBytes <= EMPTY_ARCHIVE_BYTES) {
    return { reason: 'empty', text: `${artifact.name} has ${artifact.sizeBytes} bytes: a compressed nothing` }
  }
  return logProblem(artifact, all, logs, names, options) ?? sizeProblem(artifact, all, options)
}

function logProblem(
  artifact: Artifact,
  all: readonly Artifact[],
  logs: ReadonlyMap<string, LogExcerpt>,
  names: ReadonlySet<string>,
  options: ExamineOptions,
): Problem | null {
  const vzdump = readVzdumpName(artifact.name, options.zone)
  if (!vzdump) return null
  const logName = `${vzdump.base}.log`
  const log = logs.get(logName)
  if (log) {
    const finished = log.lines.some((line) => line.includes(`Finished Backup of VM ${vzdump.vmid} (`))
    const failure = log.lines.find((line) => line.includes(`Backup of VM ${vzdump.vmid} failed - `))
    // a failure while pruning comes after the archive got its final name (pve-manager PVE/VZDump.pm exec_backup_task)
    const complete = finished || failure?.includes('error pruning backups') === true
    if (!complete)
      return {
        reason: 'log_incomplete',
        text: failure ? `its log says: ${logText(failure)}` : `its log ${logName} has no line "Finished Backup of VM ${vzdump.vmid}"`,
      }
    return loggedSizeProblem(artifact, log)
  }
  if (names.has(logName) || !options.ownDumpFolder) return null
  // vzdump copies the log last, after pruning; an older archive's log may have been tidied away
  const newest = all.find((other) => other.series === artifact.series)
  if (newest !== artifact || options.running(vzdump.vmid) === true) return null
  return { reason: 'log_incomplete', text: `there is no log ${logName} beside it, so nothing says that it was finished` }
}

const LOGGED_SIZE = /archive file size: ([\d.]+)(KB|MB|GB|TB)/
const UNIT: Readonly<Record<string, number>> = { KB: 1024, MB: 1024 ** 2, GB: 1024 ** 3, TB: 1024 ** 4 }

/** The log tells the size in whole KB or MB, or hundredths of a GB; a file a tenth smaller than that lost its end later. */
function loggedSizeProblem(artifact: Artifact, log: LogExcerpt): Problem | null {
  const match = log.lines.map((line) => LOGGED_SIZE.exec(line)).find((found) => found !== null)
  if (!match) return null
  const logged = Number(match[1]) * (UNIT[match[2] ?? ''] ?? 1)
  if (artifact.sizeBytes >= logged * 0.9) return null
  return { reason: 'too_small', text: `${artifact.name} has ${sizeInWords(artifact.sizeBytes)}, but its log says that ${match[1]}${match[2]} were written` }
}

function sizeProblem(artifact: Artifact, all: readonly Artifact[], options: ExamineOptions): Problem | null {
  const earlier = new Map<number, number>()
  for (const [mtime, bytes] of options.remembered[artifact.series] ?? []) if (mtime < artifact.mtimeSeconds) earlier.set(mtime, bytes)
  for (const other of all)
    if (other.series === artifact.series && other.mtimeSeconds < artifact.mtimeSeconds && other.sizeBytes > 0) earlier.set(other.mtimeSeconds, other.sizeBytes)
  if (earlier.size === 0) return null
  const usual = median(
    [...earlier]
      .sort(([a], [b]) => b - a)
      .slice(0, 14)
      .map(([, bytes]) => bytes),
  )
  if (usual < TOO_SMALL.ignoreBelowBytes) return null
  const share = earlier.size >= TOO_SMALL.comparisons ? TOO_SMALL.share : TOO_SMALL.shareWithFewer
  if (artifact.sizeBytes >= usual * share) return null
  return {
    reason: 'too_small',
    text: `${artifact.name} has ${sizeInWords(artifact.sizeBytes)}; the ${earlier.size === 1 ? 'one' : earlier.size} before had ${sizeInWords(usual)}${earlier.size === 1 ? '' : ' (median)'}`,
  }
}

function findHalfDone(folder: DirectorySeen, options: ExamineOptions, artifacts: readonly Artifact[]): HalfDone | null {
  const candidates: HalfDone[] = []
  for (const file of [...folder.files, ...folder.temporary]) {
    const vmid = halfDoneOf(file, options)
    if (vmid === undefined) continue
    const running = vmid === null ? null : options.running(vmid)
    const quiet = options.hostNowSeconds - file.mtimeSeconds > QUIET_TEMPORARY_SECONDS
    candidates.push({ name: file.name, mtimeSeconds: file.mtimeSeconds, sizeBytes: file.sizeBytes, inProgress: running ?? !quiet, vmid })
  }
  const newest = candidates.sort((a, b) => b.mtimeSeconds - a.mtimeSeconds || b.sizeBytes - a.sizeBytes || (a.name < b.name ? 1 : -1))[0]
  const newestGood = artifacts.find((artifact) => artifact.problem === null)
  return newest && (!newestGood || newest.mtimeSeconds > newestGood.mtimeSeconds) ? newest : null
}

/** The guest of a half-done file that belongs to the target (null where it has none), or undefined when the file is something else. */
function halfDoneOf(file: FileSeen, options: ExamineOptions): number | null | undefined {
  const vzdump = readVzdumpName(file.name, options.zone)
  if (vzdump && options.globIndex < 0) {
    // in progress, the last extension is `.dat` instead: x.vma.zst → x.vma.dat, x.vma → x.dat; scratch is x.tmp/
    const archives = ['vma.zst', 'vma.gz', 'vma.lzo', 'vma', 'tar.zst', 'tar.gz', 'tar.lzo', 'tar', 'tgz']
    const isHalf = vzdump.extension === 'tmp' || vzdump.extension === 'dat' || vzdump.extension === 'vma.dat' || vzdump.extension === 'tar.dat'
    if (isHalf) return archives.some((extension) => matchesGlob(options.glob, `${vzdump.base}.${extension}`)) ? vzdump.vmid : undefined
  }
  if (file.type === 'directory') return undefined
  const final = finalName(file.name)
  if (final === file.name || !matchesGlob(options.glob, final)) return undefined
  return readVzdumpName(final, options.zone) && options.ownDumpFolder ? (readVzdumpName(final, options.zone)?.vmid ?? null) : null
}

/** What a temporary name will become: rsync's `.NAME.XXXXXX`, its partial folders, and the usual suffixes. */
export function finalName(name: string): string {
  const slash = name.lastIndexOf('/')
  const folder = name.slice(0, slash + 1).replace(/(?:\.rsync-partial|\.~tmp~)\/$/, '')
  const base = name.slice(slash + 1)
  if (folder !== name.slice(0, slash + 1)) return folder + base
  const rsync = /^\.(.+)\.[A-Za-z0-9]{6}$/.exec(base)
  if (rsync?.[1]) return folder + rsync[1]
  return folder + base.replace(TEMPORARY_SUFFIX, '')
}

function findFailedRun(folder: DirectorySeen, options: ExamineOptions, artifacts: readonly Artifact[]): FailedRun | null {
  if (!options.ownDumpFolder) return null
  const archived = new Set(
    folder.files.map((file) => readVzdumpName(file.name, options.zone)).flatMap((name) => (name && ARCHIVE_EXTENSION.test(name.extension) ? [name.base] : [])),
  )
  let newest: FailedRun | null = null
  for (const log of folder.logs) {
    const vzdump = readVzdumpName(log.name, options.zone)
    if (!vzdump || archived.has(vzdump.base)) continue
    if (
      !['vma.zst', 'vma', 'vma.gz', 'vma.lzo', 'tar.zst', 'tar', 'tar.gz', 'tgz'].some((extension) => matchesGlob(options.glob, `${vzdump.base}.${extension}`))
    )
      continue
    if (!options.belongs(vzdump.vmid, vzdump.startedSeconds)) continue
    const failed = log.lines.find((line) => line.includes(`Backup of VM ${vzdump.vmid} failed - `))
    if (failed && (!newest || vzdump.startedSeconds > newest.startedSeconds))
      newest = { vmid: vzdump.vmid, startedSeconds: vzdump.startedSeconds, text: causeOf(log.lines, vzdump.vmid) }
  }
  if (newest === null) return null
  const failure: FailedRun = newest
  return artifacts.some((artifact) => artifact.startedSeconds > failure.startedSeconds && artifact.series.endsWith(`-${failure.vmid}`)) ? null : failure
}

const TELLING_CAUSE = /denied|No space left|Input\/output error|Stale file handle|Read-only file system|is locked|got timeout|not online/i

/** The line that names why a guest's backup failed: the first that tells a cause, else the verdict itself. */
export function causeOf(lines: readonly string[], vmid: number): string {
  const verdict = lines.find((line) => line.includes(`Backup of VM ${vmid} failed - `))
  const telling = lines.find((line) => TELLING_CAUSE.test(line) && !line.includes('Backup of VM'))
  const text = verdict ? logText(verdict).replace(`Backup of VM ${vmid} failed - `, '') : ''
  if (!telling || TELLING_CAUSE.test(text)) return shorten(text || (telling ? logText(telling) : 'no reason was logged'), 240)
  return `${shorten(logText(telling), 200)}${text ? ` (${shorten(text, 100)})` : ''}`
}

const shorten = (text: string, most: number): string => (text.length > most ? `${text.slice(0, most - 1)}…` : text)

/** A log line without its time and level. */
export function logText(line: string): string {
  return line.replace(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d /, '').replace(/^(?:INFO|WARN|ERROR): /, '')
}

/** qemu-server PVE/VZDump/QemuServer.pm: an agent that is configured and silent is skipped, or its freeze fails. */
export function isAgentSilentLog(lines: readonly string[]): boolean {
  return lines.some((line) => /agent configured but not running|guest-fsfreeze-freeze' failed|QEMU guest agent is not running/.test(line))
}
