import { describe, expect, it } from 'vitest'
import { type PipelineEvidence, pipelineGate } from '../../../src/domain/desk/pipeline-gate.js'
import { type SecondChannelState, secondChannelGate } from '../../../src/domain/desk/second-channel.js'
import { type GatesDocument, gateFindings, gatesShown } from '../../../src/domain/gates.js'

const NOW = '2026-02-12T12:00:00.000Z'
const ago = (seconds: number) => new Date(Date.parse(NOW) - seconds * 1000).toISOString()
const HOUR = 3_600
const DAY = 24 * HOUR

type Desk = NonNullable<PipelineEvidence['desk']>

const STATUS = { takenAt: ago(300), passId: 'p1', periodSeconds: 600 }
const OUTBOX = { depth: 0, oldestAt: null, lastReply: null, lastSentAt: null, lastLatencyMs: null, secondChannelDepth: 0, shutSince: null }
const CANARY = {
  messageId: '<c@x>',
  askedAtMs: Date.parse(ago(2 * DAY)),
  sentAtMs: Date.parse(ago(2 * DAY)) + 1_000,
  arrivedAtMs: Date.parse(ago(2 * DAY)) + 4_000,
  state: 'arrived' as const,
  detail: 'found',
}
const DESK: Desk = { takenAt: ago(290), passId: 'p1', passTakenAt: STATUS.takenAt, outbox: OUTBOX, canary: CANARY }

const gate = (change: Partial<PipelineEvidence> = {}) => pipelineGate({ status: STATUS, desk: DESK, now: NOW, ...change })

describe('the gate of the notification pipeline', () => {
  it('passes when the last pass reached the desk, nothing waits, and a canary arrived this week, and says by which evidence', () => {
    expect(gate()).toMatchObject({ state: 'passed', reason: 'ok', next: null })
    expect(gate().message).toContain('after 4 s')
  })

  it.each<[string, Partial<PipelineEvidence>, string, string]>([
    ['no pass was ever published', { status: undefined }, 'unknown', 'no_pass'],
    ['the last pass is older than three periods', { status: { ...STATUS, takenAt: ago(1_801) } }, 'failed', 'no_pass'],
    ['the desk never spoke', { desk: undefined }, 'unknown', 'no_desk'],
    ['the desk takes no passes any more', { desk: { ...DESK, passTakenAt: ago(3 * HOUR) } }, 'failed', 'desk_behind'],
    ['a message waits for more than half an hour', { desk: { ...DESK, outbox: { ...OUTBOX, depth: 1, oldestAt: ago(1_801) } } }, 'failed', 'outbox_late'],
    ['no canary was ever sent', { desk: { ...DESK, canary: null } }, 'unknown', 'no_canary'],
    ['the canary was lost', { desk: { ...DESK, canary: { ...CANARY, state: 'lost', arrivedAtMs: null } } }, 'failed', 'canary_lost'],
    ['the mailbox cannot be read', { desk: { ...DESK, canary: { ...CANARY, state: 'cannot_tell', arrivedAtMs: null } } }, 'unknown', 'canary_unproven'],
    ['the canary is older than eight days', { desk: { ...DESK, canary: { ...CANARY, arrivedAtMs: Date.parse(ago(8 * DAY + 1)) } } }, 'failed', 'canary_old'],
  ])('does not pass when %s', (_when, change, state, reason) => {
    expect(gate(change)).toMatchObject({ state, reason })
    expect(gate(change).next).not.toBeNull()
  })

  it('a message that waits for exactly half an hour is not late yet', () => {
    expect(gate({ desk: { ...DESK, outbox: { ...OUTBOX, depth: 1, oldestAt: ago(1_800) } } }).state).toBe('passed')
  })
})

describe('the gate of the second channel', () => {
  const TEST: SecondChannelState = {
    noticeId: 'second-channel.1',
    askedAtMs: Date.parse(ago(2 * DAY)),
    state: 'taken',
    settledAtMs: Date.parse(ago(2 * DAY)) + 1_000,
    detail: 'ok',
  }
  const seen = (change: Partial<SecondChannelState>) => secondChannelGate({ desk: { secondChannel: { ...TEST, ...change } }, now: NOW })

  it('passes when the receiver took the test of this week', () => {
    expect(seen({})).toEqual({
      id: 'second-channel',
      state: 'passed',
      reason: 'ok',
      message: `the second channel took the test of ${ago(2 * DAY)}: ok`,
      next: null,
    })
  })

  it.each<[string, Partial<SecondChannelState>, string, string]>([
    ['the receiver refused it', { state: 'refused', detail: '403 Forbidden' }, 'failed', 'test_refused'],
    ['nobody has taken it yet', { state: 'waiting', settledAtMs: null, detail: 'HTTP 503' }, 'unknown', 'test_waiting'],
    ['the last test is older than eight days', { settledAtMs: Date.parse(ago(8 * DAY + 1)) }, 'failed', 'test_old'],
  ])('does not pass when %s', (_when, change, state, reason) => {
    expect(seen(change)).toMatchObject({ state, reason, next: expect.stringContaining('nightshift') })
  })

  it('is unknown when it was never tried, or the desk never spoke', () => {
    for (const desk of [{}, undefined]) expect(secondChannelGate({ desk, now: NOW })).toMatchObject({ state: 'unknown', reason: 'no_test' })
  })
})

describe('what is shown of the gates', () => {
  const document: GatesDocument = { schema: 'nightshift.gates/1', estate: 'lab', takenAt: ago(0), gates: [gate()] }

  it('is what they said, for two days', () => {
    expect(gatesShown(document, new Date(Date.parse(NOW) + 2 * DAY * 1000))).toMatchObject([{ state: 'passed' }])
  })

  it('has become unknown after that', () => {
    expect(gatesShown(document, new Date(Date.parse(NOW) + 2 * DAY * 1000 + 1_000))).toMatchObject([{ state: 'unknown', reason: 'stale' }])
  })

  it('is nothing when nobody ever looked', () => {
    expect(gatesShown(undefined, new Date(NOW))).toEqual([])
  })
})

it('the desk is told of every gate that did not pass, and of no other', () => {
  const failed = gate({ desk: { ...DESK, canary: { ...CANARY, state: 'lost', arrivedAtMs: null } } })
  const findings = gateFindings([gate(), failed, { ...failed, id: 'mail-route/pve', state: 'unknown' }], (each) => (each.id.includes('/') ? 'shop' : 'lab'))
  expect(findings.map(({ subject, severity }) => [subject, severity])).toEqual([
    ['lab/delivery/gate-notification-pipeline', 'critical'],
    ['shop/delivery/gate-mail-route-pve', 'unknown'],
  ])
})
