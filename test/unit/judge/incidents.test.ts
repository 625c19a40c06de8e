/** What really went wrong once (the operator's register): each must be named with its true cause, and nothing else turn wrong. */
import { expect, test } from 'vitest'
import { readOk, unread, unreadHost } from '../../../src/domain/observation.js'
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
  NOW,
  OFFSITE,
  plainFile,
  stamp,
  storageOf,
  targetOf,
  upidOf,
  type World,
  world,
  wrongOf,
} from './world.js'

const down = (w: World, host: string, reason: 'connect_timeout' | 'host_key_mismatch', message: string) =>
  w.hosts.set(
    host,
    unreadHost(host, { reason, message }, { startedAt: new Date(w.now * 1000).toISOString(), finishedAt: new Date(w.now * 1000).toISOString() }),
  )

test('I1: a guest in no enabled job is MISSING within one pass, and guest and target are one finding', () => {
  const w = world()
  changeJob(w, 'pve', 'backup-pve-daily', { vmids: [204] })
  const status = judge(w)
  expect(guestOf(status, 205)).toMatchObject({ state: 'MISSING', reason: 'not_in_any_job', severity: 'critical', jobs: [] })
  expect(guestOf(status, 205).message).toContain('VM 205 (observability) on pve is in no enabled job')
  expect(targetOf(status, 'vm-205')).toMatchObject({ state: 'MISSING', reason: 'not_in_any_job' })
  expect(status.findings).toMatchObject([{ subject: 'shop/guest/pve/205', condition: 'coverage', severity: 'critical', reason: 'not_in_any_job' }])
  expect(wrongOf(status)).toHaveLength(2)
})

test('I1: a guest is as uncovered by a disabled, a node-limited, an excluding or a storage-less job as by none', () => {
  const cases = [
    [{ enabled: false }, 'is disabled'],
    [{ node: 'elsewhere' }, 'node elsewhere only'],
    [{ vmids: null, all: true, exclude: [205] }, 'excludes it'],
    [{ storage: 'gone' }, 'storage gone, which does not exist'],
  ] as const
  for (const [change, words] of cases) {
    const w = world()
    changeJob(w, 'pve', 'backup-pve-daily', change as never)
    const row = guestOf(judge(w), 205)
    expect(row).toMatchObject({ state: 'MISSING', reason: 'not_in_any_job' })
    expect(row.message).toContain(words)
  }
})

test('I1: guests of an all-job or a pool are covered', () => {
  const all = world()
  changeJob(all, 'pve', 'backup-pve-daily', { vmids: null, all: true })
  expect(wrongOf(judge(all))).toEqual([])
  const pool = world()
  changeJob(pool, 'pve', 'backup-pve-daily', { vmids: null, pool: 'prod' })
  changeProxmox(pool, 'pve', (seen) => ({ ...seen, pools: readOk([{ id: 'prod', vmids: [204, 205] }]) }))
  expect(wrongOf(judge(pool))).toEqual([])
})

test('I2: a half archive under its final name is PARTIAL, with the last good one and its age', () => {
  const w = world()
  const start = NOW - 2400
  changeFolder(w, 'pve', DUMP, (files, logs) => ({
    files: [...files, { ...archiveFile(204, 'qemu', start, 7 * GB), mtimeSeconds: start + 500 }, logFile(204, 'qemu', start)],
    logs: [...logs, { name: `${baseOf(204, 'qemu', start)}.log`, lines: ['2026-11-21 06:20:00 INFO: Starting Backup of VM 204 (qemu)'] }],
  }))
  const status = judge(w)
  expect(targetOf(status, 'vm-204')).toMatchObject({
    state: 'PARTIAL',
    reason: 'log_incomplete',
    severity: 'critical',
    lastGood: { path: `${DUMP}/vzdump-qemu-204-2026_11_21-02_00_00.vma.zst` },
  })
  expect(targetOf(status, 'vm-204').message).toMatch(
    /no line "Finished Backup of VM 204".*the last good one is vzdump-qemu-204-2026_11_21-02_00_00\.vma\.zst, 4 h 55 m old/,
  )
  expect(status.findings).toHaveLength(1)
})

