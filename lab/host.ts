/**
 * One lab host: an overlay over the root tree, its own namespaces and cgroup, systemd as PID 1. Whether it runs is read from the kernel each time
 * (`init.pid` plus the cgroup of that process), never remembered.
 */
import { spawn } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { BOOT_SCRIPT } from './boot-script.js'
import { type HostSpec, type LabHostKind, type LabUser, PVE_FOLDER } from './catalog.js'
import { isInCgroup, killCgroup, labCgroup, makeCgroup } from './cgroup.js'
import { type CommandResult, MACHINE_PATH, run } from './command.js'
import * as disks from './disks.js'
import { LabError } from './errors.js'
import { pveSource } from './host-files.js'
import { labPaths } from './names.js'
import { plugIn } from './network.js'
import { inotifyAdvice } from './requirements.js'

export interface ExecOptions {
  readonly stdin?: string | Uint8Array
  readonly env?: Readonly<Record<string, string>>
  /** 60 s unless told. */
  readonly timeoutMs?: number
  /** root unless told. */
  readonly user?: string
  /** Default true: an exit code other than 0 is a LabError. */
  readonly check?: boolean
}

export interface HostPlace {
  readonly labName: string
  readonly spec: HostSpec
  /** Its number in the catalog: address, link name. */
  readonly index: number
  readonly subnet: string
  readonly address: string
  readonly tree: string
}

const BOOT_TIMEOUT_MS = 60_000

export class LabHost {
  readonly name: string
  readonly hostname: string
  readonly kind: LabHostKind
  readonly address: string
  readonly sshUser: LabUser
  /** Its folder on the machine: `upper`, `work`, `merged`, `disks`. */
  readonly folder: string
  readonly cgroup: string

  constructor(readonly place: HostPlace) {
    this.name = place.spec.name
    this.hostname = place.spec.hostname
    this.kind = place.spec.kind
    this.address = place.address
    this.sshUser = place.spec.user
    this.folder = join(labPaths(place.labName).hosts, this.name)
    this.cgroup = join(labCgroup(place.labName), this.name)
  }

  /** systemd's pid on the machine; undefined when the host is off. */
  get pid(): number | undefined {
    try {
      const pid = Number(readFileSync(join(this.folder, 'init.pid'), 'utf8'))
      return pid > 1 && isInCgroup(pid, this.cgroup) ? pid : undefined
    } catch {
      return undefined
    }
  }

  isRunning(): boolean {
    return this.pid !== undefined
  }

  /** The host's file system as the host sees it, its disks and /run included. Only while it runs. @throws LabError when it is off */
  root(): string {
    return `/proc/${this.runningPid()}/root`
  }

  /** Boots the host; done when its sshd answers. Harmless when it runs already. */
  async start(): Promise<void> {
    if (this.isRunning()) return
    await killCgroup(this.cgroup)
    for (const name of ['work', 'merged']) mkdirSync(join(this.folder, name), { recursive: true })
    makeCgroup(join(this.cgroup, EXEC_GROUP))
    await this.boot()
    for (const disk of disks.readMounts(this.folder)) await disks.mount(this.diskPlace(), disk)
    await this.waitForSsh()
  }

  /** Power off, hard: every process is killed at once; what is on its disks stays. Harmless when it is off. */
  async stop(): Promise<void> {
    await killCgroup(this.cgroup)
    rmSync(join(this.folder, 'init.pid'), { force: true })
  }

  /** Runs a program in the host, as root unless told, with Debian's full PATH. @throws LabError when it fails and `check` is not false */
  async exec(argv: readonly string[], { user, env = {}, ...options }: ExecOptions = {}): Promise<CommandResult> {
    return await run(this.enterArgv(argv, { user, env }), options)
  }

  /** The command line by which the machine's root runs a program inside; it joins the host's cgroup first, so that `stop` ends it too. */
  enterArgv(argv: readonly string[], { user, env = {} }: Pick<ExecOptions, 'user' | 'env'> = {}): string[] {
    const as = user === undefined || user === 'root' ? [] : ['setpriv', `--reuid=${user}`, `--regid=${user}`, '--init-groups', '--']
    const home = user === undefined || user === 'root' ? '/root' : this.sshUser.name === user ? this.sshUser.home : '/'
    const variables = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', HOME: home, LC_ALL: 'C.UTF-8', ...CLOCK_ENV, ...env }
    return [
      'sh',
      '-c',
      'echo 0 > "$1/cgroup.procs" || exit; shift; exec "$@"',
      'sh',
      join(this.cgroup, EXEC_GROUP),
      'nsenter',
      '--target',
      String(this.runningPid()),
      '--mount',
      '--uts',
      '--ipc',
      '--net',
      '--pid',
      '--cgroup',
      '--root',
      '--wd',
      'env',
      '-i',
      ...Object.entries(variables).map(([name, value]) => `${name}=${value}`),
      ...as,
      ...argv,
    ]
  }

  /** Mounts a disk of this size at `path`: an ext4 file system in a sparse file. Made at the first use of its name; kept over stop and start. */
  async mountDisk(disk: { name: string; path: string; sizeBytes: number }): Promise<void> {
    await disks.makeImage(this.folder, disk.name, disk.sizeBytes)
    await this.mount({ image: disks.imagePath(this.folder, disk.name), path: disk.path, subPath: '/' })
  }

  /** Mounts a folder of another host's disk: what a share of the NAS is on a real estate. The same files, at the same moment. */
  async mountShare(share: { path: string; from: LabHost; disk: string; subPath: string }): Promise<void> {
    const image = disks.imagePath(share.from.folder, share.disk)
    if (!existsSync(image)) throw new LabError('failed', `${share.from.name} has no disk "${share.disk}" to share`)
    await this.mount({ image, path: share.path, subPath: share.subPath })
  }

