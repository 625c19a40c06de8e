/**
 * The lab's cgroup tree: `<cgroup2>/nightshift-lab.<name>/<host>`. It is what makes `down` sure: every process of a host is in it, whatever
 * it did (double fork, new session), and `cgroup.kill` ends them all at once (kernel ≥ 5.14, cgroup-v2.rst).
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { errorCode, LabError } from './errors.js'
import { labCgroupName } from './names.js'

/**
 * Where cgroup2 is mounted: /sys/fs/cgroup, or /sys/fs/cgroup/unified on systems that still mount v1 beside it.
 * @throws LabError `config` when there is none
 */
export function cgroupMount(): string {
  const mounts = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
  const found = mounts.filter((fields) => fields[2] === 'cgroup2').map((fields) => fields[1] ?? '')
  const usable = found.find((path) => path.startsWith('/sys/fs/cgroup')) ?? found[0]
  if (usable !== undefined) return usable
  throw new LabError(
    'config',
    'cgroup2 is not mounted on this machine, and the lab needs it to hold its hosts together',
    'boot with systemd.unified_cgroup_hierarchy=1, or: mount -t cgroup2 none /sys/fs/cgroup',
  )
}

export function labCgroup(name: string): string {
  return join(cgroupMount(), labCgroupName(name))
}

export function makeCgroup(path: string): void {
  try {
    mkdirSync(path, { recursive: true })
  } catch (error) {
    throw new LabError(
      'config',
      `cannot make the cgroup ${path} (${errorCode(error)})`,
      'the lab needs root and a writable cgroup2: in a container run it with --privileged',
      { cause: error },
    )
  }
}

/** The pids in this cgroup and below it. */
export function pidsIn(path: string): number[] {
  const own = readList(join(path, 'cgroup.procs')).map(Number)
  return [...own, ...childGroups(path).flatMap(pidsIn)]
}

/** Stops every process of the cgroup and below at once, waits until the last one is gone, and removes the cgroups. Nothing there: nothing done. */
export async function killCgroup(path: string, timeoutMs = 20_000): Promise<void> {
  if (!existsSync(path)) return
  const freeze = join(path, 'cgroup.freeze')
  if (existsSync(freeze)) writeFileSync(freeze, '0')
  const pids = pidsIn(path)
  writeFileSync(join(path, 'cgroup.kill'), '1')
  const deadline = Date.now() + timeoutMs
  // "Populated" does not count those that have ended and wait for their parent to notice; to everybody who looks into /proc they are still there.
  while (isPopulated(path) || pids.some((pid) => isInCgroup(pid, path))) {
    if (Date.now() > deadline) {
      if (!isPopulated(path)) break
      throw new LabError('failed', `processes of ${path} do not end: ${pidsIn(path).join(', ')}`, 'look at their state in /proc/PID/stack; then try again')
    }
    await delay(5)
  }
  removeTree(path)
}

/** The cgroup (relative to the cgroup2 mount) that a process is in; undefined when it is gone. */
export function cgroupOf(pid: number): string | undefined {
  try {
    return /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))?.[1]
  } catch {
    return undefined
  }
}

/** Is this process in that cgroup or below it? */
export function isInCgroup(pid: number, path: string): boolean {
  const own = cgroupOf(pid)
  const wanted = path.slice(cgroupMount().length)
  return own !== undefined && (own === wanted || own.startsWith(`${wanted}/`))
}

function isPopulated(path: string): boolean {
  return readList(join(path, 'cgroup.events')).includes('populated 1')
}

function childGroups(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(path, entry.name))
  } catch {
    return []
  }
}

function removeTree(path: string): void {
  for (const child of childGroups(path)) removeTree(child)
  try {
    rmdirSync(path)
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error
  }
}

function readList(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n').filter(Boolean)
  } catch {
    return []
  }
}

/** Names of the hosts that have a cgroup in this lab. */
export function hostCgroups(name: string): string[] {
  return childGroups(labCgroup(name)).map((path) => path.slice(dirname(path).length + 1))
}
