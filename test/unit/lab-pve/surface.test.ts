/** What the emulator does not know it says under its own name; what Proxmox does not know it says as Proxmox does; nights can be played. */
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { execa } from 'execa'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { emulatorBin } from '../../../lab/replay.js'
import { type SmallHost, smallHost } from './support.js'

let host: SmallHost
beforeEach(async () => {
  host = await smallHost()
})
afterEach(async () => await host.remove())

it('the options of the cluster are read on a host that has guests, with the tags of all of them', async () => {
  await host.put('/etc/pve/nodes/pve/lxc/101.conf', 'hostname: db\ntags: prod;db\n')
  const ran = await host.run(['pvesh', 'get', '/cluster/options', '--output-format', 'json'])
  expect([ran.stderr, ran.exitCode]).toEqual(['', 0])
  expect(JSON.parse(ran.stdout)).toMatchObject({ 'allowed-tags': ['db', 'prod'] })
})

describe('an unknown command', () => {
  it.each([
    [['qm', 'migrate', '100', 'other']],
    [['pct', 'console', '101']],
    [['pvesm', 'scan', 'nfs', 'nas']],
    [['pvesh', 'get', '/cluster/ha/resources']],
    [['vma', 'create', 'x']],
  ])('%j fails loudly, naming itself', async (argv) => {
    const ran = await host.run(argv)
    expect(ran.exitCode).toBe(97)
    expect(ran.stderr).toMatch(/^nightshift-lab \(emulated Proxmox\): '.+' is not emulated/)
    expect(ran.stdout).toBe('')
  })

  it('is answered as Proxmox answers when the path does not exist there either', async () => {
    const ran = await host.run(['pvesh', 'get', '/cluster/nosuch'])
    expect([ran.exitCode, ran.stderr]).toEqual([1, "No 'get' handler defined for '/cluster/nosuch'"])
  })
})

describe('a machine that is no lab host', () => {
  it('is left alone', async () => {
    const ran = await execa(path.join(emulatorBin(), 'pvesm'), ['add', 'dir', 'extra', '--path', path.join(host.root, 'extra')], { reject: false })
    expect(ran.exitCode).toBe(97)
    expect(ran.stderr).toContain('this machine is no lab host')
    expect(existsSync(path.join(host.root, 'extra'))).toBe(false)
  })
})

describe('a node under another name than its host', () => {
  it('shows no guests, and says that the configured node is elsewhere', async () => {
    await host.put('/etc/nightshift-lab/pve.json', '{"node":"pve-new"}')
    expect((await host.run(['qm', 'list'])).stdout).toBe('')
    expect((await host.run(['pvesh', 'get', '/nodes/pve-new/qemu', '--output-format', 'json'])).stdout).toBe('[]')
    const other = await host.run(['pvesh', 'get', '/nodes/pve/qemu', '--output-format', 'json'])
    expect(other.exitCode).not.toBe(0)
    expect(other.stderr).toContain("hostname lookup 'pve' failed")
  })
})

describe('guests', () => {
  it('run when the lab says so, and an agent that is dead does not answer', async () => {
    await host.put('/var/lib/nightshift-lab/guests/100.json', '{"status":"running","since":1795000000,"agent":"dead"}')
    expect((await host.run(['qm', 'status', '100'])).stdout).toBe('status: running')
    const ping = await host.run(['qm', 'agent', '100', 'ping'], { now: 1_795_312_800 })
    expect([ping.exitCode, ping.stderr]).toEqual([255, 'QEMU guest agent is not running'])
  })
})

describe('a night', () => {
  it('is played: the due job runs at its time, its state names the task, a disabled job does not run', async () => {
    await host.put(
      '/etc/pve/jobs.cfg',
      'vzdump: nightly\n\tschedule 02:00\n\tenabled 1\n\tstorage nas\n\tvmid 100\n\nvzdump: off\n\tschedule 02:00\n\tenabled 0\n\tstorage nas\n\tvmid 100\n\n',
    )
    const from = Date.UTC(2026, 10, 22, 1, 58) / 1000
    const ran = await host.run(['nightshift-lab-pve', 'play', String(from), String(from + 600)])
    expect(ran.stdout).toBe(`${from + 120} started nightly`)
    expect(await readdir(path.join(host.root, 'srv/nas/dump'))).toEqual(['vzdump-qemu-100-2026_11_22-02_00_00.log', 'vzdump-qemu-100-2026_11_22-02_00_00.vma'])
    const state = JSON.parse(await readFile(path.join(host.root, 'var/lib/pve-manager/jobs/vzdump-nightly.json'), 'utf8')) as {
      state: string
      msg: string
      upid: string
    }
    expect([state.state, state.msg]).toEqual(['stopped', 'OK'])
    const tasks = await host.run(['pvesh', 'get', '/nodes/pve/tasks', '--typefilter', 'vzdump', '--output-format', 'json'])
    expect((JSON.parse(tasks.stdout) as { upid: string; status: string }[]).map((task) => [task.upid, task.status])).toEqual([[state.upid, 'OK']])
  })
})
