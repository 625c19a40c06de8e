/** The plans of an enrollment, from readings of a lab (`test/fixtures/vzdump`, emulated pve-manager 9.2) and the runbook files of the same state. */
import { beforeAll, describe, expect, it } from 'vitest'
import { nextRun } from '../../../src/domain/enroll/next-run.js'
import { chooseJob, planEnrollment, planRollOut } from '../../../src/domain/enroll/plan.js'
import { planValidation } from '../../../src/domain/enroll/validation.js'
import type { RunbookSet } from '../../../src/domain/estate.js'
import { workflowIds } from '../../../src/domain/ids.js'
import { RUNBOOKS } from '../../../src/domain/runbook-catalog.js'
import type { VzdumpObservation } from '../../../src/domain/vzdump/observation.js'
import type { VzdumpHost, WantedJob } from '../../../src/domain/vzdump-runbook.js'
import { observation, runbooks, withEntry, withJob } from '../vzdump/world.js'

const JOB = 'backup-pve-daily'
const seen = observation('shop-as-found')
let set: RunbookSet

beforeAll(async () => {
  set = await runbooks('as-found')
})

const entryOf = (of: RunbookSet, host = 'pve'): VzdumpHost => of.vzdump?.hosts.find((entry) => entry.host === host) ?? expect.fail(`no ${host}`)
const jobOf = (change: Partial<WantedJob> = {}): WantedJob => ({ ...chooseJob(entryOf(set), [200], JOB), guests: [200, 202, 203, 204], ...change })
const enroll = (of: VzdumpObservation, guests: number[], job = jobOf()) => planEnrollment(of, set, job, guests)
const argv = (effect: { kind: string; argv?: readonly string[] }) => effect.argv
/** Archives that people made of a guest before it came into the job, oldest first. */
const withArchives = (of: VzdumpObservation, vmid: number, count: number, isProtected = false): VzdumpObservation => ({
  ...of,
  storages: of.storages.map((storage) => {
    if (storage.id !== 'tank-backups' || storage.archives?.ok !== true) return storage
    const made = Array.from({ length: count }, (_, day) => ({
      volid: `tank-backups:backup/vzdump-qemu-${vmid}-2026_11_0${day + 1}-08_00_00.vma.zst`,
      vmid,
      sizeBytes: 1_000_000_000,
      createdSeconds: 1_793_500_000 + day * 86_400,
      protected: isProtected,
    }))
    return { ...storage, archives: { ok: true, value: [...storage.archives.value, ...made] } }
  }),
})

describe('the job that is meant', () => {
  const two = (jobs: Partial<WantedJob>[]): VzdumpHost => ({ ...entryOf(set), jobs: jobs.map((job) => jobOf(job)) })

  it.each([
    ['the one that is named', [{ id: 'a' }, { id: 'b', guests: [211] }], [211], 'a', 'a'],
    [
      'the one that lists all of the guests',
      [
        { id: 'a', guests: [211] },
        { id: 'b', guests: [211, 212] },
      ],
      [211, 212],
      undefined,
      'b',
    ],
    ['the only scheduled one', [{ id: 'a', scheduled: false }, { id: 'b' }], [211], undefined, 'b'],
  ] as const)('is %s', (_what, jobs, guests, named, chosen) => {
    expect(chooseJob(two(jobs as never), guests, named).id).toBe(chosen)
  })

  it.each([
    ['none of several lists the guests', [{ id: 'a' }, { id: 'b' }], undefined, /say which job: vzdump.yaml has a, b for pve/],
    ['there is none of that name', [{ id: 'a' }], 'c', /has no job c for pve \(there: a\)/],
    ['it runs by hand only', [{ id: 'a', scheduled: false }], 'a', /runs by hand only .* no scheduled artifact to wait for/],
  ] as const)('is refused when %s', (_what, jobs, named, words) => {
    expect(() => chooseJob(two(jobs as never), [211], named)).toThrow(words)
  })
})

