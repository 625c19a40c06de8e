/** The rules one by one, each at its boundary. */
import { expect, test } from 'vitest'
import { readOk, unreadHost } from '../../../src/domain/observation.js'
import {
  ageNewest,
  archiveFile,
  baseOf,
  changeFolder,
  changeHost,
  changeJob,
  changeProxmox,
  DAY,
  DUMP,
  GB,
  GITEA,
  guestOf,
  HOME_DUMP,
  HOUR,
  hostOf,
  jobOf,
  judge,
  logFile,
  logLines,
  NOW,
  plainFile,
  storageOf,
  targetOf,
  upidOf,
  type World,
  world,
  wrongOf,
} from './world.js'

const TWO_AM = Date.parse('2026-11-21T07:00:00Z') / 1000

// ---------------------------------------------------------------------------------------------------------------- sizes

test.each([
  [25_000, 'OK', 'ok'],
  [24_999, 'PARTIAL', 'too_small'],
])('with three or more to compare with, %i bytes beside a median of 50,000 are %s', (size, state, reason) => {
  const w = world()
  changeFolder(w, 'nas', GITEA, () => ({ files: [plainFile('new.sql.gz', HOUR, size), ...[1, 2, 3].map((n) => plainFile(`old${n}.sql.gz`, n * DAY, 50_000))] }))
  expect(targetOf(judge(w), 'app-gitea')).toMatchObject({ state, reason })
})

test('with one to compare with, only less than a fifth is too small: a first shrink is no false word', () => {
  for (const [size, state] of [
    [10_000, 'OK'],
    [9_999, 'PARTIAL'],
  ] as const) {
    const w = world()
    changeFolder(w, 'nas', GITEA, () => ({ files: [plainFile('new.sql.gz', HOUR, size), plainFile('old.sql.gz', DAY, 50_000)] }))
    expect(targetOf(judge(w), 'app-gitea').state).toBe(state)
  }
})

test('usual sizes are remembered: after pruning, the newest is still held against them', () => {
  const w = world()
  changeFolder(w, 'nas', GITEA, () => ({ files: [1, 2, 3, 4].map((n) => plainFile(`old${n}.sql.gz`, n * HOUR, 50_000)) }))
  judge(w)
  changeFolder(w, 'nas', GITEA, () => ({ files: [plainFile('new.sql.gz', 60, 20_000)] }))
  const row = targetOf(judge(w), 'app-gitea')
  expect(row).toMatchObject({ state: 'PARTIAL', reason: 'too_small' })
  expect(row.message).toContain('19.5 KB; the 4 before had 48.8 KB (median)')
})

test('zero bytes, and the 20 bytes that gzip makes of nothing, are empty; a small plain file is not', () => {
  for (const [name, size, reason] of [
    ['a.sql.gz', 0, 'empty'],
    ['a.sql.gz', 20, 'empty'],
    ['a.sql.gz', 65, 'ok'],
  ] as const) {
    const w = world()
    changeFolder(w, 'nas', GITEA, () => ({ files: [plainFile(name, HOUR, size)] }))
    expect(targetOf(judge(w), 'app-gitea').reason).toBe(reason)
  }
})

test('an archive that is a tenth shorter than its own log says lost its end', () => {
  const w = world()
  changeFolder(w, 'pve', DUMP, (files) => ({
    files: files.map((file) => (file.name.startsWith('vzdump-qemu-204-2026_11_21') && file.name.endsWith('.zst') ? { ...file, sizeBytes: 17 * GB } : file)),
  }))
  expect(targetOf(judge(w), 'vm-204')).toMatchObject({
    state: 'PARTIAL',
    reason: 'too_small',
    message: expect.stringContaining('its log says that 20.00GB were written'),
  })
})

// ---------------------------------------------------------------------------------------------------------- completeness

test('an archive without a log is complete on the NAS, and unfinished in the dump folder of a Proxmox host', () => {
  const w = world()
  changeFolder(w, 'pve', DUMP, (files, logs) => ({
    files: files.filter(({ name }) => !(name.includes('204-2026_11_21') && name.endsWith('.log'))),
    logs: logs.filter(({ name }) => !name.includes('204-2026_11_21')),
  }))
  const status = judge(w)
  expect(targetOf(status, 'vm-204')).toMatchObject({ state: 'PARTIAL', reason: 'log_incomplete' })
  expect(targetOf(status, 'vm-offsite').state).toBe('OK')
})

