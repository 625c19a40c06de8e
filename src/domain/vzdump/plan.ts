/**
 * From what is true on a host and what `vzdump.yaml` wants to the plan of `vzdumpJobs`. Pure: the same two give the same plan.
 *
 * A guest never comes into an existing job by this plan: that is an enrollment's, which waits for the guest's first artifact. The plan says
 * which enrollments are to be started once it is applied.
 */
import type { Destructive, Json, PlanDraft, PlanStep, PlanWarning } from '../change/plan.js'
import type { RunbookSet } from '../estate.js'
import { listInWords } from '../judge/words.js'
import type { ProofOnRecord } from '../retention/groups.js'
import type { VzdumpHost, WantedJob } from '../vzdump-runbook.js'
import { retentionText } from '../vzdump-runbook.js'
import { type GoneGuest, goneGuests } from './gone.js'
import { hygieneSteps, leftovers } from './hygiene.js'
import { isLegacyCron, type Row, type VzdumpObservation, vmidsOf } from './observation.js'
import * as steps from './plan-job-steps.js'
import { largestGap } from './schedules.js'
import { guestsOf } from './selection.js'
import { type Fields, fieldsOf, isScheduled, keepsLess, ownedFields, retentionOf, sameValue, wantedFields } from './wanted.js'
import { warningsOf } from './warnings.js'

/** Guests whose first scheduled artifact has to be waited for. */
export interface DueEnrollment {
  readonly job: string
  readonly guests: readonly number[]
}

export interface JobsPlan {
  readonly draft: PlanDraft
  readonly enrollments: readonly DueEnrollment[]
}

/**
 * @param today YYYY-MM-DD in the estate's zone
 * @param proofs what is on record about the archives of the host's site: for warnings only
 * @throws RangeError when `vzdump.yaml` has no entry for the host
 */
export function planVzdumpJobs(seen: VzdumpObservation, set: RunbookSet, today: string, proofs: readonly ProofOnRecord[]): JobsPlan {
  const entry = set.vzdump?.hosts.find((each) => each.host === seen.host)
  if (entry === undefined) throw new RangeError(`vzdump.yaml has no entry for host ${seen.host}`)
  return new Planner(seen, set, entry, today, proofs).plan()
}

class Planner {
  readonly #gone: ReadonlyMap<number, GoneGuest>
  readonly #there: ReadonlySet<number>
  readonly #owned: readonly string[]
  readonly #steps: PlanStep[] = []
  readonly #warnings: PlanWarning[] = []
  readonly #enrollments: DueEnrollment[] = []

  constructor(
    private readonly seen: VzdumpObservation,
    private readonly set: RunbookSet,
    private readonly entry: VzdumpHost,
    private readonly today: string,
    private readonly proofs: readonly ProofOnRecord[],
  ) {
    this.#gone = goneGuests(seen)
    this.#there = new Set(seen.guests.map((guest) => guest.vmid))
    this.#owned = ownedFields(entry)
  }

