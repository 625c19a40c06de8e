/** What the runbook files have to say once a guest's first scheduled artifact is proven. Pure: edits, in the order in which they may be made. */
import type { Effect, RunbookEdit } from '../change/plan.js'
import type { Classification, RunbookSet } from '../estate.js'
import { matchesGlob } from '../probe/glob.js'
import { normaliseFolder } from '../probe/plan.js'
import { isEventOf } from '../vzdump/gone.js'
import type { ScheduledArtifact } from './types.js'

/** Tiers and classes are the same decision: P0 critical, P1 important, P2 rebuildable. */
const CLASS_OF_TIER: Readonly<Record<string, Classification>> = { P0: 'critical', P1: 'important', P2: 'rebuildable' }

export interface Enrolled {
  readonly host: string
  readonly job: string
  readonly vmid: number
  readonly name: string
  readonly type: 'qemu' | 'lxc'
  readonly artifact: Pick<ScheduledArtifact, 'path'>
}

export interface EnrolledEdits {
  readonly effects: readonly Extract<Effect, { kind: 'runbook' }>[]
  /** What the files say afterwards, for people; the same when an attempt before this one wrote some of it and its answer was lost. */
  readonly words: readonly string[]
  readonly target: string
}

export function editsFor(set: RunbookSet, enrolled: Enrolled): EnrolledEdits {
  const { host, vmid, artifact } = enrolled
  const slash = artifact.path.lastIndexOf('/')
  const folder = artifact.path.slice(0, slash)
  const name = artifact.path.slice(slash + 1)
  const known = set.inventory.targets.find(
    (target) =>
      target.host === host &&
      !target.decommissioned &&
      normaliseFolder(target.basePath) === folder &&
      target.glob.includes(`-${vmid}-`) &&
      matchesGlob(target.glob, name),
  )
  const id = known?.id ?? freshName(set, enrolled)
  const inventory: RunbookEdit[] =
    known === undefined
      ? [{ op: 'add-to-list', path: ['targets'], values: [rowFor(set, enrolled, id, folder, name)] }]
      : known.enabled
        ? []
        : [{ op: 'set', path: ['targets', { key: 'name', value: id }, 'enabled'], value: true }]
  const producer: RunbookEdit[] = set.estate.producedBy[id] === undefined ? [{ op: 'set', path: ['produced_by', id], value: { vzdump: { host, vmid } } }] : []
  const event = eventOf(set, enrolled)
  const calendar: RunbookEdit[] =
    event === undefined || event.guests?.includes(vmid)
      ? []
      : [{ op: 'add-to-list', path: ['events', { key: 'id', value: event.id }, 'guests'], values: [vmid] }]
  return {
    effects: [
      ...(inventory.length > 0 ? [{ kind: 'runbook' as const, file: 'inventory' as const, edits: inventory }] : []),
      ...(producer.length > 0 ? [{ kind: 'runbook' as const, file: 'estate' as const, edits: producer }] : []),
      ...(calendar.length > 0 ? [{ kind: 'runbook' as const, file: 'calendar' as const, edits: calendar }] : []),
    ],
    words: [
      `inventory.yaml: ${id} is enabled`,
      `estate.yaml: produced_by of ${id}`,
      ...(event === undefined ? [] : [`calendar.yaml: guest ${vmid} in event ${event.id}`]),
    ],
    target: id,
  }
}

function freshName(set: RunbookSet, { host, type, vmid, name }: Enrolled): string {
  const plain = `${type === 'lxc' ? 'lxc' : 'vm'}-${vmid}-${name.replace(/[^A-Za-z0-9-]+/g, '-')}-primary`
  return set.inventory.targets.some((target) => target.id === plain) ? `${host}-${plain}` : plain
}

function rowFor(set: RunbookSet, { host, job, vmid, type }: Enrolled, id: string, folder: string, name: string) {
  const tier = set.vzdump?.hosts.find((each) => each.host === host)?.jobs.find((each) => each.id === job)?.tier
  const decided = set.estate.guests.find((guest) => guest.host === host && guest.vmid === vmid)?.classification
  const extension = name.replace(/^vzdump-\w+-\d+-[\d_]+-[\d_]+\./, '')
  return {
    name: id,
    enabled: true,
    kind: 'file_glob',
    host,
    base_path: folder,
    glob: `vzdump-${type}-${vmid}-*.${extension}`,
    classification: decided ?? CLASS_OF_TIER[tier ?? ''] ?? 'important',
  }
}

/** The event that names the job; without such a key, the one event of this host that is about guests of the job and of no other job. */
function eventOf(set: RunbookSet, { host, job, vmid }: Enrolled) {
  const events = set.calendar.events.filter((event) => !event.decommissioned)
  const named = events.find((event) => event.job === `${host}/${job}`)
  if (named !== undefined) return named
  const jobs = set.vzdump?.hosts.find((each) => each.host === host)?.jobs ?? []
  const own = jobs.find((each) => each.id === job)?.guests ?? []
  const ofOthers = jobs.filter((each) => each.id !== job).flatMap((each) => each.guests)
  const about = events.filter((event) => {
    const others = (event.guests ?? []).filter((guest) => guest !== vmid)
    return event.job === undefined && isEventOf(event, host) && others.some((guest) => own.includes(guest)) && !others.some((guest) => ofOthers.includes(guest))
  })
  return about.length === 1 ? about[0] : undefined
}
