/**
 * Before and after the tests against labs: one run a checkout at a time, and no lab of an earlier run that was killed. Each test file makes the lab it needs
 * (`test/support/lab.ts`).
 */
import { existsSync, readdirSync } from 'node:fs'
import { downLab } from '../../lab/down.js'
import { lockLab } from '../../lab/lock.js'
import { labsFolder } from '../../lab/names.js'
import { LAB_PREFIX } from '../support/lab-names.js'

export default async function setup(): Promise<() => Promise<void>> {
  const lock = await lockLab(LAB_PREFIX).catch((error: unknown) => {
    throw new Error(`the tests of this checkout are running already, or its labs cannot be locked: ${String(error)}`, { cause: error })
  })
  await downAll()
  return async () => {
    if (process.env.NIGHTSHIFT_KEEP_LAB !== '1') await downAll()
    await lock.releaseAndRemove()
  }
}

/** Removes the labs of this checkout's tests. A lab's lock is the first thing that is made of it, and the last that goes. */
async function downAll(): Promise<void> {
  const files = existsSync(labsFolder()) ? readdirSync(labsFolder()) : []
  const names = files.flatMap((file) => /^\.(.+)\.lock$/.exec(file)?.[1] ?? [])
  for (const name of names.filter((each) => each.startsWith(`${LAB_PREFIX}-`))) {
    await downLab(name, { say: (line) => void process.stderr.write(`${line}\n`) })
  }
}
