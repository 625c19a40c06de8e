/** The probe script, run for real by `sh` on a temporary host. (On BusyBox it runs against the lab's hosts.) */
import { existsSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { DirectorySeen, HostReading } from '../../../src/domain/observation.js'
import { parseProbeOutput } from '../../../src/domain/probe/parse.js'
import { renderProbeScript } from '../../../src/domain/probe/script.js'
import { NONCE, planFor, recorded, type TemporaryHost, temporaryHost } from './real-output.js'

let host: TemporaryHost
beforeEach(() => {
  host = temporaryHost()
})
afterEach(() => host.remove())

function folderOf(reading: HostReading, id: string): DirectorySeen {
  const found = reading.directories.find((entry) => entry.id === id)
  if (!found?.reading.ok) throw new Error(`${id} was not read: ${JSON.stringify(found)}`)
  return found.reading.value
}

const files = (id: string, basePath: string, globs: string[]) => ({ id, basePath, globs, vzdump: false })
const dump = (id: string, basePath: string) => ({ id, basePath, globs: ['vzdump-*'], vzdump: true })

test('a folder is read with sizes, times and space, newest first', () => {
  host.write('apps/one.sql.gz', 'x'.repeat(10), 7200)
  host.write('apps/two.sql.gz', 'x'.repeat(20), 3600)
  host.write('apps/other.txt', 'x', 60)
  const plan = planFor(host, { directories: [files('d0', 'apps', ['*.sql.gz'])] })
  const { stdout, stderr, status } = host.run(plan)
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 })
  const reading = parseProbeOutput(plan, NONCE, stdout)
  expect(reading.complete).toBe(true)
  const seen = folderOf(reading, 'd0')
  expect(seen.files.map(({ name, sizeBytes }) => [name, sizeBytes])).toEqual([
    ['two.sql.gz', 20],
    ['one.sql.gz', 10],
  ])
  expect(Math.abs((seen.files[0]?.mtimeSeconds ?? 0) - (Date.now() / 1000 - 3600))).toBeLessThan(5)
  expect(seen.freeBytes).toBeGreaterThan(0)
  expect(reading.clock.ok && Math.abs(reading.clock.value.startSeconds - Date.now() / 1000)).toBeLessThan(5)
})

test('hostile file names stay names: nothing runs, nothing is forged', () => {
  const marker = join(host.root, 'pwned')
  const names = [
    `$(touch ${marker.replaceAll('/', '\\')}).gz`,
    '`id`.gz',
    'a\'b"c;d|e&f.gz',
    ' leading and  double.gz',
    '-rf.gz',
    'new\nline.gz',
    `x\n${NONCE.replaceAll('1', '7')} end d0 0\ny.gz`,
    'tab\t.gz',
    'bidi\u202e.gz',
    '*.gz',
    '%s%n.gz',
    '\\.gz',
  ]
  for (const name of names) host.write(join('hostile', name), 'x')
  const plan = planFor(host, { directories: [files('d0', 'hostile', ['*.gz'])] })
  const { stdout } = host.run(plan)
  const seen = folderOf(parseProbeOutput(plan, NONCE, stdout), 'd0')
  expect(seen.files).toHaveLength(names.length)
  expect(seen.files.map(({ name }) => name).join('')).not.toMatch(/[\n\u202e]/)
  expect(existsSync(marker)).toBe(false)
})

test('even a name that knows the nonce only makes its own folder unread', () => {
  host.write(join('hostile', `x\n${NONCE} end d0 0\ny.gz`), 'x')
  host.write('good/a.gz', 'x')
  const plan = planFor(host, { directories: [files('d0', 'hostile', ['*.gz']), files('d1', 'good', ['*.gz'])] })
  const reading = parseProbeOutput(plan, NONCE, host.run(plan).stdout)
  expect(reading.directories.map(({ reading: seen }) => seen.ok)).toEqual([false, true])
})

