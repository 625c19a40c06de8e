/**
 * The plan of a prune: one step for each archive that goes, each on condition that it and the proven copies that stay are still exactly the files
 * that were looked at. What is approved is what is removed, nothing else (I23). Pure.
 */
import { type Check, type Json, MOST_STEPS, type PlanDraft, type PlanStep, type PlanWarning } from '../change/plan.js'
import { ageInWords, sizeInWords } from '../judge/words.js'
import { retentionText } from '../vzdump-runbook.js'
import { type Archive, type Decision, type GuestArchives, isProven, PROVEN_LEVEL } from './archive.js'
import { foreseenPruning, type PrunedByJob } from './foresee.js'
import type { RetentionView, RetentionWorld, StorageArchives } from './groups.js'
import { keepsAll, parseRetention, retentionOf } from './keep.js'
import { decide, guardedArchives, newestFirst, toProve } from './rule.js'

/** More than this no person reads; what goes is named by the steps in any case. */
const MOST_SENTENCES = 1000

/** How one guest's archives on one storage stand against what is wanted. */
export interface ComplianceLine {
  readonly storage: string
  readonly vmid: number | null
  readonly name: string | null
  readonly guest: GuestArchives['guest']
  readonly wantedInWords: string
  /** Most that the retention keeps; null = all. */
  readonly wanted: number | null
  readonly kept: number
  /** How many the host's own retention would remove. */
  readonly over: number
  /** How many are missing to what is wanted. */
  readonly under: number
  readonly proven: number
  readonly provenWanted: number
  /** How many this plan removes, and what is left then. */
  readonly goes: number
  readonly freedBytes: number
  readonly provenLeft: number
  readonly oldestLeft: string | null
  readonly newestLeft: string | null
}

export interface ArchiveLine {
  readonly storage: string
  readonly vmid: number | null
  readonly volid: string
  readonly goes: boolean
  readonly why: Decision['why']
  readonly sentence: string
}

/** An archive that has to be read to its end before anything of its guest may be removed. */
export interface ArchiveToProve {
  readonly volid: string
  readonly vmid: number | null
  readonly storage: string
  readonly path: string
  readonly sizeBytes: number
  readonly modifiedAtSeconds: number
}

export interface RetentionOutcome {
  readonly draft: PlanDraft
  readonly compliance: readonly ComplianceLine[]
  readonly archives: readonly ArchiveLine[]
  readonly toProve: readonly ArchiveToProve[]
}

export interface PlanOptions {
  readonly node: string
  readonly guests: readonly number[] | null
  /**
   * `proven`: only what is proven now counts; a plan to be applied. `if-proven`: says what would go once the archives in `toProve` are proven; a preview.
   */
  readonly counting: 'proven' | 'if-proven'
}

/** Decides on every archive that was seen and makes the plan of what goes. */
export function planRetention(world: RetentionWorld, view: RetentionView, options: PlanOptions): RetentionOutcome {
  const chosen = view.storages.flatMap((storage) =>
    storage.groups.filter(({ vmid }) => options.guests === null || (vmid !== null && options.guests.includes(vmid))).map((group) => ({ storage, group })),
  )
  const missing = chosen.flatMap(({ group }) => toProve(group).map((archive) => toProveOf(group, archive)))
  const judged = chosen.map(({ storage, group }) => {
    const counted = options.counting === 'proven' ? group : assumeProven(group)
    return { storage, group: counted, decisions: decide(counted), seen: group }
  })
  const steps = judged.flatMap(({ storage, group, decisions }) =>
    decisions.filter(({ removes }) => removes).map((decision) => stepOf(world.host, options.node, storage, group, decision)),
  )
  // the oldest first: what a run does not get to is what was made last
  const inOrder = steps.sort((a, b) => a.startedSeconds - b.startedSeconds || (a.step.id < b.step.id ? -1 : 1))
  const now = new Set(inOrder.slice(0, MOST_STEPS).map(({ step }) => step.id))
  const lines = judged.map(({ group, decisions, seen }) => complianceOf(group, decisions, seen, now))
  const archives = judged.flatMap(({ group, decisions }) => decisions.map((decision) => archiveLine(group, decision, now)))
  return {
    draft: {
      runbook: 'retentionPrune',
      host: world.host,
      title: titleOf(world.host, inOrder.length, lines),
      steps: inOrder.slice(0, MOST_STEPS).map(({ step }) => step),
      warnings: [...warningsOf(view, judged, lines, inOrder.length - now.size), ...foreseen(world, view, options.guests), ...differences(world, view)],
      facts: factsOf(lines, archives),
    },
    compliance: lines,
    archives,
    toProve: missing,
  }
}

