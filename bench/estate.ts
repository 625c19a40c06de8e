/**
 * Estates to measure with, made from the lab's own configuration folder: 28 targets on the 7 hosts that hold them, and many names on the same hosts.
 */
import { cp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse, stringify } from 'yaml'

/** The seven hosts that targets of the example inventory lie on. */
export const HOSTS = ['pve', 'proxmox-home', 'nas', 'communications-stack', 'automation-stack', 'download-stack', 'streaming-stack'] as const

interface EstateYaml {
  id: string
  hosts: { name: string; ssh?: string; kind: string; guest?: unknown }[]
  guests?: { host: string }[]
  produced_by: Record<string, Record<string, unknown>>
  [key: string]: unknown
}
interface InventoryYaml {
  targets: { name: string; host: string; enabled: boolean; [key: string]: unknown }[]
  [key: string]: unknown
}

async function readYaml<T>(path: string): Promise<T> {
  return parse(await readFile(path, 'utf8')) as T
}

/** Copies the lab's configuration and leaves only the seven hosts in it; producers elsewhere become external. @returns the folder */
export async function sevenHosts(labConfig: string, folder: string): Promise<string> {
  await cp(labConfig, folder, { recursive: true })
  const estate = await readYaml<EstateYaml>(join(folder, 'estate.yaml'))
  const known = new Set<string>(HOSTS)
  estate.hosts = estate.hosts.filter((host) => known.has(host.name))
  estate.guests = estate.guests?.filter((guest) => known.has(guest.host))
  for (const [target, producer] of Object.entries(estate.produced_by)) {
    const elsewhere = Object.values(producer).some((where) => typeof where === 'object' && where !== null && 'host' in where && !known.has(String(where.host)))
    if (elsewhere) estate.produced_by[target] = { external: 'measured without its producer' }
  }
  await writeFile(join(folder, 'estate.yaml'), stringify(estate))
  return folder
}

/**
 * The same hosts under many names: `hosts` names, and `targets` targets spread over them.
 * Each name is a `Host` of its own in ssh_config, so each has a connection of its own.
 */
export async function manyNames(labConfig: string, folder: string, size: { hosts: number; targets: number }): Promise<string> {
  await sevenHosts(labConfig, folder)
  const estate = await readYaml<EstateYaml>(join(folder, 'estate.yaml'))
  const inventory = await readYaml<InventoryYaml>(join(folder, 'inventory.yaml'))
  const real = estate.hosts.filter((host) => host.name !== 'pve' && host.name !== 'proxmox-home')
  const names = Array.from({ length: size.hosts }, (_, index) => {
    const host = pick(real, index)
    return { ...host, name: `${host.name}-${index}`, ssh: host.ssh ?? host.name, of: host.name }
  })
  const sshConfig = await readFile(join(folder, 'ssh_config'), 'utf8')
  await writeFile(join(folder, 'ssh_config'), sshConfig + names.map((name) => aliasBlock(sshConfig, name.ssh, name.name)).join(''))
  const templates = inventory.targets.filter((target) => target.enabled)
  inventory.targets = Array.from({ length: size.targets }, (_, index) => {
    const name = pick(names, index)
    const mine = templates.filter((target) => target.host === name.of)
    return { ...pick(mine, Math.floor(index / names.length)), name: `scale-${index}`, host: name.name }
  })
  estate.hosts = names.map(({ of: _of, guest: _guest, ...host }) => ({ ...host, kind: host.kind === 'guest' ? 'linux' : host.kind, ssh: host.name }))
  estate.guests = []
  estate.produced_by = Object.fromEntries(inventory.targets.map((target) => [target.name, { external: 'measured without its producer' }]))
  await writeFile(join(folder, 'estate.yaml'), stringify(estate))
  await writeFile(join(folder, 'inventory.yaml'), stringify(inventory))
  // The windows of the real jobs, and the place of the mail server, name hosts that are not in this estate.
  const calendar = await readYaml<{ events: { job?: string }[] }>(join(folder, 'calendar.yaml'))
  await writeFile(join(folder, 'calendar.yaml'), stringify({ ...calendar, events: calendar.events.filter((event) => event.job === undefined) }))
  const alerts = await readYaml<{ mail?: { host?: string } }>(join(folder, 'alerts.yaml'))
  delete alerts.mail?.host
  await writeFile(join(folder, 'alerts.yaml'), stringify(alerts))
  // Nor has it the hosts whose jobs and mail the other files are about; both files are optional.
  for (const file of ['vzdump.yaml', 'email-relay.yaml']) await rm(join(folder, file), { force: true })
  return folder
}

function pick<T>(list: readonly T[], index: number): T {
  const value = list[index % list.length]
  if (value === undefined) throw new RangeError('an empty list')
  return value
}

/** The `Host` block of one alias again, under another name. */
function aliasBlock(config: string, alias: string, name: string): string {
  const block = config.split(/^(?=Host\s)/m).find((each) => each.split('\n')[0]?.split(/\s+/).slice(1).includes(alias))
  if (block === undefined) throw new Error(`ssh_config of the lab has no Host ${alias}`)
  return `\nHost ${name}\n${block.split('\n').slice(1).join('\n')}\n`
}