test('values of the runbooks reach the shell as words, never as code', () => {
  const evil = "x'; touch pwned; echo '"
  const plan = planFor(host, {
    directories: [files('d0', evil, [`${evil}*`, '$(touch pwned)', '`touch pwned`'])],
    producers: [
      { id: 'p0', kind: 'cron', match: evil },
      { id: 'p1', kind: 'timer', unit: '$(touch pwned).timer' },
      { id: 'p2', kind: 'transfer', match: evil, destination: '-oProxyCommand=touch pwned' },
    ],
  })
  const reading = parseProbeOutput(plan, NONCE, host.run(plan).stdout)
  expect(reading.complete).toBe(true)
  expect(folderOf(reading, 'd0').state).toBe('missing')
  expect(readdirSync(host.root)).not.toContain('pwned')
  expect(existsSync('pwned')).toBe(false)
})

test('a missing folder, a file in its place and an empty folder are three things', () => {
  host.write('file', 'x')
  host.write('empty/sub/x', 'x')
  const plan = planFor(host, { directories: [files('d0', 'nope/deep', ['*']), files('d1', 'file', ['*']), files('d2', 'empty', ['*.gz'])] })
  const reading = parseProbeOutput(plan, NONCE, host.run(plan).stdout)
  expect(['d0', 'd1', 'd2'].map((id) => folderOf(reading, id).state)).toEqual(['missing', 'not_a_directory', 'present'])
  expect(folderOf(reading, 'd2').files).toEqual([])
})

test('temporary names of rsync and others are told apart from finished ones', () => {
  for (const name of ['.a.tar.gz.Xy12Zz', 'b.tar.gz.part', 'c.tar.gz.tmp', '.rsync-partial/d.tar.gz', 'e.tar.gz']) host.write(join('in', name), 'x')
  const plan = planFor(host, { directories: [files('d0', 'in', ['*.tar.gz'])] })
  const seen = folderOf(parseProbeOutput(plan, NONCE, host.run(plan).stdout), 'd0')
  expect(seen.files.map(({ name }) => name)).toEqual(['e.tar.gz'])
  expect(seen.temporary.map(({ name }) => name).sort()).toEqual(['.a.tar.gz.Xy12Zz', '.rsync-partial/d.tar.gz', 'b.tar.gz.part', 'c.tar.gz.tmp'])
})

test('of many files the newest forty are listed and all are counted; dangling links are counted too', () => {
  for (let i = 0; i < 100; i++) host.write(`many/f${i}.gz`, 'x', i * 60)
  symlinkSync('/nowhere', join(host.root, 'many/link.gz'))
  const plan = planFor(host, { directories: [files('d0', 'many', ['*.gz'])] })
  const seen = folderOf(parseProbeOutput(plan, NONCE, host.run(plan).stdout), 'd0')
  expect(seen.files).toHaveLength(40)
  expect(seen.files[0]?.name).toBe('f0.gz')
  expect(seen.counts).toEqual([{ family: 'f0', count: 100 }])
  expect(seen.unlooked).toBe(1)
})

test('a vzdump folder is read by guest, with the verdict lines of the newest three logs of each', () => {
  for (const day of ['18', '19', '20', '21']) {
    const base = `vzdump-qemu-204-2026_11_${day}-02_00_00`
    host.write(`dump/${base}.vma.zst`, 'x'.repeat(100), (22 - Number(day)) * 86_400)
    host.write(
      `dump/${base}.log`,
      `2026-11-${day} 02:00:00 INFO: Starting Backup of VM 204 (qemu)\n2026-11-${day} 02:00:01 INFO:  50% (1 GiB of 2 GiB)\n2026-11-${day} 02:01:00 INFO: Finished Backup of VM 204 (00:01:00)\n`,
    )
  }
  host.write('dump/vzdump-lxc-105-2026_11_21-04_00_00.tar.dat', 'x')
  const plan = planFor(host, { directories: [dump('d0', 'dump')] })
  const seen = folderOf(parseProbeOutput(plan, NONCE, host.run(plan).stdout), 'd0')
  expect(seen.files.filter(({ name }) => name.endsWith('.vma.zst'))).toHaveLength(4)
  expect(seen.files.map(({ name }) => name)).toContain('vzdump-lxc-105-2026_11_21-04_00_00.tar.dat')
  expect(seen.logs.map(({ name }) => name)).toEqual(['21', '20', '19'].map((day) => `vzdump-qemu-204-2026_11_${day}-02_00_00.log`))
  expect(seen.logs[0]?.lines).toEqual([
    '2026-11-21 02:00:00 INFO: Starting Backup of VM 204 (qemu)',
    '2026-11-21 02:01:00 INFO: Finished Backup of VM 204 (00:01:00)',
  ])
})