test('rsync at work leaves the state to the last good file; its leftover after a quarter of an hour is PARTIAL', () => {
  for (const [age, state, reason] of [
    [900, 'OK', 'in_progress'],
    [901, 'PARTIAL', 'log_incomplete'],
  ] as const) {
    const w = world()
    changeFolder(w, 'nas', GITEA, () => ({ temporary: [plainFile('.gitea-3.sql.gz.Ab12Cd', age, 10)] }))
    expect(targetOf(judge(w), 'app-gitea')).toMatchObject({ state, reason })
  }
})

test('another target’s temporary file in the same folder is not ours', () => {
  const w = world()
  changeFolder(w, 'nas', GITEA, () => ({ temporary: [plainFile('.other.zip.Ab12Cd', 4000, 10)] }))
  expect(targetOf(judge(w), 'app-gitea')).toMatchObject({ state: 'OK', reason: 'ok' })
})

// ---------------------------------------------------------------------------------------------- task result against disk

const editTask = (w: World, lines: (lines: readonly string[]) => string[], status: string) =>
  changeProxmox(w, 'pve', (seen) => ({
    ...seen,
    tasks: seen.tasks.ok ? readOk(seen.tasks.value.map((task) => ({ ...task, status }))) : seen.tasks,
    taskLogs: seen.taskLogs.ok ? readOk(seen.taskLogs.value.map((log) => ({ ...log, lines: lines(log.lines) }))) : seen.taskLogs,
  }))

test('a task that says OK while its file is not there is FAILED with both facts', () => {
  const w = world()
  changeFolder(w, 'pve', DUMP, (files, logs) => ({
    files: files.filter(({ name }) => !name.includes('204-2026_11_21')),
    logs: logs.filter(({ name }) => !name.includes('204-2026_11_21')),
  }))
  const row = targetOf(judge(w), 'vm-204')
  expect(row).toMatchObject({ state: 'FAILED', reason: 'job_failed' })
  expect(row.message).toMatch(/Proxmox says that the backup of 204 .* went well, but .*204-2026_11_21-02_00_00\.vma\.zst is not there/)
})

test('a run that failed only at pruning: the archive counts, the job says so, as a warning', () => {
  const w = world()
  const failure = 'ERROR: Backup of VM 204 failed - error pruning backups - check log'
  editTask(
    w,
    (lines) => [...lines.map((line) => (line.includes('Finished Backup of VM 204') ? failure : line)).slice(0, -1), 'TASK ERROR: job errors'],
    'job errors',
  )
  changeFolder(w, 'pve', DUMP, (_files, logs) => ({
    logs: logs.map((log) =>
      log.name.includes('204-2026_11_21') ? { ...log, lines: log.lines.map((line) => (line.includes('Finished') ? failure : line)) } : log,
    ),
  }))
  const status = judge(w)
  expect(targetOf(status, 'vm-204').state).toBe('OK')
  expect(jobOf(status, 'backup-pve-daily')).toMatchObject({ state: 'FAILED', reason: 'prune_failed', severity: 'warning' })
  expect(status.findings).toHaveLength(1)
})

test('a failed guest that a manual run has saved since is history', () => {
  const w = world()
  editTask(
    w,
    (lines) => [
      ...lines.map((line) => (line.includes('Finished Backup of VM 204') ? 'ERROR: Backup of VM 204 failed - got timeout' : line)).slice(0, -1),
      'TASK ERROR: job errors',
    ],
    'job errors',
  )
  const start = TWO_AM + 3 * HOUR
  changeFolder(w, 'pve', DUMP, (files, logs) => ({
    files: [...files, archiveFile(204, 'qemu', start, 20 * GB), logFile(204, 'qemu', start)],
    logs: [...logs, { name: `${baseOf(204, 'qemu', start)}.log`, lines: logLines(204, 'qemu', start, 20 * GB) }],
  }))
  changeProxmox(w, 'pve', (seen) => ({
    ...seen,
    tasks: seen.tasks.ok
      ? readOk([
          { upid: upidOf(start, '204'), guest: '204', startSeconds: start, endSeconds: start + 300, status: 'OK', user: 'root@pam' },
          ...seen.tasks.value,
        ])
      : seen.tasks,
    taskLogs: seen.taskLogs.ok
      ? readOk([
          ...seen.taskLogs.value,
          { name: upidOf(start, '204'), lines: [...logLines(204, 'qemu', start, 20 * GB).map((line) => line.slice(20)), 'TASK OK'] },
        ])
      : seen.taskLogs,
  }))
  expect(wrongOf(judge(w))).toEqual([])
})

