/** A real change holds a host, a real desk is told of real passes, a real mail server takes what is mailed: not of what our own change may have broken. */
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { MockActivityEnvironment } from '@temporalio/testing'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createDeskActivities, type DeskActivities } from '../../../src/activities/desk.js'
import { hostsUnderChange, signalDesk } from '../../../src/activities/desk-client.js'
import { RunbookKeeper } from '../../../src/activities/runbook-keeper.js'
import type { AlertCondition } from '../../../src/domain/estate.js'
import type { Finding } from '../../../src/domain/status.js'
import { openState, type StateFolder } from '../../../src/state/index.js'
import { benchForEach, type ChangeBench } from '../../support/change-bench.js'
import { type DeskTemporal, DeskWorld } from '../../support/desk-world.js'
import { until } from '../../support/polling.js'
import { makeKey } from '../receipts/receipt-fixture.js'
import { aStatus, aTarget } from '../state/status-fixture.js'

const ESTATE = 'ronny'
let bench: ChangeBench
let temporal: DeskTemporal
benchForEach((made, server) => {
  bench = made
  temporal = server
})

let world: DeskWorld
let state: StateFolder
let activities: DeskActivities
let passes = 0

/** As an activity of a worker: with its connection to Temporal. */
const asActivity = <T>(work: () => Promise<T>): Promise<T> => new MockActivityEnvironment({}, { client: temporal.env.client }).run(work)

beforeEach(async () => {
  const config = join(bench.folder, 'estate')
  cpSync('runbooks', config, { recursive: true })
  makeKey(join(config, 'keys', 'receipt_ed25519'))
  state = await openState({ dir: join(bench.folder, 'desk'), estateId: ESTATE })
  world = await DeskWorld.start(temporal, ESTATE)
  activities = createDeskActivities({
    runbooks: new RunbookKeeper(config),
    state,
    redact: (text) => text,
    version: '1',
    now: () => new Date(),
    hostsUnderChange,
    signalDesk,
  })
  world.keep = (word) => activities.publishDesk(word)
})
afterEach(async () => {
  await world.end()
  state.close()
})

interface Broken {
  readonly id: string
  readonly host?: string
  readonly condition?: AlertCondition
}

/** A pass that finds this, told to the desk; ends when the desk has mailed what it mails. */
async function pass(broken: readonly Broken[], minutesLater = 0): Promise<void> {
  passes += 1
  const rows = ['asked', 'fresh', 'covered', 'room', 'elsewhere'].map((id) => {
    const host = id === 'elsewhere' ? 'nas' : bench.name
    const isBroken = broken.some((each) => each.id === id)
    return aTarget({ id, host, ...(isBroken ? { state: 'STALE', reason: 'stale', severity: 'critical', message: 'too old' } : {}) })
  })
  const findings = broken.map(
    ({ id, condition = 'freshness' }): Finding => ({
      subject: `shop/target/${id}`,
      condition,
      severity: 'critical',
      reason: 'stale',
      message: 'too old',
      next: null,
    }),
  )
  const passId = `pass-${passes}`
  state.writePass({
    status: aStatus({ estate: ESTATE, passId, takenAt: new Date(Date.now() + minutesLater * 60_000).toISOString(), targets: rows, findings }),
    memory: null,
    observationsDigest: '',
  })
  await asActivity(() => activities.tellDesk({ passId }))
  await expect
    .poll(
      async () => {
        const { passId: last, outbox } = await world.snapshot()
        return [last, outbox.depth]
      },
      { timeout: 20_000 },
    )
    .toEqual([passId, 0])
}

/** Names in the subjects of what was mailed since the last call. */
let seen = 0
const mailed = (): string[] => {
  const mails = world.mails().slice(seen)
  seen += mails.length
  return mails.map(({ subject }) => subject.replace(/^.*?\] /, ''))
}

it('of a host that we are changing nothing is mailed of fresh copies and coverage while we do; what lasts is mailed afterwards', async () => {
  seen = 0
  await pass([])
  // Waiting for an answer changes nothing yet.
  const { handle, digest } = await bench.asked()
  await pass([{ id: 'asked' }])
  expect(mailed()).toEqual(['CRITICAL asked: stale'])

  let release = () => {}
  const isFree = new Promise<void>((resolve) => {
    release = resolve
  })
  let isHolding = false
  bench.transport = (ssh) => ({
    async run(alias, request) {
      if (String(request.stdin).includes('/cluster/backup/weekly')) {
        isHolding = true
        await isFree
      }
      return await ssh.run(alias, request)
    },
  })
  await bench.answer(handle, 'approve', digest)
  await until('the change to be at its second step', async () => (isHolding ? true : undefined))
  const isApplying = async () => ((await asActivity(() => hostsUnderChange(new Date()))).includes(bench.name) ? true : undefined)
  await until('Temporal to list it', isApplying)
  const broken: Broken[] = [{ id: 'asked' }, { id: 'fresh' }, { id: 'covered', condition: 'coverage' }, { id: 'room', condition: 'space' }, { id: 'elsewhere' }]
  await pass(broken)
  expect(mailed()).toEqual(['CRITICAL 2 problems: elsewhere, room'])
  const decided = () => Object.fromEntries(world.decisions.map(({ key, decision }) => [key, decision]))
  expect(decided()).toMatchObject({ 'shop/target/fresh freshness': 'under change', 'shop/target/covered coverage': 'under change' })
  expect((await world.snapshot()).incidents).toHaveLength(5)

  release()
  expect(await handle.result()).toMatchObject({ state: 'done' })
  await until('Temporal to list it no more', async () => ((await isApplying()) ? undefined : true))
  // Read while the change was still being applied, told after it.
  await pass(broken)
  expect(mailed()).toEqual([])
  const later = broken.filter(({ id }) => id !== 'fresh')
  await pass(later, 10)
  expect(mailed()).toEqual(['CRITICAL covered: stale'])
  expect(decided()['shop/target/fresh freshness']).toBe('closed')
})
