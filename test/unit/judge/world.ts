/**
 * A small estate of two sites, healthy at 07:00 New York time on 2026-11-21, as runbooks and observations that a test can bend.
 * Log lines, task rows and job rows are of the shapes that pve-manager 9.2 writes (proxmox.md §1.4, §3.3, §3.5).
 */
import type { CalendarEvent, Estate, Producer, RunbookSet, Target } from '../../../src/domain/estate.js'
import { emptyMemory, judgePass } from '../../../src/domain/judge/index.js'
import type { DirectoryObservation, FileSeen, HostObservation, JobSeen, LogExcerpt, ProxmoxObservation } from '../../../src/domain/observation.js'
import { readOk } from '../../../src/domain/observation.js'
import { planHostProbe } from '../../../src/domain/probe/plan.js'
import type { StatusDocument } from '../../../src/domain/status.js'

export const NOW = Date.parse('2026-11-21T12:00:00Z') / 1000
export const HOUR = 3600
export const DAY = 86_400
export const ZONE = 'America/New_York'
/** 02:00, 03:00 in New York (UTC-5) on the day of NOW. */
const TWO_AM = Date.parse('2026-11-21T07:00:00Z') / 1000
const THREE_AM = TWO_AM + HOUR
/** Sunday 2026-11-15 04:00. */
const SUNDAY = Date.parse('2026-11-15T09:00:00Z') / 1000
export const GB = 1024 ** 3

type Mutable<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer U)[] ? U[] : T[K] }

export interface World {
  now: number
  targets: Target[]
  producedBy: Record<string, Producer>
  guests: Mutable<Estate>['guests']
  events: CalendarEvent[]
  hosts: Map<string, HostObservation>
  memory: unknown
}

function target(id: string, host: string, basePath: string, glob: string, hours: number, classification: Target['classification']): Target {
  return { id, enabled: true, kind: 'file_glob', host, basePath, glob, classification, limitSeconds: hours * HOUR, place: `inventory.yaml:${id.length}` }
}

export const DUMP = '/tank/backups/vzdump/dump'
export const HOME_DUMP = '/mnt/pve/synology-backups/dump'
export const GITEA = '/volume1/backups/apps/gitea'
export const OFFSITE = '/volume1/backups/proxmox/vzdump/critical'

export function world(): World {
  return {
    now: NOW,
    targets: [
      target('vm-204', 'pve', DUMP, 'vzdump-qemu-204-*.vma.zst', 26, 'critical'),
      target('vm-205', 'pve', DUMP, 'vzdump-qemu-205-*.vma.zst', 26, 'important'),
      target('home-vm-100', 'proxmox-home', HOME_DUMP, 'vzdump-qemu-100-*.vma.zst', 26, 'critical'),
      target('home-lxc-105', 'proxmox-home', HOME_DUMP, 'vzdump-lxc-105-*.tar.zst', 168, 'rebuildable'),
      target('app-gitea', 'nas', GITEA, '*.sql.gz', 26, 'critical'),
      target('vm-offsite', 'nas', OFFSITE, 'vzdump-qemu-*.vma.zst', 48, 'important'),
    ],
    producedBy: {
      'vm-204': { kind: 'vzdump', host: 'pve', vmid: 204 },
      'vm-205': { kind: 'vzdump', host: 'pve', vmid: 205 },
      'home-vm-100': { kind: 'vzdump', host: 'proxmox-home', vmid: 100 },
      'home-lxc-105': { kind: 'vzdump', host: 'proxmox-home', vmid: 105 },
      'app-gitea': { kind: 'cron', host: 'dev-tools', match: 'gitea-backup' },
      'vm-offsite': { kind: 'transfer', from: 'pve', to: 'nas', match: 'offsite-sync', destination: 'nas' },
    },
    guests: [],
    events: [
      {
        id: 'home-p2',
        summary: 'vzdump: home P2',
        freq: 'WEEKLY',
        byDay: ['SU'],
        byHour: [4],
        byMinute: [0],
        durationMinutes: 120,
        guests: [105],
        job: 'proxmox-home/backup-home-p2-weekly',
        place: 'calendar.yaml:30',
      },
    ],
    hosts: new Map(
      [
        proxmox(
          'pve',
          'pve',
          DUMP,
          'tank-backups',
          'dir',
          [job('backup-pve-daily', '02:00', [204, 205], 'tank-backups', TWO_AM, DAY)],
          [vm(204, 'infra-core'), vm(205, 'observability')],
        ),
        proxmox(
          'proxmox-home',
          'pve',
          HOME_DUMP,
          'synology-backups',
          'nfs',
          [
            job('backup-home-p0-daily', '03:00', [100], 'synology-backups', THREE_AM, DAY),
            job('backup-home-p2-weekly', 'sun 04:00', [105], 'synology-backups', SUNDAY, 7 * DAY),
          ],
          [vm(100, 'homeassistant'), { ...vm(105, 'pihole-home'), type: 'lxc', agent: false }],
        ),
        plain('nas', [
          folder('d0', GITEA, ['*.sql.gz'], [plainFile('gitea-1.sql.gz', 30 * HOUR, 50_000), plainFile('gitea-2.sql.gz', 4 * HOUR, 51_000)]),
          vzdumpFolder('d1', OFFSITE, [archiveFile(204, 'qemu', TWO_AM, 20 * GB), archiveFile(205, 'qemu', TWO_AM + 600, 10 * GB)], []),
        ]),
        plain('dev-tools', [], [{ id: 'p0', reading: readOk({ lines: 1 }) }]),
      ].map((seen) => [seen.host, seen]),
    ),
    memory: emptyMemory(),
  }
}

