/** Calendar events by the engine's rules: the traps that surprise people, what is refused, and both changes of the clock. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type SmallHost, smallHost } from './support.js'

let host: SmallHost
beforeAll(async () => {
  host = await smallHost()
})
afterAll(async () => await host.remove())

const SATURDAY = Date.UTC(2026, 10, 21, 5, 40) / 1000

async function next(schedule: string, count: number, options: { now?: number; tz?: string } = {}): Promise<string[]> {
  const ran = await host.run(
    ['pvesh', 'get', '/cluster/jobs/schedule-analyze', '--schedule', schedule, '--iterations', String(count), '--output-format', 'json'],
    { now: SATURDAY, ...options },
  )
  expect(ran.stderr).toBe('')
  return (JSON.parse(ran.stdout) as { timestamp: number }[]).map((row) => new Date(row.timestamp * 1000).toISOString().slice(0, 16).replace('T', ' '))
}

describe('calendar events that do not mean what they seem to', () => {
  it.each([
    ['24:00', ['2026-11-21 06:24', '2026-11-21 07:24']],
    ['02:00,14:00', ['2026-11-22 02:00', '2026-11-22 02:14', '2026-11-23 02:00']],
    ['22:00..23:00', ['2026-11-21 22:00', '2026-11-21 22:01']],
    ['22', ['2026-11-21 06:22', '2026-11-21 07:22']],
    ['mon..fri 22', ['2026-11-23 00:22', '2026-11-23 01:22']],
    ['8:00/15', ['2026-11-21 08:00', '2026-11-21 08:15', '2026-11-21 08:30', '2026-11-21 08:45', '2026-11-22 08:00']],
    ['sat *-1..7 15:00', ['2026-12-05 15:00', '2027-01-02 15:00']],
    ['*-31', ['2026-12-31 00:00', '2027-01-31 00:00', '2027-03-31 00:00']],
    ['*:*', ['2026-11-21 05:41', '2026-11-21 05:42']],
    ['fri..mon', ['2026-11-22 00:00', '2026-11-23 00:00', '2026-11-27 00:00']],
    ['quarterly', ['2027-01-01 00:00', '2027-04-01 00:00']],
    // A step goes on beyond the end of its field (proxmox-time src/date_time_value.rs find_next): where 60 is no multiple of it, the full hour is passed over.
    ['*:0/45', ['2026-11-21 05:45', '2026-11-21 06:45', '2026-11-21 07:45']],
    ['0/5:00', ['2026-11-21 10:00', '2026-11-21 15:00', '2026-11-21 20:00', '2026-11-22 05:00']],
    ['*-1/7', ['2026-11-22 00:00', '2026-11-29 00:00', '2026-12-08 00:00']],
    ['02-30', []],
    ['2020-*-*', []],
  ])('%s', async (schedule, times) => {
    expect(await next(schedule, Math.max(times.length, 1))).toEqual(times)
  })
})

describe('calendar events that are refused', () => {
  it.each([
    '60',
    '23:60',
    '0 2 * * *',
    '@daily',
    'mon-fri',
    'mon, tue',
    'daily 03:00',
    'Daily',
    '*-*~1',
    '02:00 Europe/Berlin',
    '02:00:00.5',
    '*,5:00',
    '*/0',
    '',
    'UTC',
  ])('%s', async (schedule) => {
    const ran = await host.run(['pvesh', 'get', '/cluster/jobs/schedule-analyze', '--schedule', schedule, '--output-format', 'json'], { now: SATURDAY })
    expect(ran.exitCode).not.toBe(0)
    expect(ran.stderr).toContain(`schedule: invalid format - invalid calendar event '${schedule}'`)
  })
})

describe('the change of the clock', () => {
  it.each([
    ['Europe/London', '01:30', Date.UTC(2026, 2, 28, 12), ['2026-03-30 00:30', '2026-03-31 00:30']],
    ['Europe/Vienna', '02:30', Date.UTC(2026, 2, 28, 12), ['2026-03-30 00:30', '2026-03-31 00:30']],
    ['America/New_York', '02:30', Date.UTC(2026, 2, 7, 12), ['2026-03-09 06:30', '2026-03-10 06:30']],
  ])('in %s skips %s on the day on which that hour does not exist', async (tz, schedule, from, times) => {
    expect(await next(schedule, 2, { tz, now: from / 1000 })).toEqual(times)
  })

  it('runs a daily time once in the hour that comes twice', async () => {
    expect(await next('01:30', 2, { tz: 'America/New_York', now: Date.UTC(2026, 9, 31, 12) / 1000 })).toEqual(['2026-11-01 05:30', '2026-11-02 06:30'])
  })

  it('leaves a gap of up to 80 minutes in a schedule of 20 minutes', async () => {
    const times = await next('*:0/20', 7, { tz: 'Europe/Vienna', now: Date.UTC(2026, 9, 24, 23, 10) / 1000 })
    expect(times).toEqual([
      '2026-10-24 23:20',
      '2026-10-24 23:40',
      '2026-10-25 00:00',
      '2026-10-25 00:20',
      '2026-10-25 00:40',
      '2026-10-25 02:00',
      '2026-10-25 02:20',
    ])
  })
})
