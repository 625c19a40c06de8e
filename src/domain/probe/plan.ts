/**
 * Decides what one command has to read on one host, from the runbooks alone.
 */
import type { RunbookSet } from '../estate.js'
import type { DirectoryPlan, HostProbePlan, ProducerPlan } from '../observation.js'

/**
 * The plan for one host. Disabled targets are read too: their rows show what is there.
 * @throws Error when the host is not in `estate.yaml` (the loader reports unknown hosts; callers pass hosts of the estate).
 */
export function planHostProbe(runbooks: RunbookSet, hostName: string): HostProbePlan {
  const host = runbooks.estate.hosts.find(({ name }) => name === hostName)
  if (!host) throw new Error(`host ${hostName} is not in estate.yaml`)
  return {
    host: host.name,
    site: host.site,
    kind: host.kind,
    sshAlias: host.sshAlias,
    sudo: host.sudo,
    deadlineMs: runbooks.estate.monitor.hostDeadlineSeconds * 1000,
    directories: planDirectories(runbooks, hostName),
    producers: planProducers(runbooks, hostName).map(({ plan }) => plan),
    proxmox: host.kind === 'proxmox' ? { node: host.node ?? host.name } : null,
  }
}

/** `/a/b/` and `/a/b` are one folder. */
export function normaliseFolder(path: string): string {
  const trimmed = path.replace(/\/+$/, '')
  return trimmed === '' ? '/' : trimmed
}

const isVzdumpGlob = (glob: string): boolean => glob.startsWith('vzdump-')

function planDirectories(runbooks: RunbookSet, hostName: string): DirectoryPlan[] {
  const folders = new Map<string, { basePath: string; globs: Set<string>; vzdump: boolean }>()
  for (const target of runbooks.inventory.targets) {
    if (target.host !== hostName || target.decommissioned) continue
    const basePath = normaliseFolder(target.basePath)
    const vzdump = isVzdumpGlob(target.glob)
    const key = `${vzdump ? 'v' : 'f'}${basePath}`
    const folder = folders.get(key) ?? { basePath, globs: new Set<string>(), vzdump }
    folder.globs.add(target.glob)
    folders.set(key, folder)
  }
  return [...folders.values()].map(({ basePath, globs, vzdump }, index) => ({ id: `d${index}`, basePath, globs: [...globs].sort(), vzdump }))
}

/** Identity of a producer within a host, so that targets that share one share its reading. */
export function producerKey(plan: ProducerPlan | Omit<ProducerPlan, 'id'>): string {
  switch (plan.kind) {
    case 'cron':
      return `cron\n${(plan as { match: string }).match}`
    case 'timer':
      return `timer\n${(plan as { unit: string }).unit}`
    case 'transfer':
      return `transfer\n${(plan as { match: string }).match}\n${(plan as { destination: string }).destination}`
  }
}

/** The producers that live on this host, each with the targets that rely on it; the ids are those of the plan. */
export function planProducers(runbooks: RunbookSet, hostName: string): { plan: ProducerPlan; targetIds: string[] }[] {
  const found = new Map<string, { plan: ProducerPlan; targetIds: string[] }>()
  for (const targetId of Object.keys(runbooks.estate.producedBy).sort()) {
    const producer = runbooks.estate.producedBy[targetId]
    if (!producer) continue
    const id = `p${found.size}`
    let plan: ProducerPlan | undefined
    if (producer.kind === 'cron' && producer.host === hostName) plan = { id, kind: 'cron', match: producer.match }
    if (producer.kind === 'timer' && producer.host === hostName) plan = { id, kind: 'timer', unit: producer.unit }
    if (producer.kind === 'transfer' && producer.from === hostName) plan = { id, kind: 'transfer', match: producer.match, destination: producer.destination }
    if (!plan) continue
    const known = found.get(producerKey(plan))
    if (known) known.targetIds.push(targetId)
    else found.set(producerKey(plan), { plan, targetIds: [targetId] })
  }
  return [...found.values()]
}
