/** Nights of a small host, played in seconds: three tiers of jobs, what they leave behind, what a switched-off host misses, and backups that go wrong. */
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { execa } from 'execa'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type PveJob, PveRoot } from '../../helpers/pve-root.js'

const ZONE = 'America/New_York'
/** 2026-02-11 (a Wednesday), 12:00 in New York. */
const START = new Date('2026-02-11T17:00:00Z')
const at = (text: string): Date => new Date(text)
const TIERS: PveJob[] = [
  { id: 'backup-home-p0-daily', schedule: '03:00', vmid: '100,102', storage: 'nas', compress: 'zstd', mode: 'snapshot', 'prune-backups': 'keep-last=3' },
  { id: 'backup-home-p1-daily', schedule: '03:15', vmid: '103', storage: 'nas', compress: 'zstd', mode: 'snapshot', 'prune-backups': 'keep-last=3' },
  { id: 'backup-home-p2-weekly', schedule: 'sun 04:00', vmid: '101,105', storage: 'nas', compress: 'zstd', mode: 'snapshot', 'prune-backups': 'keep-last=2' },
]

let host: PveRoot
beforeEach(async () => {
  host = await PveRoot.create({
    timeZone: ZONE,
    guests: [
      { vmid: 100, type: 'qemu', name: 'homeassistant', running: true },
      { vmid: 101, type: 'qemu', name: 'immich' },
      { vmid: 102, type: 'qemu', name: 'vaultwarden', running: true },
      { vmid: 103, type: 'lxc', name: 'download' },
      { vmid: 105, type: 'lxc', name: 'pihole' },
    ],
    jobs: TIERS,
  })
})
afterEach(async () => await host.remove())

const dump = async (): Promise<string[]> => (await readdir(path.join(host.storagePath('nas'), 'dump'))).sort()
const state = async (id: string): Promise<{ state: string; msg?: string; upid?: string }> =>
  JSON.parse(await host.read(`var/lib/pve-manager/jobs/vzdump-${id}.json`)) as { state: string; msg?: string; upid?: string }
const api = async (now: string, ...words: string[]): Promise<unknown> =>
  JSON.parse((await host.run(['pvesh', 'get', ...words, '--output-format', 'json'], at(now))).stdout)

describe('three tiers of jobs', () => {
  it('leave archives, logs, tasks and job states of their first night', async () => {
    const runs = await host.play(START, at('2026-02-12T08:30:00Z'))
    expect(runs).toEqual([
      { at: at('2026-02-12T08:00:00Z'), job: 'backup-home-p0-daily' },
      { at: at('2026-02-12T08:15:00Z'), job: 'backup-home-p1-daily' },
    ])
    expect(await dump()).toEqual([
      'vzdump-lxc-103-2026_02_12-03_15_00.log',
      'vzdump-lxc-103-2026_02_12-03_15_00.tar.zst',
      'vzdump-qemu-100-2026_02_12-03_00_00.log',
      'vzdump-qemu-100-2026_02_12-03_00_00.vma.zst',
      'vzdump-qemu-102-2026_02_12-03_00_00.log',
      'vzdump-qemu-102-2026_02_12-03_00_00.vma.zst',
    ])
    const p0 = await state('backup-home-p0-daily')
    expect(p0).toMatchObject({ state: 'stopped', msg: 'OK' })
    expect(await state('backup-home-p2-weekly')).toMatchObject({ state: 'created' })
    const tasks = (await api('2026-02-12T08:31:00Z', '/nodes/pve/tasks', '--typefilter', 'vzdump')) as { upid: string; id: string; starttime: number }[]
    expect(tasks.map(({ id, starttime }) => [id, starttime])).toEqual([
      ['103', at('2026-02-12T08:15:00Z').getTime() / 1000],
      ['', at('2026-02-12T08:00:00Z').getTime() / 1000],
    ])
    expect(tasks[1]?.upid).toBe(p0.upid)
  })

  it('leave archives that zstd, vma and tar can read', async () => {
    await host.play(START, at('2026-02-12T08:30:00Z'))
    for (const name of (await dump()).filter((file) => file.endsWith('.zst'))) {
      const file = path.join(host.storagePath('nas'), 'dump', name)
      await execa('zstd', ['-t', '-q', file])
      const { stdout } = await execa('zstd', ['-d', '-c', '-q', file], { encoding: 'buffer' })
      if (name.includes('.tar')) expect((await execa('tar', ['-tf', '-'], { input: stdout })).stdout).toContain('./etc/vzdump/pct.conf')
      else expect(await host.run(['vma', 'verify', '-'], START, { input: stdout })).toEqual({ exitCode: 0, stdout: '', stderr: '' })
    }
  })

  it('run on through stretches of the clock that follow each other, and keep what their retention says', async () => {
    let from = START
    for (const day of [12, 13, 14, 15, 16]) {
      const to = at(`2026-02-${day}T17:00:00Z`)
      await host.play(from, to)
      from = to
    }
    const kept = (await dump()).filter((name) => name.endsWith('.zst')).map((name) => name.replace(/-\d\d_\d\d_\d\d\..*/, ''))
    expect(kept).toEqual([
      ...['14', '15', '16'].map((day) => `vzdump-lxc-103-2026_02_${day}`),
      'vzdump-lxc-105-2026_02_15',
      ...['14', '15', '16'].map((day) => `vzdump-qemu-100-2026_02_${day}`),
      'vzdump-qemu-101-2026_02_15',
      ...['14', '15', '16'].map((day) => `vzdump-qemu-102-2026_02_${day}`),
    ])
  })

  it('run at their time when a stretch ends just before it and the next begins with it', async () => {
    await host.play(START, at('2026-02-12T07:59:30Z'))
    expect(await host.play(at('2026-02-12T08:00:00Z'), at('2026-02-12T08:01:00Z'))).toEqual([{ at: at('2026-02-12T08:00:00Z'), job: 'backup-home-p0-daily' }])
  })

  it('are not caught up when the host was off at their time, unless they say so', async () => {
    await host.play(START, at('2026-02-12T07:00:00Z'))
    await host.run(['pvesh', 'set', '/cluster/backup/backup-home-p1-daily', '--repeat-missed', '1'], at('2026-02-12T07:01:00Z'))
    const runs = await host.play(at('2026-02-12T12:00:00Z'), at('2026-02-12T13:00:00Z'))
    expect(runs).toEqual([{ at: at('2026-02-12T12:00:00Z'), job: 'backup-home-p1-daily' }])
  })
})