describe('the way into a job', () => {
  it('is one edit of vzdump.yaml and one of the job, each with its undo, harmless for guests without archives', () => {
    const { draft, joining } = enroll(seen, [213, 211])
    expect(joining).toEqual([213, 211])
    expect(draft.steps.map(({ id, destructive }) => [id, destructive])).toEqual([
      [`add guests of ${JOB} in vzdump.yaml`, []],
      [`set job ${JOB}`, []],
    ])
    const [list, job] = draft.steps
    expect(list?.diff).toEqual([{ field: 'guests', from: [200, 202, 203, 204], to: [200, 202, 203, 204, 213, 211] }])
    expect(list?.undo).toMatchObject({ effect: { edits: [{ op: 'remove-from-list', values: [213, 211] }] } })
    expect(job && argv(job.effect)).toEqual(['pvesh', 'set', `/cluster/backup/${JOB}`, '--vmid', '200,202,203,204,211,213'])
    expect(job?.before).toMatchObject([{ fields: { vmid: '200,202,203,204' } }])
    expect(job?.undo).toMatchObject({ effect: { argv: expect.arrayContaining(['200,202,203,204']) } })
  })

  it.each([
    ['nothing for a guest that is in both', [200], undefined, []],
    ['only the file where the job names it already', [204], { guests: [200, 202, 203] }, [`add guests of ${JOB} in vzdump.yaml`]],
    ['only the job where the file lists it already', [211], { guests: [200, 211] }, [`set job ${JOB}`]],
  ] as const)('is %s', (_what, guests, job, steps) => {
    expect(enroll(seen, [...guests], jobOf(job as never)).draft.steps.map(({ id }) => id)).toEqual(steps)
  })

  it.each([
    ['a guest that does not exist', seen, [213, 299], /pve has no guest 299; `when: \{guestExists: true\}` waits for it/],
    ['a job that the host has not', withJob(seen, JOB, null), [211], /has no job backup-pve-daily yet: run vzdumpJobs/],
    ['a job that is disabled', withJob(seen, JOB, { enabled: 0 }), [211], /is disabled on pve: run vzdumpJobs/],
    ['a job of a pool', withJob(seen, JOB, { vmid: undefined as never, pool: 'shop' }), [211], /backs up pool shop: put the guests into that pool/],
    ['a job of all but some', withJob(seen, JOB, { vmid: undefined as never, all: 1, exclude: '211' }), [211], /change its exclude list by vzdumpJobs/],
  ] as const)('is refused for %s', (_what, of, guests, words) => {
    expect(() => enroll(of, [...guests])).toThrow(words)
  })

  it('is nothing where the job backs up all guests', () => {
    expect(enroll(withJob(seen, JOB, { vmid: undefined as never, all: 1 }), [211], jobOf({ guests: [211] })).draft.steps).toEqual([])
  })

  it('lets a later run delete when archives lie there: the one that the next night pushes out stands in the plan', () => {
    const [, step] = enroll(withArchives(seen, 211, 2), [211]).draft.steps
    expect(step?.destructive).toEqual(['lets a later run delete data'])
    expect(step?.removes.map(({ volid }) => volid)).toEqual(['tank-backups:backup/vzdump-qemu-211-2026_11_01-08_00_00.vma.zst'])
    expect(step?.what).toContain('With the new archive counted the run also removes tank-backups:backup/vzdump-qemu-211-2026_11_01')
    expect(enroll(withArchives(seen, 211, 1), [211]).draft.steps[1]).toMatchObject({ destructive: [], removes: [] })
    expect(enroll(withArchives(seen, 211, 2, true), [211]).draft.steps[1]).toMatchObject({ destructive: [], removes: [] })
  })

  it('warns of a guest without an agent and of one whose backups leave something out', () => {
    const bent = { ...seen, guests: seen.guests.map((guest) => (guest.vmid === 211 ? { ...guest, agent: false, leftOut: ['scsi1'] } : guest)) }
    expect(enroll(bent, [211]).draft.warnings.map(({ code }) => code)).toEqual(['no_agent', 'left_out'])
  })
})

