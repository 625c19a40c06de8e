/** Ten thousand observations, and hundreds of open incidents, through the running desk: a real server, workers that go and come, a real mail server, the real record. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'libsql'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createDeskActivities, type DeskActivities } from '../../../src/activities/desk.js'
import { RunbookKeeper } from '../../../src/activities/runbook-keeper.js'
import { carry, taken } from '../../../src/domain/desk/carried.js'
import { foldOutbox } from '../../../src/domain/desk/fold.js'
import { monitorReport, NOTHING_TOLD } from '../../../src/domain/desk/monitor-report.js'
import { nextSend, settleSend } from '../../../src/domain/desk/outbox.js'
import { receive } from '../../../src/domain/desk/receive.js'
import { type DeskFinding, type DeskReport, keyOf } from '../../../src/domain/desk/report.js'
import { tick } from '../../../src/domain/desk/review.js'
import { type Decision, type DeskState, newDesk } from '../../../src/domain/desk/state.js'
import type { StatusDocument, TargetStatus } from '../../../src/domain/status.js'
import { openState, type StateFolder } from '../../../src/state/index.js'
import { STATE_NAMES } from '../../../src/state/location.js'
import { bytesOf, type DeskTemporal, DeskWorld, doubles } from '../../support/desk-world.js'
import { startTestTemporal } from '../../support/test-temporal.js'
import { CONTRACT, finding, HOUR_MS, SENT, Story } from '../desk/story.js'
import { makeKey } from '../receipts/receipt-fixture.js'
import { aStatus, aTarget } from '../state/status-fixture.js'

const ESTATE = 'ronny'
let temporal: DeskTemporal
let world: DeskWorld
let folder: string
let state: StateFolder
let begun: Date

beforeAll(async () => {
  temporal = await startTestTemporal()
}, 120_000)
afterAll(async () => await temporal?.env.teardown())
beforeEach(async () => {
  begun = new Date()
  folder = mkdtempSync(join(tmpdir(), 'nightshift-scale-'))
  state = await openState({ dir: folder, estateId: ESTATE })
  world = await DeskWorld.start(temporal, ESTATE)
  world.keep = ({ decisions, snapshot }) => {
    state.desk.addDecisions(decisions)
    state.desk.putSnapshot(snapshot)
    return {}
  }
})
afterEach(async () => {
  await world.end()
  state.close()
  rmSync(folder, { recursive: true, force: true })
})

/** What the rules say of the same reports, without a server, a worker or a mail. */
class Reference {
  state: DeskState = newDesk('test')
  readonly decisions: Decision[] = []

  take(report: DeskReport): void {
    const step = receive(this.state, report, Date.now())
    this.state = { ...step.state, unsure: [] }
    this.decisions.push(...step.decisions)
    for (let next = nextSend(this.state, Date.now()); next.kind === 'send'; next = nextSend(this.state, Date.now())) {
      this.state = settleSend(this.state, next.entry.mail.messageId, next.deliverTo, SENT, Date.now())
    }
  }
}

const until = (look: () => unknown, expected: unknown): Promise<void> => expect.poll(look, { timeout: 60_000, interval: 250 }).toEqual(expected)

/** The server suggests a new run at 4,096 events and at 4 MiB, and ends a run at 51,200 and at 50 MiB; what arrives while a run is left comes on top. */
async function isBounded(): Promise<void> {
  const runs = [await world.handle.describe(), ...(await runsOf())]
  expect(Math.max(...runs.map(({ historyLength }) => historyLength))).toBeLessThan(2_500)
  expect(Math.max(...runs.map(({ historySize }) => historySize ?? 0))).toBeLessThan(12 * MIB)
}

/** What was written down, in its order. */
function record(): Decision[] {
  const database = new Database(join(folder, STATE_NAMES.database), { readonly: true, timeout: 2000 })
  try {
    const columns = 'decision, key, why, reason, pass_id AS passId, message_id AS messageId'
    return database.prepare(`SELECT ${columns} FROM desk_decisions ORDER BY rowid`).all() as Decision[]
  } finally {
    database.close()
  }
}

const MIB = 1024 * 1024

async function runsOf() {
  const runs = []
  for await (const run of temporal.env.client.workflow.list({ query: `WorkflowId = "desk/${ESTATE}"` })) if (run.startTime >= begun) runs.push(run)
  return runs
}

const PASSES = 200
const A_PASS = 50
/** Each group of findings is opened, changes twice and is closed, four passes apart; four groups are open at a time. */
const groupOf = (pass: number): number => (pass % 4) + 4 * Math.floor(pass / 16)
const stageOf = (pass: number): number => Math.floor(pass / 4) % 4
const STAGES = [{ reason: 'stale' }, { reason: 'failed', message: 'it failed' }, { reason: 'stale', message: 'older still' }] as const

