/**
 * Guests that are gone, in the runbook files: out of `vzdump.yaml`, marked decommissioned in `inventory.yaml` and `calendar.yaml`.
 * Their archives stay until somebody decides, and the decision has an end.
 */
import type { Check, Json, PathPart, PlanStep, PlanWarning, RunbookEdit, RunbookFile } from '../change/plan.js'
import type { RunbookSet } from '../estate.js'
import { ageInWords, listInWords, sizeInWords } from '../judge/words.js'
import { isZone, localDate } from '../judge/zone.js'
import type { Retention, VzdumpHost, WantedJob } from '../vzdump-runbook.js'
import { type GoneGuest, guestOfTarget, isEventOf } from './gone.js'
import type { VzdumpObservation } from './observation.js'
import { archivesOf, isoOf } from './plan-job-steps.js'

/** One change of a file: what it says before and after, the edit and the edit back. */
interface FileChange {
  readonly words: string
  readonly field: string
  readonly from: Json
  readonly to: Json
  readonly before: Check
  readonly after: Check
  readonly edit: RunbookEdit
  readonly undo: RunbookEdit
}

/** @param today YYYY-MM-DD: the date for guests whose end the host does not know */
export function hygieneSteps(seen: VzdumpObservation, set: RunbookSet, gone: ReadonlyMap<number, GoneGuest>, today: string): PlanStep[] {
  if (gone.size === 0) return []
  const marks = (vmids: readonly number[]): Json => {
    const ends = vmids.map((vmid) => gone.get(vmid)?.destroyedSeconds ?? null)
    const zone = seen.zone !== null && isZone(seen.zone) ? seen.zone : set.estate.timezone
    const last = ends.includes(null) ? null : Math.max(...ends.map(Number))
    const guests = `guest${vmids.length === 1 ? '' : 's'} ${listInWords(vmids.map(String))}`
    return { reason: `${guests} no longer on ${seen.host}`, date: last === null ? today : localDate(last, zone) }
  }
  return [
    ...fileStep('inventory', inventoryChanges(seen, set, gone, marks)),
    ...fileStep('calendar', calendarChanges(seen, set, gone, marks)),
    ...fileStep('vzdump', vzdumpChanges(seen, set, gone)),
  ]
}

type Marks = (vmids: readonly number[]) => Json

function inventoryChanges(seen: VzdumpObservation, set: RunbookSet, gone: ReadonlyMap<number, GoneGuest>, marks: Marks): FileChange[] {
  return set.inventory.targets.flatMap((target) => {
    const vmid = target.decommissioned ? null : guestOfTarget(set, seen.host, target)
    if (vmid === null || !gone.has(vmid)) return []
    return [mark('inventory', ['targets', { key: 'name', value: target.id }], target.id, marks([vmid]))]
  })
}

function calendarChanges(seen: VzdumpObservation, set: RunbookSet, gone: ReadonlyMap<number, GoneGuest>, marks: Marks): FileChange[] {
  return set.calendar.events.flatMap((event) => {
    const named = event.guests ?? []
    const dead = named.filter((vmid) => gone.has(vmid))
    if (event.decommissioned || dead.length === 0 || !isEventOf(event, seen.host)) return []
    const row = ['events', { key: 'id', value: event.id }]
    if (dead.length === named.length) return [mark('calendar', row, event.id, marks(dead))]
    return [listChange('calendar', [...row, 'guests'], named, dead, `event ${event.id}`)]
  })
}

function vzdumpChanges(seen: VzdumpObservation, set: RunbookSet, gone: ReadonlyMap<number, GoneGuest>): FileChange[] {
  const entry = set.vzdump?.hosts.find((each) => each.host === seen.host)
  const jobs = ['hosts', { key: 'host', value: seen.host }, 'jobs']
  return (entry?.jobs ?? []).flatMap((job) => {
    const dead = job.guests.filter((vmid) => gone.has(vmid))
    if (dead.length === 0) return []
    const row = [...jobs, { key: 'id', value: job.id }]
    return [dead.length < job.guests.length ? listChange('vzdump', [...row, 'guests'], job.guests, dead, `job ${job.id}`) : removeJob(job, jobs, row)]
  })
}

type Path = readonly PathPart[]

function mark(file: RunbookFile, row: Path, id: string, value: Json): FileChange {
  const path = [...row, 'decommissioned']
  const check = (found: Json): Check => ({ kind: 'runbook', file, path, value: found })
  return {
    words: `mark ${id} decommissioned`,
    field: `${id}.decommissioned`,
    from: null,
    to: value,
    before: check(null),
    after: check(value),
    edit: { op: 'set', path, value },
    undo: { op: 'set', path, value: null },
  }
}

function listChange(file: RunbookFile, path: Path, named: readonly number[], dead: readonly number[], what: string): FileChange {
  const left = named.filter((vmid) => !dead.includes(vmid))
  const check = (value: readonly number[]): Check => ({ kind: 'runbook', file, path, value: [...value], set: true })
  return {
    words: `take ${listInWords(dead.map(String))} out of ${what}`,
    field: `${what}.guests`,
    from: [...named],
    to: left,
    before: check(named),
    after: check(left),
    edit: { op: 'remove-from-list', path, values: dead },
    undo: { op: 'add-to-list', path, values: dead },
  }
}

