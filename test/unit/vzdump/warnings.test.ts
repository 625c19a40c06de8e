/** What is said before anybody approves. Schedules were read from a lab host's own `schedule-analyze`. */
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { GuestNow, ScheduleRuns } from '../../../src/domain/vzdump/observation.js'
import { NotBelieved, parseVzdumpReading } from '../../../src/domain/vzdump/reader.js'
import { codesOf, observation, plan, runbooks, stepsOf, withEntry, withJob } from './world.js'

const healthy = await runbooks('healthy')
const SCHEDULES = JSON.parse(readFileSync('test/fixtures/vzdump/schedules.json', 'utf8')) as ScheduleRuns[]
const shop = { ...observation('shop-healthy'), schedules: SCHEDULES }
const home = { ...observation('home-healthy'), schedules: SCHEDULES }

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
  ])('"%s" is told', (schedule, message) => {
    expect(messagesOf(shopWith({ schedule }), 'schedule_trap')).toEqual([expect.stringMatching(message)])
  })

  test.each(['02:00', 'mon..fri 02:30', 'sun 04:00', 'sat *-1..7 15:00', '02:30 UTC', '*-31'])('"%s" is what it says', (schedule) => {
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