function archiveLine(group: GuestArchives, { archive, removes, why, sentence }: Decision, now: ReadonlySet<string>): ArchiveLine {
  const later = removes && !now.has(stepId(archive))
  return {
    storage: group.storage,
    vmid: group.vmid,
    volid: archive.volid,
    goes: removes && !later,
    why: later ? 'next_run' : why,
    sentence: later ? `stays for now: a plan has at most ${MOST_STEPS} steps; the next run takes it up` : sentence,
  }
}

/** For whoever approves: how each guest stands before and after, and why each archive stays or goes. */
function factsOf(lines: readonly ComplianceLine[], archives: readonly ArchiveLine[]): Readonly<Record<string, Json>> {
  return {
    freedBytes: lines.reduce((sum, { freedBytes }) => sum + freedBytes, 0),
    guests: lines.map((line): Json => ({ ...line })),
    archives: archives.slice(0, MOST_SENTENCES).map(({ volid, sentence }) => `${volid} ${sentence}`),
    ...(archives.length > MOST_SENTENCES ? { archivesNotNamed: archives.length - MOST_SENTENCES } : {}),
  }
}

const stepId = (archive: Archive): string => `remove ${archive.volid}`

const toProveOf = (group: GuestArchives, { volid, path, sizeBytes, modifiedAtSeconds }: Archive): ArchiveToProve => ({
  volid,
  vmid: group.vmid,
  storage: group.storage,
  path,
  sizeBytes,
  modifiedAtSeconds,
})

/** The group as it is once everything that has to be read was read and found whole. */
function assumeProven(group: GuestArchives): GuestArchives {
  const assumed = new Set(toProve(group))
  return { ...group, archives: group.archives.map((archive) => (assumed.has(archive) ? { ...archive, proofLevel: PROVEN_LEVEL } : archive)) }
}

function stepOf(
  host: string,
  node: string,
  storage: StorageArchives,
  group: GuestArchives,
  { archive, sentence }: Decision,
): { step: PlanStep; startedSeconds: number } {
  const path = `/nodes/${node}/storage/${group.storage}/content/${archive.volid}`
  const guarded = guardedArchives(group).map((each) => present(each, storage))
  return {
    startedSeconds: archive.startedSeconds,
    step: {
      id: stepId(archive),
      what: `Remove ${archive.volid} of ${whose(group)}. It ${sentence}`,
      host,
      effect: { kind: 'command', argv: ['pvesh', 'delete', path] },
      destructive: ['deletes data'],
      before: [present(archive, storage), ...guarded],
      // `pvesm free` and its kin exit 0 also when nothing was removed: only looking again tells
      after: [{ ...present(archive, storage), artifact: null }, ...guarded],
      undo: { none: 'a removed archive cannot be brought back; the proven copies that stay are named in the plan' },
      diff: [{ field: archive.volid, from: `${sizeInWords(archive.sizeBytes)}, modified ${iso(archive.modifiedAtSeconds)}`, to: null }],
      removes: [{ storage: group.storage, volid: archive.volid, vmid: group.vmid, sizeBytes: archive.sizeBytes, createdAt: iso(archive.startedSeconds) }],
    },
  }
}

