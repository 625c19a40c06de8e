/**
 * `lab down`: removes a lab and all its data, Temporal's included. It works from the lab's name and from the kernel's tables, not from what some
 * program remembered, so it also removes what a killed `up` left behind; and it looks afterwards.
 */
import { rmdirSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { hostCgroups, isInCgroup, killCgroup, labCgroup } from './cgroup.js'
import { run } from './command.js'
import { errorCode, LabError } from './errors.js'
import { type Held, lockLab } from './lock.js'
import { checkLabName, labPaths, labsFolder } from './names.js'
import { bridgeOwner, labLinks, removeBridge } from './network.js'
import { describeRemains, findRemains, isNothing, loopDevicesBelow, mountsBelow, processesUsing, type Remains } from './remains.js'
import type { Say } from './tree.js'

export interface DownOptions {
  readonly say?: Say
  /** A lock that the caller holds already; it is then not given back here, and its file stays. */
  readonly held?: Held
}

/** How long programs that use the lab's files (worker, Temporal server) get to end by themselves. */
const GRACE_MS = 12_000

const MOST_SWEEPS = 5
const SWEEP_PAUSE_MS = 500
const LOCK_PATIENCE_MS = 2_000

/**
 * Removes the lab; a lab that does not exist is removed already.
 * @returns whether there was anything
 * @throws LabError `config` when another program is changing this lab or its names belong to another user's lab; `failed` with what stays when something does
 */
export async function downLab(name: string, { say = () => {}, held }: DownOptions = {}): Promise<boolean> {
  checkLabName(name)
  const { home } = labPaths(name)
  const owner = await bridgeOwner(name)
  if (owner !== undefined && owner !== '' && owner !== home) {
    throw new LabError('config', `the lab "${name}" on this machine belongs to ${owner}`, 'run `down` as the user, and with the XDG_STATE_HOME, that made it')
  }
  const lock = held ?? (await lockSoon(name))
  try {
    const before = await findRemains(name)
    if (isNothing(before)) return false
    let after = before
    // A program that was killed a moment ago may have left a child that is still making something: what it made is swept in the next turn.
    for (let turn = 0; turn < MOST_SWEEPS && !isNothing(after); turn++) {
      if (turn > 0) await delay(SWEEP_PAUSE_MS)
      await sweep(name, home, say)
      after = await findRemains(name)
    }
    if (!isNothing(after))
      throw new LabError('failed', `the lab "${name}" is not gone: ${describeRemains(after)}`, `try again: npm run lab -- --lab ${name} down`)
    say(`lab "${name}" is gone: ${summary(before)}`)
    return true
  } finally {
    if (held === undefined) {
      await lock.releaseAndRemove()
      removeIfEmpty(labsFolder())
    }
  }
}

/** One turn of removing everything that bears the lab's names. */
async function sweep(name: string, home: string, say: Say): Promise<void> {
  await endUsers(home, labCgroup(name), say)
  await Promise.all(hostCgroups(name).map((host) => killCgroup(`${labCgroup(name)}/${host}`)))
  await killCgroup(labCgroup(name))
  for (const link of await labLinks(name)) await run(['ip', 'link', 'del', link], { check: false })
  await removeBridge(name)
  for (const mount of mountsBelow(home)) await run(['umount', '--lazy', mount], { check: false })
  await freeLoopDevices(home)
  await rm(home, { recursive: true, force: true, maxRetries: 3 })
}

/** The lock, also when a child of a killed program has inherited it for another moment. */
async function lockSoon(name: string): Promise<Held> {
  const deadline = Date.now() + LOCK_PATIENCE_MS
  for (;;) {
    try {
      return await lockLab(name)
    } catch (error) {
      if (!(error instanceof LabError) || error.kind !== 'config' || Date.now() > deadline) throw error
      await delay(100)
    }
  }
}

/** Asks the programs that have the lab's files open to end, then ends them. Hosts are not among them: they see their own files only. */
async function endUsers(home: string, cgroup: string, say: Say): Promise<void> {
  const users = () => processesUsing(home).filter((pid) => !isInCgroup(pid, cgroup))
  const first = users()
  if (first.length === 0) return
  say(`ending programs that use the lab: ${first.join(', ')}`)
  signalAll(first, 'SIGTERM')
  const deadline = Date.now() + GRACE_MS
  while (users().length > 0 && Date.now() < deadline) await delay(50)
  signalAll(users(), 'SIGKILL')
}

function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal)
    } catch (error) {
      if (errorCode(error) !== 'ESRCH') throw error
    }
  }
}

/** The kernel frees them with the last mount, a moment after the last process; one that was attached and never mounted (a killed `up`) is freed here. */
async function freeLoopDevices(home: string): Promise<void> {
  const deadline = Date.now() + 10_000
  for (;;) {
    const devices = loopDevicesBelow(home)
    if (devices.length === 0 || Date.now() > deadline) return
    for (const device of devices) await run(['losetup', '--detach', device], { check: false })
    await delay(20)
  }
}

function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder)
  } catch (error) {
    const code = errorCode(error)
    if (code !== 'ENOTEMPTY' && code !== 'ENOENT') throw error
  }
}

function summary(before: Remains): string {
  const counts = Object.entries(before)
    .filter(([, list]) => list.length > 0)
    .map(([kind, list]) => `${list.length} ${kind}`)
  return `${counts.join(', ')} removed`
}