test('I2: a left .dat of a power cut is PARTIAL, and the next step unlocks the guest', () => {
  const w = world()
  const start = NOW - 7200
  changeFolder(w, 'pve', DUMP, (files) => ({
    files: [...files, { name: `${baseOf(204, 'qemu', start)}.vma.dat`, sizeBytes: 34 * GB, mtimeSeconds: start + 500, type: 'file', glob: -1 }],
  }))
  changeProxmox(w, 'pve', (seen) => ({
    ...seen,
    guests: seen.guests.ok ? readOk(seen.guests.value.map((guest) => (guest.vmid === 204 ? { ...guest, lock: 'backup' } : guest))) : seen.guests,
  }))
  const row = targetOf(judge(w), 'vm-204')
  expect(row).toMatchObject({ state: 'PARTIAL', reason: 'log_incomplete' })
  expect(row.message).toContain('.vma.dat (34.0 GB)')
  expect(row.next).toContain('qm unlock 204')
})

test('a .dat that a running task works on leaves the state to the last good artifact', () => {
  const w = world()
  const start = NOW - 7200
  changeFolder(w, 'pve', DUMP, (files) => ({
    files: [...files, { name: `${baseOf(204, 'qemu', start)}.vma.dat`, sizeBytes: 34 * GB, mtimeSeconds: start, type: 'file', glob: -1 }],
  }))
  changeProxmox(w, 'pve', (seen) => ({
    ...seen,
    tasks: seen.tasks.ok
      ? readOk([{ upid: upidOf(start, '204'), guest: '204', startSeconds: start, endSeconds: null, status: 'RUNNING', user: 'root@pam' }, ...seen.tasks.value])
      : seen.tasks,
  }))
  expect(targetOf(judge(w), 'vm-204')).toMatchObject({ state: 'OK', reason: 'in_progress' })
})

test('I3: an offsite folder to which nothing was ever synced says so, and that the key is refused', () => {
  const w = world()
  changeFolder(w, 'nas', OFFSITE, () => ({ files: [] }))
  changeHost(w, 'pve', (seen) => ({
    ...seen,
    producers: [{ id: 'p0', reading: readOk({ lines: 0, ssh: { ok: false, exitCode: 255, said: 'nas: Permission denied (publickey).' } }) }],
  }))
  const status = judge(w)
  expect(targetOf(status, 'vm-offsite')).toMatchObject({ state: 'MISSING', reason: 'never_synced', severity: 'critical' })
  expect(targetOf(status, 'vm-offsite').message).toMatch(
    /nothing has ever arrived in .*critical on nas: no transfer job on pve names this path .* and the key from pve to nas is refused/,
  )
  expect(wrongOf(status)).toHaveLength(1)
})

test('I3: fresh copies whose source is not let in any more are FAILED before they grow old', () => {
  const w = world()
  changeHost(w, 'pve', (seen) => ({
    ...seen,
    producers: [{ id: 'p0', reading: readOk({ lines: 1, ssh: { ok: false, exitCode: 255, said: 'Permission denied (publickey).' } }) }],
  }))
  expect(targetOf(judge(w), 'vm-offsite')).toMatchObject({ state: 'FAILED', reason: 'transfer_refused', severity: 'critical' })
})

test('I4: when the producing cron line is gone, that is the cause and not the age', () => {
  const w = world()
  changeHost(w, 'dev-tools', (seen) => ({ ...seen, producers: [{ id: 'p0', reading: readOk({ lines: 0 }) }] }))
  ageNewest(w, 'nas', GITEA, /gitea/, 3 * DAY)
  const row = targetOf(judge(w), 'app-gitea')
  expect(row).toMatchObject({ state: 'FAILED', reason: 'producer_gone', severity: 'critical' })
  expect(row.message).toContain('no cron line on dev-tools contains "gitea-backup" any more')
})

