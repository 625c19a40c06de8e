/**
 * Locks that the kernel gives back when their holder dies in whatever way: flock(2) on an open file description that `flock` took through
 * an inherited descriptor and that only this process keeps.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants, rmSync, statSync } from 'node:fs'
import { type FileHandle, mkdir, open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { cgroupMount } from './cgroup.js'
import { MACHINE_PATH, packageAdvice } from './command.js'
import { errorCode, LabError } from './errors.js'
import { labsFolder } from './names.js'

const HELD = 99

export interface Held {
  release(): Promise<void>
  /** Removes the lock's file as well; only for a lab that is gone. */
  releaseAndRemove(): Promise<void>
}

export function lockFile(name: string): string {
  return join(labsFolder(), `.${name}.lock`)
}

/**
 * One lab program changes a lab at a time.
 * @throws LabError `config` at once when another one is at it
 */
export async function lockLab(name: string): Promise<Held> {
  const path = lockFile(name)
  for (;;) {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    const handle = await open(path, 'a', 0o600)
    if (!(await flock(handle, true))) {
      await handle.close()
      throw new LabError('config', `another lab program is changing the lab "${name}" right now`, 'wait until it is done, or stop it, and try again')
    }
    // A `down` may have removed the file between our open and our lock: then this lock is on nothing.
    if (isSameFile(path, await handle.stat())) {
      return {
        release: () => handle.close(),
        releaseAndRemove: async () => {
          rmSync(path, { force: true })
          await handle.close()
        },
      }
    }
    await handle.close()
  }
}

/** Held for the moment in which one lab looks for a free subnet and takes it; machine-wide, so that two labs do not take the same. Waits. */
export async function withMachineLock<T>(work: () => Promise<T>): Promise<T> {
  return await withLockOn(cgroupMount(), constants.O_RDONLY | constants.O_DIRECTORY, work)
}

/** Waits for the lock on a file or folder, does the work, gives it back. */
export async function withLockOn<T>(path: string, flags: number, work: () => Promise<T>, whileWaiting?: () => void): Promise<T> {
  const handle = await open(path, flags, 0o600)
  try {
    if (whileWaiting !== undefined && !(await flock(handle, true))) {
      whileWaiting()
      await flock(handle, false)
    } else if (whileWaiting === undefined) await flock(handle, false)
    return await work()
  } finally {
    await handle.close()
  }
}

async function flock(handle: FileHandle, nonBlocking: boolean): Promise<boolean> {
  const argv = ['--exclusive', ...(nonBlocking ? ['--nonblock', '--conflict-exit-code', String(HELD)] : []), '3']
  const child = spawn('flock', argv, { env: { PATH: MACHINE_PATH }, stdio: ['ignore', 'ignore', 'inherit', handle.fd] })
  const [exitCode] = await once(child, 'exit').catch((error: unknown) => {
    throw new LabError('config', 'the program flock is not installed on this machine', packageAdvice('flock'), { cause: error })
  })
  if (exitCode === 0) return true
  if (exitCode === HELD) return false
  throw new LabError('config', `a lock could not be taken: flock ended with ${exitCode}`, 'the folder must be on a file system with locks')
}

function isSameFile(path: string, open: { dev: number; ino: number }): boolean {
  try {
    const there = statSync(path)
    return there.dev === open.dev && there.ino === open.ino
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false
    throw error
  }
}
