/** What is said before anybody approves. Schedules were read from a lab host's own `schedule-analyze`. */
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { ProofOnRecord } from '../../../src/domain/retention/groups.js'
import type { GuestNow, Row, ScheduleRuns, VzdumpObservation } from '../../../src/domain/vzdump/observation.js'
import { NotBelieved, parseVzdumpReading } from '../../../src/domain/vzdump/reader.js'
import { codesOf, observation, plan, runbooks, step, stepsOf, TODAY, withEntry, withJob } from './world.js'

const healthy = await runbooks('healthy')
const SCHEDULES = JSON.parse(readFileSync('test/fixtures/vzdump/schedules.json', 'utf8')) as ScheduleRuns[]
/** No archive, nothing to lose by pruning: what is warned of then is the test's own. */
const withoutArchives = (seen: VzdumpObservation): VzdumpObservation => ({ ...seen, storages: seen.storages.map((each) => ({ ...each, archives: null })) })
const shop = withoutArchives({ ...observation('shop-healthy'), schedules: SCHEDULES })
const home = withoutArchives({ ...observation('home-healthy'), schedules: SCHEDULES })

const shopWith = (change: object) =>
  plan(
    shop,
    withEntry(healthy, 'pve', ({ jobs }) => ({ jobs: jobs.map((job) => ({ ...job, ...change })) })),
  )
const messagesOf = (planned: ReturnType<typeof plan>, code: string) =>
  planned.draft.warnings.filter((warning) => warning.code === code).map(({ message }) => message)

describe('a schedule that means something else than it looks', () => {
  test.each([
    ['24:00', /fires every .*: a number without an hour/],
    ['22', /fires every/],
    ['mon..fri 22', /fires every/],
    ['*:*', /fires every/],
    ['22:00..23:00', /fires every/],
    ['8:00/15', /fires every/],
    ['02:00,14:00', /fires every/],
    ['*-31', /skips the months that have no such day/],
  ])('"%s" is told', (schedule, message) => {
    expect(messagesOf(shopWith({ schedule }), 'schedule_trap')).toEqual([expect.stringMatching(message)])
  })

  test.each(['02:00', 'mon..fri 02:30', 'sun 04:00', 'sat *-1..7 15:00', '02:30 UTC'])('"%s" is what it says', (schedule) => {
    expect(messagesOf(shopWith({ schedule }), 'schedule_trap')).toEqual([])
  })

  test('a tier that is to be daily and does not run at weekends is told', () => {
    expect(codesOf(shopWith({ schedule: 'mon..fri 02:30' }))).toContain('tier_schedule')
    expect(codesOf(shopWith({ schedule: '02:00' }))).not.toContain('tier_schedule')
  })

  test.each(['cron me', '02-30'])('"%s", which the host refuses or which never fires, changes no job', (schedule) => {
    const planned = shopWith({ schedule })
    expect(stepsOf(planned)).toEqual([])
    expect(codesOf(planned)).toContain('bad_schedule')
  })
})