  plan(): JobsPlan {
    for (const storage of this.entry.storages) this.#storage(storage.id)
    for (const job of this.entry.jobs) this.#wantedJob(job)
    for (const row of this.seen.jobs) if (!this.entry.jobs.some((job) => job.id === row.id)) this.#otherJob(row)
    this.#steps.push(...hygieneSteps(this.seen, this.set, this.#gone, this.today))
    const left = leftovers(this.seen, this.entry, this.today)
    const warnings = [...this.#warnings, ...warningsOf(this.seen, this.set, this.entry, this.today, this.proofs), ...left.warnings]
    const enrollments = this.#enrollments.map(({ job, guests }) => ({ job, guests: [...guests] }))
    const facts: Record<string, Json> = { enrollments, leftovers: left.rows, gone: [...this.#gone.values()].map((guest) => ({ ...guest })) }
    const title = `Jobs and retention of ${this.seen.host} as vzdump.yaml says`
    return { draft: { runbook: 'vzdumpJobs', host: this.seen.host, title, steps: this.#steps, warnings, facts }, enrollments: this.#enrollments }
  }

  #warn(code: string, message: string): void {
    this.#warnings.push({ code, message })
  }

  #storage(id: string): void {
    const wanted = this.entry.storages.find((storage) => storage.id === id)?.retention
    if (wanted === undefined) return
    const storage = this.seen.storages.find((each) => each.id === id)
    if (storage === undefined) {
      this.#warn(
        'no_such_storage',
        `storage ${id} does not exist on ${this.seen.host}: its retention cannot be set; make the storage, or take it out of vzdump.yaml`,
      )
      return
    }
    if (sameValue('prune-backups', storage.retention, retentionText(wanted))) return
    const run = steps.dryRun(this.seen, id, wanted, retentionText(wanted), null)
    const lowered = keepsLess(retentionOf(storage.retention) ?? retentionOf(this.seen.nodeRetention), wanted)
    const what = `Keep ${retentionText(wanted)} of each guest on storage ${id}, where a job does not say otherwise (now ${String(storage.retention ?? 'not set')})`
    const destructive: Destructive[] = lowered || run.removes.length > 0 || run.why !== undefined ? ['lets a later run delete data'] : []
    const consequences = { destructive, removes: run.removes, words: steps.dryRunWords(id, wanted, run) }
    this.#steps.push(steps.setRetentionStep(this.seen.host, id, storage.retention, wanted, what, consequences))
  }

  #wantedJob(job: WantedJob): void {
    const guests = job.guests.filter((vmid) => this.#there.has(vmid))
    const unknown = job.guests.filter((vmid) => !this.#there.has(vmid) && !this.#gone.has(vmid))
    if (unknown.length > 0)
      this.#warn(
        'no_such_guest',
        `job ${job.id} is to back up ${listInWords(unknown.map(String))}, which ${this.seen.host} does not have yet: left out (${job.place})`,
      )
    const row = this.seen.jobs.find((each) => each.id === job.id)
    if (guests.length === 0) {
      // Without a living guest there is no job: what is there is dead, what is not there cannot be made.
      if (row !== undefined) this.#deadOrOther(row)
      return
    }
    const obstacle = this.#obstacle(job)
    if (obstacle !== null) {
      this.#warn(obstacle.code, `job ${job.id} is left as it is: ${obstacle.message} (${job.place})`)
      return
    }
    if (row === undefined) this.#create(job, guests)
    else this.#change(job, row, guests)
  }

  /** What would keep the job from ever running as wanted. */
  #obstacle(job: WantedJob): PlanWarning | null {
    const { host } = this.seen
    const storage = this.seen.storages.find((each) => each.id === job.storage)
    if (storage === undefined) return { code: 'no_such_storage', message: `storage ${job.storage} does not exist on ${host}` }
    if (!storage.holdsBackups) return { code: 'storage_without_backups', message: `storage ${job.storage} is not for backups (content)` }
    if (job.node !== undefined && !this.seen.nodes.includes(job.node)) return { code: 'no_such_node', message: `${host} has no node ${job.node}` }
    const runs = this.seen.schedules.find((each) => each.schedule === job.schedule)?.runs
    if (runs?.ok === false) return { code: 'bad_schedule', message: `${host} does not take schedule "${job.schedule}": ${runs.why}` }
    if (runs?.ok && runs.value.length === 0) return { code: 'bad_schedule', message: `schedule "${job.schedule}" never fires` }
    return null
  }

  #create(job: WantedJob, guests: readonly number[]): void {
    const wanted = wantedFields(job, guests)
    const consequences = this.#consequences(job, guests, null, { isRemoval: false, isNew: true })
    const what = `Create job ${job.id} (${job.tier}) for guest ${listInWords(guests.map(String))}, ${job.scheduled ? `at ${job.schedule}` : 'by hand only'}`
    this.#steps.push(steps.createJobStep(this.seen.host, job.id, what, wanted, consequences))
    if (job.scheduled) this.#enrollments.push({ job: job.id, guests })
  }

