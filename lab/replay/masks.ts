/**
 * The masks of a recording: what a repeated run cannot have equal. Each text of the file's `masks` switches on one normalisation, applied to both sides;
 * a text that is not known here switches on nothing and is reported. Orders that the recorded program leaves to chance (Perl hashes) are never compared.
 */

type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

export interface MaskContext {
  readonly argv: readonly string[]
  /** Texts of the fixture: what stands there was not generated during the recording. */
  readonly known: string
  /** Clock of the sequence's first and last command, epoch seconds; times in between belong to the recording and not to the fixture. */
  readonly from: number
  readonly to: number
  readonly utcOffsetSeconds: number
}

const HIDDEN = '<masked>'
const CLOCK_SLACK_SECONDS = 900
const KEY_MASKS = ['next-run', 'now', 'pid', 'pstart', 'starttime', 'endtime', 'upid', 'digest']
const KNOWN_MASKS = new Set([
  ...KEY_MASKS,
  'UPIDs and dates in stdout',
  '"time"/"updated" in job state files',
  'avail/used/total',
  'ctime of archives without a standard name',
  'ctime of disk images',
  'generated UUIDs and MACs',
  'HASH(0x...) addresses',
  "order of the options in 'starting new backup job:'",
  "order of the words in a storage's content value",
  'order of the rows of /storage, /nodes/N/storage, /nodes/N/qemu, /nodes/N/lxc, notification lists, children of included_volumes',
  'order of the sections in notifications.cfg',
  'rc: only zero or not zero',
  'key order inside job state files',
])

const STANDARD_ARCHIVE = /vzdump-(?:qemu|lxc|openvz)-[1-9]\d{2,8}-\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d\.[a-z.]+$/
const RANDOM_ROWS =
  /^\/(?:storage|nodes\/[^/]+\/(?:storage|qemu|lxc)|cluster\/backup-info\/not-backed-up|cluster\/notifications\/(?:targets|matchers|endpoints\/\w+))\/?$/

export class Masks {
  readonly unknown: readonly string[]
  private readonly on: ReadonlySet<string>

  constructor(texts: readonly string[]) {
    this.on = new Set(texts)
    this.unknown = texts.filter((text) => !KNOWN_MASKS.has(text))
  }

  stdout(text: string, context: MaskContext): string {
    const json = parseJson(text)
    if (json !== undefined) return this.tokens(JSON.stringify(this.json(json, context)), context, true)
    const sized = this.on.has('avail/used/total') && context.argv[0] === 'pvesm' && context.argv[1] === 'status' ? maskStatusTable(text) : text
    return this.tokens(sized, context, true)
  }

  /** Recordings hold stderr without its last line end. */
  stderr(text: string, context: MaskContext): string {
    return this.tokens(text.trimEnd(), context, false)
  }

  file(name: string, text: string, context: MaskContext): string {
    if (/\/var\/lib\/pve-manager\/jobs\/.*\.json$/.test(name)) {
      const state = parseJson(text)
      return state === undefined ? text : JSON.stringify(sortKeys(this.jobState(state)))
    }
    let out = text
    if (name.endsWith('/storage.cfg'))
      out = out.replace(/^(\tcontent )(.*)$/gm, (_all, head: string, words: string) => head + words.split(',').sort().join(','))
    if (name.endsWith('/notifications.cfg')) out = out.trimEnd().split(/\n\n/).sort().join('\n\n')
    return this.tokens(out, context, false)
  }

  private json(value: Json, context: MaskContext): Json {
    const rows = Array.isArray(value) && RANDOM_ROWS.test(context.argv[2] ?? '') ? sortRows(value) : value
    return this.walk(rows)
  }

  private walk(value: Json): Json {
    if (Array.isArray(value)) return value.map((entry) => this.walk(entry))
    if (value === null || typeof value !== 'object') return value
    const out: { [key: string]: Json } = {}
    for (const [key, inner] of Object.entries(value)) {
      if (this.hides(key, value)) out[key] = HIDDEN
      else if (key === 'content' && typeof inner === 'string') out[key] = inner.split(',').sort().join(',')
      else if (key === 'children' && Array.isArray(inner)) out[key] = this.walk(sortRows(inner))
      else out[key] = this.walk(inner)
    }
    return out
  }

