/** What a machine that is not fit gets to hear: one sentence, the command that helps, exit code 78, and nothing half made. */
import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { checkMachine, checkNode, type MachineFacts, readMachine } from '../../../setup/preflight.mjs'
import { packageRoot } from '../../../src/temporal/package-root.js'

const fit: MachineFacts = {
  platform: 'linux',
  nodeVersion: '20.11.0',
  uid: 0,
  osRelease: 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nID=debian\n',
  hasAptGet: true,
  filesystems: 'nodev\tcgroup2\nnodev\toverlay\n',
  namespaces: undefined,
}

function refusal(change: Partial<MachineFacts>): { message: string; next: string; exitCode: number } {
  try {
    checkMachine({ ...fit, ...change }, 'npm start')
  } catch (error) {
    return error as { message: string; next: string; exitCode: number }
  }
  throw new Error('this machine was not refused')
}

describe('the preflight', () => {
  it('passes a Debian 12 with root, cgroup2 and overlayfs, and the machine of this test', () => {
    expect(() => checkMachine(fit, 'npm start')).not.toThrow()
    expect(() => checkMachine(readMachine(), 'npm test')).not.toThrow()
  })

  it.each([
    ['macOS', { platform: 'darwin' }, /needs Linux.*this is darwin/, /Debian 12 virtual machine/],
    ['a user who is not root', { uid: 1000 }, /npm start needs root/, /^sudo .*npm start$/],
    [
      'Debian 11',
      { osRelease: 'PRETTY_NAME="Debian GNU/Linux 11 (bullseye)"\nVERSION_ID="11"\nID=debian\n' },
      /Debian GNU\/Linux 11 .* too old/,
      /Debian 12 or later/,
    ],
    ['Ubuntu 20.04', { osRelease: 'PRETTY_NAME="Ubuntu 20.04.6 LTS"\nVERSION_ID="20.04"\nID=ubuntu\n' }, /Ubuntu 20.04.* too old/, /Ubuntu LTS/],
    ['a system without apt-get', { hasAptGet: false, osRelease: 'PRETTY_NAME="Fedora Linux 42"\nID=fedora\n' }, /this is Fedora Linux 42/, /Debian 12/],
    ['a kernel without cgroup2', { filesystems: 'nodev\tcgroup\nnodev\toverlay\n' }, /cgroup2/, /kernel/],
    ['a container that may not make namespaces', { namespaces: 'unshare: unshare failed: Operation not permitted' }, /Operation not permitted/, /--privileged/],
  ])('refuses %s with a sentence and what to do', (_name, change, message, next) => {
    const said = refusal(change)
    expect(said.message).toMatch(message)
    expect(said.message).not.toContain('\n')
    expect(said.next).toMatch(next)
    expect(said.exitCode).toBe(78)
  })

  it.each(['18.19.0', '20.10.0'])('refuses Node %s', (nodeVersion) => {
    expect(() => checkNode({ ...fit, nodeVersion })).toThrow(/Node .* too old: nightshift needs Node 20.11/)
  })

  it.each(['20.11.0', '22.1.0'])('takes Node %s', (nodeVersion) => {
    expect(() => checkNode({ ...fit, nodeVersion })).not.toThrow()
  })
})

describe('setup/main.mjs in a fresh checkout', () => {
  let folder: string

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'nightshift-checkout-'))
    chmodSync(folder, 0o777)
    for (const name of ['setup', 'package.json', 'package-lock.json']) cpSync(join(packageRoot(), name), join(folder, name), { recursive: true })
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it.each(['start', 'test', 'lab', 'bench', 'faults'])('%s without root says so, ends with 78 and makes nothing', (command) => {
    const before = readdirSync(folder)
    const run = spawnSync('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', process.execPath, join(folder, 'setup/main.mjs'), command], {
      encoding: 'utf8',
      cwd: folder,
      env: { PATH: process.env.PATH, HOME: join(folder, 'home') },
    })
    expect(run.status).toBe(78)
    expect(run.stdout).toBe('')
    expect(run.stderr.trim().split('\n')).toHaveLength(2)
    expect(run.stderr).toMatch(/needs root/)
    expect(readdirSync(folder)).toEqual(before)
    expect(existsSync(join(folder, 'home'))).toBe(false)
  })

  it('refuses a command that it does not have with exit code 64', () => {
    const run = spawnSync(process.execPath, [join(folder, 'setup/main.mjs'), 'toString'], { encoding: 'utf8', cwd: folder })
    expect(run.status).toBe(64)
    expect(run.stderr).toContain('start|lab|bench|faults|test|build')
  })
})
