/** Who reaches whom by SSH inside of the lab: root of some hosts has a key that the NAS knows, as the offsite transfer and the app dumps need it. */
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { LabHost } from './host.js'
import { HOST_KEY_TYPES, hostKeyPath, publicKeyOf } from './keys.js'

/** In the upper folder it can be reached whether the host runs or not. */
export function upperPath(host: LabHost, path: string): string {
  return join(host.folder, 'upper', path)
}

export function authorizedKeysPath(host: LabHost): string {
  return join(host.sshUser.home, '.ssh', 'authorized_keys')
}

/** The lines that a known_hosts needs for this host: all its key types, under its name and its address. Plain, as people's files mostly are. */
export function knownHostsLines(host: LabHost): string[] {
  return HOST_KEY_TYPES.map((type) => `${host.name},${host.address} ${publicKeyOf(upperPath(host, hostKeyPath(type)))}`)
}

/** Lets root of `from` log in at `to` as its SSH user, without a password or a question. Idempotent. */
export function grantTrust(from: LabHost, to: LabHost): void {
  const line = trustLine(from)
  const keys = readAuthorizedKeys(to)
  if (!keys.includes(line)) writeAuthorizedKeys(to, [...keys, line])
}

/** `to` forgets root of `from`. Idempotent. */
export function revokeTrust(from: LabHost, to: LabHost): void {
  const line = trustLine(from)
  writeAuthorizedKeys(
    to,
    readAuthorizedKeys(to).filter((key) => key !== line),
  )
}

function trustLine(from: LabHost): string {
  return `${publicKeyOf(upperPath(from, '/root/.ssh/id_ed25519'))} root@${from.name}`
}

/** The file is reached through the running host where possible: overlayfs does not like changes below a mounted overlay. */
function visiblePath(host: LabHost, path: string): string {
  return host.isRunning() ? join(host.root(), path) : upperPath(host, path)
}

export function readAuthorizedKeys(host: LabHost): string[] {
  const path = visiblePath(host, authorizedKeysPath(host))
  return existsSync(path) ? readFileSync(path, 'utf8').split('\n').filter(Boolean) : []
}

/** sshd (StrictModes) wants the file and its folder to be the user's own. */
export function writeAuthorizedKeys(host: LabHost, lines: readonly string[]): void {
  const path = visiblePath(host, authorizedKeysPath(host))
  const { uid, gid } = host.sshUser
  mkdirSync(dirname(path), { recursive: true })
  chownSync(dirname(path), uid, gid)
  chmodSync(dirname(path), 0o700)
  writeFileSync(path, lines.length === 0 ? '' : `${lines.join('\n')}\n`, { mode: 0o600 })
  chownSync(path, uid, gid)
}
