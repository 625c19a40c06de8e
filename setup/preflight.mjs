/** Can this machine run nightshift's lab? Every check says what is missing and the command that helps; nothing is changed here. */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { SetupFailure } from './failure.mjs'

const OLDEST_NODE = [20, 11]

/**
 * What the checks look at, read once.
 * @typedef {{ platform: string, nodeVersion: string, uid: number, osRelease: string, hasAptGet: boolean, filesystems: string, namespaces: string | undefined }} MachineFacts
 * `namespaces` is the error text when a mount and network namespace cannot be made, undefined when it can.
 */

/** @returns {MachineFacts} */
export function readMachine() {
  const linux = process.platform === 'linux'
  return {
    platform: process.platform,
    nodeVersion: process.versions.node,
    uid: process.getuid ? process.getuid() : -1,
    osRelease: textOf('/etc/os-release'),
    hasAptGet: existsSync('/usr/bin/apt-get'),
    filesystems: textOf('/proc/filesystems'),
    namespaces: linux && process.getuid?.() === 0 ? tryNamespaces() : undefined,
  }
}

/** What every command needs, also `build`. */
export function checkNode(facts) {
  const [major, minor] = facts.nodeVersion.split('.').map(Number)
  if (major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1])) return
  throw new SetupFailure(
    `Node ${facts.nodeVersion} is too old: nightshift needs Node ${OLDEST_NODE.join('.')} or later.`,
    'install Node 20 or later, then start again',
  )
}

/**
 * What the commands with a lab need.
 * @param {MachineFacts} facts
 * @param {string} command as a person typed it, for the advice
 */
export function checkMachine(facts, command) {
  if (facts.platform !== 'linux') {
    throw new SetupFailure(
      `The lab needs Linux (namespaces, overlayfs, cgroups); this is ${facts.platform}.`,
      `run it in a Debian 12 virtual machine: ${command}`,
    )
  }
  checkNode(facts)
  if (facts.uid !== 0) {
    throw new SetupFailure(`${command} needs root: it installs tools and makes the lab's namespaces and mounts.`, `sudo --preserve-env=PATH,HOME ${command}`)
  }
  checkDistribution(facts)
  if (!/\bcgroup2$/m.test(facts.filesystems)) {
    throw new SetupFailure('The lab needs cgroup2, which this kernel does not offer.', 'use a kernel of version 5 or later')
  }
  if (!/\boverlay$/m.test(facts.filesystems) && !loadOverlay()) {
    throw new SetupFailure('The lab needs overlayfs, which this kernel does not offer.', 'modprobe overlay')
  }
  if (facts.namespaces !== undefined) {
    throw new SetupFailure(`The lab cannot make namespaces here (${facts.namespaces}).`, 'run it on a machine or VM, or in a container with --privileged')
  }
}

/** Debian 12 or later, Ubuntu LTS from 22.04 on, and what is derived from them and has apt-get. */
function checkDistribution({ osRelease, hasAptGet }) {
  const fields = Object.fromEntries([...osRelease.matchAll(/^([A-Z_]+)="?([^"\n]*)"?$/gm)].map(([, key, value]) => [key, value]))
  const name = fields.PRETTY_NAME || fields.ID || 'an unknown system'
  const next = 'use Debian 12 or later, or an Ubuntu LTS'
  if (!hasAptGet) throw new SetupFailure(`nightshift sets itself up with apt-get; this is ${name}, which has none.`, next)
  const version = Number(fields.VERSION_ID)
  if (fields.ID === 'debian' && version < 12) throw new SetupFailure(`${name} is too old for the lab.`, next)
  if (fields.ID === 'ubuntu' && version < 22.04) throw new SetupFailure(`${name} is too old for the lab.`, next)
}

function loadOverlay() {
  return spawnSync('modprobe', ['overlay']).status === 0
}

function tryNamespaces() {
  const tried = spawnSync('unshare', ['--mount', '--net', '--pid', '--fork', 'true'], { encoding: 'utf8' })
  if (tried.status === 0) return undefined
  return (tried.error?.message || tried.stderr || 'unshare failed').trim()
}

function textOf(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