test('a run that failed before any guest is told once, by the job; its guests are FAILED with that cause', () => {
  const w = world()
  const why = "could not activate storage 'tank-backups': storage 'tank-backups' is not online"
  editTask(w, () => [`ERROR: ${why}`, `TASK ERROR: ${why}`], why)
  changeFolder(w, 'pve', DUMP, (files, logs) => ({
    files: files.filter(({ name }) => !name.includes('2026_11_21')),
    logs: logs.filter(({ name }) => !name.includes('2026_11_21')),
  }))
  const status = judge(w)
  expect(targetOf(status, 'vm-204')).toMatchObject({ state: 'FAILED', reason: 'job_failed', message: expect.stringContaining(why) })
  expect(status.findings.map(({ subject }) => subject)).toEqual(['shop/job/pve/backup-pve-daily'])
})

// ------------------------------------------------------------------------------------------------------------- lateness

test('a job whose due time has passed is LATE after its usual time and 15 minutes, not before, and mails nobody alone', () => {
  const nextDue = TWO_AM + DAY
  // its runs took 900 s
  for (const [after, late] of [
    [900 + 900, false],
    [900 + 900 + 1, true],
  ] as const) {
    const w = world()
    judge(w)
    w.now = nextDue + after
    const status = judge(w)
    expect(jobOf(status, 'backup-pve-daily').state).toBe(late ? 'LATE' : 'OK')
    expect(targetOf(status, 'vm-204')).toMatchObject(late ? { state: 'LATE', reason: 'late', severity: 'warning' } : { state: 'OK' })
  }
})

test('the last due time is known in the very first pass, from the host’s own calendar moved back by a week', () => {
  const w = world()
  w.now = TWO_AM + DAY + 2 * HOUR
  changeProxmox(w, 'pve', (seen) => ({
    ...seen,
    schedules: [{ schedule: '02:00', runs: readOk(Array.from({ length: 10 }, (_, i) => TWO_AM + (i + 2) * DAY)) }],
  }))
  expect(jobOf(judge(w), 'backup-pve-daily')).toMatchObject({ state: 'LATE', message: expect.stringContaining('was due at 2026-11-22 02:00') })
})

test('a job that has just been made has no due time behind it', () => {
  const w = world()
  changeProxmox(w, 'pve', (seen) => ({
    ...seen,
    jobStates: readOk([{ jobId: 'backup-pve-daily', state: 'created', upid: null, message: null, updatedSeconds: NOW - 60 }]),
    tasks: readOk([]),
    taskLogs: readOk([]),
  }))
  expect(jobOf(judge(w), 'backup-pve-daily').state).toBe('OK')
})

test('a weekly target whose limit is its interval is not STALE while its turn is still at work, and is after it', () => {
  const w = world()
  judge(w)
  const sunday = Date.parse('2026-11-22T09:00:00Z') / 1000
  for (const [after, state] of [
    [1000, 'OK'],
    [3600, 'STALE'],
  ] as const) {
    const at = structuredClone(w)
    at.now = sunday + after
    expect(targetOf(judge(at), 'home-lxc-105').state).toBe(state)
  }
})

// ------------------------------------------------------------------------------------------------- first artifact of all

test('a guest new in a job waits for its first artifact, with its due time, and is overdue when that has passed', () => {
  const w = world()
  changeFolder(w, 'pve', DUMP, (files, logs) => ({
    files: files.filter(({ name }) => !name.includes('-205-')),
    logs: logs.filter(({ name }) => !name.includes('-205-')),
  }))
  changeProxmox(w, 'pve', (seen) => ({ ...seen, taskLogs: readOk([]) }))
  expect(targetOf(judge(w), 'vm-205')).toMatchObject({
    state: 'LATE',
    reason: 'awaiting_first_artifact',
    severity: 'warning',
    dueAt: expect.stringMatching(/^2026-11-22T07:/),
  })
  w.now += 2 * DAY
  expect(targetOf(judge(w), 'vm-205')).toMatchObject({ state: 'MISSING', reason: 'overdue', severity: 'critical' })
})

