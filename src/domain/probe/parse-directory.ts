/** Reads what the script says about one folder. */
import type { DirectorySeen, FamilyCount, FileSeen, Reading } from '../observation.js'
import { readOk, unread } from '../observation.js'
import { visible } from './text.js'

const RECORD = /^(v|t|f(\d+)) (-?\d+) (\d+) ([0-9a-f]+) (?:\.\/)?(.+)$/
const STATES = new Set<DirectorySeen['state']>(['present', 'missing', 'unreadable', 'not_a_directory'])

/** File type bits of `st_mode` (inode(7)). */
const TYPE_MASK = 0xf000
const REGULAR = 0x8000
const DIRECTORY = 0x4000

/** A folder that is present and whose listing does not reach its end is unread: an unseen file is not a missing one. */
export function parseDirectory(body: string): Reading<DirectorySeen> {
  const files: FileSeen[] = []
  const temporary: FileSeen[] = []
  const counts: FamilyCount[] = []
  const logs = new Map<string, string[]>()
  let state: DirectorySeen['state'] | undefined
  let unlooked = 0
  let space: { freeBytes: number; totalBytes: number; mountPoint: string } | undefined
  let ended = false
  for (const line of body.split('\n')) {
    const record = RECORD.exec(line)
    if (record) {
      const seen = fileOf(record)
      if (record[1] === 't') temporary.push(seen)
      else files.push(seen)
      continue
    }
    const blank = line.indexOf(' ')
    const word = blank < 0 ? line : line.slice(0, blank)
    const value = blank < 0 ? '' : line.slice(blank + 1)
    if (word === 'end') ended = true
    else if (word === 'state') state = STATES.has(value as DirectorySeen['state']) ? (value as DirectorySeen['state']) : state
    else if (word === 'space') space = parseSpace(value) ?? space
    else if (word === 'count') {
      const match = /^(\d+) (.+)$/.exec(value)
      if (match?.[1] && match[2]) counts.push({ family: visible(match[2]), count: Number(match[1]) })
    } else if (word === 'unlooked') unlooked += Number(/(\d+)$/.exec(value)?.[1] ?? 0)
    else if (word === 'dropped') return unread('truncated', 'the folder holds more kinds of files than can be listed')
    else if (word === 'read') logs.set(value, logs.get(value) ?? [])
    else if (word === 'log') {
      const gap = value.indexOf(' ')
      if (gap > 0) logs.get(value.slice(0, gap))?.push(visible(value.slice(gap + 1)))
    } else if (line.trim() !== '') return unread('unparseable', `the listing holds a line that is none: ${visible(line).slice(0, 80)}`)
  }
  if (state === undefined) return unread('unparseable', 'the listing does not say whether the folder is there')
  if (state === 'present' && !ended) return unread('truncated', 'the listing ended early')
  const newestFirst = (a: FileSeen, b: FileSeen): number => b.mtimeSeconds - a.mtimeSeconds || (a.name < b.name ? 1 : -1)
  return readOk({
    state,
    files: files.sort(newestFirst),
    temporary: temporary.sort(newestFirst),
    counts,
    unlooked,
    freeBytes: space?.freeBytes ?? null,
    totalBytes: space?.totalBytes ?? null,
    mountPoint: space?.mountPoint ?? null,
    logs: [...logs].map(([name, lines]) => ({ name, lines })),
  })
}

function fileOf(record: RegExpExecArray): FileSeen {
  const mode = Number.parseInt(record[5] ?? '0', 16) & TYPE_MASK
  return {
    name: visible(record[6] ?? ''),
    mtimeSeconds: Number(record[3]),
    sizeBytes: Number(record[4]),
    type: mode === REGULAR ? 'file' : mode === DIRECTORY ? 'directory' : 'other',
    glob: record[2] === undefined ? -1 : Number(record[2]),
  }
}

/** `TOTAL-KiB FREE-KiB MOUNTPOINT` */
function parseSpace(value: string): { freeBytes: number; totalBytes: number; mountPoint: string } | undefined {
  const match = /^(\d+) (\d+) (.+)$/.exec(value)
  return match?.[3] ? { totalBytes: Number(match[1]) * 1024, freeBytes: Number(match[2]) * 1024, mountPoint: visible(match[3]) } : undefined
}