describe('what the next run removes', () => {
  const storage = 'tank-backups'
  const of = withArchives(seen, 211, 2)

  it.each([
    ['nothing under keep-all', { 'keep-all': 1 }, '', { removes: [], mayRemove: false, words: [] }],
    ['not known with a rule of days: it may', { 'keep-last': 2, 'keep-daily': 7 }, 'keep-last=2', { removes: [], mayRemove: true }],
    [
      'not known when the host was not asked: it may',
      { 'keep-last': 2 },
      'keep-last=9',
      { removes: [], mayRemove: true, words: [expect.stringContaining('could not be asked')] },
    ],
  ] as const)('is %s', (_what, retention, asked, expected) => {
    expect(nextRun(of, storage, retention, asked, [211])).toMatchObject(expected)
  })

  it('is what the host says now and one more', () => {
    const home = observation('home-as-found-archives')
    const { removes } = nextRun(home, 'synology-backups', { 'keep-last': 3 }, 'keep-last=3', [100])
    expect(removes.map(({ volid }) => /2026_\d\d_\d\d/.exec(volid)?.[0])).toEqual(['2026_11_16', '2026_11_17', '2026_11_18'])
  })
})

describe('the way out of a job', () => {
  const listed = () => jobOf({ guests: [200, 202, 203, 204] })

  it('takes the guests out of job and file, lessens protection, and leaves the archives', () => {
    const { steps } = planRollOut(seen, listed(), [203, 204])
    expect(steps.map(({ id, destructive }) => [id, destructive])).toEqual([
      [`set job ${JOB}`, ['lessens protection']],
      [`add guests of ${JOB} in vzdump.yaml`.replace('add', 'remove'), []],
    ])
    expect(steps[0] && argv(steps[0].effect)).toContain('200,202')
    expect(steps[0]).toMatchObject({ removes: [], what: expect.stringContaining('Their archives stay') })
  })

  it('is nothing for a guest that is in neither, and refused when nobody would be left', () => {
    expect(planRollOut(seen, listed(), [211]).steps).toEqual([])
    expect(() => planRollOut(seen, listed(), [200, 202, 203, 204])).toThrow(/would be left without a guest: take it out by vzdumpJobs/)
  })
})

describe('one backup by hand', () => {
  const unit = 'nightshift-validate-12345678.service'

  it('is one unit with the options of the job, which cannot be undone, and shows what its pruning removes', () => {
    const draft = planValidation(withArchives(seen, 211, 3), entryOf(set), jobOf(), [211], unit)
    const [step] = draft.steps
    expect(draft.steps).toHaveLength(1)
    expect(step && argv(step.effect)).toEqual(
      ['systemd-run', '--quiet', `--unit=${unit}`, '--property=RemainAfterExit=yes'].concat([
        'vzdump',
        '211',
        '--storage',
        'tank-backups',
        '--mode',
        'snapshot',
        '--compress',
        'zstd',
      ]),
    )
    expect(step).toMatchObject({ destructive: ['deletes data'], undo: { none: expect.stringContaining('cannot be brought back') } })
    expect(step?.removes).toHaveLength(2)
    expect(planValidation(seen, entryOf(set), jobOf(), [211], unit).steps[0]).toMatchObject({ destructive: [], removes: [] })
  })

  it("prunes by the job's own retention, and is refused without the job", () => {
    const own = withJob(seen, JOB, { 'prune-backups': { 'keep-last': '5' } })
    const of = withEntry(set, 'pve', () => ({ storages: [] }))
    const [step] = planValidation(own, entryOf(of), jobOf({ retention: { 'keep-last': 5 } }), [211], unit).steps
    expect(step && argv(step.effect)).toEqual(expect.arrayContaining(['--prune-backups', 'keep-last=5']))
    expect(() => planValidation(withJob(seen, JOB, null), entryOf(set), jobOf(), [211], unit)).toThrow(/has no job backup-pve-daily whose storage/)
  })
})

describe('the name of an enrollment', () => {
  const name = (input: unknown) => RUNBOOKS.vzdumpEnrollment?.workflowId('lab', input)

  it('is its job, or its guests whatever their order, so that two on one thing cannot overlap and others can', () => {
    expect(name({ host: 'pve', guests: [211], job: 'daily' })).toBe('enroll/pve/daily')
    expect(name({ host: 'pve', guests: [212, 211] })).toBe('enroll/pve/211+212')
    expect(name({ host: 'pve', guests: [211, 212, 211] })).toBe('enroll/pve/211+212')
    expect(name({ host: 'pve', guests: Array.from({ length: 200 }, (_, index) => 999_999_000 + index) })).toBe('enroll/pve/999999000..999999199+200')
    expect(workflowIds.firstArtifacts('enroll/pve/211+212')).toBe('first-artifacts/pve/211+212')
  })
})