test('I4: a producer that could not be looked at is no verdict', () => {
  const w = world()
  down(w, 'dev-tools', 'connect_timeout', 'dev-tools does not answer')
  expect(targetOf(judge(w), 'app-gitea').state).toBe('OK')
})

test('I5: a container that fails in a job that serves the VM well is FAILED with the telling line; others stay OK', () => {
  const w = world()
  const start = Date.parse('2026-11-21T08:00:00Z') / 1000
  changeJob(w, 'proxmox-home', 'backup-home-p0-daily', { vmids: [100, 103] })
  changeProxmox(w, 'proxmox-home', (seen) => ({
    ...seen,
    guests: seen.guests.ok
      ? readOk([...seen.guests.value, { vmid: 103, type: 'lxc', name: 'download-home', status: 'stopped', template: false, lock: null }])
      : seen.guests,
    tasks: seen.tasks.ok ? readOk(seen.tasks.value.map((task) => (task.startSeconds === start ? { ...task, status: 'job errors' } : task))) : seen.tasks,
    taskLogs: seen.taskLogs.ok
      ? readOk(
          seen.taskLogs.value.map((log) =>
            log.name === upidOf(start)
              ? {
                  ...log,
                  lines: [
                    ...log.lines.slice(0, -1),
                    'INFO: Starting Backup of VM 103 (lxc)',
                    'INFO: tar: ./etc: Cannot open: Permission denied',
                    "ERROR: Backup of VM 103 failed - command 'tar cpf -' failed: exit code 2",
                    'TASK ERROR: job errors',
                  ],
                }
              : log,
          ),
        )
      : seen.taskLogs,
  }))
  const status = judge(w)
  expect(guestOf(status, 103)).toMatchObject({ state: 'FAILED', reason: 'job_failed', severity: 'critical' })
  expect(guestOf(status, 103).message).toContain('tar: ./etc: Cannot open: Permission denied')
  expect(guestOf(status, 100)).toMatchObject({ state: 'OK' })
  expect(jobOf(status, 'backup-home-p0-daily')).toMatchObject({ state: 'FAILED', reason: 'job_failed' })
  expect(status.findings.map(({ subject }) => subject)).toEqual(['home/guest/proxmox-home/103'])
})

test('I6: a host that cannot be reached is one finding; its targets are UNKNOWN and inhibited by it', () => {
  const w = world()
  down(w, 'nas', 'connect_timeout', 'no answer from nas (10.0.0.150 port 22) within 6 s')
  const status = judge(w)
  expect(status.findings).toMatchObject([{ subject: 'home/host/nas', condition: 'blind', severity: 'unknown', reason: 'connect_timeout' }])
  for (const id of ['app-gitea', 'vm-offsite'])
    expect(targetOf(status, id)).toMatchObject({ state: 'UNKNOWN', reason: 'connect_timeout', inhibitedBy: 'home/host/nas' })
  expect(status.verdict).toBe('unknown')
})

test('I7: a dead guest agent is named as the cause of a backup that is not application-consistent', () => {
  const w = world()
  changeFolder(w, 'pve', DUMP, (_files, logs) => ({
    logs: logs.map((log) =>
      log.name.startsWith('vzdump-qemu-204-2026_11_21')
        ? {
            ...log,
            lines: log.lines.map((line) =>
              line.replace("issuing guest-agent 'fs-freeze' command", "skipping guest-agent 'fs-freeze', agent configured but not running?"),
            ),
          }
        : log,
    ),
  }))
  changeProxmox(w, 'pve', (seen) => ({ ...seen, agents: [{ vmid: 204, answers: false, said: 'QEMU guest agent is not running' }] }))
  const status = judge(w)
  expect(guestOf(status, 204)).toMatchObject({ state: 'OK', reason: 'agent_silent', severity: 'warning' })
  expect(guestOf(status, 204).message).toMatch(/guest agent of 204 .* does not answer \(QEMU guest agent is not running\).*not application-consistent/)
  expect(wrongOf(status)).toHaveLength(1)
})