function present(archive: Archive, storage: StorageArchives): Extract<Check, { kind: 'artifact' }> {
  const { path, sizeBytes, modifiedAtSeconds, isProtected } = archive
  return {
    kind: 'artifact',
    path,
    artifact: { sizeBytes, modifiedAtSeconds, protected: isProtected },
    ...(storage.mountedAt === null ? {} : { mountedAt: storage.mountedAt }),
  }
}

function complianceOf(group: GuestArchives, decisions: readonly Decision[], seen: GuestArchives, now: ReadonlySet<string>): ComplianceLine {
  const goes = decisions.filter(({ archive, removes }) => removes && now.has(stepId(archive))).map(({ archive }) => archive)
  const left = newestFirst(group.archives.filter((archive) => !goes.includes(archive)))
  const over = group.archives.filter(({ marks }) => marks.length > 0 && marks.every(({ mark }) => mark === 'remove')).length
  return {
    storage: group.storage,
    vmid: group.vmid,
    name: group.name,
    guest: group.guest,
    wantedInWords: group.wantedInWords,
    wanted: group.wanted,
    kept: group.archives.length,
    over,
    under: Math.max(0, (group.wanted ?? 0) - group.archives.length),
    proven: seen.archives.filter(isProven).length,
    provenWanted: group.provenCopies,
    goes: goes.length,
    freedBytes: goes.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    provenLeft: left.filter((archive) => isProven(archive)).length,
    oldestLeft: left.at(-1) === undefined ? null : iso(left.at(-1)?.startedSeconds ?? 0),
    newestLeft: left[0] === undefined ? null : iso(left[0].startedSeconds),
  }
}

type Judged = { readonly group: GuestArchives; readonly decisions: readonly Decision[]; readonly seen: GuestArchives }

function warningsOf(view: RetentionView, judged: readonly Judged[], lines: readonly ComplianceLine[], left: number): PlanWarning[] {
  const warnings: PlanWarning[] = view.storages.flatMap(({ unread }) =>
    unread === null ? [] : [{ code: 'storage_not_read', message: `${unread}: nothing of it is removed` }],
  )
  if (left > 0)
    warnings.push({ code: 'more_than_fits', message: `${left} more would go; a plan has at most ${MOST_STEPS} steps, so the next run takes them up` })
  for (const { group, decisions } of judged) {
    const earlier = decisions.filter(({ archive, removes }) => removes && archive.isOfEarlierGuest)
    if (earlier.length > 0) {
      warnings.push({
        code: 'earlier_guest',
        message: `${earlier.length} of the archives that go are of an EARLIER guest with the number ${group.vmid} on ${group.storage}, not of the one that has it now`,
      })
    }
    const damaged = group.archives.filter(({ isDamaged }) => isDamaged)
    if (damaged.length > 0) warnings.push({ code: 'damaged', message: `read and found damaged: ${damaged.map(({ volid }) => volid).join(', ')}` })
  }
  for (const line of lines) {
    if (line.guest === 'present' && line.over > 0 && line.provenLeft < line.provenWanted) {
      warnings.push({
        code: 'too_few_proven',
        message: `guest ${line.vmid} has ${line.provenLeft} proven copies on ${line.storage}, ${line.provenWanted} are wanted: nothing of it is removed`,
      })
    }
  }
  return warnings
}

