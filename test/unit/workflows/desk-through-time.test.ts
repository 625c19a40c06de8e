/** Days of the alert desk in seconds: its real workflow under a clock that jumps, every attempt at a real SMTP server. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { nextTimeOfDay } from '../../../src/domain/desk/monitor-report.js'
import type { DeskFinding, DeskReport } from '../../../src/domain/desk/report.js'
import { type DeskTemporal, DeskWorld, doubles } from '../../support/desk-world.js'
import { answer } from '../../support/smtp-server.js'
import { serverNow, startSkippingWorkflows } from '../../support/time-skipping.js'
import { finding, HOUR_MS, PASS_MS, Story } from '../desk/story.js'

const ZONE = 'America/New_York'
const DIGEST_TIME = '07:30'
/** A little less than the desk waits without a pass: the test server loses a workflow task that cancels a timer which is just firing (temporalio/sdk-java#3088). */
const PERIOD_MS = PASS_MS - 5_000
const A = finding('shop/target/vm-204')
const B = finding('shop/target/vm-205')
const C = finding('shop/target/vm-206')

let temporal: DeskTemporal
let world: DeskWorld
let story: Story
let worlds = 0

beforeAll(async () => {
  temporal = await startSkippingWorkflows()
}, 60_000)
afterAll(async () => await temporal?.env.teardown())
beforeEach(async () => {
  worlds += 1
  world = await DeskWorld.start(temporal, `days-${worlds}`)
  story = new Story()
})
afterEach(async () => await world.end())

/** A pass, and the time until the next one. @param aheadMs by how much the clock that dates the pass is wrong */
async function pass(findings: readonly DeskFinding[], aheadMs = 0): Promise<DeskReport> {
  story.nowMs = (await serverNow(temporal.env)).getTime() + aheadMs
  const digestDueAt = new Date(nextTimeOfDay(story.nowMs / 1000, DIGEST_TIME, ZONE) * 1000).toISOString()
  const report = { ...story.report(findings), digestDueAt }
  world.whole = () => report
  await world.tell(report)
  await temporal.env.sleep(PERIOD_MS)
  return report
}

async function skipTo(instant: string): Promise<void> {
  await temporal.env.sleep(Date.parse(instant) - (await serverNow(temporal.env)).getTime())
}

const PASSES_A_DAY = Math.ceil((24 * HOUR_MS) / PERIOD_MS)

/** What was mailed, in words that do not depend on lengths and ids. */
const said = (about = /./) => world.mails(about).map(({ subject }) => subject.replace(/^(Re: )?\[.*?\] /, '').replace(/(:.*| after .*| \d+ (min|h).*)$/, ''))
/** When each daily summary was made, by the clock of the estate. */
const summaries = () =>
  world.mails(/daily summary/).map(({ text }) => new Date(/^Date: (.*)$/m.exec(text)?.[1] ?? '').toLocaleString('sv', { timeZone: ZONE }).slice(0, 16))

it('a mail server that is gone for a day, over the change to summer time, and says 421 for the last hours: all that happened is mailed in its order, once', async () => {
  await skipTo('2027-03-13T14:00:00Z')
  await pass([])
  await world.serve(null)
  const day = PASSES_A_DAY + 6
  for (let each = 0; each < day; each++) {
    if (each === day - 24) await world.serve({ onConnect: (_session, done) => done(answer(421, 'shutting down')) })
    await pass(each < 20 ? [A] : each < 50 ? [A, B] : each < 110 ? [B] : [B, C])
  }
  expect(world.mails()).toEqual([])
  await world.serve({})
  // The last attempt may have been a quarter of an hour ago.
  for (const found of [[B, C], [B, C], [C]]) await pass(found)
  expect(said()).toEqual([
    'CRITICAL vm-204',
    'CRITICAL vm-205',
    'RECOVERED vm-204',
    'CRITICAL vm-206',
    'daily summary',
    'RECOVERED mail goes out again',
    'RECOVERED vm-205',
  ])
  expect(summaries()).toEqual(['2027-03-14 07:30'])
  expect(doubles(world.mails())).toEqual([])
  expect(world.notices.map(({ title }) => title.replace('[nightshift test] ', ''))).toEqual([
    'no mail: mail unreachable',
    'STILL no mail: mail unreachable',
    'RECOVERED mail goes out again',
  ])
  expect(world.decisions.filter(({ key }) => key === 'test/delivery/mail delivery').map(({ decision }) => decision)).toEqual([
    'by second channel',
    'by second channel',
    'recovered',
  ])
  expect((await world.snapshot()).outbox).toMatchObject({ depth: 0, secondChannelDepth: 0, shutSince: null })
}, 120_000)