test('a crontab line counts when it is active, and is never sent', () => {
  host.write('etc/cron.d/gitea', '# gitea-backup was here\n55 2 * * * root PASSWORD=hunter2 /usr/local/bin/gitea-backup\n')
  const plan = planFor(host, {
    producers: [
      { id: 'p0', kind: 'cron', match: 'gitea-backup' },
      { id: 'p1', kind: 'cron', match: 'was here' },
    ],
  })
  const { stdout } = host.run(plan)
  const reading = parseProbeOutput(plan, NONCE, stdout)
  expect(reading.producers.map(({ reading: seen }) => seen.ok && seen.value.lines)).toEqual([1, 0])
  expect(stdout).not.toContain('hunter2')
})

test('the source of a transfer tries its own key, and what ssh said comes along', () => {
  host.write('etc/cron.d/offsite', '0 9 * * * root offsite-sync nas\n')
  host.program('ssh', 'echo "nas: Permission denied (publickey)." >&2; exit 255')
  const plan = planFor(host, { producers: [{ id: 'p0', kind: 'transfer', match: 'offsite-sync', destination: 'nas' }] })
  const seen = parseProbeOutput(plan, NONCE, host.run(plan).stdout).producers[0]?.reading
  expect(seen).toEqual({ ok: true, value: { lines: 1, ssh: { ok: false, exitCode: 255, said: 'nas: Permission denied (publickey).' } } })
})

function proxmoxHost(schedules: number): void {
  const jobs = Array.from({ length: schedules }, (_, index) => ({
    id: `job${index}`,
    enabled: 1,
    schedule: `0${index}:00`,
    storage: 'backup',
    vmid: '100',
    type: 'vzdump',
  }))
  host.write('answers/jobs', schedules === 0 ? recorded('pve-cli.json', ['pvesh', 'get', '/cluster/backup', '--output-format', 'json']) : JSON.stringify(jobs))
  host.write('answers/qemu', '[{"name":"web01","status":"running","vmid":100},{"name":"b","status":"running","vmid":101}]')
  host.write('answers/lxc', '[]')
  host.write('answers/storage', recorded('pve-cli-2.json', ['pvesh', 'get', '/nodes/pve1/storage', '--output-format', 'json']))
  host.write('answers/storages', '[{"storage":"backup","type":"dir","path":"/mnt/backup","content":"backup","prune-backups":"keep-last=3"}]')
  host.write('answers/tasks', recorded('pve-cli-2.json', ['pvesh', 'get', '/nodes/pve1/tasks', '--limit', '1', '--source', 'all', '--output-format', 'json']))
  host.write('answers/analyze', '[{"timestamp":1795309200,"utc":"x"}]')
  host.write(
    'etc/pve/nodes/pve1/qemu-server/100.conf',
    'agent: 1\nname: web01\nsmbios1: uuid=ABCD-1\nmeta: creation-qemu=9.0.2,ctime=1733000000\n\n[snap]\nname: old\nlock: backup\n',
  )
  host.write('etc/pve/nodes/pve1/qemu-server/101.conf', 'agent: 1\nname: b\n')
  host.write('etc/pve/storage.cfg', `dir: backup\n\tpath ${host.root}/mnt/backup\n\tcontent backup\n\ndir: local\n\tpath /var/lib/vz\n\tcontent iso\n`)
  host.write('etc/pve/user.cfg', 'pool:prod:comment:100,101:backup:\n')
  host.write(
    'mnt/backup/dump/vzdump-qemu-100-2026_11_21-02_00_00.log',
    "x INFO: status = running\nx INFO: skipping guest-agent 'fs-freeze', agent configured but not running?\n",
  )
  host.write('mnt/backup/dump/vzdump-qemu-101-2026_11_21-02_00_00.log', "x INFO: status = running\nx INFO: issuing guest-agent 'fs-freeze' command\n")
  const counting = `echo "$$ $*" >>${host.root}/calls; now=$(ls ${host.root}/running | wc -l); echo "$now" >>${host.root}/level; : >${host.root}/running/$$; sleep 0.05; rm ${host.root}/running/$$`
  host.write('running/x', '')
  host.program(
    'pvesh',
    `${counting}\ncase $2 in /cluster/backup) f=jobs;; */tasks) f=tasks;; */qemu) f=qemu;; */lxc) f=lxc;; */nodes/*/storage) f=storage;; /storage) f=storages;; */schedule-analyze) f=analyze;; esac\ncat ${host.root}/answers/$f`,
  )
  host.program('qm', `${counting}\necho "QEMU guest agent is not running" >&2; exit 255`)
}