describe('before approving, it is said', () => {
  const guest = (change: Partial<GuestNow>) => ({ ...shop, guests: shop.guests.map((each) => (each.vmid === 204 ? { ...each, ...change } : each)) })

  test('when a guest has no agent', () => expect(codesOf(plan(guest({ agent: false }), healthy))).toEqual(['no_agent']))

  test('when a disk is left out of backups', () =>
    expect(messagesOf(plan(guest({ leftOut: ['scsi1'] }), healthy), 'disk_left_out')).toEqual([
      expect.stringContaining('guest 204 (infra-core) leave out scsi1'),
    ]))

  test('when two jobs write to one storage in one window, and not when they do not', () => {
    const second = (schedule: string) =>
      plan(
        home,
        withEntry(healthy, 'proxmox-home', ({ jobs }) => ({ jobs: [...jobs, { ...(jobs[0] as (typeof jobs)[0]), id: 'second', schedule }] })),
      )
    const run = home.lastRuns.find(({ job }) => job === 'backup-home-p0-daily')
    expect(run?.seconds).toBeLessThan(1800)
    expect(codesOf(second('03:00'))).toContain('same_window')
    expect(codesOf(second('02:30 UTC'))).not.toContain('same_window')
  })

  test('when fewer are kept than proven ones are wanted', () => {
    expect(codesOf(shopWith({ retention: { 'keep-last': 1 } }))).toEqual(['too_few_kept'])
    expect(codesOf(shopWith({ retention: { 'keep-last': 1, 'keep-weekly': 1 } }))).toEqual([])
  })

  test('when a storage or node does not exist: the job stays as it is', () => {
    for (const [change, code] of [
      [{ storage: 'gone' }, 'no_such_storage'],
      [{ node: 'pve9' }, 'no_such_node'],
      [{ storage: 'local' }, 'storage_without_backups'],
    ] as const) {
      const planned = shopWith(change)
      expect(codesOf(planned)).toContain(code)
      expect(stepsOf(planned)).toEqual([])
    }
    const legacy = withJob(shop, 'other', { vmid: '200', schedule: '02:00', enabled: 1, node: 'pve9', storage: 'gone' })
    expect(codesOf(plan(legacy, healthy))).toEqual(expect.arrayContaining(['job_without_storage', 'job_without_node']))
  })

  test('when old cron lines still run, which are never changed', () => {
    const row = { id: `${'0'.repeat(40)}:1`, enabled: '1', schedule: 'sat 02:00', vmid: '200', storage: 'gone' }
    const planned = plan({ ...shop, jobs: [row, ...shop.jobs], legacyCronLines: ['0 2 * * 6 root vzdump 200'] }, healthy)
    expect(codesOf(planned)).toContain('legacy_cron')
    expect(stepsOf(planned)).toEqual([])
  })

  test('when a waiver is over, on the day after its last', () => {
    const waived = { ...healthy, estate: { ...healthy.estate, guests: [{ host: 'pve', vmid: 215, waiver: { reason: 'later', until: '2026-11-21' } }] } }
    const without = withEntry(waived, 'pve', ({ jobs }) => ({ jobs: jobs.map((job) => ({ ...job, guests: job.guests.filter((vmid) => vmid !== 215) })) }))
    const seen = withJob(shop, 'backup-pve-daily', { vmid: '200,202,203,204,205,206,207,209,210,211,212,213,214' })
    expect(codesOf(plan(seen, without, '2026-11-21'))).toEqual([])
    expect(codesOf(plan(seen, without, '2026-11-22'))).toEqual(['not_in_any_job', 'waiver_over'])
  })

  test('when the host complains while it answers', () => {
    expect(codesOf(plan({ ...shop, remarks: ['file jobs.cfg line 3 - ignore config line'] }, healthy))).toEqual(['host_said'])
  })
})

describe('two bad nights (I17)', () => {
  const before = observation('shop-healthy')
  const told = (planned: ReturnType<typeof plan>) => messagesOf(planned, 'two_bad_nights')
  const keeping = (count: number) =>
    withEntry(healthy, 'pve', ({ jobs, storages }) => ({
      jobs: jobs.map((job) => ({ ...job, retention: { 'keep-last': count } })),
      storages: storages.map((storage) => ({ ...storage, retention: { 'keep-last': count } })),
    }))
  const archives = before.storages.flatMap(({ archives: of }) => (of?.ok ? of.value : []))
  const proven = (which: (nights: number) => boolean): ProofOnRecord[] => {
    const nights = new Map<number | null, number>()
    return archives.flatMap(({ volid, vmid, sizeBytes, createdSeconds }) => {
      nights.set(vmid, (nights.get(vmid) ?? 0) + 1)
      const proof = { volid, sizeBytes: sizeBytes ?? 0, modifiedAtSeconds: createdSeconds ?? 0, level: 2, provenAt: '2026-11-20T00:00:00Z' }
      return which(nights.get(vmid) ?? 0) ? [proof] : []
    })
  }

  test('are foreseen before a plan of jobs is approved, by the options that are wanted', () => {
    expect(told(plan(before, keeping(2)))).toEqual([
      expect.stringMatching(/^job backup-pve-daily prunes tank-backups by keep-last=2 .*no good archive of guests 200, 202, 203, 204/),
    ])
    expect(told(plan(before, keeping(3)))).toEqual([])
    expect(told(plan(before, keeping(7)))).toEqual([])
  })

  test('count proven archives where some are: the newer ones that nobody has read are no help', () => {
    expect(
      told(
        plan(
          before,
          keeping(3),
          TODAY,
          proven((night) => night === 1),
        ),
      ),
    ).toEqual([])
    expect(
      told(
        plan(
          before,
          keeping(3),
          TODAY,
          proven((night) => night === 2),
        ),
      ),
    ).toEqual([expect.stringContaining('no good archive of guests 200')])
  })

  test('are foreseen of a job that vzdump.yaml does not list, with the guests of its pool', () => {
    const pool = withJob({ ...before, pools: [{ id: 'web', vmids: [200, 999] }] }, 'theirs', {
      pool: 'web',
      schedule: '02:00',
      enabled: 1,
      storage: 'tank-backups',
      'prune-backups': { 'keep-last': '1' },
    })
    expect(told(plan(pool, keeping(7)))).toEqual([expect.stringMatching(/^job theirs .* by keep-last=1 .* of guest 200;/)])
    expect(told(plan({ ...pool, jobs: pool.jobs.map((job) => ({ ...job, enabled: 0 })) }, keeping(7)))).toEqual([])
  })
})

