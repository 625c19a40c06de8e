/**
 * A lab's network: one bridge on the machine, and one veth pair per host whose other end is `eth0` in the host's network namespace.
 * The pair ends with that namespace, so only the bridge is left for `down`. No route, address translation or firewall rule is touched:
 * the hosts see each other and this machine, nothing else (they have no default route).
 */
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { run } from './command.js'
import { LabError } from './errors.js'
import { withMachineLock } from './lock.js'
import { bridgeName, labPaths, linkName } from './names.js'

/** The machine's own address in the lab is `.1`; hosts begin at `.11`. */
const FIRST_HOST = 11

export function hostAddress(subnet: string, index: number): string {
  return `${subnet}.${FIRST_HOST + index}`
}

/** Locally administered, the same at every start: a permanent neighbour entry must stay true. */
export function hostMac(labName: string, index: number): string {
  const bytes = createHash('sha256').update(`${labName}/${index}`).digest().subarray(0, 5)
  return ['02', ...[...bytes].map((byte) => byte.toString(16).padStart(2, '0'))].join(':')
}

/**
 * Makes the bridge, or finds it made.
 * @param known the subnet of an earlier `up`; it is kept, because addresses are written into the lab's files
 * @returns the first three numbers of the /24
 * @throws LabError `config` when no subnet is free, the known one was taken by somebody else, or the bridge belongs to another lab
 */
export async function ensureBridge(labName: string, known: string | undefined): Promise<string> {
  const bridge = bridgeName(labName)
  const owner = labPaths(labName).home
  return await withMachineLock(async () => {
    const existing = await findLink(bridge)
    if (existing !== undefined && existing.alias !== undefined && existing.alias !== owner) {
      throw new LabError('config', `a lab of the same name, in ${existing.alias}, has the bridge ${bridge}`, 'give this one another name: --lab NAME')
    }
    if (existing !== undefined && known !== undefined && existing.subnet === known && existing.up) return known
    if (existing !== undefined) await run(['ip', 'link', 'del', bridge])
    const taken = await takenRanges()
    const subnet = known ?? freeSubnet(labName, taken)
    if (taken.some((range) => overlaps(range, subnet))) {
      throw new LabError(
        'config',
        `the network ${subnet}.0/24 of the lab "${labName}" is used by something else on this machine now`,
        `make the lab anew: npm run lab -- --lab ${labName} reset`,
      )
    }
    await run(['ip', 'link', 'add', bridge, 'type', 'bridge', 'forward_delay', '0', 'stp_state', '0', 'mcast_snooping', '0'])
    await run(['ip', 'link', 'set', bridge, 'alias', owner, 'addrgenmode', 'none'])
    await run(['ip', 'addr', 'add', `${subnet}.1/24`, 'dev', bridge])
    await run(['ip', 'link', 'set', bridge, 'up'])
    return subnet
  })
}

/** @returns whose lab has this bridge: the folder, or undefined when there is no bridge of this name */
export async function bridgeOwner(labName: string): Promise<string | undefined> {
  const link = await findLink(bridgeName(labName))
  return link === undefined ? undefined : (link.alias ?? '')
}

export async function removeBridge(labName: string): Promise<void> {
  if ((await findLink(bridgeName(labName))) !== undefined) await run(['ip', 'link', 'del', bridgeName(labName)])
}

/** Puts `eth0` into the network namespace of a process that is about to become a host. */
export async function plugIn(labName: string, index: number, subnet: string, pid: number): Promise<void> {
  const link = linkName(labName, index)
  if ((await findLink(link)) !== undefined) await run(['ip', 'link', 'del', link])
  const batch = [
    `link add ${link} type veth peer name eth0 address ${hostMac(labName, index)} netns ${pid}`,
    `link set ${link} addrgenmode none master ${bridgeName(labName)} up`,
  ]
  await run(['ip', '-batch', '-'], { stdin: `${batch.join('\n')}\n` })
  const address = `addr add ${hostAddress(subnet, index)}/24 dev eth0`
  await run(['nsenter', '--target', String(pid), '--net', 'ip', '-batch', '-'], { stdin: `link set lo up\n${address}\nlink set eth0 up\n` })
}

/** The machine's ends of this lab's links that exist now. */
export async function labLinks(labName: string): Promise<string[]> {
  const prefix = linkName(labName, 0).replace(/0$/, '')
  return (await readLinks()).map((link) => link.ifname).filter((name) => name.startsWith(prefix) || name === bridgeName(labName))
}

const linksSchema = z.array(
  z.object({
    ifname: z.string(),
    ifalias: z.string().optional(),
    flags: z.array(z.string()).default([]),
    addr_info: z.array(z.object({ local: z.string().optional(), prefixlen: z.number().optional() })).default([]),
  }),
)

async function readLinks(): Promise<z.infer<typeof linksSchema>> {
  const { stdout } = await run(['ip', '-json', '-details', 'addr', 'show'])
  return linksSchema.parse(JSON.parse(stdout || '[]'))
}

async function findLink(name: string): Promise<{ alias?: string; subnet?: string; up: boolean } | undefined> {
  const link = (await readLinks()).find((entry) => entry.ifname === name)
  if (link === undefined) return undefined
  const address = link.addr_info.find((entry) => entry.prefixlen === 24)?.local
  return { alias: link.ifalias, subnet: address?.split('.').slice(0, 3).join('.'), up: link.flags.includes('UP') }
}

interface Range {
  readonly first: number
  readonly last: number
}

const routesSchema = z.array(z.object({ dst: z.string() }))

/** Every IPv4 range that the machine has an address in or a route to, other than the default route. */
async function takenRanges(): Promise<Range[]> {
  const { stdout } = await run(['ip', '-json', '-4', 'route', 'show', 'table', 'all'])
  return routesSchema
    .parse(JSON.parse(stdout || '[]'))
    .map((route) => route.dst)
    .filter((dst) => dst !== 'default')
    .map(rangeOf)
}

export function rangeOf(destination: string): Range {
  const [address = '', bits = '32'] = destination.split('/')
  const size = 2 ** (32 - Number(bits))
  const first = address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
  return { first, last: first + size - 1 }
}

function overlaps(range: Range, subnet: string): boolean {
  const wanted = rangeOf(`${subnet}.0/24`)
  return range.first <= wanted.last && wanted.first <= range.last
}

/** Out of 10.212.0.0/15, from a place that follows from the name, so that a lab mostly gets the same again. */
export function freeSubnet(labName: string, taken: readonly Range[]): string {
  const start = createHash('sha256').update(labName).digest().readUInt16BE(0)
  for (let step = 0; step < 512; step++) {
    const number = (start + step) % 512
    const subnet = `10.${212 + (number >> 8)}.${number & 255}`
    if (!taken.some((range) => overlaps(range, subnet))) return subnet
  }
  throw new LabError('config', 'none of 512 private networks in 10.212.0.0/15 is free on this machine', 'remove a lab: npm run lab -- --lab NAME down')
}
