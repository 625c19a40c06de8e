/** What hurts a lab host really hurts it, is undone without a trace, and touches neither the other host nor this machine. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { downLab } from '../../lab/down.js'
import * as faults from '../../lab/faults.js'
import type { LabHost } from '../../lab/host.js'
import type { Lab } from '../../lab/lab.js'
import { mendAll } from '../../lab/mend.js'
import { labStatus } from '../../lab/status.js'
import { grantTrust, revokeTrust } from '../../lab/trust.js'
import { upLab } from '../../lab/up.js'
import { labName } from '../support/lab-names.js'

const NAME = labName('lab-faults')
let lab: Lab
let pve: LabHost
let nas: LabHost

beforeAll(async () => {
  await downLab(NAME)
  lab = await upLab(NAME, { hosts: ['pve', 'nas', 'home-assistant', 'infra-core'] })
  pve = lab.host('pve')
  nas = lab.host('nas')
})

afterAll(async () => {
  await downLab(NAME)
})

/** OpenSSH with the lab's own files; short time-outs, because half of these hosts do not answer. */
async function ssh(host: string, command: string) {
  const options = ['BatchMode=yes', 'StrictHostKeyChecking=yes', 'ConnectTimeout=4', 'ServerAliveInterval=1', 'ServerAliveCountMax=2'].flatMap((option) => [
    '-o',
    option,
  ])
  return await execa('ssh', ['-F', join(lab.paths.config, 'ssh_config'), ...options, host, command], { reject: false, timeout: 20_000 })
}

const answers = async (host: string) => (await ssh(host, 'echo yes')).stdout === 'yes'

describe('a lab host', () => {
  it('is reached as the user that the real one has, by its known key', async () => {
    expect((await ssh('pve', 'id -un; uname -n')).stdout).toBe('root\npve')
    expect((await ssh('infra-core', 'id -un; sudo -n id -un')).stdout).toBe('ubuntu\nroot')
    expect((await ssh('nas', 'id -un; stat -c %U /volume1')).stdout).toBe('backup-admin\nbackup-admin')
  })

  it.each(['nas', 'home-assistant'])('%s has BusyBox only, whatever the PATH says', async (host) => {
    const { stdout } = await ssh(
      host,
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; for p in ls find stat date df awk; do readlink -f "$(command -v $p)"; done | sort -u; command -v perl bash python3 systemctl zstd',
    )
    expect(stdout).toBe('/usr/bin/busybox')
  })

  it('keeps the machine out of its reach: clock, kernel settings, devices', async () => {
    const tries = [
      'date -s 2001-01-01',
      'echo 1 > /proc/sys/vm/drop_caches',
      'echo h > /proc/sysrq-trigger',
      'mknod /tmp/disk b 8 0 && cat /tmp/disk',
      'modprobe dummy',
      'dmesg',
    ]
    const script = tries.map((attempt) => `nsenter --target 1 --all -- true; (${attempt}) >/dev/null 2>&1 && echo "allowed: ${attempt}"`).join('\n')
    // As a process of the host itself: `lab exec` is the machine's root visiting.
    const { stdout } = await ssh('pve', `${script}\ntrue`)
    expect(stdout).toBe('')
    expect(new Date().getFullYear()).toBeGreaterThan(2020)
  })

  it('stays small', () => {
    const { hosts } = labStatus(lab)
    for (const host of hosts) expect(host.memoryBytes, host.name).toBeLessThan(80 * 2 ** 20)
    for (const host of hosts) expect(host.memoryBytes, host.name).toBeGreaterThan(2 ** 20)
  })

  it('says that it is a lab to whoever logs in', async () => {
    expect((await ssh('pve', 'cat /etc/motd')).stdout).toContain(`nightshift LAB "${NAME}"`)
  })
})