it('10,000 observations, copies and old ones among them, with workers that go and come: each is decided on and mailed as the rules say, once, and no history grows', async () => {
  const story = new Story()
  story.nowMs = Date.now() - PASSES * 1000
  const reference = new Reference()
  const open = new Map<string, DeskFinding>()
  const told: DeskReport[] = []
  let copies = 0
  const tell = async (report: DeskReport) => {
    reference.take(report)
    await world.tell(report)
  }
  const settled = () =>
    until(async () => {
      const { totals, outbox } = await world.snapshot()
      return [totals.reports, totals.dropped, outbox.depth, record().length - reference.decisions.length]
    }, [told.length, copies, 0, 0])
  const pass = async (changed: readonly DeskFinding[]) => {
    story.nowMs += 1000
    const report = { ...story.report([...open.values()]), changed }
    told.push(report)
    world.whole = () => report
    await tell(report)
  }

  const { keep } = world
  let release = () => {}
  const isFree = new Promise<void>((resolve) => {
    release = resolve
  })

  await pass([])
  for (let each = 0; each < PASSES; each++) {
    // While nothing is under way: a task that is handed to a worker on its way out is lost until its time-out. Workers that are killed at work are among the faults.
    if (each === 40 || each === 160) await world.stopWork()
    // A disk that takes its time, while some nine hundred decisions are made.
    if (each === 81) world.keep = (word) => isFree.then(() => keep(word))
    if (each === 118) release()
    const stage = STAGES[stageOf(each)]
    const group = Array.from({ length: A_PASS }, (_, index) => finding(`shop/target/vm-${groupOf(each) % 25}-${index}`, stage))
    for (const one of group) {
      if (stage === undefined) open.delete(keyOf(one))
      else open.set(keyOf(one), one)
    }
    await pass(stage === undefined ? [] : group)
    if (each === 44 || each === 164) await world.work()
    if (each % 10 === 3) {
      copies += 1
      await tell(told.at(-2) ?? (told[0] as DeskReport))
    }
    if (each % 40 === 39) {
      await settled()
      copies += 1
      const asked = world.asked + 1
      await tell(told.at(-20) as DeskReport)
      await until(() => world.asked, asked)
      await settled()
    }
  }
  open.set('x', finding('shop/target/last'))
  await pass([finding('shop/target/last')])
  await settled()

  const { incidents, totals } = await world.snapshot()
  const row = ({ key, severity, reason, message }: { key: string; severity: string; reason: string; message: string }) => [key, severity, reason, message]
  expect(incidents.map(row)).toEqual(Object.values(reference.state.incidents).map(row))
  expect(totals).toEqual(reference.state.totals)
  const line = ({ decision, key, why, reason, passId, messageId }: Decision) => [
    decision,
    key,
    why.replace(/^lasted .*/, 'lasted'),
    reason,
    passId,
    messageId !== null,
  ]
  await until(() => record().length, reference.decisions.length)
  expect(record().map(line)).toEqual(reference.decisions.map(line))
  const mails = world.mails()
  expect(doubles(mails)).toEqual([])
  expect(mails.map(({ messageId }) => messageId)).toEqual([...new Set(record().flatMap(({ messageId }) => messageId ?? []))])

  await until(async () => (await runsOf()).length >= 3, true)
  expect(world.largest.decisions).toBe(400)
  await isBounded()
}, 120_000)

const at = (minute: number) => new Date(Date.now() + minute * 60_000).toISOString()
let passes = 0