export function runbooks(w: World): RunbookSet {
  const host = (name: string, site: string, kind: 'proxmox' | 'nas' | 'guest', more = {}) => ({ name, site, kind, sshAlias: name, sudo: false, ...more })
  return {
    estate: {
      id: 'test',
      timezone: ZONE,
      sites: [{ id: 'shop' }, { id: 'home' }],
      hosts: [
        host('pve', 'shop', 'proxmox', { node: 'pve' }),
        host('proxmox-home', 'home', 'proxmox', { node: 'pve' }),
        host('nas', 'home', 'nas'),
        host('dev-tools', 'shop', 'guest', { guestOf: { host: 'pve', vmid: 205 } }),
      ],
      guests: w.guests,
      producedBy: w.producedBy,
      monitor: { periodSeconds: 600, maxHostsAtOnce: 8, hostDeadlineSeconds: 60 },
      ssh: { configPath: '/c/ssh_config', knownHostsPaths: ['/c/known_hosts'] },
      receipts: { signingKeyPath: '/c/key', headMirrorPath: '/c/head' },
    },
    inventory: { timezone: ZONE, sshTimeoutSeconds: 6, targets: w.targets },
    calendar: { timezone: ZONE, calendarName: 'Backups', dtstartDate: '2026-02-10', events: w.events },
    alerts: {
      sender: 'a@b.test',
      defaultRoute: { recipients: ['x@b.test'], repeatHours: 24 },
      rules: [],
      digestTime: '07:00',
      unknownAfterMinutes: 30,
      flapping: { windowHours: 12, enterChanges: 6, leaveChanges: 2 },
      limits: { mailsPerHour: 20, openPerSite: 500 },
    },
    digest: 'd'.repeat(64),
  }
}

/** Judges the world; its memory becomes the new one, as from pass to pass. */
export function judge(w: World): StatusDocument {
  const { status, memory } = judgePass({
    runbooks: runbooks(w),
    observations: [...w.hosts.values()],
    memory: w.memory,
    now: new Date(w.now * 1000).toISOString(),
    pass: { passId: 'p', workflowId: 'w', runId: 'r' },
  })
  w.memory = memory
  return status
}

// ------------------------------------------------------------------------------------------------ rows and words of it

export const targetOf = (status: StatusDocument, id: string) => found(status.targets.find((row) => row.id === id))
export const guestOf = (status: StatusDocument, vmid: number) => found(status.guests.find((row) => row.vmid === vmid))
export const jobOf = (status: StatusDocument, id: string) => found(status.jobs.find((row) => row.id === id))
export const hostOf = (status: StatusDocument, name: string) => found(status.hosts.find((row) => row.host === name))
export const storageOf = (status: StatusDocument, id: string) => found(status.storages.find((row) => row.id === id))

