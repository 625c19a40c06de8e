/** The weekly test of the second channel: a notice of its own, so that the way is known to work before mail fails. Sent with the canary. */
import type { GateResult } from '../gates.js'
import type { Instant } from '../status.js'
import type { WebhookResult } from './delivery.js'
import type { DeskSnapshot } from './snapshot.js'
import type { DeskState } from './state.js'
import { headerText, paragraph } from './text.js'
import type { Turn } from './turn.js'

/** A test is made weekly; a day of grace. */
const TEST_LIMIT_SECONDS = 8 * 86_400

/** What the last test of the second channel showed. */
export interface SecondChannelState {
  readonly noticeId: string
  readonly askedAtMs: number
  /** `waiting` also while it is tried again. */
  readonly state: 'waiting' | 'taken' | 'refused'
  readonly settledAtMs: number | null
  /** The receiver's words, or what kept the attempt from it. */
  readonly detail: string
}

/** Puts the test into the queue of the second channel, if there is one. */
export function testSecondChannel(turn: Turn): void {
  const noticeId = `second-channel.${turn.nowMs}`
  const isQueued = turn.notice({
    id: noticeId,
    title: `[nightshift ${turn.state.estate}] test of the second channel`,
    text: paragraph('Nothing is wrong. This way is used when mail does not go out; once a week it is tried.'),
    severity: 'ok',
  })
  if (isQueued) turn.patch({ secondChannel: { noticeId, askedAtMs: turn.nowMs, state: 'waiting', settledAtMs: null, detail: 'on its way' } })
}

/** Notes what became of an attempt, where the notice is the test. */
export function noteSecondChannel(state: DeskState, noticeId: string, result: WebhookResult, nowMs: number): DeskState {
  const test = state.secondChannel
  if (test?.noticeId !== noticeId) return state
  const outcome = result.outcome === 'sent' ? 'taken' : result.outcome === 'refused' ? 'refused' : 'waiting'
  const settledAtMs = outcome === 'waiting' ? null : nowMs
  return {
    ...state,
    secondChannel: { ...test, state: outcome, settledAtMs, detail: headerText(result.reply, 200) || `HTTP ${result.status ?? 'without a status'}` },
  }
}

/** Does the second channel take messages? By its last test, never by configuration. Asked only where alerts.yaml names one. */
export function secondChannelGate({ desk, now }: { readonly desk: Pick<DeskSnapshot, 'secondChannel'> | undefined; readonly now: Instant }): GateResult {
  const gate = (state: GateResult['state'], reason: string, message: string, next: string | null): GateResult => ({
    id: 'second-channel',
    state,
    reason,
    message,
    next,
  })
  const again = 'nightshift run alertCanary'
  const test = desk?.secondChannel
  if (!test) return gate('unknown', 'no_test', 'the second channel was never tried', again)
  const at = new Date(test.askedAtMs).toISOString()
  if (test.state === 'waiting') return gate('unknown', 'test_waiting', `the test of ${at} has not been taken: ${test.detail}`, 'nightshift alerts list')
  if (test.state === 'refused') {
    return gate('failed', 'test_refused', `the second channel refused the test of ${at}: ${test.detail}`, `mend second_channel in alerts.yaml, then ${again}`)
  }
  const ageSeconds = (Date.parse(now) - (test.settledAtMs ?? test.askedAtMs)) / 1000
  if (ageSeconds > TEST_LIMIT_SECONDS) {
    return gate('failed', 'test_old', `the second channel was tried ${Math.floor(ageSeconds / 86_400)} days ago, expected once a week`, again)
  }
  return gate('passed', 'ok', `the second channel took the test of ${at}: ${test.detail}`, null)
}