test('a Proxmox host is asked with few processes, and everything it says is read', () => {
  proxmoxHost(1)
  const plan = planFor(host, { kind: 'proxmox', proxmox: { node: 'pve1' } })
  const { stdout, stderr } = host.run(plan)
  expect(stderr).toBe('')
  const seen = parseProbeOutput(plan, NONCE, stdout).proxmox
  expect(seen?.jobs).toMatchObject({ ok: true, value: [{ id: 'job0', enabled: true, schedule: '00:00', vmids: [100] }] })
  expect(seen?.configs).toMatchObject({
    ok: true,
    value: [{ vmid: 100, name: 'web01', smbiosUuid: 'abcd-1', createdSeconds: 1733000000, agent: true, lock: null }, { vmid: 101 }],
  })
  expect(seen?.pools).toEqual({ ok: true, value: [{ id: 'prod', vmids: [100, 101] }] })
  expect(seen?.schedules).toEqual([{ schedule: '00:00', runs: { ok: true, value: [1795309200] } }])
  expect(seen?.agents).toEqual([{ vmid: 100, answers: false, said: 'QEMU guest agent is not running' }])
  expect(seen?.tasks).toMatchObject({ ok: true })
  expect(seen?.storages).toMatchObject({ ok: true })
})

test('the rows of a real /cluster/backup are read: cron jobs with text flags, all-jobs, weekly ones', () => {
  proxmoxHost(0)
  const plan = planFor(host, { kind: 'proxmox', proxmox: { node: 'pve1' } })
  const jobs = parseProbeOutput(plan, NONCE, host.run(plan).stdout).proxmox?.jobs
  expect(
    jobs?.ok && jobs.value.map(({ id, enabled, all, exclude, vmids, legacyCron }) => ({ id: id.slice(0, 12), enabled, all, exclude, vmids, legacyCron })),
  ).toEqual([
    { id: 'e8a13b4fddb6', enabled: true, all: false, exclude: [], vmids: [100], legacyCron: true },
    { id: 'backup-5c4ad', enabled: true, all: true, exclude: [9000], vmids: null, legacyCron: false },
    { id: 'weekly-offsi', enabled: false, all: false, exclude: [], vmids: [100, 101], legacyCron: false },
  ])
})

test('with many schedules there are never more than 12 Proxmox processes a pass nor 4 at once, and what was not asked is said', () => {
  proxmoxHost(9)
  const plan = planFor(host, { kind: 'proxmox', proxmox: { node: 'pve1' } })
  const seen = parseProbeOutput(plan, NONCE, host.run(plan).stdout).proxmox
  const calls = readFileSync(join(host.root, 'calls'), 'utf8').trim().split('\n')
  const level = readFileSync(join(host.root, 'level'), 'utf8').trim().split('\n').map(Number)
  expect(calls.length).toBeLessThanOrEqual(12)
  // the folder of running ones holds one file of its own
  expect(Math.max(...level)).toBeLessThanOrEqual(4)
  expect(seen?.schedulesNotAsked).toBe(5)
  expect(seen?.schedules.filter(({ runs }) => !runs.ok)).toHaveLength(5)
})

