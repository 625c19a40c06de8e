/** Can this machine carry a lab? Said in one sentence, before anything is made. */
import { accessSync, constants, existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { cgroupMount } from './cgroup.js'
import { MACHINE_PATH, packageAdvice, run } from './command.js'
import { LabError } from './errors.js'

const PROGRAMS = ['ip', 'bridge', 'tc', 'unshare', 'nsenter', 'setpriv', 'flock', 'mount', 'losetup', 'mke2fs', 'ssh-keygen', 'mmdebstrap']

/** @throws LabError `config` with what is missing and the command that helps */
export async function checkMachine(): Promise<void> {
  if (process.platform !== 'linux')
    throw new LabError('config', `the lab needs Linux (namespaces, overlayfs, cgroup2); this is ${process.platform}`, 'run it in a Debian or Ubuntu VM')
  if (process.geteuid?.() !== 0) throw new LabError('config', 'the lab needs root: it makes namespaces, mounts and network links', 'sudo npm run lab -- up')
  cgroupMount()
  for (const program of PROGRAMS) {
    if (!MACHINE_PATH.split(':').some((folder) => isExecutable(join(folder, program)))) {
      throw new LabError('config', `the program ${program} is not installed on this machine`, packageAdvice(program))
    }
  }
  await checkFileSystem('overlay', 'modprobe overlay')
  await checkFileSystem('ext4', 'modprobe ext4')
  if (!existsSync('/dev/loop-control')) throw new LabError('config', 'this machine has no loop devices, and the disks of the lab need them', 'modprobe loop')
}

async function checkFileSystem(name: string, advice: string): Promise<void> {
  const offered = () => new RegExp(`\\s${name}$`, 'm').test(readFileSync('/proc/filesystems', 'utf8'))
  if (offered()) return
  await run(['modprobe', name], { check: false }).catch(() => undefined)
  if (!offered()) throw new LabError('config', `this kernel does not offer ${name}`, advice)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** What systemd takes as a host's first process: for the time zone, for mounts, for cgroups. */
export const INOTIFY_PER_HOST = 3

/** @returns how many inotify instances are left of those that the kernel gives to one user (fs.inotify.max_user_instances, 128 by default: some forty hosts) */
export function inotifyRoom(): number {
  return mostInotify() - readdirSync('/proc').reduce((sum, name) => sum + (/^\d+$/.test(name) ? inotifyInstances(name) : 0), 0)
}

/** @returns what to tell somebody whose host did not boot, when too few inotify instances are the likely cause */
export function inotifyAdvice(): { found: string; next: string } | undefined {
  if (inotifyRoom() > INOTIFY_PER_HOST) return undefined
  const most = mostInotify()
  return {
    found: `all ${most} inotify instances that the kernel gives to one user are in use`,
    next: `take another lab down, or allow more: sysctl -w fs.inotify.max_user_instances=${Math.max(1024, most * 2)}`,
  }
}

const mostInotify = (): number => Number(readFileSync('/proc/sys/fs/inotify/max_user_instances', 'utf8'))

function inotifyInstances(pid: string): number {
  try {
    return readdirSync(`/proc/${pid}/fd`).filter((descriptor) => readlinkSync(`/proc/${pid}/fd/${descriptor}`) === 'anon_inode:inotify').length
  } catch {
    return 0
  }
}
