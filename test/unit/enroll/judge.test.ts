import { describe, expect, it } from 'vitest'
import { judgeEnrollment } from '../../../src/domain/enroll/judge.js'
import type { EnrollmentQuestion, EnrollmentVerdict, GuestQuestion } from '../../../src/domain/enroll/types.js'
import { readOk, unreadHost } from '../../../src/domain/observation.js'
import {
  archiveFile,
  baseOf,
  changeFolder,
  changeHost,
  changeJob,
  changeProxmox,
  DAY,
  DUMP,
  GB,
  HOUR,
  logFile,
  logLines,
  NOW,
  upidOf,
  type World,
  world,
} from '../judge/world.js'

const JOB = 'backup-pve-daily'
const HEAD = 'INFO: starting new backup job: vzdump 204 205 --quiet 1 --storage tank-backups --mode snapshot'
/** 02:00 New York time on the day of NOW (07:00 there). */
const TWO_AM = NOW - 5 * HOUR

const guest = (vmid: number, more: Partial<GuestQuestion> = {}): GuestQuestion => ({ vmid, sinceSeconds: 0, identity: null, rejected: [], ...more })
const question = (guests: GuestQuestion[], runs: Partial<EnrollmentQuestion['runs']> = {}): EnrollmentQuestion => ({
  job: JOB,
  runs: { schedule: '02:00', told: [], passed: [], ...runs },
  guests,
})

function look(w: World, asked: EnrollmentQuestion) {
  const seen = w.hosts.get('pve')
  if (!seen) throw new Error('no host pve')
  return judgeEnrollment(seen, 'pve', asked)
}

function verdict(w: World, asked: EnrollmentQuestion): EnrollmentVerdict {
  const [only] = look(w, asked).verdicts
  if (!only) throw new Error('no verdict')
  return only
}

/** A guest that nothing was ever made of, in the job and on the host. */
function newcomer(w: World, vmid = 211): void {
  changeJob(w, 'pve', JOB, { vmids: [204, 205, vmid] })
  changeProxmox(w, 'pve', (seen) => ({
    ...seen,
    guests: seen.guests.ok
      ? readOk([...seen.guests.value, { vmid, name: 'finance-stack', type: 'qemu', status: 'running', template: false, lock: null }])
      : seen.guests,
    configs: seen.configs.ok
      ? readOk([
          ...seen.configs.value,
          {
            vmid,
            type: 'qemu',
            node: 'pve',
            name: 'finance-stack',
            smbiosUuid: `uuid-${vmid}`,
            createdSeconds: 1_700_000_000,
            lock: null,
            template: false,
            agent: true,
          },
        ])
      : seen.configs,
  }))
}

interface RunOptions {
  readonly lines?: string[]
  readonly head?: string
  readonly status?: string
  readonly isStateFile?: boolean
  readonly archive?: boolean
}

/** A vzdump task with its log, and (unless told) the archive of 211 that it made. */
function ran(w: World, start: number, { lines, head = HEAD, status = 'OK', isStateFile = true, archive = true }: RunOptions = {}): string {
  const upid = upidOf(start)
  const made = logLines(211, 'qemu', start, 20 * GB).map((line) => line.slice(20).replace('/x/', `${DUMP}/`))
  changeProxmox(w, 'pve', (seen) => ({
    ...seen,
    tasks: seen.tasks.ok
      ? readOk([{ upid, guest: '', startSeconds: start, endSeconds: status === 'RUNNING' ? null : start + 900, status, user: 'root@pam' }, ...seen.tasks.value])
      : seen.tasks,
    taskLogs: seen.taskLogs.ok ? readOk([...seen.taskLogs.value, { name: upid, lines: [head, ...(lines ?? made), `TASK ${status}`] }]) : seen.taskLogs,
    jobStates: isStateFile ? readOk([{ jobId: JOB, state: 'stopped', upid, message: status, updatedSeconds: start + 930 }]) : seen.jobStates,
  }))
  if (archive)
    changeFolder(w, 'pve', DUMP, (files, logs) => ({
      files: [...files, archiveFile(211, 'qemu', start, 20 * GB), logFile(211, 'qemu', start)],
      logs: [...logs, { name: `${baseOf(211, 'qemu', start)}.log`, lines: logLines(211, 'qemu', start, 20 * GB) }],
    }))
  return upid
}