test('I8: a wrong node name is found, the paths are told, and an empty list of guests is not believed', () => {
  const w = world()
  changeHost(w, 'proxmox-home', (seen) => ({ ...seen, hostname: readOk('proxmox-home') }))
  changeProxmox(w, 'proxmox-home', (seen) => ({ ...seen, guests: readOk([]) }))
  judge(world())
  const status = judge(w)
  expect(hostOf(status, 'proxmox-home')).toMatchObject({ state: 'UNKNOWN', reason: 'node_name_mismatch' })
  expect(hostOf(status, 'proxmox-home').message).toContain('/etc/pve/nodes/proxmox-home does not exist (there: /etc/pve/nodes/pve)')
  expect(guestOf(status, 100)).toMatchObject({ state: 'UNKNOWN' })
  expect(status.findings.map(({ subject }) => subject)).toEqual(['home/host/proxmox-home'])
})

test('I8: a node that estate.yaml names otherwise is found too; the declared exception is none', () => {
  const w = world()
  changeHost(w, 'pve', (seen) => ({ ...seen, hostname: readOk('r730') }))
  changeProxmox(w, 'pve', (seen) => ({ ...seen, nodes: readOk(['r730']) }))
  expect(hostOf(judge(w), 'pve').message).toContain('the node is named r730, estate.yaml declares pve')
  expect(hostOf(judge(world()), 'proxmox-home').state).toBe('OK')
})

test('I9: 48 h 00 m 01 s is STALE where 48 h 00 m 00 s is not', () => {
  for (const [age, state] of [
    [48 * HOUR, 'OK'],
    [48 * HOUR + 1, 'STALE'],
  ] as const) {
    const w = world()
    w.targets = w.targets.map((target) => (target.id === 'app-gitea' ? { ...target, limitSeconds: 48 * HOUR } : target))
    ageNewest(w, 'nas', GITEA, /gitea/, age)
    expect(targetOf(judge(w), 'app-gitea').state).toBe(state)
  }
})

test('I11: the identity of a finding holds no age, size or count: ten minutes later it is the same', () => {
  const identities = (w: World) => judge(w).findings.map(({ subject, condition }) => `${subject} ${condition}`)
  const w = world()
  ageNewest(w, 'nas', GITEA, /gitea/, 31 * HOUR)
  const first = identities(w)
  w.now += 600
  expect(identities(w)).toEqual(first)
  expect(first).toEqual(['home/target/app-gitea freshness'])
})

test('I12: 0 of N seen is UNKNOWN and a failure of the monitor itself', () => {
  const w = world()
  for (const host of w.hosts.keys()) down(w, host, 'connect_timeout', 'no answer')
  const status = judge(w)
  expect(status).toMatchObject({ verdict: 'unknown', expected: 6, seen: 0 })
  expect(status.findings).toContainEqual(
    expect.objectContaining({ subject: 'test/monitor/test', reason: 'nothing_seen', message: expect.stringContaining('0 of 6') }),
  )
})

test('I12: an inventory without an enabled target is UNKNOWN, never OK', () => {
  const w = world()
  w.targets = w.targets.map((target) => ({ ...target, enabled: false, waiver: { reason: 'test', until: '2027-01-01' } }))
  expect(judge(w)).toMatchObject({ verdict: 'unknown', expected: 0, seen: 0 })
})

test.each([
  [26, 'vm-204', 'pve', DUMP, /vzdump-qemu-204-.*zst$/],
  [26, 'app-gitea', 'nas', GITEA, /gitea/],
  [168, 'home-lxc-105', 'proxmox-home', HOME_DUMP, /vzdump-lxc-105-.*zst$/],
] as const)('I13: %i h 00 m 01 s is STALE for %s, one second less is not', (hours, id, host, path, name) => {
  for (const [age, stale] of [
    [hours * HOUR, false],
    [hours * HOUR + 1, true],
  ] as const) {
    const w = world()
    ageNewest(w, host, path, name, age)
    expect(targetOf(judge(w), id).state === 'STALE').toBe(stale)
  }
})