function found<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('the status has no such row')
  return value
}

/** Everything that is not ok, as `kind id: state reason`, for tests that say "nothing else". */
export function wrongOf(status: StatusDocument): string[] {
  const rows = [
    ...status.targets.map((row) => ({ ...row, kind: 'target' })),
    ...status.guests.map((row) => ({ ...row, kind: 'guest', id: String(row.vmid) })),
    ...status.jobs.map((row) => ({ ...row, kind: 'job' })),
    ...status.storages.map((row) => ({ ...row, kind: 'storage' })),
    ...status.hosts.map((row) => ({ ...row, kind: 'host', id: row.host })),
  ]
  return rows.filter((row) => row.severity !== 'ok').map((row) => `${row.kind} ${row.id}: ${row.state} ${row.reason}`)
}

// ------------------------------------------------------------------------------------------------ bending observations

export function changeHost(w: World, name: string, change: (seen: HostObservation) => HostObservation): void {
  w.hosts.set(name, change(found(w.hosts.get(name))))
}

export function changeProxmox(w: World, name: string, change: (seen: ProxmoxObservation) => ProxmoxObservation): void {
  changeHost(w, name, (seen) => ({ ...seen, proxmox: seen.proxmox && change(seen.proxmox) }))
}

export function changeJob(w: World, host: string, id: string, change: Partial<JobSeen>): void {
  changeProxmox(w, host, (seen) => ({
    ...seen,
    jobs: seen.jobs.ok ? readOk(seen.jobs.value.map((row) => (row.id === id ? { ...row, ...change } : row))) : seen.jobs,
  }))
}

export function changeFolder(
  w: World,
  host: string,
  basePath: string,
  change: (files: FileSeen[], logs: LogExcerpt[]) => { files?: FileSeen[]; logs?: LogExcerpt[]; temporary?: FileSeen[] },
): void {
  changeHost(w, host, (seen) => ({
    ...seen,
    directories: seen.directories.map((entry) => {
      if (entry.basePath !== basePath || !entry.reading.ok) return entry
      const { value } = entry.reading
      const changed = change([...value.files], [...value.logs])
      const files = (changed.files ?? [...value.files]).sort((a, b) => b.mtimeSeconds - a.mtimeSeconds)
      return { ...entry, reading: readOk({ ...value, files, logs: changed.logs ?? value.logs, temporary: changed.temporary ?? value.temporary }) }
    }),
  }))
}

/** Sets the mtime of the newest file that matches. */
export function ageNewest(w: World, host: string, basePath: string, name: RegExp, ageSeconds: number): void {
  changeFolder(w, host, basePath, (files) => {
    const newest = files.filter((file) => name.test(file.name)).sort((a, b) => b.mtimeSeconds - a.mtimeSeconds)[0]
    return {
      files: files
        .filter((file) => file === newest || !name.test(file.name))
        .map((file) => (file === newest ? { ...file, mtimeSeconds: w.now - ageSeconds } : file)),
    }
  })
}

export const plainFile = (name: string, ageSeconds: number, sizeBytes: number): FileSeen => ({
  name,
  sizeBytes,
  mtimeSeconds: NOW - ageSeconds,
  type: 'file',
  glob: 0,
})

/** `2026_11_21-02_00_00` of an instant, in New York in winter. */
export const stamp = (seconds: number): string =>
  new Date((seconds - 5 * HOUR) * 1000)
    .toISOString()
    .slice(0, 19)
    .replace('T', '-')
    .replaceAll(':', '_')
    .replace(/^(\d+)-(\d+)-(\d+)/, '$1_$2_$3')

export const baseOf = (vmid: number, type: 'qemu' | 'lxc', start: number): string => `vzdump-${type}-${vmid}-${stamp(start)}`

