/** The ledger of a lab host: an effect stands in it before the command answers, and a command can be stopped or killed exactly between the two. */
import { existsSync } from 'node:fs'
import { readdir, readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type SmallHost, smallHost } from './support.js'

const NOW = 1_795_312_800
const LEDGER = '/var/lib/nightshift-lab/ledger.jsonl'
const HOLD = '/var/lib/nightshift-lab/hold-after-effect'
const HELD = '/var/lib/nightshift-lab/held-after-effect'
const JOBS = 'vzdump: nightly\n\tschedule 02:00\n\tenabled 1\n\tstorage nas\n\tvmid 100\n\n'

interface Effect {
  effect: string
  subject: string
  by: string
  at: number
  detail: { upid?: string; status?: string; vmid?: number }
}

let host: SmallHost
beforeEach(async () => {
  host = await smallHost()
  await host.put('/etc/pve/jobs.cfg', JOBS)
})
afterEach(async () => await host.remove())

async function ledger(): Promise<Effect[]> {
  const file = path.join(host.root, LEDGER)
  if (!existsSync(file)) return []
  return (await readFile(file, 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Effect)
}
const effects = async (): Promise<string[]> => (await ledger()).map((line) => `${line.effect} ${line.subject}`)

describe('the ledger', () => {
  it('holds every write of jobs and storages once, and nothing for reads and refusals', async () => {
    await host.run(['pvesh', 'get', '/cluster/backup', '--output-format', 'json'], { now: NOW })
    await host.run(['pvesh', 'set', '/cluster/backup/nightly', '--schedule', 'never'], { now: NOW })
    await host.run(['pvesh', 'set', '/cluster/backup/nosuch', '--enabled', '0'], { now: NOW })
    expect(await effects()).toEqual([])
    await host.run(['pvesh', 'create', '/cluster/backup', '--id', 'weekly', '--schedule', 'sun 03:00', '--vmid', '100', '--storage', 'nas'], { now: NOW })
    await host.run(['pvesh', 'set', '/cluster/backup/nightly', '--enabled', '0'], { now: NOW })
    await host.run(['pvesh', 'delete', '/cluster/backup/weekly'], { now: NOW })
    await host.run(['pvesh', 'set', '/storage/nas', '--prune-backups', 'keep-last=9'], { now: NOW })
    expect(await effects()).toEqual(['job.create weekly', 'job.set nightly', 'job.delete weekly', 'storage.set nas'])
    expect((await ledger())[1]).toMatchObject({ by: 'pvesh set /cluster/backup/nightly', at: NOW })
  })

  it('holds the archives of a run, what it pruned, and the task around them', async () => {
    for (const day of [0, 1, 2]) await host.run(['vzdump', '100', '--storage', 'nas'], { now: NOW + day * 86_400 })
    expect(await effects()).toEqual(
      [22, 23, 24].flatMap((day) => [
        'task.start vzdump:100',
        `archive.write nas:backup/vzdump-qemu-100-2026_11_${day}-02_00_00.vma`,
        ...(day === 24 ? ['archive.remove nas:backup/vzdump-qemu-100-2026_11_22-02_00_00.vma'] : []),
        'task.end vzdump:100',
      ]),
    )
    const tasks = await host.run(['pvesh', 'get', '/nodes/pve/tasks', '--output-format', 'json'])
    const upids = (JSON.parse(tasks.stdout) as { upid: string }[]).map((task) => task.upid)
    expect((await ledger()).filter((line) => line.effect === 'task.end').map((line) => [line.detail.upid, line.detail.status])).toEqual(
      upids.reverse().map((upid) => [upid, 'OK']),
    )
  })

  it('holds protection, notes and removal of an archive, each only when it changed something', async () => {
    await host.run(['vzdump', '100', '--storage', 'nas'], { now: NOW })
    const volid = 'nas:backup/vzdump-qemu-100-2026_11_22-02_00_00.vma'
    const at = `/nodes/pve/storage/nas/content/${volid}`
    await host.run(['pvesh', 'set', at, '--protected', '1'])
    await host.run(['pvesh', 'set', at, '--protected', '1'])
    await host.run(['pvesh', 'delete', at])
    await host.run(['pvesh', 'set', at, '--protected', '0', '--notes', 'checked'])
    await host.run(['pvesh', 'delete', at])
    expect((await effects()).filter((line) => line.startsWith('archive.'))).toEqual(
      ['write', 'protect', 'notes', 'unprotect', 'remove'].map((what) => `archive.${what} ${volid}`),
    )
  })

  it('never holds a value of an option, so no secret', async () => {
    await host.run(['pvesm', 'add', 'dir', 'extra', '--path', '/srv/extra', '--content', 'backup'])
    expect((await ledger()).map((line) => line.by)).toEqual(['pvesm add dir extra'])
  })
})

describe('the hold after an effect', () => {
  it('kills a caller whose change took effect before it hears so, and only once', async () => {
    await host.put(HOLD, 'kill job.set night*\n')
    const killed = await host.run(['pvesh', 'set', '/cluster/backup/nightly', '--enabled', '0'], { now: NOW })
    expect(killed.signal).toBe('SIGKILL')
    expect(await effects()).toEqual(['job.set nightly'])
    expect(await readFile(path.join(host.root, '/etc/pve/jobs.cfg'), 'utf8')).toContain('enabled 0')
    expect(JSON.parse(await readFile(path.join(host.root, HELD), 'utf8'))).toMatchObject({ effect: 'job.set', subject: 'nightly' })
    expect((await host.run(['pvesh', 'set', '/cluster/backup/nightly', '--enabled', '1'], { now: NOW })).exitCode).toBe(0)
  })

  it('leaves other effects alone', async () => {
    await host.put(HOLD, 'kill job.delete *\n')
    expect((await host.run(['pvesh', 'set', '/cluster/backup/nightly', '--enabled', '0'], { now: NOW })).exitCode).toBe(0)
    expect(existsSync(path.join(host.root, HOLD))).toBe(true)
  })

  it('blocks the answer until the held file is gone', async () => {
    await host.put(HOLD, 'block job.set *\n')
    let answered = false
    const running = host.run(['pvesh', 'set', '/cluster/backup/nightly', '--enabled', '0'], { now: NOW }).then((ran) => {
      answered = true
      return ran
    })
    await vi.waitFor(() => expect(existsSync(path.join(host.root, HELD))).toBe(true))
    expect(await effects()).toEqual(['job.set nightly'])
    expect(answered).toBe(false)
    await rm(path.join(host.root, HELD))
    expect((await running).exitCode).toBe(0)
  })

  it('kills a backup right after its archive got its name: archive without log, guest still locked, a task without end', async () => {
    await host.put(HOLD, 'kill archive.write *\n')
    expect((await host.run(['vzdump', '100', '--storage', 'nas'], { now: NOW })).signal).toBe('SIGKILL')
    const names = await readdir(path.join(host.root, 'srv/nas/dump'))
    expect(names.sort()).toEqual(['vzdump-qemu-100-2026_11_22-02_00_00.tmp', 'vzdump-qemu-100-2026_11_22-02_00_00.vma'])
    expect(await readFile(path.join(host.root, 'etc/pve/nodes/pve/qemu-server/100.conf'), 'utf8')).toContain('lock: backup')
    await vi.waitFor(async () => {
      await host.run(['nightshift-lab-pve', 'statd'], { now: NOW + 60 })
      const tasks = await host.run(['pvesh', 'get', '/nodes/pve/tasks', '--output-format', 'json'])
      expect((JSON.parse(tasks.stdout) as { status: string }[]).map((task) => task.status)).toEqual(['unexpected status'])
    })
  })

  it('loses the answer of a backup that ended well, when it is set on the end of the task', async () => {
    await host.put(HOLD, 'kill task.end vzdump:*\n')
    const ran = await host.run(['pvesh', 'create', '/nodes/pve/vzdump', '--vmid', '100', '--storage', 'nas'], { now: NOW })
    expect([ran.signal, ran.stdout.includes('UPID')]).toEqual(['SIGKILL', false])
    const tasks = await host.run(['pvesh', 'get', '/nodes/pve/tasks', '--source', 'all', '--output-format', 'json'])
    const [task] = JSON.parse(tasks.stdout) as { upid: string }[]
    const status = await host.run(['pvesh', 'get', `/nodes/pve/tasks/${task?.upid}/status`, '--output-format', 'json'])
    expect(JSON.parse(status.stdout)).toMatchObject({ status: 'stopped', exitstatus: 'OK' })
  })
})
