/** Everything a host needs on its disk before its first boot, once: a host that was only half prepared is prepared anew. */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { HOSTS } from './catalog.js'
import type { LabHost } from './host.js'
import { writeHostFiles } from './host-files.js'
import { ensureKeyPair, HOST_KEY_TYPES, hostKeyPath, publicKeyOf } from './keys.js'
import type { MailKeys } from './mail/keys.js'
import { MAIL_HOST, MAIL_NAME, PERSONAL_DOMAIN, WEBHOOK_HOST } from './mail/names.js'
import { writeProxmoxMail } from './mail/proxmox-files.js'
import { writeMailServer, writeWebhookServer } from './mail/server-files.js'
import { hostAddress } from './network.js'
import { grantTrust, knownHostsLines, upperPath, writeAuthorizedKeys } from './trust.js'
import { UpperFiles } from './upper-files.js'

const READY = 'prepared'

/** @param clientKeyPath the key by which the machine logs in */
export async function prepareHost(host: LabHost, clientKeyPath: string, mailKeys: MailKeys): Promise<void> {
  if (existsSync(join(host.folder, READY))) return
  rmSync(host.folder, { recursive: true, force: true })
  mkdirSync(host.folder, { recursive: true, mode: 0o700 })
  const { labName, spec, subnet, tree } = host.place
  const files = new UpperFiles(tree, join(host.folder, 'upper'))
  writeHostFiles(files, spec, labName, neighbours(subnet))
  if (spec.kind === 'proxmox') writeProxmoxMail(files, spec, mailKeys)
  if (spec.name === MAIL_HOST) writeMailServer(files, mailKeys)
  if (spec.name === WEBHOOK_HOST) writeWebhookServer(files)
  files.folder('/etc/ssh')
  for (const type of HOST_KEY_TYPES) await ensureKeyPair(files.place(hostKeyPath(type)), type, `root@${spec.name}`)
  files.folder(spec.user.home, { uid: spec.user.uid, gid: spec.user.gid })
  writeAuthorizedKeys(host, [`${publicKeyOf(clientKeyPath)} nightshift@${labName}`])
  if (spec.trusts.length > 0) {
    files.folder('/root/.ssh', { mode: 0o700 })
    await ensureKeyPair(files.place('/root/.ssh/id_ed25519'), 'ed25519', `root@${spec.name}`)
  }
  writeFileSync(join(host.folder, READY), '')
}

/** After all hosts are prepared: those that trust know each other's keys. */
export function introduceHosts(hosts: ReadonlyMap<string, LabHost>): void {
  for (const from of hosts.values()) {
    const known = from.place.spec.trusts.flatMap((name) => hosts.get(name) ?? [])
    if (known.length === 0 || from.isRunning()) continue
    const write = (path: string, lines: readonly string[]) => writeFileSync(upperPath(from, path), `${lines.join('\n')}\n`, { mode: 0o600 })
    write('/root/.ssh/known_hosts', known.flatMap(knownHostsLines))
    write(
      '/root/.ssh/config',
      known.flatMap((to) => [
        `Host ${to.name}`,
        `  HostName ${to.address}`,
        `  User ${to.sshUser.name}`,
        '  IdentityFile /root/.ssh/id_ed25519',
        '  KexAlgorithms curve25519-sha256',
      ]),
    )
    for (const to of known) grantTrust(from, to)
  }
}

/** A name that two hosts share (both Proxmox nodes are `pve`) must mean the first: estate names come before node names. */
function neighbours(subnet: string): string {
  return HOSTS.map((spec, index) => {
    const mailNames = spec.name === MAIL_HOST ? ` ${MAIL_NAME} ${PERSONAL_DOMAIN}` : ''
    return `${hostAddress(subnet, index)} ${spec.name}${mailNames}\n`
  }).join('')
}