test('the schedule of the one job that matters is asked first, also while that job is disabled', () => {
  proxmoxHost(9)
  const jobs = readFileSync(join(host.root, 'answers/jobs'), 'utf8')
  host.write('answers/jobs', jobs.replace('"id":"job8","enabled":1', '"id":"job8","enabled":0'))
  const plan = planFor(host, { kind: 'proxmox', proxmox: { node: 'pve1', job: 'job8' } })
  const first = parseProbeOutput(plan, NONCE, host.run(plan).stdout).proxmox?.schedules[0]
  expect(first).toMatchObject({ schedule: '08:00', runs: { ok: true } })
})

test('a Proxmox program that fails makes its own answer unread, with its words', () => {
  proxmoxHost(1)
  host.program('pvesh', `case $2 in */qemu) echo "got timeout" >&2; exit 2;; /cluster/backup) echo '[{"id":' ;; *) echo '[]';; esac`)
  const plan = planFor(host, { kind: 'proxmox', proxmox: { node: 'pve1' } })
  const seen = parseProbeOutput(plan, NONCE, host.run(plan).stdout).proxmox
  expect(seen?.guests).toEqual({ ok: false, code: 'failed', why: 'the list of VMs: got timeout' })
  expect(seen?.jobs).toMatchObject({ ok: false, code: 'unparseable' })
  expect(seen?.storages).toEqual({ ok: true, value: [] })
})

test('an agent whose freeze failed is asked too; one that was switched off in the options is not', () => {
  proxmoxHost(1)
  host.write(
    'mnt/backup/dump/vzdump-qemu-101-2026_11_21-02_00_00.log',
    "x INFO: status = running\nx INFO: issuing guest-agent 'fs-freeze' command\nx ERROR: VM 101 qmp command 'guest-fsfreeze-freeze' failed - got timeout\n",
  )
  host.write(
    'mnt/backup/dump/vzdump-qemu-100-2026_11_21-02_00_00.log',
    "x INFO: status = running\nx INFO: skipping guest-agent 'fs-freeze', disabled in VM options\n",
  )
  const plan = planFor(host, { kind: 'proxmox', proxmox: { node: 'pve1' } })
  expect(parseProbeOutput(plan, NONCE, host.run(plan).stdout).proxmox?.agents.map(({ vmid }) => vmid)).toEqual([101])
})

test('a folder that does not answer within its time is unknown for itself alone', () => {
  host.write('good/a.gz', 'x')
  host.write('hung/a.gz', 'x')
  // the folder really hangs; the time limit is real too, only shorter
  host.program('df', 'case $PWD in */hung) exec sleep 60;; esac; exec /bin/df "$@"')
  host.program('timeout', 'shift 3; exec /usr/bin/timeout -k 1 0.5 "$@"')
  const plan = planFor(host, { directories: [files('d0', 'hung', ['*.gz']), files('d1', 'good', ['*.gz'])] })
  const reading = parseProbeOutput(plan, NONCE, host.run(plan).stdout)
  expect(reading.directories.map(({ reading: seen }) => (seen.ok ? 'read' : seen.code))).toEqual(['timed_out', 'read'])
})

test('nothing is left on the host', () => {
  const before = readdirSync('/dev/shm').filter((name) => name.startsWith('nightshift.'))
  host.run(planFor(host, { directories: [files('d0', '.', ['*'])] }))
  expect(readdirSync('/dev/shm').filter((name) => name.startsWith('nightshift.') && !before.includes(name))).toEqual([])
})

test('a nonce that could be guessed or break the shell is refused', () => {
  for (const nonce of ['', 'short', `${'a'.repeat(22)}'`, 'a'.repeat(80)]) expect(() => renderProbeScript(planFor(host), nonce)).toThrow('nonce')
})
