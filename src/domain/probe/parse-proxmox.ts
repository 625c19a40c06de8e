/**
 * Reads what a Proxmox host answered: JSON of `pvesh` (shapes: pve-manager 9.2, API of /cluster/backup, /nodes/{node}/…, /storage)
 * and lines of its files. Rows that are not of the known shape make that answer unparseable rather than shorter.
 */
import type {
  AgentSeen,
  CreationSeen,
  GuestConfig,
  GuestSeen,
  JobSeen,
  JobStateFile,
  LogExcerpt,
  PoolSeen,
  ProxmoxObservation,
  Reading,
  ScheduleSeen,
  StorageConfig,
  StorageState,
  TaskSeen,
} from '../observation.js'
import { readOk, unread } from '../observation.js'
import type { Frame, Frames } from './frames.js'
import { fromFrame } from './frames.js'
import { oneLine, visible } from './text.js'

type Row = Readonly<Record<string, unknown>>

export function parseProxmox(frames: Frames): ProxmoxObservation {
  const { schedules, schedulesNotAsked } = parseSchedules(frames)
  return {
    nodes: fromFrame(frames, 'nodes', ({ body }) =>
      readOk(
        body
          .split('\n')
          .map(oneLine)
          .filter((name) => name !== ''),
      ),
    ),
    jobs: rowsOf(frames, 'jobs', jobOf),
    guests: parseGuests(frames),
    configs: fromFrame(frames, 'configs', ({ body }) => readOk(parseConfigs(body))),
    storageConfigs: rowsOf(frames, 'storages', storageConfigOf),
    storages: rowsOf(frames, 'storage', storageStateOf),
    tasks: rowsOf(frames, 'tasks', taskOf),
    taskLogs: fromFrame(frames, 'tasklogs', ({ body }) => readOk(parseLogs(body))),
    jobStates: fromFrame(frames, 'jobstates', ({ body }) => readOk(parseJobStates(body))),
    schedules,
    schedulesNotAsked,
    pools: parsePools(frames),
    creations: fromFrame(frames, 'creations', ({ body }) => readOk(parseCreations(body))),
    agents: parseAgents(frames),
  }
}

function rowsOf<T>(frames: Frames, id: string, convert: (row: Row) => T | null): Reading<readonly T[]> {
  return fromFrame(frames, id, (frame) => {
    const parsed = jsonRows(frame)
    if (!parsed) return unread('unparseable', 'the answer is not a list in JSON')
    const rows: T[] = []
    for (const row of parsed) {
      const converted = convert(row)
      if (converted === null) return unread('unparseable', `a row of the answer is not of the known shape: ${oneLine(JSON.stringify(row)).slice(0, 120)}`)
      rows.push(converted)
    }
    return readOk(rows, oneLine(frame.errors) || undefined)
  })
}

function jsonRows(frame: Frame): Row[] | null {
  try {
    const value: unknown = JSON.parse(frame.body)
    if (!Array.isArray(value)) return null
    return value.every((row) => typeof row === 'object' && row !== null && !Array.isArray(row)) ? (value as Row[]) : null
  } catch {
    return null
  }
}

const text = (value: unknown): string | null => (typeof value === 'string' ? visible(value) : typeof value === 'number' ? String(value) : null)
const whole = (value: unknown): number | null => {
  if (typeof value !== 'number' && typeof value !== 'string') return null
  if (value === '') return null
  const number = Number(value)
  return Number.isFinite(number) ? Math.trunc(number) : null
}
/** pvesh prints booleans as 1/0, rows of `vzdump.cron` as `"1"`/`""`. */
const truthy = (value: unknown): boolean =>
  value === true || (typeof value === 'number' && value !== 0) || (typeof value === 'string' && value !== '' && value !== '0')

/** Lists are separated by commas, semicolons or blanks; leading zeros go, 0 is dropped (pve-manager PVE/VZDump.pm get_included_guests). */
function vmidList(value: unknown): number[] {
  return (text(value) ?? '')
    .split(/[\s,;]+/)
    .filter((part) => /^\d+$/.test(part))
    .map(Number)
    .filter((vmid) => vmid > 0)
}

/** `{"keep-last":"3"}`, or the property string `keep-last=3`. */
function retention(value: unknown): Record<string, string> | null {
  if (typeof value === 'string') {
    return Object.fromEntries(
      value.split(',').flatMap((pair) => (pair.includes('=') ? [[pair.slice(0, pair.indexOf('=')).trim(), pair.slice(pair.indexOf('=') + 1).trim()]] : [])),
    )
  }
  if (typeof value !== 'object' || value === null) return null
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, String(entry)]))
}