describe('a backup that goes wrong', () => {
  it('fails: the other guest is still backed up, log without archive, the job ends with errors', async () => {
    await host.setFaults({ 100: 'fail' })
    await host.play(START, at('2026-02-12T08:05:00Z'))
    expect(await dump()).toEqual([
      'vzdump-qemu-100-2026_02_12-03_00_00.log',
      'vzdump-qemu-102-2026_02_12-03_00_00.log',
      'vzdump-qemu-102-2026_02_12-03_00_00.vma.zst',
    ])
    expect(await state('backup-home-p0-daily')).toMatchObject({ state: 'stopped', msg: 'job errors' })
    const log = (await api('2026-02-12T08:06:00Z', `/nodes/pve/tasks/${(await state('backup-home-p0-daily')).upid}/log`, '--limit', '0')) as { t: string }[]
    expect(log.map((line) => line.t)).toEqual(
      expect.arrayContaining(['ERROR: Backup of VM 100 failed - job failed with err -5 - Input/output error', 'INFO: Backup job finished with errors']),
    )
  })

  it('stands still: lock, unfinished archive and a running task, until it goes on', async () => {
    await host.setFaults({ 103: 'hang' })
    await host.play(START, at('2026-02-12T08:20:00Z'))
    expect(await dump()).toContain('vzdump-lxc-103-2026_02_12-03_15_00.tar.dat')
    expect(await host.read('etc/pve/nodes/pve/lxc/103.conf')).toContain('lock: backup')
    expect(await state('backup-home-p1-daily')).toMatchObject({ state: 'started' })
    const active = (await api('2026-02-12T08:21:00Z', '/nodes/pve/tasks', '--source', 'active')) as { id: string; status: string }[]
    expect(active.map(({ id, status }) => [id, status])).toEqual([['103', 'RUNNING']])
    await host.setFaults({})
    await vi.waitFor(async () => expect(await dump()).toContain('vzdump-lxc-103-2026_02_12-03_15_00.log'), { timeout: 5000 })
    await vi.waitFor(async () => {
      await host.play(at('2026-02-12T08:21:00Z'), at('2026-02-12T08:22:00Z'))
      expect(await state('backup-home-p1-daily')).toMatchObject({ state: 'stopped', msg: 'OK' })
    })
  })

  it('breaks off with the host: unfinished archive, locked guest, a task without end, and the next night fails on the lock', async () => {
    await host.setFaults({ 102: 'crash' })
    await host.play(START, at('2026-02-12T08:05:00Z'))
    expect(await dump()).toEqual(expect.arrayContaining(['vzdump-qemu-102-2026_02_12-03_00_00.tmp', 'vzdump-qemu-102-2026_02_12-03_00_00.vma.dat']))
    expect(await state('backup-home-p0-daily')).toMatchObject({ state: 'stopped', msg: 'unexpected status' })
    await host.setFaults({})
    await host.play(at('2026-02-13T07:00:00Z'), at('2026-02-13T08:05:00Z'))
    const { upid } = await state('backup-home-p0-daily')
    expect(await host.run(['pvesh', 'get', `/nodes/pve/tasks/${upid}/log`, '--limit', '0'], START)).toMatchObject({
      stdout: expect.stringContaining('Backup of VM 102 failed - VM is locked (backup)') as string,
    })
  })

  it('ends well although the storage lost the end of the file', async () => {
    await host.setFaults({ 100: 'short' })
    await host.play(START, at('2026-02-12T08:05:00Z'))
    expect(await state('backup-home-p0-daily')).toMatchObject({ msg: 'OK' })
    const file = path.join(host.storagePath('nas'), 'dump/vzdump-qemu-100-2026_02_12-03_00_00.vma.zst')
    expect((await execa('zstd', ['-t', '-q', file], { reject: false })).exitCode).not.toBe(0)
  })
})

describe('the host as the product reaches it', () => {
  it('answers at the clock of each command', async () => {
    let now = START
    const ssh = host.ssh(() => now)
    const next = async (): Promise<number | undefined> => {
      const ran = await ssh.run('any', { argv: ['pvesh', 'get', '/cluster/backup', '--output-format', 'json'], deadlineMs: 10_000 })
      return (JSON.parse(ran.stdoutText) as { 'next-run': number }[])[0]?.['next-run']
    }
    expect(await next()).toBe(at('2026-02-12T08:00:00Z').getTime() / 1000)
    now = at('2026-02-12T08:00:00Z')
    expect(await next()).toBe(at('2026-02-13T08:00:00Z').getTime() / 1000)
    await expect(ssh.run('any', { argv: ['pvesh', 'get', '/cluster/nosuch'], deadlineMs: 10_000 })).rejects.toMatchObject({ reason: 'exit_code', exitCode: 1 })
  })
})