describe('a fault', () => {
  it('cut: the host is gone for the machine and back after the mending', async () => {
    await faults.cutLink(nas)
    expect(await answers('nas')).toBe(false)
    expect(await answers('pve')).toBe(true)
    await faults.restoreLink(nas)
    expect(await answers('nas')).toBe(true)
  })

  it('blackhole: an open session falls silent in the middle of its output', async () => {
    const session = ssh('nas', 'echo begun; sleep 8; echo ended')
    await faults.blackhole(nas)
    const { exitCode, stdout, stderr } = await session
    expect(exitCode).toBe(255)
    expect(stdout).not.toContain('ended')
    expect(stderr).toMatch(/timed? ?out|not responding/i)
    await faults.restoreLink(nas)
    expect(await answers('nas')).toBe(true)
  })

  it('slow: 100 kB take seconds on a line of 256 kbit/s', async () => {
    await faults.slowLink(nas, 256)
    const started = Date.now()
    expect((await ssh('nas', 'head -c 100000 /dev/urandom')).exitCode).toBe(0)
    expect(Date.now() - started).toBeGreaterThan(2000)
    await faults.restoreLink(nas)
    // On the slow line this would take a minute, and the command 20 s at most.
    expect((await ssh('nas', 'head -c 2000000 /dev/urandom')).exitCode).toBe(0)
  })

  it('frozen: it accepts the connection and says nothing', async () => {
    await faults.freeze(nas)
    expect((await ssh('nas', 'true')).stderr).toMatch(/timed out during banner exchange|timed out/)
    await faults.thaw(nas)
    expect(await answers('nas')).toBe(true)
  })

  it('daemon killed: connections are refused until it is started', async () => {
    await faults.killDaemon(nas, 'ssh')
    expect((await ssh('nas', 'true')).stderr).toContain('Connection refused')
    await faults.startDaemon(nas, 'ssh')
    expect(await answers('nas')).toBe(true)
  })

  it('key swapped: a strict client refuses, and the old key comes back', async () => {
    await faults.swapHostKey(nas)
    expect((await ssh('nas', 'true')).stderr).toContain('REMOTE HOST IDENTIFICATION HAS CHANGED')
    await faults.swapHostKey(nas)
    await faults.restoreHostKey(nas)
    expect(await answers('nas')).toBe(true)
  })

  it('login refused: the host does not know us any more', async () => {
    await faults.refuseLogin(nas)
    expect((await ssh('nas', 'true')).stderr).toContain('Permission denied (publickey)')
    await faults.allowLogin(nas)
    expect(await answers('nas')).toBe(true)
  })

  it('trust revoked: pve no longer reaches the NAS, we still do', async () => {
    const across = 'ssh -o BatchMode=yes nas echo yes'
    expect((await ssh('pve', across)).stdout).toBe('yes')
    revokeTrust(pve, nas)
    expect((await ssh('pve', across)).stderr).toContain('Permission denied')
    expect(await answers('nas')).toBe(true)
    grantTrust(pve, nas)
    expect((await ssh('pve', across)).stdout).toBe('yes')
  })

  it('clock ahead: programs see another time, files keep theirs, this machine its own', async () => {
    const clock = async () => Number((await ssh('pve', 'date +%s')).stdout) - Date.now() / 1000
    await ssh('pve', 'touch -d @1700000000 /root/file')
    await faults.setClock(pve, 3600)
    expect(await clock()).toBeGreaterThan(3590)
    expect(await clock()).toBeLessThan(3610)
    expect((await ssh('pve', 'stat -c %Y /root/file; perl -e "print time - $(date +%s)"')).stdout).toBe('1700000000\n0')
    expect(Math.abs(Number((await ssh('infra-core', 'date +%s')).stdout) - Date.now() / 1000)).toBeLessThan(10)
    await faults.resetClock(pve)
    expect(Math.abs(await clock())).toBeLessThan(10)
  })

  it('disk full: writing fails for lack of space, on a disk of 8 TB that costs this machine nothing', async () => {
    await nas.mountDisk({ name: 'volume1', path: '/volume1', sizeBytes: 8e12 })
    expect(Number((await ssh('nas', "df -P -k /volume1 | awk 'NR==2 {print $2}'")).stdout)).toBeGreaterThan(7e9)
    await nas.fillDisk('/volume1')
    const full = await nas.exec(['sh', '-c', 'head -c 1000000 /dev/zero > /volume1/more'], { check: false })
    expect(full.stderr).toContain('No space left on device')
    const { stdout } = await execa('du', ['--block-size=1M', '--summarize', join(nas.folder, 'disks')])
    expect(Number(stdout.split('\t')[0])).toBeLessThan(200)
    await nas.emptyDisk('/volume1')
    await nas.exec(['sh', '-c', 'head -c 1000000 /dev/zero > /volume1/more'])
  })

  it('unmounted: what lies below the mount point shows, and the disk comes back with its files', async () => {
    await nas.mountDisk({ name: 'second', path: '/mnt/second', sizeBytes: 1e12 })
    await nas.exec(['touch', '/mnt/second/on-disk'])
    await nas.unmount('/mnt/second')
    expect((await nas.exec(['ls', '/mnt/second'])).stdout).toBe('')
    await nas.mountDisk({ name: 'second', path: '/mnt/second', sizeBytes: 1e12 })
    expect((await nas.exec(['ls', '/mnt/second'])).stdout).toContain('on-disk')
  })

  it('many at once are all taken back by one mending', async () => {
    await faults.setClock(pve, -600)
    await faults.cutLink(pve)
    await faults.swapHostKey(nas)
    await faults.freeze(nas)
    faults.setLatency(pve, 550)
    await mendAll(lab)
    expect(await answers('pve')).toBe(true)
    expect(await answers('nas')).toBe(true)
    expect(JSON.parse(readFileSync(join(pve.root(), 'etc/nightshift-lab/pve.json'), 'utf8'))).toMatchObject({ latency_ms: 0, now: null })
  })
})
