/**
 * The plans of an enrollment: guests into `vzdump.yaml` and their job, and (only ever by approval) out of both again. Pure.
 * The host's own dry run says what the job's retention would remove of guests that already have archives.
 */
import type { Check, Json, PathPart, PlanDraft, PlanStep, PlanWarning, RunbookEdit } from '../change/plan.js'
import type { RunbookSet } from '../estate.js'
import { listInWords } from '../judge/words.js'
import { isTrue, type Row, type VzdumpObservation, vmidsOf } from '../vzdump/observation.js'
import { type Consequences, effectiveRetention, setJobStep } from '../vzdump/plan-job-steps.js'
import { isScheduled } from '../vzdump/wanted.js'
import { retentionText, type VzdumpHost, type WantedJob } from '../vzdump-runbook.js'
import { nextRun } from './next-run.js'

export interface EnrollmentPlan {
  readonly draft: PlanDraft
  /** Guests that come into the job by this plan; the others were in it. */
  readonly joining: readonly number[]
}

/**
 * The job that is meant: the one named, else the one that lists all of the guests, else the host's only scheduled one.
 * @throws RangeError naming the jobs there are
 */
export function chooseJob(entry: VzdumpHost, guests: readonly number[], named: string | undefined): WantedJob {
  const scheduled = entry.jobs.filter((job) => job.scheduled)
  const listing = scheduled.filter((job) => guests.every((vmid) => job.guests.includes(vmid)))
  const job = named !== undefined ? entry.jobs.find(({ id }) => id === named) : (listing[0] ?? (scheduled.length === 1 ? scheduled[0] : undefined))
  const known = entry.jobs.map(({ id }) => id).join(', ')
  if (job === undefined) {
    throw new RangeError(
      named === undefined ? `say which job: vzdump.yaml has ${known} for ${entry.host}` : `vzdump.yaml has no job ${named} for ${entry.host} (there: ${known})`,
    )
  }
  if (!job.scheduled) throw new RangeError(`job ${job.id} runs by hand only (scheduled: false, ${job.place}): there is no scheduled artifact to wait for`)
  return job
}

/** @throws RangeError when the host's job cannot take the guests */
export function planEnrollment(seen: VzdumpObservation, set: RunbookSet, job: WantedJob, guests: readonly number[]): EnrollmentPlan {
  const row = rowOf(seen, job)
  const named = namedBy(seen, row)
  const joining = guests.filter((vmid) => !named.includes(vmid))
  const absent = guests.filter((vmid) => !seen.guests.some((guest) => guest.vmid === vmid))
  if (absent.length > 0) throw new RangeError(`${seen.host} has no guest ${listInWords(absent.map(String))}; \`when: {guestExists: true}\` waits for it`)
  const unlisted = guests.filter((vmid) => !job.guests.includes(vmid))
  const steps = [
    ...(unlisted.length > 0 ? [listStep(seen.host, job, unlisted, 'add')] : []),
    ...(joining.length > 0 ? [joinStep(seen, set, job, row, joining)] : []),
  ]
  return { draft: draftOf(seen.host, `Guest ${listInWords(guests.map(String))} into job ${job.id}`, steps, warningsFor(seen, guests)), joining }
}

/** Out of the job and of `vzdump.yaml`. Archives stay. @throws RangeError when nobody would be left in the job */
export function planRollOut(seen: VzdumpObservation, job: WantedJob, guests: readonly number[]): PlanDraft {
  const row = rowOf(seen, job)
  const now = String(row.vmid ?? '')
  const left = vmidsOf(now).filter((vmid) => !guests.includes(vmid))
  if (left.length === 0) throw new RangeError(`job ${job.id} would be left without a guest: take it out by vzdumpJobs`)
  const listed = guests.filter((vmid) => job.guests.includes(vmid))
  const named = guests.filter((vmid) => vmidsOf(now).includes(vmid))
  const consequences: Consequences = { destructive: ['lessens protection'], removes: [], words: ['Their archives stay'] }
  const what = `Take guest ${listInWords(named.map(String))} out of job ${job.id}`
  const steps = [
    ...(named.length > 0 ? [setJobStep(seen.host, job.id, what, { vmid: now }, { vmid: left.join(',') }, consequences)] : []),
    ...(listed.length > 0 ? [listStep(seen.host, job, listed, 'remove')] : []),
  ]
  return draftOf(seen.host, `Guest ${listInWords(guests.map(String))} out of job ${job.id}`, steps, [])
}

