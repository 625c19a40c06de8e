/**
 * A lab of a test file's own: as new, with no more hosts than the file needs, gone at its end. So no file meets what another one left, and several files run
 * side by side. Its name says of which checkout it is: two clones on one machine do not meet, and what an interrupted run left is found by the next one.
 */
import { constants, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll } from 'vitest'
import { HOSTS } from '../../lab/catalog.js'
import { downLab } from '../../lab/down.js'
import { applyState, type EstateState } from '../../lab/estate/index.js'
import type { Lab } from '../../lab/lab.js'
import { withLockOn } from '../../lab/lock.js'
import { cacheFolder } from '../../lab/names.js'
import { INOTIFY_PER_HOST, inotifyRoom } from '../../lab/requirements.js'
import { upLab } from '../../lab/up.js'
import { labName } from './lab-names.js'

/** Kept free for tests that make small labs by themselves: inotify instances. */
const SPARE = 24
const PATIENCE_MS = 10 * 60_000

/**
 * Makes the lab; call it at the top of the file (`await testLab('watcher')`). It is removed after the file's last test, unless NIGHTSHIFT_KEEP_LAB=1.
 * @param o.hosts all of the estate unless told; the others are then hosts that ssh_config does not know
 * @param o.state what is on the hosts; `healthy` unless told
 */
export async function testLab(name: string, o: { hosts?: readonly string[]; state?: EstateState } = {}): Promise<Lab> {
  const full = labName(name)
  const say = (line: string) => void process.stderr.write(`${line}\n`)
  afterAll(async () => {
    if (process.env.NIGHTSHIFT_KEEP_LAB === '1') say(`the lab "${full}" is kept: npm run lab -- --lab ${full} down`)
    else await downLab(full)
  })
  await downLab(full)
  const lab = await whenThereIsRoom((o.hosts ?? HOSTS).length, () => upLab(full, o.hosts === undefined ? {} : { hosts: o.hosts }))
  await applyState(lab, o.state ?? 'healthy')
  return lab
}

/** One lab boots at a time on this machine, and only when the kernel has the inotify instances for it: others' labs may have to end first. */
async function whenThereIsRoom<T>(hosts: number, work: () => Promise<T>): Promise<T> {
  mkdirSync(cacheFolder(), { recursive: true })
  return await withLockOn(join(cacheFolder(), 'test-labs.lock'), constants.O_RDWR | constants.O_CREAT, async () => {
    const deadline = Date.now() + PATIENCE_MS
    while (inotifyRoom() < hosts * INOTIFY_PER_HOST + SPARE && Date.now() < deadline) await delay(500)
    return await work()
  })
}