test('archives of an earlier guest with the same number never count', () => {
  const w = world()
  changeProxmox(w, 'pve', (seen) => ({
    ...seen,
    configs: seen.configs.ok
      ? readOk(seen.configs.value.map((config) => (config.vmid === 205 ? { ...config, createdSeconds: NOW - HOUR } : config)))
      : seen.configs,
    taskLogs: readOk([]),
  }))
  const row = targetOf(judge(w), 'vm-205')
  expect(row).toMatchObject({ state: 'LATE', reason: 'awaiting_first_artifact', lastGood: null })
  expect(row.message).toContain('2 archives there are of an earlier guest')
})

test('a smbios UUID that changes between passes is another guest', () => {
  const w = world()
  judge(w)
  changeProxmox(w, 'pve', (seen) => ({
    ...seen,
    configs: seen.configs.ok
      ? readOk(seen.configs.value.map((config) => (config.vmid === 205 ? { ...config, smbiosUuid: 'other', createdSeconds: null } : config)))
      : seen.configs,
    taskLogs: readOk([]),
  }))
  w.now += 600
  expect(targetOf(judge(w), 'vm-205').reason).toBe('awaiting_first_artifact')
  w.now += 600
  expect(targetOf(judge(w), 'vm-205').reason).toBe('awaiting_first_artifact')
})

// ------------------------------------------------------------------------------------------- decisions: waived, disabled

test('a waiver counts through its last day in the estate’s zone, and its end is said', () => {
  // NOW is 2026-11-21 07:00 in New York
  for (const [until, reason, severity] of [
    ['2026-11-21', 'waived', 'ok'],
    ['2026-11-20', 'disabled', 'warning'],
  ] as const) {
    const w = world()
    w.targets = w.targets.map((target) => (target.id === 'app-gitea' ? { ...target, enabled: false, waiver: { reason: 'moved', until } } : target))
    const row = targetOf(judge(w), 'app-gitea')
    expect(row).toMatchObject({ state: 'DISABLED', reason, severity })
    if (severity === 'warning') expect(row.message).toContain('its waiver ended on 2026-11-20')
  }
})

test('a disabled target is not expected, and without a waiver it is a warning', () => {
  const w = world()
  w.targets = w.targets.map((target) => (target.id === 'app-gitea' ? { ...target, enabled: false } : target))
  const status = judge(w)
  expect(status).toMatchObject({ expected: 5, seen: 5, verdict: 'warning' })
  expect(targetOf(status, 'app-gitea')).toMatchObject({ enabled: false, state: 'DISABLED', reason: 'disabled', severity: 'warning' })
})

test('a waived guest in no job is no finding; a decommissioned target is none either', () => {
  const w = world()
  changeJob(w, 'pve', 'backup-pve-daily', { vmids: [204] })
  w.guests = [{ host: 'pve', vmid: 205, waiver: { reason: 'test machine', until: '2026-12-31' } }]
  w.targets = w.targets.map((target) => (target.id === 'vm-205' ? { ...target, decommissioned: { reason: 'gone', date: '2026-11-01' } } : target))
  expect(wrongOf(judge(w))).toEqual([])
})

test('a target without a producer is a finding, and judged all the same', () => {
  const w = world()
  delete w.producedBy['app-gitea']
  const status = judge(w)
  expect(targetOf(status, 'app-gitea').state).toBe('OK')
  expect(status.findings).toMatchObject([{ subject: 'home/target/app-gitea', condition: 'config', reason: 'no_producer', severity: 'warning' }])
})

// ------------------------------------------------------------------------------------------------------ jobs and storages

test('a guest that is gone and still named in job, inventory and calendar is one finding that names every place', () => {
  const w = world()
  changeJob(w, 'proxmox-home', 'backup-home-p2-weekly', { vmids: [101, 105] })
  w.targets = [...w.targets, { ...w.targets[2], id: 'home-vm-101', glob: 'vzdump-qemu-101-*.vma.zst', place: 'inventory.yaml:99' } as World['targets'][number]]
  w.producedBy['home-vm-101'] = { kind: 'vzdump', host: 'proxmox-home', vmid: 101 }
  w.events = w.events.map((event) => ({ ...event, summary: 'home P2: VM 101 and CT 105' }))
  const status = judge(w)
  expect(status.findings).toMatchObject([{ subject: 'home/guest/proxmox-home/101', reason: 'vanished_guest', condition: 'config' }])
  for (const place of ['job backup-home-p2-weekly', 'target home-vm-101 (inventory.yaml:99)', 'calendar event home-p2'])
    expect(status.findings[0]?.message).toContain(place)
  expect(targetOf(status, 'home-vm-101')).toMatchObject({ state: 'MISSING', reason: 'vanished_guest' })
  expect(jobOf(status, 'backup-home-p2-weekly')).toMatchObject({ state: 'MISSING', reason: 'vanished_guest', severity: 'warning' })
})

