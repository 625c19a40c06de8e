/** Steps that change one job or one storage of a host: with exactly the fields that are ours as precondition, read-back and undo. */
import type { Check, Destructive, Json, PlanStep, RemovedArtifact } from '../change/plan.js'
import { listInWords, sizeInWords } from '../judge/words.js'
import type { Retention } from '../vzdump-runbook.js'
import { retentionText } from '../vzdump-runbook.js'
import type { ArchiveNow, Row, VzdumpObservation } from './observation.js'
import { type Fields, fieldArguments, retentionOf, SET_FIELDS, sameValue } from './wanted.js'

/** Members of a job's row that are no fields of the job. */
const NO_FIELDS = new Set(['id', 'type', 'next-run', 'digest'])

const jobPath = (id: string) => `/cluster/backup/${id}`

const jobCheck = (id: string, fields: Fields | null): Check => ({ kind: 'row', path: '/cluster/backup', where: { id }, fields, sets: SET_FIELDS })

const storageCheck = (storage: string, retention: Json): Check => ({
  kind: 'row',
  path: '/storage',
  where: { storage },
  fields: { 'prune-backups': retention },
  sets: ['prune-backups'],
})

/** What is lessened or lost by a change, and what the host would prune after it. */
export interface Consequences {
  readonly destructive: readonly Destructive[]
  readonly removes: readonly RemovedArtifact[]
  /** Sentences that follow the step's own. */
  readonly words: readonly string[]
}

/** Sets the fields of a job that differ; everything else of it stays. */
export function setJobStep(host: string, id: string, what: string, now: Fields, wanted: Fields, consequences: Consequences): PlanStep {
  const changed = Object.keys(wanted).filter((field) => !sameValue(field, now[field] ?? null, wanted[field] ?? null))
  const after = { ...now, ...Object.fromEntries(changed.map((field) => [field, wanted[field] ?? null])) }
  return {
    id: `set job ${id}`,
    what: sentences(what, consequences.words),
    host,
    effect: { kind: 'command', argv: ['pvesh', 'set', jobPath(id), ...fieldArguments(settable(changed, after))] },
    destructive: consequences.destructive,
    before: [jobCheck(id, now)],
    after: [jobCheck(id, after)],
    undo: { effect: { kind: 'command', argv: ['pvesh', 'set', jobPath(id), ...fieldArguments(settable(changed, now))] } },
    diff: changed.map((field) => ({ field, from: now[field] ?? null, to: after[field] ?? null })),
    removes: consequences.removes,
  }
}

/**
 * A selection that is given anew takes the others with it (pve-manager PVE/API2/Backup.pm, update_job), and `enabled` cannot be unset.
 */
function settable(changed: readonly string[], fields: Fields): Fields {
  const gives = (field: string) => changed.includes(field) && fields[field] !== null && fields[field] !== undefined
  const taken = gives('vmid')
    ? ['all', 'exclude', 'pool']
    : gives('all') || gives('exclude')
      ? ['vmid', 'pool']
      : gives('pool')
        ? ['vmid', 'all', 'exclude']
        : []
  const kept = changed.filter((field) => !(taken.includes(field) && (fields[field] ?? null) === null))
  return Object.fromEntries(kept.map((field) => [field, field === 'enabled' && fields[field] === null ? 1 : (fields[field] ?? null)]))
}

export function createJobStep(host: string, id: string, what: string, wanted: Fields, consequences: Consequences): PlanStep {
  const given = Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== null))
  return {
    id: `create job ${id}`,
    what: sentences(what, consequences.words),
    host,
    effect: { kind: 'command', argv: ['pvesh', 'create', '/cluster/backup', '--id', id, ...fieldArguments(given)] },
    destructive: consequences.destructive,
    before: [jobCheck(id, null)],
    after: [jobCheck(id, given)],
    undo: { effect: { kind: 'command', argv: ['pvesh', 'delete', jobPath(id)] } },
    diff: Object.entries(given).map(([field, to]) => ({ field, from: null, to })),
    removes: consequences.removes,
  }
}

/** Removes a job whole; whoever changed anything of it since is working on it, so all of its fields are compared. */
export function deleteJobStep(host: string, row: Row, what: string): PlanStep {
  const id = String(row.id)
  const fields = Object.fromEntries(Object.entries(row).filter(([name]) => !NO_FIELDS.has(name)))
  return {
    id: `delete job ${id}`,
    what,
    host,
    effect: { kind: 'command', argv: ['pvesh', 'delete', jobPath(id)] },
    destructive: ['lessens protection'],
    before: [jobCheck(id, fields)],
    after: [jobCheck(id, null)],
    undo: { effect: { kind: 'command', argv: ['pvesh', 'create', '/cluster/backup', '--id', id, ...fieldArguments(fields)] } },
    diff: Object.entries(fields).map(([field, from]) => ({ field, from, to: null })),
    removes: [],
  }
}