export const archiveFile = (vmid: number, type: 'qemu' | 'lxc', start: number, sizeBytes: number): FileSeen => ({
  name: `${baseOf(vmid, type, start)}.${type === 'qemu' ? 'vma' : 'tar'}.zst`,
  sizeBytes,
  mtimeSeconds: start + 300,
  type: 'file',
  glob: -1,
})

export const logFile = (vmid: number, type: 'qemu' | 'lxc', start: number): FileSeen => ({
  name: `${baseOf(vmid, type, start)}.log`,
  sizeBytes: 3000,
  mtimeSeconds: start + 301,
  type: 'file',
  glob: -1,
})

export function logLines(vmid: number, type: 'qemu' | 'lxc', start: number, sizeBytes: number): string[] {
  const at = new Date((start - 5 * HOUR) * 1000).toISOString().slice(0, 19).replace('T', ' ')
  return [
    `INFO: Starting Backup of VM ${vmid} (${type})`,
    'INFO: status = running',
    `INFO: creating vzdump archive '/x/${baseOf(vmid, type, start)}.vma.zst'`,
    ...(type === 'qemu' ? ["INFO: issuing guest-agent 'fs-freeze' command", "INFO: issuing guest-agent 'fs-thaw' command"] : []),
    `INFO: archive file size: ${(sizeBytes / GB).toFixed(2)}GB`,
    `INFO: Finished Backup of VM ${vmid} (00:05:00)`,
  ].map((line) => `${at} ${line}`)
}

const folder = (id: string, basePath: string, globs: string[], files: FileSeen[]): DirectoryObservation => ({
  id,
  basePath,
  vzdump: false,
  globs,
  reading: readOk({ state: 'present', files, temporary: [], counts: [], unlooked: 0, freeBytes: 900 * GB, totalBytes: 1000 * GB, mountPoint: '/', logs: [] }),
})

const vzdumpFolder = (id: string, basePath: string, files: FileSeen[], logs: LogExcerpt[]): DirectoryObservation => ({
  ...folder(id, basePath, ['vzdump-*'], files),
  vzdump: true,
  reading: readOk({ state: 'present', files, temporary: [], counts: [], unlooked: 0, freeBytes: 900 * GB, totalBytes: 1000 * GB, mountPoint: '/', logs }),
})

function plain(host: string, directories: DirectoryObservation[], producers: HostObservation['producers'] = []): HostObservation {
  return {
    schema: 'nightshift.observation/1',
    host,
    outcome: { ok: true },
    startedAt: new Date((NOW - 2) * 1000).toISOString(),
    finishedAt: new Date((NOW - 1) * 1000).toISOString(),
    connectMs: 20,
    remoteMs: 80,
    outputBytes: 1000,
    complete: true,
    hostname: readOk(host),
    clock: readOk({ epochSeconds: NOW - 1, skewSeconds: 0.01, uncertaintySeconds: 0.05, utcOffset: '-0500', zone: ZONE }),
    mounts: readOk([{ device: '/dev/sda', path: '/', type: 'ext4' }]),
    directories,
    producers,
    proxmox: null,
  }
}

interface TestGuest {
  vmid: number
  name: string
  type: 'qemu' | 'lxc'
  agent: boolean
}

const vm = (vmid: number, name: string): TestGuest => ({ vmid, name, type: 'qemu', agent: true })

interface TestJob {
  seen: JobSeen
  lastStart: number
  interval: number
}

function job(id: string, schedule: string, vmids: number[], storage: string, lastStart: number, interval: number): TestJob {
  const seen: JobSeen = {
    id,
    enabled: true,
    schedule,
    nextRunSeconds: lastStart + interval,
    vmids,
    all: false,
    exclude: [],
    pool: null,
    node: null,
    storage,
    dumpdir: null,
    pruneBackups: { 'keep-last': '2' },
    comment: null,
    legacyCron: false,
  }
  return { seen, lastStart, interval }
}

export const upidOf = (start: number, id = ''): string =>
  `UPID:pve:0000C400:0015C002:${start.toString(16).toUpperCase().padStart(8, '0')}:vzdump:${id}:root@pam:`