describe('hundreds of targets at once', () => {
  let activities: DeskActivities
  let keeper: RunbookKeeper

  beforeEach(() => {
    const config = join(folder, 'config')
    cpSync('runbooks', config, { recursive: true })
    makeKey(join(config, 'keys', 'receipt_ed25519'))
    keeper = new RunbookKeeper(config)
    activities = createDeskActivities({
      runbooks: keeper,
      state,
      redact: (text) => text,
      version: '1',
      now: () => new Date(),
      hostsUnderChange: async () => [],
      signalDesk: async (report) => void (await world.tell(report)),
    })
    world.keep = (word) => activities.publishDesk(word)
    world.whole = (scope, known) => activities.readWhole({ scope, known })
  })

  /** A status in which so many of the targets of each site are too old. */
  function statusOf(targets: readonly TargetStatus[], broken: Partial<Record<string, number>>): StatusDocument {
    passes += 1
    const left = { ...broken }
    const rows = targets.map((row) => {
      const isBroken = (left[row.site] ?? 0) > 0
      left[row.site] = (left[row.site] ?? 0) - 1
      return isBroken ? { ...row, state: 'STALE' as const, reason: 'stale' as const, severity: 'critical' as const } : { ...row, message: 'it is well' }
    })
    const findings = rows.flatMap(({ id, site, severity, message, next }) =>
      severity === 'critical' ? [{ subject: `${site}/target/${id}`, condition: 'freshness' as const, severity, reason: 'stale' as const, message, next }] : [],
    )
    return aStatus({ estate: ESTATE, passId: `pass-${passes}`, takenAt: at(passes), targets: rows, findings })
  }

  /** A pass, published and told, and all that follows from it. */
  async function pass(targets: readonly TargetStatus[], broken: Partial<Record<string, number>>): Promise<void> {
    const status = statusOf(targets, broken)
    const { passId } = status
    state.writePass({ status, memory: null, observationsDigest: '' })
    await activities.tellDesk({ passId })
    await until(async () => {
      const { passId: last, outbox } = await world.snapshot()
      return [last, outbox.depth]
    }, [passId, 0])
  }

  const targets = (count: number, site: string, change: Partial<TargetStatus> = {}, name = 'vm') =>
    Array.from({ length: count }, (_, index) =>
      aTarget({ id: `${name}-${site}-${index}`, site, message: 'the newest copy is 31 h old, expected every 24 h', ...change }),
    )

  const long = {
    message: `"ä漢${'\\'.repeat(500)}`,
    next: '漢'.repeat(500),
    host: 'p'.repeat(63),
    lastGood: { path: `/${'ü'.repeat(500)}`, ageSeconds: 9, proof: 1 as const },
  }
  const both = [...targets(500, 'shop', long, 'n'.repeat(50)), ...targets(500, 'home', long, 'n'.repeat(50))]

  it('500 are one mail, and one when they are over; of 700 what is beyond 500 is one more in that mail', async () => {
    const shop = targets(700, 'shop')
    await pass(shop, {})
    for (const count of [500, 0, 700, 0]) await pass(shop, { shop: count })
    expect(world.mails().map(({ subject }) => subject.replace(/(problems):.*/, '$1'))).toEqual([
      '[nightshift ronny/shop] CRITICAL 500 problems',
      'Re: [nightshift ronny/shop] RECOVERED 500 problems',
      '[nightshift ronny/shop] CRITICAL 501 problems',
      'Re: [nightshift ronny/shop] RECOVERED 501 problems',
    ])
    for (const { bytes } of world.mails()) expect(bytes).toBeLessThan(64 * 1024)
    expect((await world.snapshot()).incidents).toEqual([])
    await isBounded()
  }, 120_000)

  it('1,000 of the longest names and texts: every message to Temporal keeps its limit, and the next run knows them all', async () => {
    await pass(both, {})
    await pass(both, { shop: 500, home: 500 })
    await until(async () => (await runsOf()).length > 1, true)
    const snapshot = await world.snapshot()
    expect(snapshot.incidents).toHaveLength(1000)
    expect(world.mails()).toHaveLength(2)
    for (const { bytes } of world.mails()) expect(bytes).toBeLessThan(96 * 1024)
    const { currentDetails } = await world.handle.query<{ currentDetails: string }>('__temporal_workflow_metadata')
    expect(currentDetails).toContain('**1000 open incidents**')
    expect(Buffer.byteLength(currentDetails)).toBeLessThan(20_000)
    expect(world.largest.report).toBeLessThanOrEqual(256 * 1024)
    for (const bytes of [world.largest.whole, world.largest.word, bytesOf(snapshot)]) expect(bytes).toBeLessThan(2 * MIB)
    await pass(both, {})
    expect((await world.snapshot()).incidents).toEqual([])
    expect(world.mails()).toHaveLength(4)
    await isBounded()
  }, 120_000)

  it('1,000 that have lasted for twelve days while no mail went out and nothing could be written down: a run begins with all of it', async () => {
    let desk = newDesk(ESTATE)
    let nowMs = Date.now() - 12 * 24 * HOUR_MS
    const contract = { ...CONTRACT, limits: { mailsPerHour: 20, openPerSite: 500 } }
    const whole = { runbooks: (await keeper.current()).set, told: NOTHING_TOLD, hostsUnderChange: [], proofs: [], isWhole: true }
    const found = monitorReport({ ...whole, status: statusOf(both, { shop: 500, home: 500 }) }).report.changed
    const story = new Story()
    story.contract = contract
    const take = (findings: readonly DeskFinding[]): readonly Decision[] => {
      story.nowMs = nowMs
      const step = receive(desk, story.report(findings), nowMs)
      desk = step.state
      return step.decisions
    }
    take([])
    const decisions = take(found)
    for (let hour = 0; hour < 12 * 24; hour++) {
      nowMs += HOUR_MS
      desk = foldOutbox(tick(desk, nowMs).state, nowMs)
    }
    const input = { ...carry(desk), unwritten: { decisions: decisions.slice(-500), evidence: [] } }
    expect(bytesOf(desk)).toBeGreaterThan(2 * MIB)
    expect(bytesOf(input)).toBeLessThan(2 * MIB)
    expect(taken(carry(desk))).toEqual(desk)
    story.nowMs = Date.now()
    await world.tell(story.report(found), input)
    await until(async () => [(await world.snapshot()).totals.reports, (await runsOf()).length > 1], [3, true])
    expect((await world.snapshot()).incidents.filter(({ condition }) => condition === 'freshness')).toHaveLength(1000)
    await until(async () => (await world.snapshot()).outbox.depth, 0)
    expect(doubles(world.mails())).toEqual([])
  }, 120_000)
})