/** Moves the host's clock and with it what it names as next runs. */
function at(w: World, seconds: number): void {
  changeHost(w, 'pve', (seen) => ({ ...seen, clock: seen.clock.ok ? readOk({ ...seen.clock.value, epochSeconds: seconds }) : seen.clock }))
  changeProxmox(w, 'pve', (seen) => ({
    ...seen,
    schedules: [{ schedule: '02:00', runs: readOk(Array.from({ length: 10 }, (_, index) => TWO_AM + index * DAY).filter((run) => run > seconds)) }],
  }))
}

describe('a guest that waits for its first scheduled artifact', () => {
  it('is not due before the job fires; the next run is the one the host names', () => {
    const w = world()
    newcomer(w)
    const seen = look(w, question([guest(211, { sinceSeconds: NOW - HOUR })]))
    expect(seen.verdicts[0]).toMatchObject({
      state: 'not_due',
      message: 'the next run of backup-pve-daily is due at 2026-11-22 02:00',
      overdueSinceSeconds: null,
    })
    expect(seen.runs.told[0]).toBe(TWO_AM + DAY)
    // until the run is usually over: 19 h to the due time, and the 15 minutes that the last one took
    expect(seen.lookAgainInSeconds).toBe(TWO_AM + DAY + 900 - (NOW - 1))
  })

  it('is served when the run of the state file made a complete archive of it', () => {
    const w = world()
    newcomer(w)
    const upid = ran(w, TWO_AM + 2)
    expect(verdict(w, question([guest(211)], { passed: [TWO_AM] }))).toMatchObject({
      state: 'produced',
      artifact: {
        volid: `tank-backups:backup/${baseOf(211, 'qemu', TWO_AM + 2)}.vma.zst`,
        path: `${DUMP}/${baseOf(211, 'qemu', TWO_AM + 2)}.vma.zst`,
        upid,
        dueSeconds: TWO_AM,
        tie: 'job state file',
      },
    })
  })

  it('is served by a run that the state file names no more, when it began at a due time and its log fits the job', () => {
    const w = world()
    newcomer(w)
    ran(w, TWO_AM - DAY + 3, { isStateFile: false })
    expect(verdict(w, question([guest(211)], { passed: [TWO_AM - DAY] }))).toMatchObject({
      state: 'produced',
      artifact: { tie: 'due time and log', dueSeconds: TWO_AM - DAY },
    })
    expect(verdict(w, question([guest(211)], { passed: [] }))).toMatchObject({
      state: 'not_due',
      notCounted: [{ why: expect.stringContaining('was not due then') }],
    })
  })

  it('is not served by a backup by hand at another hour, nor by one at the due time whose log is of something else; both are named', () => {
    const w = world()
    newcomer(w)
    // 08:53 in New York
    ran(w, TWO_AM - DAY + 6 * HOUR + 53 * 60 + 32, { isStateFile: false })
    const byHand = verdict(w, question([guest(211)], { passed: [TWO_AM - DAY] }))
    expect(byHand.state).not.toBe('produced')
    expect(byHand.notCounted).toEqual([
      { name: `${baseOf(211, 'qemu', TWO_AM - DAY + 6 * HOUR + 53 * 60 + 32)}.vma.zst`, why: expect.stringMatching(/^made at 2026-11-20 08:53 by hand/) },
    ])
    const other = world()
    newcomer(other)
    ran(other, TWO_AM - DAY + 3, { isStateFile: false, head: 'INFO: starting new backup job: vzdump 211 --storage local' })
    expect(verdict(other, question([guest(211)], { passed: [TWO_AM - DAY] }))).toMatchObject({
      notCounted: [{ why: expect.stringContaining('its log does not fit backup-pve-daily') }],
    })
  })

  it('is seen running while the run works on it or has not come to it', () => {
    const w = world()
    newcomer(w)
    ran(w, NOW - 600, { status: 'RUNNING', lines: [], archive: false, head: HEAD.replace('204 205', '204 205 211') })
    expect(verdict(w, question([guest(211)]))).toMatchObject({ state: 'running', message: expect.stringContaining('2026-11-21 06:50') })
  })

  it('failed with the line of the log that says why', () => {
    const w = world()
    newcomer(w)
    ran(w, TWO_AM + 2, {
      archive: false,
      status: 'job errors',
      lines: [
        'INFO: Starting Backup of VM 211 (qemu)',
        'ERROR: tar: /mnt/pve/x: Cannot open: Permission denied',
        'ERROR: Backup of VM 211 failed - command failed: exit code 2',
      ],
    })
    expect(verdict(w, question([guest(211)], { passed: [TWO_AM] }))).toMatchObject({ state: 'failed', message: expect.stringContaining('Permission denied') })
  })

  it('is looked at again when a failed night becomes overdue, so that the monitor hears of it', () => {
    const w = world()
    newcomer(w)
    ran(w, TWO_AM + 2, { archive: false, status: 'job errors', lines: ['INFO: Starting Backup of VM 211 (qemu)', 'ERROR: Backup of VM 211 failed - no'] })
    at(w, TWO_AM + 1000)
    const early = look(w, question([guest(211)], { passed: [TWO_AM] }))
    expect(early.verdicts[0]).toMatchObject({ state: 'failed', overdueSinceSeconds: null })
    at(w, TWO_AM + 1000 + early.lookAgainInSeconds)
    const late = look(w, question([guest(211)], { passed: [TWO_AM] }))
    expect(late.verdicts[0]).toMatchObject({ state: 'failed', overdueSinceSeconds: TWO_AM + (early.usualSeconds ?? 0) + 900 })
    expect(late.lookAgainInSeconds).toBeGreaterThan(12 * HOUR)
  })

  it('failed when the run died before any guest', () => {
    const w = world()
    newcomer(w)
    ran(w, TWO_AM + 2, { archive: false, status: "could not activate storage 'tank-backups'", lines: [] })
    expect(verdict(w, question([guest(211)], { passed: [TWO_AM] }))).toMatchObject({
      state: 'failed',
      message: expect.stringContaining('before any guest: could not activate storage'),
    })
  })

  it('is not served by an archive whose log does not say that it was finished, or that is gone, or that was found damaged', () => {
    const cut = world()
    newcomer(cut)
    ran(cut, TWO_AM + 2)
    changeFolder(cut, 'pve', DUMP, (_, logs) => ({ logs: logs.map((log) => (log.name.includes('-211-') ? { ...log, lines: log.lines.slice(0, 3) } : log)) }))
    expect(verdict(cut, question([guest(211)]))).toMatchObject({ state: 'produced_incomplete', message: expect.stringContaining('Finished Backup of VM 211') })
    const gone = world()
    newcomer(gone)
    ran(gone, TWO_AM + 2, { archive: false })
    expect(verdict(gone, question([guest(211)]))).toMatchObject({ state: 'produced_incomplete', message: expect.stringContaining('is not there') })
    const damaged = world()
    newcomer(damaged)
    ran(damaged, TWO_AM + 2)
    const rejected = [{ path: `${DUMP}/${baseOf(211, 'qemu', TWO_AM + 2)}.vma.zst`, why: 'zstd: checksum' }]
    expect(verdict(damaged, question([guest(211, { rejected })]))).toMatchObject({
      state: 'produced_incomplete',
      message: expect.stringContaining('damaged: zstd'),
    })
  })

  it('missed its run when the host was off, and a later scheduled one closes it: both are named', () => {
    const w = world()
    newcomer(w)
    const due = TWO_AM - DAY
    const asked = question([guest(211, { sinceSeconds: due - HOUR })], { told: [due, TWO_AM], passed: [] })
    changeProxmox(w, 'pve', (seen) => ({
      ...seen,
      jobStates: readOk([{ jobId: JOB, state: 'stopped', upid: upidOf(due - DAY), message: 'OK', updatedSeconds: due + 3 * HOUR }]),
    }))
    at(w, due + 4 * HOUR)
    const missed = look(w, asked)
    expect(missed.verdicts[0]).toMatchObject({
      state: 'missed',
      message: 'the run due at 2026-11-20 02:00 was missed: the host or its scheduler was off (it was back at 2026-11-20 05:00), and Proxmox does not catch up',
    })
    expect(missed.verdicts[0]?.overdueSinceSeconds).toBe(due + 3 * HOUR + 900)
    ran(w, TWO_AM + 1)
    at(w, TWO_AM + HOUR)
    const served = verdict(w, { ...asked, runs: missed.runs })
    expect(served).toMatchObject({ state: 'produced', missed: [{ dueSeconds: due }], artifact: { dueSeconds: TWO_AM }, overdueSinceSeconds: null })
  })

  it('is told when the job is gone, disabled, or names it no more, and when the guest itself is gone', () => {
    const states: [(w: World) => void, string, RegExp][] = [
      [(w) => changeProxmox(w, 'pve', (seen) => ({ ...seen, jobs: readOk([]) })), 'job_gone', /does not exist any more/],
      [(w) => changeJob(w, 'pve', JOB, { enabled: false }), 'job_gone', /is disabled/],
      [(w) => changeJob(w, 'pve', JOB, { vmids: [204] }), 'job_gone', /does not name guest 211/],
      [
        (w) =>
          changeProxmox(w, 'pve', (seen) => ({
            ...seen,
            guests: seen.guests.ok ? readOk(seen.guests.value.filter(({ vmid }) => vmid !== 211)) : seen.guests,
            configs: seen.configs.ok ? readOk(seen.configs.value.filter(({ vmid }) => vmid !== 211)) : seen.configs,
          })),
        'guest_gone',
        /does not exist any more/,
      ],
    ]
    for (const [bend, state, words] of states) {
      const w = world()
      newcomer(w)
      bend(w)
      const got = verdict(w, question([guest(211)]))
      expect([got.state, got.message]).toEqual([state, expect.stringMatching(words)])
    }
  })

  it('is unreachable, never judged, when the host or one of its lists could not be read', () => {
    const w = world()
    newcomer(w)
    changeProxmox(w, 'pve', (seen) => ({ ...seen, guests: { ok: false, code: 'timed_out', why: 'no answer within the time limit' } }))
    expect(verdict(w, question([guest(211)]))).toMatchObject({ state: 'unreachable', message: expect.stringContaining('no answer') })
    const dark = unreadHost('pve', { reason: 'connect_refused', message: 'pve: connection refused' }, { startedAt: 'x', finishedAt: 'x' })
    const seen = judgeEnrollment(dark, 'pve', question([guest(211)], { told: [TWO_AM + DAY] }))
    expect(seen.verdicts[0]).toMatchObject({ state: 'unreachable', message: expect.stringContaining('connection refused') })
    expect(seen.runs.told).toEqual([TWO_AM + DAY])
    const misnamed = world()
    newcomer(misnamed)
    const host = misnamed.hosts.get('pve')
    expect(host && judgeEnrollment(host, 'other', question([guest(211)])).verdicts[0]?.state).toBe('unreachable')
  })

  it('never counts archives of an earlier guest with its number, also when the guest was replaced during the wait', () => {
    const w = world()
    newcomer(w)
    ran(w, TWO_AM + 2)
    changeProxmox(w, 'pve', (seen) => ({
      ...seen,
      configs: seen.configs.ok
        ? readOk(seen.configs.value.map((config) => (config.vmid === 211 ? { ...config, createdSeconds: NOW - HOUR } : config)))
        : seen.configs,
    }))
    expect(verdict(w, question([guest(211)]))).toMatchObject({
      state: 'not_due',
      artifact: null,
      notCounted: [{ why: 'of an earlier guest with the same number' }],
    })
    const replaced = world()
    newcomer(replaced)
    ran(replaced, TWO_AM + 2)
    const before = { smbiosUuid: 'another', bornSeconds: 1 }
    expect(verdict(replaced, question([guest(211, { identity: before })]))).toMatchObject({
      state: 'not_due',
      identity: { smbiosUuid: 'uuid-211', bornSeconds: NOW - 1 },
    })
  })

  it('judges each guest by itself', () => {
    const w = world()
    newcomer(w)
    newcomer(w, 212)
    changeJob(w, 'pve', JOB, { vmids: [204, 205, 211, 212] })
    ran(w, TWO_AM + 2)
    expect(look(w, question([guest(211), guest(212), guest(999)], { passed: [TWO_AM] })).verdicts.map(({ state }) => state)).toEqual([
      'produced',
      'not_due',
      'guest_gone',
    ])
  })
})

describe('what the host told of its next runs', () => {
  it('is kept until it comes, and void when the schedule is another one', () => {
    const w = world()
    newcomer(w)
    at(w, TWO_AM + 60)
    expect(look(w, question([guest(211)], { told: [TWO_AM] })).runs).toMatchObject({ passed: [TWO_AM] })
    changeJob(w, 'pve', JOB, { schedule: '04:00', nextRunSeconds: TWO_AM + 2 * HOUR })
    expect(look(w, question([guest(211)], { told: [TWO_AM + DAY] })).runs).toEqual({ schedule: '04:00', told: [TWO_AM + 2 * HOUR], passed: [] })
  })
})
