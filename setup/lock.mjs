/**
 * One set-up at a time for a user, whatever the checkout. The lock is a kernel one (flock), held by a small child that ends with its input:
 * when this process dies, however it dies, the lock is free.
 */
import { spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { SetupFailure } from './failure.mjs'
import { cacheFolder } from './folders.mjs'

const HELD = 75

/**
 * @param {(line: string) => void} say told once when somebody else has it
 * @returns {Promise<() => void>} gives the lock back
 */
export async function takeLock(say) {
  const folder = cacheFolder()
  try {
    mkdirSync(folder, { recursive: true })
  } catch (error) {
    throw new SetupFailure(`The cache folder ${folder} cannot be made (${error.code}).`, 'set HOME or XDG_CACHE_HOME to a folder that can be written')
  }
  const path = join(folder, 'setup.lock')
  const atOnce = await attempt(path, ['--nonblock'])
  if (atOnce) return atOnce
  say('another set-up of nightshift is running; waiting for it to finish')
  const later = await attempt(path, [])
  if (later) return later
  throw new SetupFailure(`The set-up lock ${path} cannot be taken.`, 'apt-get install util-linux')
}

function attempt(path, options) {
  // A process group of its own: Ctrl-C in the terminal must not free the lock before we have stopped our step.
  const child = spawn('flock', [...options, '--conflict-exit-code', String(HELD), path, 'sh', '-c', 'echo held; exec cat'], {
    stdio: ['pipe', 'pipe', 'ignore'],
    detached: true,
  })
  return new Promise((resolve, reject) => {
    child.once('error', (error) => reject(new SetupFailure(`flock cannot be run (${error.message}).`, 'apt-get install util-linux')))
    child.once('exit', () => resolve(undefined))
    child.stdout.once('data', () => resolve(() => child.stdin.end()))
  })
}