test('a job whose guests are all gone is dead', () => {
  const w = world()
  changeJob(w, 'proxmox-home', 'backup-home-p2-weekly', { vmids: [103] })
  expect(jobOf(judge(w), 'backup-home-p2-weekly')).toMatchObject({ state: 'MISSING', reason: 'dead_job', severity: 'warning' })
})

test('a share that is not mounted is the cause; its targets are unknown because of it', () => {
  const w = world()
  changeHost(w, 'proxmox-home', (seen) => ({ ...seen, mounts: readOk([{ device: '/dev/sda', path: '/', type: 'ext4' }]) }))
  changeFolder(w, 'proxmox-home', HOME_DUMP, () => ({ files: [], logs: [] }))
  const status = judge(w)
  expect(storageOf(status, 'synology-backups')).toMatchObject({ state: 'FAILED', reason: 'storage_not_mounted', severity: 'critical' })
  expect(targetOf(status, 'home-vm-100')).toMatchObject({
    state: 'UNKNOWN',
    reason: 'storage_not_mounted',
    inhibitedBy: 'home/storage/proxmox-home/synology-backups',
  })
  expect(status.findings).toHaveLength(1)
})

test('room for the next run: one more of the largest when the others are pruned, all of them when everything is kept', () => {
  // two guests of 20 GB each, both at keep-last=2: 20 GB and a tenth
  for (const [free, keep, reason] of [
    [22 * GB, '2', 'ok'],
    [22 * GB - 1, '2', 'no_room'],
    [43 * GB, '3', 'no_room'],
    [44 * GB, '3', 'ok'],
  ] as const) {
    const w = world()
    changeJob(w, 'pve', 'backup-pve-daily', { pruneBackups: { 'keep-last': keep } })
    changeProxmox(w, 'pve', (seen) => ({
      ...seen,
      storages: seen.storages.ok ? readOk(seen.storages.value.map((row) => ({ ...row, availBytes: free }))) : seen.storages,
    }))
    expect([free, keep, storageOf(judge(w), 'tank-backups').reason]).toEqual([free, keep, reason])
  }
})

test('a storage that keeps everything is a warning; an inactive or disabled one is critical', () => {
  const keepAll = world()
  changeProxmox(keepAll, 'pve', (seen) => ({
    ...seen,
    storageConfigs: seen.storageConfigs.ok
      ? readOk(seen.storageConfigs.value.map((row) => ({ ...row, pruneBackups: { 'keep-all': '1' } })))
      : seen.storageConfigs,
  }))
  changeJob(keepAll, 'pve', 'backup-pve-daily', { pruneBackups: null })
  expect(storageOf(judge(keepAll), 'tank-backups')).toMatchObject({ state: 'OK', reason: 'keep_all', severity: 'warning' })
  for (const [change, reason] of [
    [{ active: false }, 'storage_inactive'],
    [{ enabled: false }, 'storage_disabled'],
  ] as const) {
    const w = world()
    changeProxmox(w, 'pve', (seen) => ({
      ...seen,
      storages: seen.storages.ok ? readOk(seen.storages.value.map((row) => ({ ...row, ...change }))) : seen.storages,
    }))
    expect(storageOf(judge(w), 'tank-backups')).toMatchObject({ reason, severity: 'critical' })
  }
})

test('what a read writes to stderr is a finding', () => {
  const w = world()
  changeProxmox(w, 'pve', (seen) => ({ ...seen, jobs: seen.jobs.ok ? readOk(seen.jobs.value, 'file jobs.cfg line 7 - ignore config line: foo') : seen.jobs }))
  expect(judge(w).findings).toMatchObject([{ subject: 'shop/host/pve', condition: 'config', reason: 'odd_answer' }])
})

// --------------------------------------------------------------------------------------------------------------- clocks

test('60 s of skew are said from beyond the measuring error on', () => {
  for (const [skew, uncertainty, said] of [
    [60, 0, false],
    [61, 0, true],
    [61, 2, false],
    [-3600, 1, true],
  ] as const) {
    const w = world()
    changeHost(w, 'dev-tools', (seen) => ({
      ...seen,
      clock: readOk({ epochSeconds: NOW, skewSeconds: skew, uncertaintySeconds: uncertainty, utcOffset: '-0500', zone: null }),
    }))
    expect([skew, uncertainty, hostOf(judge(w), 'dev-tools').reason === 'clock_skew']).toEqual([skew, uncertainty, said])
  }
})

