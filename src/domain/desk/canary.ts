/** The canary: a message of ours to ourselves through the whole way, read back from the mailbox. */
import type { DeliveredAnswer } from './delivery.js'
import { testSecondChannel } from './second-channel.js'
import type { CanaryState, DeskState } from './state.js'
import { entry, paragraph } from './text.js'
import { type DeskStep, Turn } from './turn.js'

/** @returns why no canary is sent now, or null */
export function refusalOfCanary(state: DeskState): string | null {
  if (state.contract === null) return 'no pass has been reported yet, so nobody is known who could be told'
  return state.canary?.state === 'waiting' ? `the canary of ${new Date(state.canary.askedAtMs).toISOString()} is still on its way` : null
}

/** @param alsoSecondChannel try the second channel too, which mail's canary says nothing of */
export function sendCanary(state: DeskState, nowMs: number, alsoSecondChannel = true): DeskStep {
  const turn = new Turn(state, nowMs)
  const { contract } = state
  if (contract === null) return turn.end()
  const messageId = turn.mail({
    kind: 'canary',
    severity: 'ok',
    sender: contract.sender,
    recipients: contract.defaultRoute.recipients,
    subject: `[nightshift ${state.estate}] canary: alerts reach you`,
    text: [
      paragraph('This message shows that alerts arrive. nightshift looks for it in the mailbox and says so when it does not find it.'),
      '',
      entry('Sent', new Date(nowMs).toISOString()),
      '',
    ].join('\n'),
    thread: [],
    identity: ['canary', nowMs],
    about: { State: 'canary' },
  })
  turn.patch({ canary: { messageId, askedAtMs: nowMs, sentAtMs: null, arrivedAtMs: null, state: 'waiting', detail: 'on its way' } })
  if (alsoSecondChannel) testSecondChannel(turn)
  return turn.end()
}

/** True when it was taken by the server and nobody has looked for it yet. */
export const isCanaryDue = (state: DeskState): boolean => state.canary?.state === 'waiting' && state.canary.sentAtMs !== null

export function settleCanary(state: DeskState, answer: DeliveredAnswer): DeskState {
  const { canary } = state
  if (canary === null) return state
  const next: CanaryState =
    answer.answer === 'yes'
      ? { ...canary, state: 'arrived', arrivedAtMs: answer.arrivedAt === null ? null : Date.parse(answer.arrivedAt), detail: `found in ${answer.mailbox}` }
      : answer.answer === 'no'
        ? { ...canary, state: 'lost', detail: `the server took it and it is not in ${answer.mailbox}` }
        : { ...canary, state: 'cannot_tell', detail: answer.why ?? 'the mailbox cannot be read' }
  return { ...state, canary: next }
}