test('I14: a file from the future is UNKNOWN, not fresh; within a minute it is ordinary clock noise', () => {
  for (const [ahead, state] of [
    [30, 'OK'],
    [61, 'UNKNOWN'],
    [3 * HOUR, 'UNKNOWN'],
  ] as const) {
    const w = world()
    ageNewest(w, 'nas', GITEA, /gitea/, -ahead)
    const row = targetOf(judge(w), 'app-gitea')
    expect(row.state).toBe(state)
    if (state === 'UNKNOWN') expect(row.reason).toBe('future_mtime')
  }
})

test('I14: a host whose clock is ahead is measured, and its files are judged by its own clock', () => {
  const w = world()
  changeHost(w, 'nas', (seen) => ({
    ...seen,
    clock: readOk({ epochSeconds: NOW + HOUR, skewSeconds: 3600, uncertaintySeconds: 0.1, utcOffset: '-0500', zone: 'America/New_York' }),
  }))
  ageNewest(w, 'nas', GITEA, /gitea/, -HOUR)
  const status = judge(w)
  expect(targetOf(status, 'app-gitea')).toMatchObject({ state: 'OK', ageSeconds: 0, artifact: { modifiedAt: new Date(NOW * 1000).toISOString() } })
  expect(hostOf(status, 'nas')).toMatchObject({ reason: 'clock_skew', severity: 'warning', clockSkewSeconds: 3600 })
  expect(status.verdict).toBe('warning')
})

test('I15: a weekly event without byday is told with the weekday it would fall on and the live one', () => {
  const w = world()
  w.events = w.events.map(({ byDay: _, ...event }) => event)
  const status = judge(w)
  expect(status.findings).toMatchObject([{ reason: 'calendar_no_byday', severity: 'warning', condition: 'config' }])
  expect(status.findings[0]?.message).toContain('puts it on Tuesdays, the weekday of dtstart_date; the live job runs on Sunday')
})

test('I15: the calendar is held against the live job: weekday, time, frequency and words', () => {
  const cases = [
    [{ byDay: ['SA'] }, 'calendar_weekday'],
    [{ byHour: [5] }, 'calendar_time'],
    [{ freq: 'DAILY', byDay: undefined }, 'calendar_freq'],
    [{ description: 'quarterly restore drill' }, 'calendar_words'],
    [{ job: 'proxmox-home/no-such-job' }, 'calendar_no_such_job'],
  ] as const
  for (const [change, reason] of cases) {
    const w = world()
    w.events = w.events.map((event) => ({ ...event, ...change }) as never)
    expect(judge(w).findings.map((finding) => finding.reason)).toEqual([reason])
  }
})

test('I19: a changed host key is UNKNOWN with that reason, and a person is told to find out why', () => {
  const w = world()
  down(w, 'nas', 'host_key_mismatch', 'the host key of nas is not the recorded one')
  const status = judge(w)
  expect(hostOf(status, 'nas')).toMatchObject({ state: 'UNKNOWN', reason: 'host_key_mismatch' })
  expect(hostOf(status, 'nas').next).toContain('nightshift trust nas')
  expect(targetOf(status, 'app-gitea').reason).toBe('host_key_mismatch')
})

test('what one host did not answer is unknown for it alone', () => {
  const w = world()
  changeProxmox(w, 'pve', (seen) => ({ ...seen, jobs: unread('timed_out', 'no answer within the time limit') }))
  const status = judge(w)
  expect(guestOf(status, 204)).toMatchObject({ state: 'UNKNOWN', severity: 'unknown' })
  expect(status.findings).toMatchObject([{ subject: 'shop/host/pve', reason: 'probe_failed' }])
  expect(storageOf(status, 'tank-backups').state).toBe('OK')
})

void stamp
void plainFile