  #change(job: WantedJob, row: Row, guests: readonly number[]): void {
    // Of a pool whose members are not known nobody is taken to be covered: they join by enrollment.
    const covered = guestsOf(this.seen, row) ?? []
    const named = row.vmid === undefined ? guests : guests.filter((vmid) => covered.includes(vmid))
    // A job of which nothing is left is as good as new; by hand only, there is no scheduled artifact to wait for.
    const asNew = named.length === 0 && covered.length === 0
    const direct = asNew || !job.scheduled ? guests : named
    const joining = guests.filter((vmid) => !covered.includes(vmid))
    const leaving = covered.filter((vmid) => !guests.includes(vmid))
    if (direct.length === 0) {
      this.#warn('selection_replaced', `no guest of job ${job.id} is wanted any more; the wanted ones join by enrollment first, then run vzdumpJobs again`)
      this.#enroll(job, joining)
      return
    }
    const owned = fieldsOf(row, this.#owned)
    const all = wantedFields(job, direct)
    const wanted = Object.fromEntries(this.#owned.map((field) => [field, all[field] ?? null]))
    const differs = this.#owned.some((field) => !sameValue(field, owned[field] ?? null, wanted[field] ?? null))
    if (differs) {
      const begins = !isScheduled(row) && job.scheduled
      const lessens = leaving.length > 0 || this.#lessens(row, owned, wanted)
      const goneHere = vmidsOf(row.vmid).filter((vmid) => this.#gone.has(vmid))
      const consequences = this.#consequences(job, direct, row, { isRemoval: lessens || goneHere.length > 0, isNew: begins || asNew })
      this.#steps.push(steps.setJobStep(this.seen.host, job.id, this.#whatChanges(job, row, owned, wanted, leaving, goneHere), owned, wanted, consequences))
    }
    const beginsNow = job.scheduled && !isScheduled(row)
    this.#enroll(job, beginsNow ? guests : joining)
  }

  #enroll(job: WantedJob, guests: readonly number[]): void {
    if (job.scheduled && guests.length > 0) this.#enrollments.push({ job: job.id, guests })
  }

  /** Beside guests that leave: a job that is switched off, goes elsewhere, runs on fewer nodes, or fires less often. */
  #lessens(row: Row, now: Fields, wanted: Fields): boolean {
    const changes = (field: string) => this.#owned.includes(field) && !sameValue(field, now[field] ?? null, wanted[field] ?? null)
    const switchedOff = isScheduled(row) && wanted.enabled === 0
    const rarer = changes('schedule') && largestGap(this.seen, String(wanted.schedule)) > largestGap(this.seen, String(now.schedule)) + 3600
    return switchedOff || changes('storage') || changes('dumpdir') || changes('pool') || (changes('node') && wanted.node !== null) || rarer
  }

