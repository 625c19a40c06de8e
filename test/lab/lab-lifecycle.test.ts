/** Labs come and go without a trace: two at once, a second `up`, a program killed in the middle of it. They are small ones of this file's own. */
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { execa } from 'execa'
import { afterEach, describe, expect, it } from 'vitest'
import { labCgroup, pidsIn } from '../../lab/cgroup.js'
import { downLab } from '../../lab/down.js'
import { type Lab, openLab } from '../../lab/lab.js'
import { lockLab } from '../../lab/lock.js'
import { labPaths, labsFolder } from '../../lab/names.js'
import { labLinks } from '../../lab/network.js'
import { findRemains, isNothing, loopDevicesBelow, mountsBelow } from '../../lab/remains.js'
import { stopLab, upLab } from '../../lab/up.js'
import { packageRoot } from '../../src/temporal/package-root.js'
import { labName } from '../support/lab-names.js'

const SMALL = ['pve', 'nas']
const CLI = join(packageRoot(), 'dist', 'lab', 'cli.js')

const made = new Set<string>()
afterEach(async () => {
  for (const name of made) await downLab(name)
  made.clear()
})

async function smallLab(name: string): Promise<Lab> {
  made.add(name)
  return await upLab(name, { hosts: SMALL })
}

function cli(args: readonly string[], input?: string) {
  return execa(process.execPath, [CLI, ...args], { reject: false, ...(input === undefined ? { stdin: 'ignore' as const } : { input }) })
}

/** By the product's own way: OpenSSH, the lab's ssh_config and known_hosts, no questions. */
async function ssh(lab: Lab, host: string, command: string): Promise<string> {
  const { stdout } = await execa('ssh', ['-F', join(lab.paths.config, 'ssh_config'), '-o', 'BatchMode=yes', '-o', 'StrictHostKeyChecking=yes', host, command])
  return stdout
}

/** Everything on the machine that could carry a lab's name, by other means than the lab program's own. */
/** A killed process is a zombie until the machine's first process has buried it; that is awaited, nothing else is. */
async function expectNoTraces(name: string): Promise<void> {
  await expect.poll(() => traces(name), { timeout: 10_000, interval: 50 }).toEqual([])
}

async function traces(name: string): Promise<string[]> {
  const { home } = labPaths(name)
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(`${home}/`))
  const links = await labLinks(name)
  const files = existsSync(labsFolder()) ? readdirSync(labsFolder()).filter((entry) => entry === name || entry === `.${name}.lock`) : []
  const processes = readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && cgroupLine(pid).includes(`nightshift-lab.${name}/`))
  const cgroups = existsSync(labCgroup(name)) ? [labCgroup(name)] : []
  return [...mounts, ...loopDevicesBelow(home), ...links, ...files, ...processes, ...cgroups]
}

function cgroupLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cgroup`, 'utf8')
  } catch {
    return ''
  }
}

describe('a lab', () => {
  it('runs beside another one, each with its own hosts behind the same names', async () => {
    const [one, two] = await Promise.all([smallLab(labName('one')), smallLab(labName('two'))])
    expect(one.record.subnet).not.toBe(two.record.subnet)
    await one.host('nas').exec(['sh', '-c', 'echo one > /volume1/whose'])
    await two.host('nas').exec(['sh', '-c', 'echo two > /volume1/whose'])
    expect(await ssh(one, 'nas', 'cat /volume1/whose')).toBe('one')
    expect(await ssh(two, 'nas', 'cat /volume1/whose')).toBe('two')
    // pve reaches the NAS of its own lab as the offsite transfer does.
    expect(await ssh(one, 'pve', 'ssh -o BatchMode=yes nas cat /volume1/whose')).toBe('one')

    await downLab(labName('one'))
    await expectNoTraces(labName('one'))
    expect(await ssh(two, 'nas', 'cat /volume1/whose')).toBe('two')
  })

  it('leaves nothing behind after down, its disks included', async () => {
    const lab = await smallLab(labName('gone'))
    await lab.host('nas').mountDisk({ name: 'volume1', path: '/volume1', sizeBytes: 8 * 2 ** 40 })
    await lab.host('pve').mountShare({ path: '/mnt/pve/share', from: lab.host('nas'), disk: 'volume1', subPath: '/backups' })
    await lab.host('pve').exec(['sh', '-c', 'echo shared > /mnt/pve/share/file'])
    expect((await lab.host('nas').exec(['cat', '/volume1/backups/file'])).stdout).toBe('shared\n')
    expect(mountsBelow(lab.paths.home)).toEqual([])
    expect(loopDevicesBelow(lab.paths.home)).toHaveLength(1)
    expect(pidsIn(labCgroup(labName('gone'))).length).toBeGreaterThan(4)

    expect(await downLab(labName('gone'))).toBe(true)
    await expectNoTraces(labName('gone'))
    expect(await downLab(labName('gone'))).toBe(false)
  })

  it('ends the programs that have its files open, such as a Temporal server on its database', async () => {
    const lab = await smallLab(labName('users'))
    writeFileSync(join(lab.paths.home, 'database'), '')
    const user = execa('sh', ['-c', 'exec 3<"$1"; trap "" TERM; echo open; while :; do sleep 100; done', 'user', join(lab.paths.home, 'database')], {
      reject: false,
    })
    await once(user.stdout, 'data')
    await downLab(labName('users'))
    expect((await user).signal).toBe('SIGKILL')
    await expectNoTraces(labName('users'))
  }, 60_000)

  it('continues with its files, keys and addresses when it is stopped and brought up again', async () => {
    const lab = await smallLab(labName('again'))
    await lab.host('nas').mountDisk({ name: 'volume1', path: '/volume1', sizeBytes: 2 ** 40 })
    await lab.host('nas').exec(['sh', '-c', 'echo kept > /volume1/file'])
    await stopLab(lab)
    expect(lab.host('nas').isRunning()).toBe(false)
    const again = await upLab(labName('again'))
    expect([...again.hosts.keys()]).toEqual(SMALL)
    expect(again.record.subnet).toBe(lab.record.subnet)
    expect(await ssh(again, 'nas', 'cat /volume1/file')).toBe('kept')
  })

  it('is changed by one program at a time, and the lock goes with its holder', async () => {
    await smallLab(labName('lock'))
    const held = await lockLab(labName('lock'))
    await expect(downLab(labName('lock'))).rejects.toThrow(`another lab program is changing the lab "${labName('lock')}"`)
    await held.release()
    expect(await downLab(labName('lock'))).toBe(true)
  })

  it.each([150, 450, 900, 1500, 2200])('is removed whole when the program was killed %i ms into up', async (milliseconds) => {
    const name = labName('killed')
    made.add(name)
    const up = execa(process.execPath, [CLI, '--lab', name, 'up', '--hosts', SMALL.join(','), '--state', 'none'], { reject: false, stdin: 'ignore' })
    await delay(milliseconds)
    up.kill('SIGKILL')
    await up
    await downLab(name)
    await expectNoTraces(name)
    expect(isNothing(await findRemains(name))).toBe(true)
  })

  it('is mended by up when the program was killed in the middle of an earlier one', async () => {
    const name = labName('mended')
    made.add(name)
    const up = execa(process.execPath, [CLI, '--lab', name, 'up', '--hosts', SMALL.join(','), '--state', 'none'], { reject: false, stdin: 'ignore' })
    // In the middle: the first host has its files, the lab does not answer yet.
    while (!existsSync(join(labPaths(name).hosts, 'pve', 'boot.log')) && up.exitCode === undefined) await delay(5)
    up.kill('SIGKILL')
    await up
    const lab = await upLab(name, { hosts: SMALL })
    expect(await ssh(lab, 'pve', 'hostname')).toBe('pve')
    expect(await ssh(lab, 'nas', 'hostname')).toBe('nas')
  })

  it('is removed whole when its record is gone', async () => {
    const lab = await smallLab(labName('lost'))
    rmSync(lab.paths.record)
    await expect(openLab(labName('lost'))).rejects.toThrow(`there is no lab "${labName('lost')}"`)
    await downLab(labName('lost'))
    await expectNoTraces(labName('lost'))
  })
})

describe('lab exec', () => {
  it('passes stdin, output and the exit code, and options behind -- belong to the program', async () => {
    await smallLab(labName('exec'))
    const result = await cli(['--lab', labName('exec'), 'exec', 'pve', '--', 'sh', '-c', 'cat; echo err >&2; id -u; exit 7', '--json'], 'in\n')
    expect(result).toMatchObject({ exitCode: 7, stdout: 'in\n0', stderr: 'err' })
  })

  it('says which hosts there are when asked for another one', async () => {
    await smallLab(labName('names'))
    const result = await cli(['--lab', labName('names'), '--json', 'exec', 'nass', '--', 'true'])
    expect(result.exitCode).toBe(64)
    expect(JSON.parse(result.stdout)).toMatchObject({
      schema: 'nightshift.error/1',
      errors: [{ found: expect.stringContaining('no host "nass"'), hint: 'its hosts: pve, nas' }],
    })
  })
})