function jobOf(row: Row): JobSeen | null {
  const id = text(row.id)
  if (id === null || id === '') return null
  const vmids = row.vmid === undefined ? null : vmidList(row.vmid)
  const exclude = vmidList(row.exclude)
  const pool = text(row.pool)
  return {
    id,
    // absent counts as enabled: SectionConfig injects 1 (pve-common PVE/Job/Registry.pm)
    enabled: row.enabled === undefined ? true : truthy(row.enabled),
    schedule: text(row.schedule),
    nextRunSeconds: whole(row['next-run']),
    vmids,
    all: truthy(row.all) || (exclude.length > 0 && pool === null && vmids === null),
    exclude,
    pool,
    node: text(row.node),
    storage: text(row.storage),
    dumpdir: text(row.dumpdir),
    pruneBackups: retention(row['prune-backups']),
    comment: text(row.comment),
    legacyCron: /^[0-9a-f]{40}:\d+$/.test(id),
  }
}

function parseGuests(frames: Frames): Reading<readonly GuestSeen[]> {
  const machines = rowsOf(frames, 'qemu', (row) => guestOf(row, 'qemu'))
  const containers = rowsOf(frames, 'lxc', (row) => guestOf(row, 'lxc'))
  if (!machines.ok) return unread(machines.code, `the list of VMs: ${machines.why}`)
  if (!containers.ok) return unread(containers.code, `the list of containers: ${containers.why}`)
  const guests = [...machines.value, ...containers.value].sort((a, b) => a.vmid - b.vmid)
  return readOk(guests, [machines.remark, containers.remark].filter(Boolean).join(' / ') || undefined)
}

function guestOf(row: Row, type: 'qemu' | 'lxc'): GuestSeen | null {
  const vmid = whole(row.vmid)
  if (vmid === null || vmid <= 0) return null
  return {
    vmid,
    type,
    name: text(row.name) ?? `${type === 'qemu' ? 'VM' : 'CT'} ${vmid}`,
    status: text(row.status) ?? 'unknown',
    template: truthy(row.template),
    lock: text(row.lock),
  }
}

const CONFIG_PATH = /^\/etc\/pve\/nodes\/([^/]+)\/(qemu-server|lxc)\/(\d+)\.conf/

function parseConfigs(body: string): GuestConfig[] {
  const configs = new Map<string, { config: { -readonly [K in keyof GuestConfig]: GuestConfig[K] }; later: boolean }>()
  for (const line of body.split('\n')) {
    const path = CONFIG_PATH.exec(line.startsWith('conf ') ? line.slice(5) : line)
    if (!path?.[1] || !path[3]) continue
    const type = path[2] === 'lxc' ? ('lxc' as const) : ('qemu' as const)
    const known = configs.get(path[0])
    const entry = known ?? {
      config: {
        vmid: Number(path[3]),
        type,
        node: visible(path[1]),
        name: null,
        smbiosUuid: null,
        createdSeconds: null,
        lock: null,
        template: false,
        agent: false,
      },
      later: false,
    }
    if (!known) configs.set(path[0], entry)
    if (line.startsWith('conf ')) continue
    const setting = line.slice(path[0].length + 1)
    // sections after the first one are snapshots and pending changes, not this guest as it is
    if (setting.startsWith('[')) entry.later = true
    if (!entry.later) applySetting(entry.config, setting)
  }
  return [...configs.values()].map(({ config }) => config).sort((a, b) => a.vmid - b.vmid)
}

function applySetting(config: { -readonly [K in keyof GuestConfig]: GuestConfig[K] }, setting: string): void {
  const colon = setting.indexOf(':')
  const key = setting.slice(0, colon)
  const value = setting.slice(colon + 1).trim()
  if (key === 'name' || key === 'hostname') config.name = visible(value)
  if (key === 'smbios1') config.smbiosUuid = /(?:^|,)uuid=([0-9a-fA-F-]+)/.exec(value)?.[1]?.toLowerCase() ?? null
  if (key === 'meta') config.createdSeconds = whole(/(?:^|,)ctime=(\d+)/.exec(value)?.[1])
  if (key === 'lock') config.lock = visible(value)
  if (key === 'template') config.template = value === '1'
  if (key === 'agent') config.agent = /^1|(?:^|,)enabled=1/.test(value)
}

function storageConfigOf(row: Row): StorageConfig | null {
  const id = text(row.storage)
  const type = text(row.type)
  if (id === null || type === null) return null
  const nodes = text(row.nodes)
  return {
    id,
    type,
    path: text(row.path),
    content: text(row.content) ?? '',
    disabled: truthy(row.disable),
    isMountpoint: row.is_mountpoint === undefined ? null : text(row.is_mountpoint),
    nodes: nodes === null ? null : nodes.split(/[\s,;]+/).filter((name) => name !== ''),
    pruneBackups: retention(row['prune-backups']),
    shared: truthy(row.shared),
  }
}