  private hides(key: string, row: { [key: string]: Json }): boolean {
    if (KEY_MASKS.includes(key)) return this.on.has(key)
    if (['avail', 'used', 'total', 'used_fraction'].includes(key)) return this.on.has('avail/used/total') && row.active !== 0
    if (key !== 'ctime') return false
    const volume = typeof row.volid === 'string' ? row.volid : ''
    if (row.content === 'images' || row.content === 'rootdir') return this.on.has('ctime of disk images')
    return this.on.has('ctime of archives without a standard name') && !STANDARD_ARCHIVE.test(volume)
  }

  private jobState(value: Json): Json {
    if (value === null || typeof value !== 'object' || Array.isArray(value)) return value
    const out: { [key: string]: Json } = {}
    for (const [key, inner] of Object.entries(value)) {
      const time = (key === 'time' || key === 'updated') && inner !== 0 && this.on.has('"time"/"updated" in job state files')
      out[key] = time || (key === 'upid' && this.on.has('upid')) ? HIDDEN : inner
    }
    return out
  }

  /** Masks inside running text: UPIDs, dates of the recording's own time, process numbers in names, generated UUIDs and MACs, option order. */
  private tokens(text: string, context: MaskContext, isStdout: boolean): string {
    let out = text.replace(/^(?:.*INFO: )?starting new backup job: .*$/gm, sortOptions)
    if (this.on.has('upid'))
      out = out.replace(/UPID:[\w-]+:[0-9A-F]{8}:[0-9A-F]{8,9}:[0-9A-F]{8}:(?=\w+:[^:\s]*:[^:\s]+:)/g, (upid) =>
        context.known.includes(upid) ? upid : 'UPID:<masked>:',
      )
    if (this.on.has('pid')) out = out.replace(/vzdumptmp\d+/g, 'vzdumptmp<pid>')
    if (this.on.has('HASH(0x...) addresses')) out = out.replace(/HASH\(0x[0-9a-f]+\)/g, 'HASH(<masked>)')
    if (this.on.has('generated UUIDs and MACs')) {
      out = out.replace(/\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b/g, (uuid) => (context.known.includes(uuid) ? uuid : '<uuid>'))
      out = out.replace(/\b(?:[0-9A-F]{2}:){5}[0-9A-F]{2}\b/g, (mac) => (context.known.includes(mac) ? mac : '<mac>'))
    }
    if (isStdout && this.on.has('UPIDs and dates in stdout')) {
      out = out.replace(/^CTIME: .*$/gm, 'CTIME: <date>')
      out = out.replace(/(\d{4})([-_])(\d\d)\2(\d\d)([ -])(\d\d)([:_])(\d\d)\7(\d\d)/g, (date: string, ...g: string[]) =>
        isOfRecording(g, context) ? '<date>' : date,
      )
    }
    return out
  }
}

function isOfRecording(groups: readonly string[], context: MaskContext): boolean {
  const [year, , month, day, , hour, , minute, second] = groups.map(Number)
  const epoch = Date.UTC(year ?? 0, (month ?? 1) - 1, day, hour, minute, second) / 1000 - context.utcOffsetSeconds
  return epoch >= context.from && epoch <= context.to + CLOCK_SLACK_SECONDS
}

/** `vzdump 100 --b 2 --a 1` → options sorted; the real order is that of a Perl hash. */
function sortOptions(line: string): string {
  const [head, ...options] = line.split(/ (?=--[a-z])/)
  return [head, ...options.sort()].join(' ')
}

function maskStatusTable(text: string): string {
  return text.replace(/^(\S+\s+\S+\s+active)\s+\d+\s+\d+\s+\d+\s+[\d.]+%$/gm, (_line, head: string) => `${head} <capacity>`)
}

function parseJson(text: string): Json | undefined {
  if (!/^\s*[[{]/.test(text)) return undefined
  try {
    return JSON.parse(text) as Json
  } catch {
    return undefined
  }
}

function sortRows(rows: Json[]): Json[] {
  const key = (row: Json): string => {
    if (row === null || typeof row !== 'object' || Array.isArray(row)) return JSON.stringify(row)
    return String(row.volid ?? row.vmid ?? row.storage ?? row.name ?? row.id ?? JSON.stringify(row))
  }
  return [...rows].sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0))
}

function sortKeys(value: Json): Json {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return value
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sortKeys(inner)]),
  )
}