function draftOf(host: string, title: string, steps: readonly PlanStep[], warnings: readonly PlanWarning[]): PlanDraft {
  return { runbook: 'vzdumpEnrollment', host, title, steps, warnings, facts: {} }
}

function rowOf(seen: VzdumpObservation, job: WantedJob): Row {
  const row = seen.jobs.find((each) => each.id === job.id)
  if (row === undefined) throw new RangeError(`${seen.host} has no job ${job.id} yet: run vzdumpJobs, which makes it`)
  if (!isScheduled(row)) throw new RangeError(`job ${job.id} is disabled on ${seen.host}: run vzdumpJobs, which sets it as vzdump.yaml says`)
  return row
}

function namedBy(seen: VzdumpObservation, row: Row): readonly number[] {
  if (row.vmid !== undefined) return vmidsOf(row.vmid)
  if (row.pool !== undefined) throw new RangeError(`job ${String(row.id)} backs up pool ${String(row.pool)}: put the guests into that pool`)
  const excluded = vmidsOf(row.exclude)
  return isTrue(row.all) ? seen.guests.map(({ vmid }) => vmid).filter((vmid) => !excluded.includes(vmid)) : []
}

function joinStep(seen: VzdumpObservation, set: RunbookSet, job: WantedJob, row: Row, joining: readonly number[]): PlanStep {
  if (row.vmid === undefined) throw new RangeError(`job ${job.id} backs up all guests but those it excludes: change its exclude list by vzdumpJobs`)
  const now = String(row.vmid)
  const wanted = [...vmidsOf(now), ...joining].sort((a, b) => a - b).join(',')
  const storageWanted = set.vzdump?.hosts.find(({ host }) => host === seen.host)?.storages.find(({ id }) => id === job.storage)?.retention
  const ofStorage = seen.storages.find(({ id }) => id === job.storage)?.retention
  const retention = effectiveRetention(seen, row['prune-backups'], ofStorage)
  const asked = job.retention ?? storageWanted
  const run = nextRun(seen, job.storage, retention, asked === undefined ? '' : retentionText(asked), joining)
  const consequences: Consequences = { destructive: run.mayRemove ? ['lets a later run delete data'] : [], removes: run.removes, words: run.words }
  return setJobStep(seen.host, job.id, `Put guest ${listInWords(joining.map(String))} into job ${job.id}`, { vmid: now }, { vmid: wanted }, consequences)
}

function listStep(host: string, job: WantedJob, guests: readonly number[], change: 'add' | 'remove'): PlanStep {
  const path: readonly PathPart[] = ['hosts', { key: 'host', value: host }, 'jobs', { key: 'id', value: job.id }, 'guests']
  const left = change === 'add' ? [...job.guests, ...guests] : job.guests.filter((vmid) => !guests.includes(vmid))
  const check = (value: readonly number[]): Check => ({ kind: 'runbook', file: 'vzdump', path, value: [...value], set: true })
  const edit = (op: 'add-to-list' | 'remove-from-list'): RunbookEdit => ({ op, path, values: [...guests] })
  const [there, back] = change === 'add' ? (['add-to-list', 'remove-from-list'] as const) : (['remove-from-list', 'add-to-list'] as const)
  return {
    id: `${change} guests of ${job.id} in vzdump.yaml`,
    what: `vzdump.yaml: ${change} guest ${listInWords(guests.map(String))} ${change === 'add' ? 'to' : 'from'} job ${job.id}.`,
    host: null,
    effect: { kind: 'runbook', file: 'vzdump', edits: [edit(there)] },
    destructive: [],
    before: [check(job.guests)],
    after: [check(left)],
    undo: { effect: { kind: 'runbook', file: 'vzdump', edits: [edit(back)] } },
    diff: [{ field: 'guests', from: [...job.guests] as Json, to: [...left] as Json }],
    removes: [],
  }
}

function warningsFor(seen: VzdumpObservation, guests: readonly number[]): PlanWarning[] {
  return seen.guests
    .filter(({ vmid }) => guests.includes(vmid))
    .flatMap((guest) => [
      ...(guest.type === 'qemu' && !guest.agent
        ? [{ code: 'no_agent', message: `guest ${guest.vmid} (${guest.name}) has no guest agent: its file systems are not frozen for the backup` }]
        : []),
      ...(guest.leftOut.length > 0
        ? [{ code: 'left_out', message: `guest ${guest.vmid} (${guest.name}): backups leave out ${listInWords(guest.leftOut)}` }]
        : []),
    ])
}