  private async mount(wanted: disks.DiskMount): Promise<void> {
    const others = disks.readMounts(this.folder).filter((known) => known.path !== wanted.path)
    await disks.mount(this.diskPlace(), wanted)
    disks.writeMounts(this.folder, [...others, wanted])
  }

  /** Takes the disk or share at `path` away; what is below the mount point shows. Harmless when nothing is mounted there. */
  async unmount(path: string): Promise<void> {
    await disks.unmount(this.diskPlace(), path)
    disks.writeMounts(
      this.folder,
      disks.readMounts(this.folder).filter((known) => known.path !== path),
    )
  }

  /** Unmounts and deletes a disk of this host. */
  async removeDisk(name: string): Promise<void> {
    const image = disks.imagePath(this.folder, name)
    for (const known of disks.readMounts(this.folder)) if (known.image === image) await this.unmount(known.path)
    rmSync(image, { force: true })
  }

  /** Fills the file system at `path` but for `leaveBytes`: real ENOSPC. On a sparse disk it costs no real space. */
  async fillDisk(path: string, leaveBytes = 0): Promise<void> {
    await disks.fill(this, path, leaveBytes)
  }

  async emptyDisk(path: string): Promise<void> {
    await disks.empty(this, path)
  }

  /** Waits until sshd listens: systemd starts it last of all. */
  async waitForSsh(timeoutMs = BOOT_TIMEOUT_MS): Promise<void> {
    const deadline = Date.now() + timeoutMs
    while (!(await answers(this.address, 22))) {
      if (!this.isRunning()) {
        const limit = inotifyAdvice()
        if (limit !== undefined) throw new LabError('config', `the lab host ${this.name} could not boot: ${limit.found}`, limit.next)
        throw new LabError('failed', `the lab host ${this.name} ended while it was booting`, `npm run lab -- --lab ${this.place.labName} up`)
      }
      if (Date.now() > deadline) {
        const { stdout } = await this.exec(['systemctl', '--no-pager', 'list-jobs'], { check: false })
        throw new LabError(
          'failed',
          `sshd of the lab host ${this.name} does not answer at ${this.address}:22 after ${timeoutMs} ms; systemd's jobs: ${stdout.trim()}`,
        )
      }
      await delay(15)
    }
  }

  private runningPid(): number {
    const { pid } = this
    if (pid === undefined) throw new LabError('config', `the lab host ${this.name} is not running`, `npm run lab -- --lab ${this.place.labName} up`)
    return pid
  }

  private diskPlace(): disks.DiskPlace {
    return { hostName: this.name, pid: this.runningPid(), folder: this.folder }
  }

  /** Starts the first process in new namespaces, gives it its link, and lets it become systemd. It outlives this program. */
  private async boot(): Promise<void> {
    const { tree, spec, labName, index, subnet } = this.place
    const isProxmox = spec.kind === 'proxmox'
    const log = openSync(join(this.folder, 'boot.log'), 'w', 0o600)
    const child = spawn(
      'sh',
      [
        '-c',
        'echo 0 > "$1/cgroup.procs" || exit; shift; exec "$@"',
        'sh',
        this.cgroup,
        'unshare',
        '--cgroup',
        '--mount',
        '--pid',
        '--net',
        '--uts',
        '--ipc',
        '--fork',
        'sh',
        '-c',
        BOOT_SCRIPT,
        'nightshift-lab-boot',
        tree,
        this.folder,
        spec.hostname,
        isProxmox ? pveSource() : '',
        PVE_FOLDER,
      ],
      { detached: true, stdio: ['pipe', 'pipe', log], env: { PATH: MACHINE_PATH, LC_ALL: 'C.UTF-8' } },
    )
    closeSync(log)
    const { stdin, stdout } = child
    if (stdin === null || stdout === null) throw new TypeError('no pipes to the boot script')
    const lines = createInterface({ input: stdout })[Symbol.asyncIterator]()
    try {
      const pid = Number((await lines.next()).value)
      if (!Number.isInteger(pid)) throw this.bootFailure()
      await plugIn(labName, index, subnet, pid)
      writeFileSync(join(this.folder, 'init.pid'), String(pid))
      stdin.end('go\n')
      if ((await lines.next()).value !== 'booting') throw this.bootFailure()
    } finally {
      stdin.destroy()
      stdout.destroy()
      child.unref()
    }
  }

  private bootFailure(): LabError {
    const words = readFileSync(join(this.folder, 'boot.log'), 'utf8').trim().split('\n').slice(-3).join(' | ')
    const next = /permission denied|not permitted|unknown filesystem|wrong fs type/i.test(words)
      ? 'the lab needs root and a kernel with namespaces and overlayfs: run it on a machine or VM, or in a container with --privileged'
      : `npm run lab -- --lab ${this.place.labName} up`
    return new LabError('config', `the lab host ${this.name} could not be started: ${words || 'it ended without a word'}`, next)
  }
}

/** A leaf of the host's own cgroup tree: cgroup2 lets no process live beside controlled children. */
const EXEC_GROUP = 'nightshift-lab-exec.scope'

/** Kept out of programs' way by the lab's clock: see tree-finish.ts. */
const CLOCK_ENV = { NO_FAKE_STAT: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1', FAKETIME_CACHE_DURATION: '1' }

async function answers(address: string, port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect({ host: address, port, timeout: 1000 })
    const done = (yes: boolean) => {
      socket.destroy()
      resolve(yes)
    }
    // A server that speaks first: a listening socket alone could belong to a host that is still starting.
    socket.once('data', () => done(true))
    socket.once('error', () => done(false))
    socket.once('timeout', () => done(false))
    socket.once('end', () => done(false))
  })
}
