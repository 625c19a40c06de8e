/** Which root tree the lab wants, and whether it is there; apart from `tree.ts` because set-up asks it on every start. */
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { arch } from 'node:os'
import { join } from 'node:path'
import { cacheFolder } from './names.js'

/** What is installed in the tree. The servers of the estate live here, never on the machine. */
export const TREE_PACKAGES: readonly string[] = [
  'systemd-sysv',
  'dbus',
  'openssh-server',
  'openssh-client',
  'sudo',
  'cron',
  'iproute2',
  'iputils-ping',
  'procps',
  'busybox',
  'perl',
  'libjson-perl',
  'libjson-xs-perl',
  'python3-minimal',
  'zstd',
  'rsync',
  'attr',
  'openssl',
  'ca-certificates',
  'curl',
  'tzdata',
  'faketime',
  'postfix',
  'libsasl2-modules',
  'dovecot-imapd',
  'dovecot-lmtpd',
  'radicale',
  'postgresql',
]

/** Raised when `tree-finish.ts` changes: trees of an earlier number are made again. */
export const TREE_FINISH_VERSION = 1

/** `bookworm`, `noble`…: the tree is of the machine's own release, from the machine's own sources. */
export function machineSuite(osRelease = readFileSync('/etc/os-release', 'utf8')): string {
  return /^VERSION_CODENAME="?([a-z]+)"?$/m.exec(osRelease)?.[1] ?? ''
}

export function treeDigest(suite = machineSuite()): string {
  const wanted = JSON.stringify({ packages: TREE_PACKAGES, suite, arch: arch(), finish: TREE_FINISH_VERSION })
  return createHash('sha256').update(wanted).digest('hex').slice(0, 16)
}

export function treesFolder(): string {
  return join(cacheFolder(), 'lab-tree')
}

/** The tree's folder; it has this name only when it is complete. */
export function treePath(): string {
  return join(treesFolder(), treeDigest())
}

export function isTreeCurrent(): boolean {
  return existsSync(treePath())
}