test('since tells when a state began, and moves only when the state does', () => {
  const w = world()
  ageNewest(w, 'nas', GITEA, /gitea/, 31 * HOUR)
  const first = targetOf(judge(w), 'app-gitea').since
  w.now += 600
  expect(targetOf(judge(w), 'app-gitea').since).toBe(first)
  changeFolder(w, 'nas', GITEA, () => ({ files: [plainFile('new.sql.gz', -600, 50_000)] }))
  expect(targetOf(judge(w), 'app-gitea')).toMatchObject({ state: 'OK', since: new Date(w.now * 1000).toISOString() })
})

test('a guest without a target is judged by its own archives', () => {
  const w = world()
  w.targets = w.targets.filter(({ id }) => id !== 'vm-205')
  expect(guestOf(judge(w), 205)).toMatchObject({ state: 'OK' })
  ageNewest(w, 'pve', DUMP, /vzdump-qemu-205-.*zst$/, 49 * HOUR)
  const status = judge(w)
  expect(guestOf(status, 205)).toMatchObject({ state: 'STALE', severity: 'critical' })
  expect(status.findings).toMatchObject([{ subject: 'shop/guest/pve/205', condition: 'freshness' }])
})

test('a stopped guest explains why its SSH host does not answer', () => {
  const w = world()
  w.hosts.delete('dev-tools')
  changeProxmox(w, 'pve', (seen) => ({
    ...seen,
    guests: seen.guests.ok ? readOk(seen.guests.value.map((guest) => (guest.vmid === 205 ? { ...guest, status: 'stopped' } : guest))) : seen.guests,
  }))
  expect(hostOf(judge(w), 'dev-tools').message).toContain('does not answer because guest 205 is stopped on pve')
})

test('a whole site that does not answer is one finding; one host of it that does not is its own', () => {
  const silent = (w: World, names: readonly string[]) => {
    for (const host of names)
      w.hosts.set(
        host,
        unreadHost(host, { reason: 'connect_timeout', message: 'no answer' }, { startedAt: '2026-11-21T11:59:00Z', finishedAt: '2026-11-21T12:00:00Z' }),
      )
    return judge(w).findings.map(({ subject }) => subject)
  }
  expect(silent(world(), ['nas', 'proxmox-home'])).toEqual(['home/monitor/home'])
  expect(silent(world(), ['nas'])).toEqual(['home/host/nas'])
})

test('guests behind a Proxmox host that does not answer are no findings of their own', () => {
  const w = world()
  for (const host of ['pve', 'dev-tools'])
    w.hosts.set(
      host,
      unreadHost(host, { reason: 'connect_timeout', message: 'no answer' }, { startedAt: '2026-11-21T11:59:00Z', finishedAt: '2026-11-21T12:00:00Z' }),
    )
  expect(judge(w).findings.map(({ subject }) => subject)).toEqual(['shop/host/pve'])
})

test('a run that goes on for ever is LATE, and says which guest it hangs at', () => {
  for (const [hours, late] of [
    [5, false],
    [9, true],
  ] as const) {
    const w = world()
    judge(w)
    const start = TWO_AM + DAY
    w.now = start + hours * HOUR
    const upid = upidOf(start)
    changeProxmox(w, 'pve', (seen) => ({
      ...seen,
      tasks: seen.tasks.ok
        ? readOk([{ upid, guest: '', startSeconds: start, endSeconds: null, status: 'RUNNING', user: 'root@pam' }, ...seen.tasks.value])
        : seen.tasks,
      taskLogs: seen.taskLogs.ok ? readOk([...seen.taskLogs.value, { name: upid, lines: ['INFO: Starting Backup of VM 204 (qemu)'] }]) : seen.taskLogs,
      jobStates: readOk([{ jobId: 'backup-pve-daily', state: 'started', upid, message: null, updatedSeconds: null }]),
    }))
    const row = jobOf(judge(w), 'backup-pve-daily')
    expect(row.state).toBe(late ? 'LATE' : 'OK')
    if (late) expect(row.message).toMatch(/has been going for 9 h 00 m, usually it takes 15 m; it is at guest 204/)
  }
})