describe('guests that a job selects otherwise than by a list', () => {
  const daily = { schedule: '02:00', enabled: 1, storage: 'tank-backups' }
  const unlisted = withEntry(healthy, 'pve', () => ({ jobs: [] }))
  /** The numbers of the guests that are in no job, with nothing on the host but this one. */
  const inNoJob = (row: Row, seen: Partial<VzdumpObservation> = {}) =>
    messagesOf(plan({ ...shop, ...seen, jobs: [{ id: 'theirs', ...daily, ...row }] }, unlisted), 'not_in_any_job').map((message) =>
      Number(/guest (\d+)/.exec(message)?.[1]),
    )
  const all = shop.guests.map(({ vmid }) => vmid)

  test('are in a job: all of them, all but the excluded, the members of its pool', () => {
    expect(inNoJob({ vmid: '200' })).toEqual(all.filter((vmid) => vmid !== 200))
    expect(inNoJob({ all: 1 })).toEqual([])
    expect(inNoJob({ all: 1, exclude: '204,211' })).toEqual([204, 211])
    expect(inNoJob({ exclude: '204' })).toEqual([204])
    expect(inNoJob({ pool: 'web' }, { pools: [{ id: 'web', vmids: all.filter((vmid) => vmid !== 210) }] })).toEqual([210])
    expect(inNoJob({ all: 1, enabled: 0 })).toEqual(all)
    expect(inNoJob({ all: 1, node: 'pve2' }, { nodes: ['pve', 'pve2'] })).toEqual(all)
  })

  test('of a pool that cannot be read are not taken to be in it, and it is said why; a pool that does not exist is told', () => {
    const [unknown] = messagesOf(plan({ ...shop, pools: null, jobs: [{ id: 'theirs', ...daily, pool: 'web' }] }, unlisted), 'not_in_any_job')
    expect(unknown).toContain('perhaps in theirs: the members of its pool could not be read')
    expect(codesOf(plan({ ...shop, pools: [], jobs: [{ id: 'theirs', ...daily, pool: 'web' }] }, unlisted))).toContain('job_without_pool')
  })

  test('are told of like any other: agent, disk, retention below the wanted copies, window, schedule', () => {
    const seen = { ...shop, guests: shop.guests.map((guest) => (guest.vmid === 204 ? { ...guest, agent: false, leftOut: ['scsi1'] } : guest)) }
    const jobs = ['theirs', 'others'].map((id) => ({ id, ...daily, schedule: '22', all: 1, 'prune-backups': { 'keep-last': '1' } }))
    const codes = codesOf(plan({ ...seen, jobs }, unlisted))
    for (const code of ['no_agent', 'disk_left_out', 'too_few_kept', 'same_window', 'schedule_trap']) expect(codes).toContain(code)
  })

  test('leave a pool job that becomes one with a list only by a step that says so', () => {
    const members = [200, 202, 203, 204, 205]
    const pooled = (guests: number[]) => {
      const entry = withEntry(healthy, 'pve', ({ jobs }) => ({ jobs: jobs.map((job) => ({ ...job, guests })) }))
      const seen = { ...shop, pools: [{ id: 'web', vmids: members }] }
      const { vmid: _, ...row } = seen.jobs.find(({ id }) => id === 'backup-pve-daily') as Row
      return plan({ ...seen, jobs: [{ ...row, pool: 'web' }] }, entry)
    }
    expect(step(pooled([200, 202, 203, 204]), 'set job backup-pve-daily')).toMatchObject({
      what: expect.stringContaining('stop backing up 205'),
      destructive: expect.arrayContaining(['lessens protection']),
    })
    expect(pooled([...members, 206]).enrollments).toEqual([{ job: 'backup-pve-daily', guests: [206] }])
  })
})

describe('a host is not believed', () => {
  const raw = JSON.parse(readFileSync('test/fixtures/vzdump/shop-healthy.json', 'utf8')) as object
  test('that has no guest, for then every guest would leave every job', () => {
    expect(() => parseVzdumpReading('pve', 'pve', JSON.stringify({ ...raw, guests: [] }))).toThrow(NotBelieved)
  })
  test('whose node is another than estate.yaml says', () => {
    expect(() => parseVzdumpReading('pve', 'pve1', JSON.stringify(raw))).toThrow(/pve has no node pve1 .*there: pve/)
  })
  test('whose answer was cut off', () => {
    expect(() => parseVzdumpReading('pve', 'pve', JSON.stringify(raw).slice(0, 900))).toThrow(/cut off/)
  })
})