  #consequences(job: WantedJob, guests: readonly number[], row: Row | null, change: { isRemoval: boolean; isNew: boolean }): steps.Consequences {
    const owned = this.#owned.includes('prune-backups')
    const ownNow = row?.['prune-backups']
    const ofStorage = (id: Json | undefined) => this.seen.storages.find((each) => each.id === id)?.retention
    const storageWanted = this.entry.storages.find((each) => each.id === job.storage)?.retention
    const own = owned || row === null ? job.retention : (retentionOf(ownNow) ?? undefined)
    const after = own ?? storageWanted ?? steps.effectiveRetention(this.seen, null, ofStorage(job.storage))
    const now = row === null ? null : steps.effectiveRetention(this.seen, ownNow, ofStorage(row.storage))
    const isOtherStorage = row !== null && row.storage !== job.storage
    const mattersNow = change.isNew || isOtherStorage || keepsLess(now, after)
    const asked = own === undefined && storageWanted === undefined ? '' : retentionText(after ?? {})
    const run = mattersNow ? steps.dryRun(this.seen, job.storage, after, asked, guests) : { removes: [] }
    const lowered = row !== null && !change.isNew && keepsLess(now, after)
    const lets = lowered || run.removes.length > 0 || run.why !== undefined
    return {
      destructive: [...(lets ? (['lets a later run delete data'] as const) : []), ...(change.isRemoval ? (['lessens protection'] as const) : [])],
      removes: run.removes,
      words: mattersNow ? steps.dryRunWords(job.storage, after, run) : [],
    }
  }

  #whatChanges(job: WantedJob, row: Row, now: Fields, wanted: Fields, leaving: readonly number[], goneHere: readonly number[]): string {
    const words: string[] = []
    if (!isScheduled(row) && wanted.enabled === 1) words.push('switch it on')
    if (isScheduled(row) && wanted.enabled === 0) words.push('switch it off, to run by hand only')
    if (goneHere.length > 0) words.push(`take out ${listInWords(goneHere.map(String))}, gone from ${this.seen.host}`)
    if (leaving.length > 0) words.push(`stop backing up ${listInWords(leaving.map(String))}`)
    const told = ['enabled', 'vmid']
    const others = this.#owned.filter((field) => !told.includes(field) && !sameValue(field, now[field] ?? null, wanted[field] ?? null))
    if (others.length > 0) words.push(`set ${others.join(', ')}`)
    if (words.length === 0) words.push('set its guests')
    return `Change job ${job.id} (${job.tier}): ${words.join('; ')}`
  }

  /** A job of the host that `vzdump.yaml` does not list. */
  #otherJob(row: Row): void {
    if (isLegacyCron(row)) return
    this.#deadOrOther(row)
  }

  #deadOrOther(row: Row): void {
    const { host } = this.seen
    const id = String(row.id)
    const dead = this.#whyDead(row)
    if (dead !== null) {
      this.#steps.push(steps.deleteJobStep(host, row, `Remove job ${id}: ${dead}, so that it can never back anything up.`))
      return
    }
    const isListed = this.entry.jobs.some((job) => job.id === id)
    if (!isListed && this.entry.otherJobs === 'remove') {
      this.#steps.push(steps.deleteJobStep(host, row, `Remove job ${id}: vzdump.yaml does not list it and says other_jobs: remove.`))
      return
    }
    this.#warn(
      'other_job',
      `${host} has job ${id} (${String(row.schedule)}, ${isScheduled(row) ? 'on' : 'off'}) that vzdump.yaml ${isListed ? 'wants without any guest there is' : 'does not list'}: it stays`,
    )
    const named = vmidsOf(row.vmid)
    const living = named.filter((vmid) => !this.#gone.has(vmid))
    if (living.length === named.length) return
    const now = fieldsOf(row, ['vmid'])
    const what = `Change job ${id}: take out ${listInWords(named.filter((vmid) => this.#gone.has(vmid)).map(String))}, gone from ${host}`
    const consequences = { destructive: ['lessens protection'] as const, removes: [], words: [] }
    this.#steps.push(steps.setJobStep(host, id, what, now, { vmid: living.join(',') }, consequences))
  }

  #whyDead(row: Row): string | null {
    const { host, storages, nodes } = this.seen
    if (row.storage !== undefined && row.dumpdir === undefined && !storages.some((storage) => storage.id === row.storage))
      return `its storage ${String(row.storage)} does not exist on ${host}`
    if (row.node !== undefined && !nodes.includes(String(row.node))) return `its node ${String(row.node)} does not exist`
    const named = vmidsOf(row.vmid)
    if (row.vmid !== undefined && row.pool === undefined && named.length > 0 && named.every((vmid) => this.#gone.has(vmid)))
      return `its only ${named.length === 1 ? 'guest' : 'guests'} ${listInWords(named.map(String))} ${named.length === 1 ? 'is' : 'are'} gone from ${host}`
    return null
  }
}