function storageStateOf(row: Row): StorageState | null {
  const id = text(row.storage)
  if (id === null) return null
  return {
    id,
    type: text(row.type) ?? '',
    active: truthy(row.active),
    enabled: row.enabled === undefined ? true : truthy(row.enabled),
    content: text(row.content) ?? '',
    availBytes: whole(row.avail),
    totalBytes: whole(row.total),
  }
}

function taskOf(row: Row): TaskSeen | null {
  const upid = text(row.upid)
  const startSeconds = whole(row.starttime)
  if (upid === null || startSeconds === null) return null
  const endSeconds = whole(row.endtime)
  return {
    upid,
    guest: text(row.id) ?? '',
    startSeconds,
    endSeconds,
    status: oneLine(text(row.status) ?? (endSeconds === null ? 'RUNNING' : 'unexpected status')),
    user: text(row.user) ?? '',
  }
}

function parseLogs(body: string): LogExcerpt[] {
  const logs = new Map<string, string[]>()
  for (const line of body.split('\n')) {
    if (line.startsWith('read ')) logs.set(line.slice(5), logs.get(line.slice(5)) ?? [])
    else if (line.startsWith('log ')) {
      const gap = line.indexOf(' ', 4)
      if (gap > 0) logs.get(line.slice(4, gap))?.push(visible(line.slice(gap + 1)))
    }
  }
  return [...logs].map(([name, lines]) => ({ name, lines }))
}

function parseJobStates(body: string): JobStateFile[] {
  return body.split('\n').flatMap((line) => {
    const match = /^vzdump-(\S+)\.json (.*)$/.exec(line)
    if (!match?.[1]) return []
    try {
      const state = JSON.parse(match[2] ?? '') as Row
      return [
        {
          jobId: match[1],
          state: text(state.state) ?? '',
          upid: text(state.upid),
          message: text(state.msg),
          updatedSeconds: whole(state.updated) ?? whole(state.time),
        },
      ]
    } catch {
      return [{ jobId: match[1], state: 'unreadable', upid: null, message: null, updatedSeconds: null }]
    }
  })
}

function parseSchedules(frames: Frames): { schedules: ScheduleSeen[]; schedulesNotAsked: number } {
  const schedules: ScheduleSeen[] = []
  let schedulesNotAsked = 0
  for (const line of frames.frames.get('wanted')?.body.split('\n') ?? []) {
    const asked = /^(schedule\d+) (.*)$/.exec(line)
    if (asked?.[1] && asked[2] !== undefined) {
      const runs = rowsOf(frames, asked[1], (row) => whole(row.timestamp))
      schedules.push({ schedule: asked[2], runs })
    } else if (line.startsWith('- ')) {
      schedulesNotAsked++
      schedules.push({ schedule: line.slice(2), runs: unread('not_asked', 'left out to stay within the bound of Proxmox processes of one pass') })
    }
  }
  return { schedules, schedulesNotAsked }
}

/** `/etc/pve/user.cfg`: `pool:ID:comment:vmids:storages:`. Exit code 1 of grep means that there is none. */
function parsePools(frames: Frames): Reading<readonly PoolSeen[]> {
  if (frames.frames.get('pools')?.exitCode === 1) return readOk([])
  return fromFrame(frames, 'pools', ({ body }) =>
    readOk(
      body.split('\n').flatMap((line) => {
        const [word, id, , vmids] = line.split(':')
        return word === 'pool' && id ? [{ id: visible(id), vmids: vmidList(vmids) }] : []
      }),
    ),
  )
}

function parseCreations(body: string): CreationSeen[] {
  const newest = new Map<number, number>()
  for (const line of body.split('\n')) {
    const match = /^UPID:[^:]+:[0-9A-Fa-f]+:[0-9A-Fa-f]+:([0-9A-Fa-f]{8}):(?:qmcreate|vzcreate):(\d+):/.exec(line)
    if (!match?.[1]) continue
    const vmid = Number(match[2])
    newest.set(vmid, Math.max(newest.get(vmid) ?? 0, Number.parseInt(match[1], 16)))
  }
  return [...newest].map(([vmid, startSeconds]) => ({ vmid, startSeconds }))
}

function parseAgents(frames: Frames): AgentSeen[] {
  return [...frames.frames].flatMap(([id, frame]) => {
    const vmid = /^agent(\d+)$/.exec(id)?.[1]
    if (vmid === undefined || frame.exitCode === null) return []
    const timedOut = frame.exitCode === 124 || frame.exitCode === 137
    return [{ vmid: Number(vmid), answers: frame.exitCode === 0, said: timedOut ? 'no answer within the time limit' : oneLine(frame.errors || frame.body) }]
  })
}
