/**
 * `lab up`: everything that is missing is made, in an order in which each step finds the one before it done; so a second `up` continues the same lab,
 * and one after a crash mends it.
 */
import pLimit from 'p-limit'
import { HOSTS } from './catalog.js'
import { labCgroup, makeCgroup } from './cgroup.js'
import { clientKeyPath, ensureConfigKeys, hasRunbooks, writeConfig, writeMailSecrets, writeReachability } from './config.js'
import { LabError } from './errors.js'
import { Lab } from './lab.js'
import { type Held, lockLab } from './lock.js'
import { ensureMailKeys } from './mail/keys.js'
import { mailAddress } from './mail/names.js'
import { checkLabName, labPaths } from './names.js'
import { ensureBridge } from './network.js'
import { introduceHosts, prepareHost } from './prepare-host.js'
import { readRecord, writeRecord } from './record.js'
import { checkMachine } from './requirements.js'
import { ensureTree, type Say } from './tree.js'

export interface UpOptions {
  /** Only these hosts; all unless told. A later `up` may add more. */
  readonly hosts?: readonly string[]
  /** Progress, a line each. */
  readonly say?: Say
  /** A lock that the caller holds already. */
  readonly held?: Held
}

/** How many hosts are prepared and booted side by side: boots are mostly work for the processor. */
const AT_ONCE = 4

/**
 * Brings the lab up. Its content (`healthy`, `as-found`) is not this function's matter.
 * @throws LabError `config` when this machine cannot carry a lab or another program is changing this one; `usage` for an unknown host
 */
export async function upLab(name: string, { hosts: wanted, say = () => {}, held }: UpOptions = {}): Promise<Lab> {
  checkLabName(name)
  await checkMachine()
  const lock = held ?? (await lockLab(name))
  try {
    const tree = await ensureTree(say)
    const paths = labPaths(name)
    const before = readRecord(paths)
    const hosts = hostNames(wanted ?? before?.hosts ?? HOSTS.map((spec) => spec.name), before?.hosts ?? [])
    makeCgroup(labCgroup(name))
    const subnet = await ensureBridge(name, before?.subnet)
    const record = before ?? { version: 1 as const, name, subnet, hosts: [], tree, state: null, hurt: [], createdAt: new Date().toISOString() }
    writeRecord({ ...record, subnet, hosts })
    const lab = new Lab({ ...record, subnet, hosts })
    await ensureConfigKeys(name)
    const mailKeys = await ensureMailKeys(name, mailAddress(subnet))
    writeMailSecrets(name, mailKeys)

    const started = Date.now()
    const limit = pLimit(AT_ONCE)
    const each = (work: (host: Parameters<typeof prepareHost>[0]) => Promise<void>) =>
      Promise.all([...lab.hosts.values()].map((host) => limit(() => work(host))))
    await each((host) => prepareHost(host, clientKeyPath(name), mailKeys))
    introduceHosts(lab.hosts)
    if (hasRunbooks(lab)) writeReachability(lab)
    else await writeConfig(lab)
    await each((host) => host.start())
    say(`lab "${name}": ${lab.hosts.size} hosts answer by SSH after ${((Date.now() - started) / 1000).toFixed(1)} s`)
    return lab
  } finally {
    if (held === undefined) await lock.release()
  }
}

/** Powers all hosts off and leaves everything on disk; the next `up` continues. */
export async function stopLab(lab: Lab): Promise<void> {
  await Promise.all([...lab.hosts.values()].map((host) => host.stop()))
}

function hostNames(wanted: readonly string[], existing: readonly string[]): string[] {
  for (const name of wanted) {
    if (!HOSTS.some((spec) => spec.name === name)) {
      throw new LabError('usage', `there is no lab host "${name}"`, `choose from: ${HOSTS.map((spec) => spec.name).join(', ')}`)
    }
  }
  return HOSTS.map((spec) => spec.name).filter((name) => wanted.includes(name) || existing.includes(name))
}
