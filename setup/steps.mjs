/** Looks at every set-up step and does the missing ones, in order, under the lock, with progress on stderr. */
import { seconds } from './command.mjs'
import { takeLock } from './lock.mjs'

/**
 * @typedef {{ name: string, isDone: () => boolean | Promise<boolean>, run: (say: (line: string) => void) => Promise<void> }} Step
 */

/** @param {Step[]} steps */
export async function doMissing(steps) {
  const missing = await missingOf(steps)
  if (missing.length === 0) return
  const started = Date.now()
  const tell = (line) => process.stderr.write(`${line}\n`)
  tell(`nightshift set-up: ${missing.map((step) => step.name).join(', ')}`)
  const release = await takeLock(tell)
  try {
    let number = 0
    for (const step of missing) {
      number += 1
      const label = `[${number}/${missing.length}] ${step.name}`
      // Somebody else may have done it while we waited for the lock, or an earlier step with it.
      if (await step.isDone()) {
        tell(`${label}: done already`)
        continue
      }
      const stepStarted = Date.now()
      tell(`${label} …`)
      await step.run((line) => tell(`${label}: ${line}`))
      tell(`${label}: done in ${seconds(Date.now() - stepStarted)}`)
    }
  } finally {
    release()
  }
  tell(`nightshift set-up: done in ${seconds(Date.now() - started)}`)
}

async function missingOf(steps) {
  const missing = []
  for (const step of steps) if (!(await step.isDone())) missing.push(step)
  return missing
}
