/**
 * Every name that a lab has on the machine follows from the lab's own name, so that `down` finds everything even when nothing was recorded:
 * folder, cgroup, bridge, links.
 */
import { createHash } from 'node:crypto'
import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { LabError } from './errors.js'

export interface LabPaths {
  /** Everything of this lab. */
  readonly home: string
  /** A complete configuration folder (`--config`). */
  readonly config: string
  /** NIGHTSHIFT_STATE. */
  readonly state: string
  /** The dev server's database. */
  readonly temporal: string
  /** One folder per host: overlay, disks, console. */
  readonly hosts: string
  /** lab.json */
  readonly record: string
}

/** `${XDG_STATE_HOME:-~/.local/state}/nightshift-labs` */
export function labsFolder(env: NodeJS.ProcessEnv = process.env): string {
  const base = env.XDG_STATE_HOME
  return join(base !== undefined && isAbsolute(base) ? base : join(homedir(), '.local', 'state'), 'nightshift-labs')
}

/** `${XDG_CACHE_HOME:-~/.cache}/nightshift`: what all labs of a user share. */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  const base = env.XDG_CACHE_HOME
  return join(base !== undefined && isAbsolute(base) ? base : join(homedir(), '.cache'), 'nightshift')
}

/** @throws LabError `usage` when the name could not be an estate id */
export function checkLabName(name: string): string {
  if (/^[a-z][a-z0-9-]{0,30}$/.test(name) && !name.endsWith('-')) return name
  throw new LabError('usage', `"${name}" cannot be a lab's name`, 'use 1 to 31 of a-z, 0-9 and -, beginning with a letter: --lab trial')
}

export function labPaths(name: string, env: NodeJS.ProcessEnv = process.env): LabPaths {
  const home = join(labsFolder(env), name)
  return {
    home,
    config: join(home, 'config'),
    state: join(home, 'state'),
    temporal: join(home, 'temporal'),
    hosts: join(home, 'hosts'),
    record: join(home, 'lab.json'),
  }
}

/** The lab's cgroup below the cgroup2 mount. */
export function labCgroupName(name: string): string {
  return `nightshift-lab.${name}`
}

/** At most 15 characters (IFNAMSIZ - 1); readable when the name is short enough. */
export function bridgeName(name: string): string {
  return name.length <= 11 ? `nsb-${name}` : `nsb-${shortHash(name, 10)}`
}

/** The machine's end of a host's link; its other end is `eth0` in the host. */
export function linkName(name: string, hostIndex: number): string {
  return `nsv${shortHash(name, 8)}-${hostIndex}`
}

function shortHash(text: string, length: number): string {
  return createHash('sha256').update(text).digest('hex').slice(0, length)
}