/** I17: what the jobs' own pruning would leave after two bad nights. A good archive is a complete one, or where some are proven, a proven one. */
function foreseen(world: RetentionWorld, view: RetentionView, guests: readonly number[] | null): PlanWarning[] {
  const pruned: PrunedByJob[] = (view.proxmox.jobs ?? []).flatMap(({ seen, covers }) => {
    const reading = world.reading.storages.find(({ id }) => id === seen.storage)
    const storage = view.storages.find(({ id }) => id === seen.storage)
    if (!seen.enabled || !reading || !storage) return []
    const inherited = reading.options ?? world.reading.nodeOptions
    const options = seen.pruneBackups !== null ? retentionOf(seen.pruneBackups) : inherited === null ? { 'keep-all': 1 } : parseRetention(inherited)
    return [...covers]
      .filter((vmid) => guests === null || guests.includes(vmid))
      .map((vmid): PrunedByJob => {
        const own = storage.groups.filter((group) => group.vmid === vmid && group.guest === 'present').flatMap(({ archives }) => archives)
        const anyProven = own.some(isProven)
        const nextRuns = seen.nextRunSeconds === null ? [] : [seen.nextRunSeconds]
        const archives = own.map((archive) => ({
          startedSeconds: archive.startedSeconds,
          isProtected: archive.isProtected,
          isGood: anyProven ? isProven(archive) : archive.incomplete === null,
        }))
        return { job: seen.id, storage: storage.id, vmid, options, nextRuns, archives }
      })
  })
  return foreseenPruning(pruned, view.view.zone)
}

/** Where the host keeps something else than vzdump.yaml wants: the plan goes by the host, and says so. */
function differences(world: RetentionWorld, view: RetentionView): PlanWarning[] {
  const wanted = world.vzdump.hosts.find(({ host }) => host === world.host)
  return (wanted?.jobs ?? []).flatMap((job) => {
    const live = view.proxmox.jobs?.find(({ seen }) => seen.id === job.id)?.seen
    if (!live || job.retention === undefined || !world.reading.storages.some(({ id }) => id === live.storage)) return []
    const has = live.pruneBackups === null ? null : retentionOf(live.pruneBackups)
    if (has !== null && (retentionText(has) === retentionText(job.retention) || (keepsAll(has) && keepsAll(job.retention)))) return []
    return [
      {
        code: 'retention_differs',
        message: `job ${job.id} keeps ${has === null ? 'what its storage keeps' : retentionText(has)} on the host; ${job.place} wants ${retentionText(job.retention)} (run vzdumpJobs first)`,
      },
    ]
  })
}

const whose = (group: GuestArchives): string => {
  const guest = `guest ${group.vmid}${group.name === null ? '' : ` (${group.name})`}`
  return group.guest === 'earlier' ? `an EARLIER guest with the number ${group.vmid}` : group.guest === 'gone' ? `${guest}, which is gone` : guest
}

function titleOf(host: string, count: number, lines: readonly ComplianceLine[]): string {
  if (count === 0) return `Nothing on ${host} has to go`
  const freed = lines.reduce((sum, { freedBytes }) => sum + freedBytes, 0)
  return `Remove ${count} ${count === 1 ? 'archive' : 'archives'} on ${host}, ${sizeInWords(freed)}`
}

const iso = (seconds: number): string => new Date(seconds * 1000).toISOString().replace('.000Z', 'Z')

/** The compliance of a run as a Markdown table: what a preview ends with. @param nowSeconds the host's clock */
export function complianceTable(lines: readonly ComplianceLine[], nowSeconds: number): string {
  const age = (at: string | null): string => (at === null ? '–' : ageInWords(nowSeconds - Date.parse(at) / 1000))
  const rows = lines.map(
    (line) =>
      `| ${line.storage} | ${line.vmid ?? '?'}${line.guest === 'present' ? '' : ` (${line.guest})`} | ${line.wantedInWords} | ${line.kept} | ${line.over} | ${line.under} | ${line.proven} of ${line.provenWanted} | ${line.goes} | ${sizeInWords(line.freedBytes)} | ${line.provenLeft} | ${age(line.newestLeft)} … ${age(line.oldestLeft)} |`,
  )
  return [
    '| storage | guest | wanted | kept | over | under | proven | goes | frees | proven left | newest … oldest left |',
    '| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |',
    ...rows,
  ].join('\n')
}