it('two days over the end of summer time: what lasts is repeated after 24 hours, what comes and goes all day is told a few times, and each day has one summary', async () => {
  await skipTo('2027-11-06T10:40:00Z')
  await pass([])
  for (let each = 0; each < 2 * PASSES_A_DAY + 3; each++) await pass(each < PASSES_A_DAY && each % 2 === 1 ? [A, B] : [A])
  expect(summaries()).toEqual(['2027-11-06 07:30', '2027-11-07 07:30'])
  const steady = world.mails(/vm-204/)
  expect(steady.map(({ subject }) => /STILL/.test(subject))).toEqual([false, true, true])
  const flapping = world.mails(/vm-205/)
  for (const id of new Set(flapping.flatMap(({ incidents }) => incidents))) {
    const own = flapping.filter(({ incidents }) => incidents.includes(id)).map(({ subject }) => /STILL|CRITICAL|RECOVERED/.exec(subject)?.[0])
    expect(own.filter((word) => word === 'CRITICAL').length).toBeLessThanOrEqual(1)
    expect(own.filter((word) => word === 'STILL').length).toBeLessThanOrEqual(1)
    expect(own.filter((word) => word === 'RECOVERED')).toHaveLength(1)
  }
  expect(flapping.length).toBeLessThanOrEqual(9)
  expect(doubles(world.mails())).toEqual([])
}, 120_000)

describe('the clock that dates the passes', () => {
  it('is put back by an hour: what is found then is mailed at once, and what is late is not taken for news', async () => {
    await skipTo('2027-12-01T14:00:00Z')
    await pass([])
    const late = await pass([A])
    for (const found of [[], [A], [A]]) await pass(found)
    expect(said()).toEqual(['CRITICAL vm-204', 'RECOVERED vm-204', 'CRITICAL vm-204'])
    const before = world.mails().length
    await pass([A, B], -HOUR_MS)
    expect(said().slice(before)).toEqual(['CRITICAL vm-205'])
    for (const found of [[A, B], [A], [A, C], [A, C]]) await pass(found, -HOUR_MS)
    await pass([C])
    expect(said().slice(before)).toEqual(['CRITICAL vm-205', 'RECOVERED vm-205', 'CRITICAL vm-206', 'RECOVERED vm-204'])
    expect(world.asked).toBe(1)

    await world.tell({ ...late, passId: 'pass-late' })
    await temporal.env.sleep(PERIOD_MS)
    expect(world.asked).toBe(2)
    expect((await world.snapshot()).incidents.map(({ subject }) => subject)).toEqual([C.subject])
    expect(world.mails()).toHaveLength(before + 4)
  })

  it('is ahead for some passes: what is found by them and after them is mailed at once, once', async () => {
    await skipTo('2027-12-02T14:00:00Z')
    await pass([])
    await pass([A], HOUR_MS)
    await pass([A], HOUR_MS)
    await pass([A, B])
    await pass([B])
    expect(said()).toEqual(['CRITICAL vm-204', 'CRITICAL vm-205', 'RECOVERED vm-204'])
    expect((await world.snapshot()).totals).toMatchObject({ reports: 5, dropped: 0 })
  })

  it('jumps over the time of the daily summary and back: there is one', async () => {
    await skipTo('2027-12-03T12:05:00Z')
    await pass([])
    await pass([], HOUR_MS)
    await pass([], HOUR_MS)
    expect(summaries()).toEqual(['2027-12-03 07:30'])
    for (let each = 0; each < 4; each++) await pass([], -HOUR_MS)
    await pass([])
    expect(summaries()).toEqual(['2027-12-03 07:30'])
  })
})