/** A job none of whose guests is left: its entry goes. */
function removeJob(job: WantedJob, jobs: Path, row: Path): FileChange {
  const entry = entryOf(job)
  const check = (id: string | null): Check => ({ kind: 'runbook', file: 'vzdump', path: [...row, 'id'], value: id })
  return {
    words: `remove the entry of job ${job.id}, none of whose guests is left`,
    field: `jobs.${job.id}`,
    from: entry,
    to: null,
    before: check(job.id),
    after: check(null),
    edit: { op: 'set', path: row, value: null },
    undo: { op: 'add-to-list', path: jobs, values: [entry] },
  }
}

/** The entry of a job as it stands in `vzdump.yaml`. */
function entryOf(job: WantedJob): Json {
  const entry: Record<string, Json | undefined> = {
    id: job.id,
    tier: job.tier,
    guests: [...job.guests],
    schedule: job.schedule,
    scheduled: job.scheduled ? undefined : false,
    storage: job.storage,
    retention: job.retention === undefined ? undefined : keepEntry(job.retention),
    mode: job.mode,
    compress: job.compress,
    comment: job.comment,
    notes_template: job.notesTemplate,
    mailto: job.mailto === undefined ? undefined : [...job.mailto],
    mail_notification: job.mailNotification,
    notification_mode: job.notificationMode,
    node: job.node,
    repeat_missed: job.repeatMissed,
  }
  return Object.fromEntries(Object.entries(entry).filter((pair): pair is [string, Json] => pair[1] !== undefined))
}

function keepEntry(retention: Retention): Json {
  return Object.fromEntries(Object.entries(retention).map(([key, count]) => [key.replace('-', '_'), key === 'keep-all' ? true : count]))
}

/** All changes of a file are one step: one replacement of the file. */
function fileStep(file: RunbookFile, changes: readonly FileChange[]): PlanStep[] {
  if (changes.length === 0) return []
  const edits = changes.map((change) => change.edit)
  return [
    {
      id: `edit ${file}.yaml`,
      what: `In ${file}.yaml: ${changes.map((change) => change.words).join('; ')}. Comments and order stay.`,
      host: null,
      effect: { kind: 'runbook', file, edits },
      destructive: file === 'vzdump' ? ['lessens protection'] : [],
      before: changes.map((change) => change.before),
      after: changes.map((change) => change.after),
      undo: { effect: { kind: 'runbook', file, edits: changes.map((change) => change.undo).reverse() } },
      diff: changes.map(({ field, from, to }) => ({ field, from, to })),
      removes: [],
    },
  ]
}

export interface Leftovers {
  /** Of each guest that is gone and each storage: how many archives, how big, how old, and what was decided. */
  readonly rows: readonly Json[]
  readonly warnings: readonly PlanWarning[]
}

/** Archives of guests that this host does not have, and whether somebody decided about them. */
export function leftovers(seen: VzdumpObservation, entry: VzdumpHost, today: string): Leftovers {
  const there = new Set(seen.guests.map((guest) => guest.vmid))
  const rows: Json[] = []
  const warnings: PlanWarning[] = []
  for (const storage of seen.storages) {
    const archives = archivesOf(seen, storage.id).filter((archive) => archive.vmid !== null && !there.has(archive.vmid))
    for (const vmid of [...new Set(archives.map((archive) => Number(archive.vmid)))].sort((a, b) => a - b)) {
      const own = archives.filter((archive) => archive.vmid === vmid)
      const bytes = own.reduce((sum, archive) => sum + (archive.sizeBytes ?? 0), 0)
      const times = own.flatMap((archive) => (archive.createdSeconds === null ? [] : [archive.createdSeconds])).sort((a, b) => a - b)
      const [oldest, newest] = [times.at(0) ?? null, times.at(-1) ?? null]
      const decision = entry.leftovers.find((each) => each.guest === vmid)
      const inForce = decision !== undefined && decision.keepUntil >= today
      rows.push({
        guest: vmid,
        storage: storage.id,
        archives: own.length,
        bytes,
        oldest: oldest === null ? null : isoOf(oldest),
        newest: newest === null ? null : isoOf(newest),
        sharedStorage: storage.shared,
        keepUntil: decision?.keepUntil ?? null,
        reason: decision?.reason ?? null,
      })
      if (inForce) continue
      const age = newest === null ? 'of unknown age' : `the newest ${ageInWords(Math.max(0, seen.epochSeconds - newest))} old`
      const what = `${own.length} ${own.length === 1 ? 'archive' : 'archives'} of guest ${vmid} (${sizeInWords(bytes)}, ${age}) on ${storage.id}`
      const shared = storage.shared ? '; the storage is shared: it may be another host’s guest' : ''
      const decided =
        decision === undefined ? `nobody decided about them: add leftovers: { guest, keep_until, reason }` : `the decision ended on ${decision.keepUntil}`
      warnings.push({
        code: decision === undefined ? 'leftover_undecided' : 'leftover_decision_over',
        message: `${what}, which ${seen.host} does not have; they stay, and ${decided} in vzdump.yaml, or prune them${shared}`,
      })
    }
  }
  return { rows, warnings }
}
