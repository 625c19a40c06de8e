/** What of a lab is still on the machine, looked up by names and by the kernel's own tables; `down` uses it to be sure. */
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { labCgroup, pidsIn } from './cgroup.js'
import { labPaths } from './names.js'
import { labLinks } from './network.js'

export interface Remains {
  readonly processes: readonly number[]
  readonly mounts: readonly string[]
  readonly loopDevices: readonly string[]
  readonly cgroups: readonly string[]
  readonly links: readonly string[]
  readonly files: readonly string[]
}

export async function findRemains(name: string): Promise<Remains> {
  const { home } = labPaths(name)
  const cgroup = labCgroup(name)
  return {
    processes: [...new Set([...pidsIn(cgroup), ...processesUsing(home)])],
    mounts: mountsBelow(home),
    loopDevices: loopDevicesBelow(home),
    cgroups: existsSync(cgroup) ? [cgroup] : [],
    links: await labLinks(name),
    files: existsSync(home) ? [home] : [],
  }
}

export function isNothing(remains: Remains): boolean {
  return Object.values(remains).every((list) => list.length === 0)
}

export function describeRemains(remains: Remains): string {
  return Object.entries(remains)
    .filter(([, list]) => list.length > 0)
    .map(([kind, list]) => `${kind}: ${list.join(', ')}`)
    .join('; ')
}

/** Mount points on the machine below this folder; normally none, because hosts mount in namespaces of their own. Innermost first. */
export function mountsBelow(folder: string): string[] {
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => (line.split(' ')[1] ?? '').replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))))
    .filter((path) => path === folder || path.startsWith(`${folder}/`))
    .reverse()
}

/** Loop devices whose file is below this folder. */
export function loopDevicesBelow(folder: string): string[] {
  return readdirSync('/sys/block')
    .filter((name) => name.startsWith('loop'))
    .filter((name) => {
      try {
        return readFileSync(`/sys/block/${name}/loop/backing_file`, 'utf8').startsWith(`${folder}/`)
      } catch {
        return false
      }
    })
    .map((name) => `/dev/${name}`)
}

/** Processes of the machine that have a file below the folder open or run there: a Temporal server on its database, a worker on its state. Never ourselves. */
export function processesUsing(folder: string): number[] {
  const own = new Set(ancestors(process.pid))
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && !own.has(Number(name)))
    .filter((pid) => openPaths(pid).some((path) => path === folder || path.startsWith(`${folder}/`)))
    .map(Number)
}

function openPaths(pid: string): string[] {
  const link = (path: string) => {
    try {
      return [readlinkSync(path)]
    } catch {
      return []
    }
  }
  let descriptors: string[] = []
  try {
    descriptors = readdirSync(`/proc/${pid}/fd`)
  } catch {
    // gone meanwhile
  }
  return [...link(`/proc/${pid}/cwd`), ...descriptors.flatMap((descriptor) => link(join('/proc', pid, 'fd', descriptor)))]
}

/** This process and those above it: a shell that stands in the lab's folder must not be killed by the `down` that it runs. */
function ancestors(pid: number): number[] {
  if (pid <= 1) return [pid]
  try {
    // proc(5): the parent is the second field after the command, which is in parentheses and may hold spaces.
    const parent = Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ')[1])
    return [pid, ...ancestors(parent)]
  } catch {
    return [pid]
  }
}