/** Proxmox refuses to write when its file is not the one that was compared; of jobs it takes no digest (pve-storage PVE/API2/Storage/Config.pm; pve-common SectionConfig: SHA-1). */
const STORAGE_DIGEST = ['--digest', '{{sha1:/etc/pve/storage.cfg}}'] as const

/** Sets the retention of a storage, on condition that nobody writes /etc/pve/storage.cfg between comparing and setting. */
export function setRetentionStep(host: string, storage: string, now: Json, wanted: Retention, what: string, consequences: Consequences): PlanStep {
  const path = `/storage/${storage}`
  const text = retentionText(wanted)
  return {
    id: `set retention of storage ${storage}`,
    what: sentences(what, consequences.words),
    host,
    effect: { kind: 'command', argv: ['pvesh', 'set', path, '--prune-backups', text, ...STORAGE_DIGEST] },
    destructive: consequences.destructive,
    before: [storageCheck(storage, now)],
    after: [storageCheck(storage, text)],
    undo: { effect: { kind: 'command', argv: ['pvesh', 'set', path, ...fieldArguments({ 'prune-backups': now }), ...STORAGE_DIGEST] } },
    diff: [{ field: 'prune-backups', from: now, to: text }],
    removes: consequences.removes,
  }
}

/**
 * What the host's own dry run with these options would remove, of these guests.
 * @param guests null = of all
 * @returns `why` when the host did not say: then nobody may think that nothing is removed
 */
export function dryRun(
  seen: VzdumpObservation,
  storage: string,
  retention: Retention | null,
  asked: string,
  guests: readonly number[] | null,
): { readonly removes: readonly RemovedArtifact[]; readonly why?: string } {
  if (retention === null || retention['keep-all'] !== undefined) return { removes: [] }
  const answer = seen.prunes.find((prune) => prune.storage === storage && prune.options === asked)?.removes
  if (answer === undefined) return { removes: [], why: 'the host was not asked' }
  if (!answer.ok) return { removes: [], why: answer.why }
  const archives = archivesOf(seen, storage)
  const removes = answer.value.flatMap((volid) => {
    const archive = archives.find((each) => each.volid === volid)
    const vmid = archive?.vmid ?? null
    if (guests !== null && (vmid === null || !guests.includes(vmid))) return []
    const createdAt = archive?.createdSeconds == null ? null : isoOf(archive.createdSeconds)
    return [{ storage, volid, vmid, sizeBytes: archive?.sizeBytes ?? null, createdAt }]
  })
  return { removes }
}

/** In words, for the step that leads to it. */
export function dryRunWords(storage: string, retention: Retention | null, run: ReturnType<typeof dryRun>): string[] {
  if (retention === null || retention['keep-all'] !== undefined) return []
  const options = retentionText(retention)
  if (run.why !== undefined) return [`What ${options} removes from ${storage} could not be asked: ${run.why}`]
  if (run.removes.length === 0) return [`The host's dry run with ${options} removes nothing from ${storage} now`]
  const bytes = run.removes.reduce((sum, { sizeBytes }) => sum + (sizeBytes ?? 0), 0)
  const guests = [...new Set(run.removes.map(({ vmid }) => (vmid === null ? 'unknown' : String(vmid))))]
  const archives = run.removes.length === 1 ? '1 archive' : `${run.removes.length} archives`
  return [
    `The host's dry run with ${options} removes ${archives} (${sizeInWords(bytes)}) of guest ${listInWords(guests)} from ${storage}`,
    'A run prunes right after each guest with its new archive counted, so that it removes one more where the count is full',
  ]
}

export function archivesOf(seen: VzdumpObservation, storage: string): readonly ArchiveNow[] {
  const archives = seen.storages.find((each) => each.id === storage)?.archives
  return archives?.ok ? archives.value : []
}

/** The retention in force for a job's runs: taken whole from the first that says anything. */
export function effectiveRetention(seen: VzdumpObservation, own: Json | undefined, storageRetention: Json | undefined): Retention | null {
  return retentionOf(own) ?? retentionOf(storageRetention) ?? retentionOf(seen.nodeRetention)
}

function sentences(first: string, more: readonly string[]): string {
  return [first, ...more].map((sentence) => `${sentence}.`).join(' ')
}

export function isoOf(seconds: number): string {
  return new Date(seconds * 1000).toISOString()
}
