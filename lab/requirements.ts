/** Can this machine carry a lab? Said in one sentence, before anything is made. */
import { accessSync, constants, existsSync, readFileSync } from 'node:fs'
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