function proxmox(host: string, node: string, dump: string, storage: string, storageType: string, jobs: TestJob[], guests: TestGuest[]): HostObservation {
  const files: FileSeen[] = []
  const logs: LogExcerpt[] = []
  const taskLogs: LogExcerpt[] = []
  for (const { seen, lastStart, interval } of jobs) {
    const lines: string[] = []
    for (const [index, vmid] of (seen.vmids ?? []).entries()) {
      const guest = found(guests.find((one) => one.vmid === vmid))
      for (const start of [lastStart, lastStart - interval].map((at) => at + index * 600)) {
        files.push(archiveFile(vmid, guest.type, start, 20 * GB), logFile(vmid, guest.type, start))
        logs.push({ name: `${baseOf(vmid, guest.type, start)}.log`, lines: logLines(vmid, guest.type, start, 20 * GB) })
      }
      lines.push(
        ...logLines(vmid, guest.type, lastStart + index * 600, 20 * GB).map((line) =>
          line
            .slice(20)
            .replace('/x/', `${dump}/`)
            .replace('.vma.zst', guest.type === 'lxc' ? '.tar.zst' : '.vma.zst'),
        ),
      )
    }
    taskLogs.push({ name: upidOf(lastStart), lines: [...lines, 'TASK OK'] })
  }
  files.sort((a, b) => b.mtimeSeconds - a.mtimeSeconds)
  const mount = storageType === 'nfs' ? '/mnt/pve/synology-backups' : '/tank'
  return {
    ...plain(
      host,
      [vzdumpFolder('d0', dump, files, logs)],
      host === 'pve' ? [{ id: 'p0', reading: readOk({ lines: 1, ssh: { ok: true, exitCode: 0, said: '' } }) }] : [],
    ),
    hostname: readOk(node),
    mounts: readOk([
      { device: '/dev/sda', path: '/', type: 'ext4' },
      { device: 'x', path: mount, type: storageType === 'nfs' ? 'nfs4' : 'zfs' },
    ]),
    proxmox: {
      nodes: readOk([node]),
      jobs: readOk(jobs.map(({ seen }) => seen)),
      guests: readOk(guests.map(({ vmid, name, type }) => ({ vmid, name, type, status: 'running', template: false, lock: null }))),
      configs: readOk(
        guests.map(({ vmid, name, type, agent }) => ({
          vmid,
          type,
          node,
          name,
          smbiosUuid: `uuid-${vmid}`,
          createdSeconds: 1_700_000_000,
          lock: null,
          template: false,
          agent,
        })),
      ),
      storageConfigs: readOk([
        {
          id: storage,
          type: storageType,
          path: dump.replace(/\/dump$/, ''),
          content: 'backup',
          disabled: false,
          isMountpoint: storageType === 'dir' ? '/tank' : null,
          nodes: null,
          pruneBackups: { 'keep-last': '2' },
          shared: false,
        },
      ]),
      storages: readOk([{ id: storage, type: storageType, active: true, enabled: true, content: 'backup', availBytes: 900 * GB, totalBytes: 1000 * GB }]),
      tasks: readOk(
        jobs.map(({ lastStart }) => ({
          upid: upidOf(lastStart),
          guest: '',
          startSeconds: lastStart,
          endSeconds: lastStart + 900,
          status: 'OK',
          user: 'root@pam',
        })),
      ),
      taskLogs: readOk(taskLogs),
      jobStates: readOk(
        jobs.map(({ seen, lastStart }) => ({ jobId: seen.id, state: 'stopped', upid: upidOf(lastStart), message: 'OK', updatedSeconds: lastStart + 930 })),
      ),
      schedules: jobs.map(({ seen, lastStart, interval }) => ({
        schedule: seen.schedule ?? '',
        runs: readOk(Array.from({ length: 10 }, (_, index) => lastStart + (index + 1) * interval)),
      })),
      schedulesNotAsked: 0,
      pools: readOk([]),
      creations: readOk([]),
      agents: [],
    },
  }
}

/** What the plan of these runbooks asks of a host. */
export const planOf = (w: World, host: string) => planHostProbe(runbooks(w), host)
