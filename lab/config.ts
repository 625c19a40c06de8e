/**
 * A lab's configuration folder: what a real estate would have. The repository's runbooks are copied and only the references that differ are changed
 * (the estate's id; the addresses are in ssh_config, which the runbooks do not know). The product cannot tell a lab from a real estate.
 */
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseDocument } from 'yaml'
import { replaceFile } from '../src/files/replace-file.js'
import { packageRoot } from '../src/temporal/package-root.js'
import { ensureKeyPair } from './keys.js'
import type { Lab } from './lab.js'
import type { MailKeys } from './mail/keys.js'
import { mailAddress } from './mail/names.js'
import { labPaths } from './names.js'
import { knownHostsLines } from './trust.js'

/** The key by which nightshift logs in to every host of the lab. */
export function clientKeyPath(labName: string): string {
  return join(labPaths(labName).config, 'keys', 'client_ed25519')
}

/** Keys, kept when they are there. */
export async function ensureConfigKeys(labName: string): Promise<void> {
  const keys = join(labPaths(labName).config, 'keys')
  mkdirSync(keys, { recursive: true, mode: 0o700 })
  await ensureKeyPair(clientKeyPath(labName), 'ed25519', `nightshift@${labName}`)
  await ensureKeyPair(join(keys, 'receipt_ed25519'), 'ed25519', `nightshift-receipt@${labName}`)
}

/** What the runbooks' references to the mail server resolve to: the authority's certificate, and a file for each account's password. */
export function writeMailSecrets(labName: string, mail: MailKeys): void {
  const { config } = labPaths(labName)
  mkdirSync(join(config, 'secrets'), { recursive: true, mode: 0o700 })
  replaceFile(join(config, 'keys', 'mail-authority.crt'), mail.authority, { mode: 0o644 })
  for (const [account, password] of Object.entries(mail.passwords)) replaceFile(join(config, 'secrets', account), `${password}\n`, { mode: 0o600 })
}

/** Writes the folder whole: fresh runbooks, ssh_config, known_hosts. Hosts must be prepared (their keys are read). */
export async function writeConfig(lab: Lab): Promise<void> {
  await ensureConfigKeys(lab.name)
  copyRunbooks(lab)
  writeMailWay(lab)
  writeReachability(lab)
}

/** Only how the hosts are reached: what the operator has changed in the runbooks stays. */
export function writeReachability(lab: Lab): void {
  const { config } = lab.paths
  replaceFile(join(config, 'ssh_config'), sshConfig(lab), { mode: 0o600 })
  replaceFile(join(config, 'known_hosts'), `${[...lab.hosts.values()].flatMap(knownHostsLines).join('\n')}\n`, { mode: 0o600 })
}

export function hasRunbooks(lab: Lab): boolean {
  return existsSync(join(lab.paths.config, 'estate.yaml'))
}

function copyRunbooks(lab: Lab): void {
  const source = join(packageRoot(), 'runbooks')
  const { config } = lab.paths
  for (const name of readdirSync(config)) if (/\.ya?ml$/.test(name)) rmSync(join(config, name))
  for (const entry of readdirSync(source, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile() || !/\.ya?ml$/.test(entry.name)) continue
    const below = entry.parentPath.slice(source.length)
    mkdirSync(join(config, below), { recursive: true })
    copyFileSync(join(entry.parentPath, entry.name), join(config, below, entry.name))
  }
  const path = join(config, 'estate.yaml')
  const estate = parseDocument(readFileSync(path, 'utf8'), { keepSourceTokens: true })
  estate.set('id', lab.name)
  const schema = join(packageRoot(), 'schemas')
  writeFileSync(path, String(estate).replace('$schema=../schemas/', `$schema=${schema}/`))
}

/** The mail server by its address, its authority, and a watch of minutes where a real estate has days. */
function writeMailWay(lab: Lab): void {
  const edit = (file: string, change: (document: ReturnType<typeof parseDocument>) => void) => {
    const path = join(lab.paths.config, file)
    const document = parseDocument(readFileSync(path, 'utf8'))
    change(document)
    writeFileSync(path, document.toString({ lineWidth: 0, flowCollectionPadding: true }))
  }
  edit('alerts.yaml', (document) => {
    document.setIn(['mail', 'server'], mailAddress(lab.record.subnet))
    document.setIn(['mail', 'ca'], 'keys/mail-authority.crt')
  })
  edit('email-relay.yaml', (document) => document.set('watch', document.createNode({ until: 'events', days: 1, every_minutes: 1 }, { flow: true })))
}

function sshConfig(lab: Lab): string {
  const lines = [`# nightshift lab "${lab.name}": these are not real hosts. Written by the lab program at each \`up\`.`]
  for (const host of lab.hosts.values()) {
    lines.push(
      '',
      `Host ${host.name}`,
      `  HostName ${host.address}`,
      `  User ${host.sshUser.name}`,
      '  Port 22',
      `  IdentityFile ${clientKeyPath(lab.name)}`,
      '  IdentitiesOnly yes',
      `  UserKnownHostsFile ${join(lab.paths.config, 'known_hosts')}`,
      // On one machine nobody is far away: who is silent for so long is gone, and the tests of vanished hosts need not wait longer.
      '  ConnectTimeout 4',
      '  ServerAliveInterval 1',
    )
  }
  return `${lines.join('\n')}\n`
}
