/**
 * The alert desk: one long-lived run that is told what is wrong and says it to people, once. All decisions are made by `src/domain/desk`; this file
 * waits, hands over what comes in, and lets deliver and write down what goes out. Nothing is lost by a restart, nor by the change to a new run.
 */
import {
  ActivityFailure,
  ApplicationFailure,
  allHandlersFinished,
  condition,
  continueAsNew,
  defineQuery,
  defineSignal,
  defineUpdate,
  patched,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow'
import type { DeskActivities } from '../activities/desk.js'
import { isCanaryDue, refusalOfCanary, sendCanary, settleCanary } from '../domain/desk/canary.js'
import { carry, taken } from '../domain/desk/carried.js'
import { DELIVERY_DEADLINE_SECONDS, type DeliveredAnswer, type DeliveryActivities, type SendResult, type WebhookResult } from '../domain/desk/delivery.js'
import { deskDetails } from '../domain/desk/details.js'
import { foldOutbox } from '../domain/desk/fold.js'
import type { AlertDeskInput, DeskEvidence } from '../domain/desk/messages.js'
import * as orders from '../domain/desk/orders.js'
import { isNearingLimit, nextNotice, nextSend, settleAsked, settleNotice, settleSend } from '../domain/desk/outbox.js'
import { receive } from '../domain/desk/receive.js'
import type { DeskReport } from '../domain/desk/report.js'
import { nextReviewAtMs, tick } from '../domain/desk/review.js'
import { type DeskSnapshot, snapshotOf } from '../domain/desk/snapshot.js'
import { type Decision, newDesk, type OutboxEntry } from '../domain/desk/state.js'
import type { DeskStep } from '../domain/desk/turn.js'
import { queueNames } from '../domain/ids.js'
import type { OpenedMarks } from '../domain/relay/marks.js'
import { alertDeskInput, refusalOfReport } from './inputs.js'
import { leaveMarks } from './leave-marks.js'
import { parseInput, runbookAttributes } from './shell.js'

/** A day of passes and mails is about as much; the server suggests 4,096, and a short history replays quickly. */
const CONTINUE_AFTER_EVENTS = 1_500
/** How long a message that was taken may stay in the server's queue before the mailbox is believed not to have it. */
const LOOK_AGAIN_SECONDS = 60
const CANARY_LOOK_SECONDS = 150
const MOST_REFUSED = 20
/** While the state folder takes nothing: tried again after so long, and so much is kept for it. */
const WRITE_AGAIN_MS = 60_000
const MOST_UNWRITTEN = { decisions: 500, evidence: 100 } as const
/** Of one word: with the snapshot of a thousand incidents beside them they stay below what the server takes in one piece (2 MiB). */
const MOST_DECISIONS_A_WORD = 400

/** A pass may be dated by a clock that was put back or ahead. Runs of before 0.2 took every date for true. */
const doubtsClocks = () => patched('clocks-that-jump')
/** Runs of before 0.2 went on writing to whom alerts.yaml named when something began. */
const readdresses = () => patched('addresses-of-now')

export const reportSignal = defineSignal<[DeskReport]>('report')
export const deskQuery = defineQuery<DeskSnapshot>('desk')
const ackUpdate = defineUpdate<string, [orders.AckOrder]>('ack')
const silenceUpdate = defineUpdate<string, [orders.SilenceOrder]>('silence')
const unsilenceUpdate = defineUpdate<string, [orders.UnsilenceOrder]>('unsilence')
const adoptUpdate = defineUpdate<string, [orders.AdoptOrder]>('adopt')
const closeAdoptedUpdate = defineUpdate<string, [orders.CloseAdoptedOrder]>('closeAdopted')
const canaryUpdate = defineUpdate<string, []>('canary')

export async function alertDesk(rawInput: AlertDeskInput): Promise<void> {
  const input = parseInput('alertDesk', alertDeskInput, rawInput)
  const isFirst = rawInput.state === undefined
  let state = rawInput.state === undefined ? newDesk(input.estate) : taken({ state: rawInput.state, incidents: rawInput.incidents })
  let decisions: readonly Decision[] = rawInput.unwritten?.decisions ?? []
  let evidence: readonly DeskEvidence[] = rawInput.unwritten?.evidence ?? []
  let isUnsaid = isFirst || rawInput.unwritten !== undefined
  let writeAgainAtMs = 0
  /** What the last word allows to be left for the watchers. */
  let toMark: OpenedMarks | undefined
  let markedPassId = state.scopes.monitor?.passId ?? null
  let isLeaving = false

  const take = (step: DeskStep): void => {
    state = step.state
    decisions = [...decisions, ...step.decisions]
    isUnsaid = true
  }
  const testify = (seen: Omit<DeskEvidence, 'at'>): void => {
    evidence = [...evidence, { ...seen, at: new Date().toISOString() }]
  }
  const setState = (next: typeof state): void => take({ state: next, decisions: [] })
  const refuse = (order: string, why: string): void =>
    setState({ ...state, refused: [...state.refused, { atMs: Date.now(), order, why }].slice(-MOST_REFUSED) })

  // What comes in is decided on at once: between two awaits nothing else runs.
  const takeReport = (report: DeskReport): void => {
    const why = refusalOfReport(report)
    if (why === null) take(receive(state, report, Date.now(), { isWhole: false, doubtsClocks, readdresses }))
    else refuse('report', why)
  }
  setHandler(reportSignal, takeReport, { description: 'What a pass of the monitor, or another run, finds wrong.' })
  setHandler(deskQuery, () => snapshotOf(state, Date.now(), run()), { description: 'Open incidents, silences, outbox.' })

  const accept: Record<string, (order: never) => string> = {
    ack(order: orders.AckOrder) {
      const step = orders.ack(state, order, Date.now())
      take(step)
      return `${step.incident.subject}: no repeats until it is over`
    },
    silence(order: orders.SilenceOrder) {
      const step = orders.silence(state, order, Date.now())
      take(step)
      return `silence ${step.silence.id} over ${order.matching} until ${order.until}`
    },
    unsilence(order: orders.UnsilenceOrder) {
      const step = orders.unsilence(state, order, Date.now())
      take(step)
      take(tick(state, Date.now()))
      return `silence ${step.silence.id} is over`
    },
    adopt(order: orders.AdoptOrder) {
      take(orders.adopt(state, order, Date.now()))
      return `${order.name}: ${order.count} listed`
    },
    closeAdopted(order: orders.CloseAdoptedOrder) {
      const step = orders.closeAdopted(state, order)
      take(step)
      const { name, count, oldest } = step.queue
      testify({ id: `close-adopted/${name}`, what: 'close-adopted', by: order.by, reason: order.reason, facts: { name, count, oldest } })
      return `${name}: closed`
    },
    canary() {
      take(sendCanary(state, Date.now(), patched('second-channel-test')))
      return 'the canary is in the outbox'
    },
  }
  const refusals: Record<string, (order: unknown) => string | null> = {
    ack: (order) => orders.refusalOfAck(state, order),
    silence: (order) => orders.refusalOfSilence(state, order, Date.now()),
    unsilence: (order) => orders.refusalOfUnsilence(state, order),
    adopt: (order) => orders.refusalOfAdopt(state, order),
    closeAdopted: (order) => orders.refusalOfCloseAdopted(state, order),
    canary: () => refusalOfCanary(state),
  }
  const descriptions: Record<string, string> = {
    ack: '{incident, by, reason}: no repeats until it is over',
    silence: '{matching, by, reason, until}: no mails until then',
    unsilence: '{silence, by, reason}: end a silence',
    adopt: '{name, by, count, oldest, lines}: list the unsent alerts of an earlier system once',
    closeAdopted: '{name, by, reason}: decide that they need nothing more',
    canary: 'send a message to ourselves and look for it in the mailbox',
  }
  for (const update of [ackUpdate, silenceUpdate, unsilenceUpdate, adoptUpdate, closeAdoptedUpdate, canaryUpdate]) {
    const { name } = update
    const refusalOf = (order: unknown): string | null => refusals[name]?.(order) ?? null
    const obey = (order: unknown): string => accept[name]?.(order as never) ?? ''
    setHandler(update as ReturnType<typeof defineUpdate<string, [unknown]>>, obey, {
      description: descriptions[name] ?? name,
      validator(order) {
        const why = refusalOf(order)
        if (why !== null) throw ApplicationFailure.nonRetryable(why, 'Refused')
      },
    })
    setHandler(
      defineSignal<[unknown]>(name),
      (order) => {
        const why = refusalOf(order)
        if (why === null) obey(order)
        else refuse(name, why)
      },
      { description: `${descriptions[name]}. A refused one is listed under \`refused\` of the query desk.` },
    )
  }

  if (isFirst) upsertSearchAttributes(runbookAttributes('alertDesk'))
  else setCurrentDetails(deskDetails(snapshotOf(state, Date.now(), run())))

  let reviewAtMs: number | null = null
  const fibers = [deliverMails(), deliverNotices(), watchCanary()]
  // Not waited for at the end: a host that hangs must not hold up the mails, and the next pass leaves another mark.
  void markPasses()
  while (!isLeaving) {
    await waitForWork()
    if (shouldLeave()) isLeaving = true
    else if (state.unsure.length > 0) await readWhole()
    else if (isReviewDue()) take(tick(state, Date.now()))
    await publish()
  }
  await Promise.all(fibers)
  await condition(allHandlersFinished)
  while (isUnsaid && isWritable()) await publish()
  const { estate, continueAfterEvents, lookAgainSeconds } = input
  await continueAsNew<typeof alertDesk>({
    estate,
    ...carry(state),
    ...(isUnsaid ? { unwritten: { decisions, evidence } } : {}),
    ...(lookAgainSeconds === undefined ? {} : { lookAgainSeconds }),
    ...(continueAfterEvents === undefined ? {} : { continueAfterEvents }),
  })

  function run() {
    const { workflowId, runId } = workflowInfo()
    return { workflowId, runId }
  }

  function shouldLeave(): boolean {
    const { historyLength, continueAsNewSuggested } = workflowInfo()
    return continueAsNewSuggested || historyLength >= (input.continueAfterEvents ?? CONTINUE_AFTER_EVENTS)
  }

  function isReviewDue(): boolean {
    return reviewAtMs !== null && Date.now() >= reviewAtMs
  }

  function isWritable(): boolean {
    return Date.now() >= writeAgainAtMs
  }

  async function waitForWork(): Promise<void> {
    reviewAtMs = nextReviewAtMs(state, Date.now())
    if (isUnsaid && !isWritable()) reviewAtMs = Math.min(reviewAtMs ?? writeAgainAtMs, writeAgainAtMs)
    const isWork = () => (isUnsaid && isWritable()) || state.unsure.length > 0 || shouldLeave()
    if (isWork()) return
    if (reviewAtMs === null) await condition(isWork)
    else await condition(isWork, Math.max(1, reviewAtMs - Date.now()), { summary: 'Until something is due' })
  }

  /** One write for all that was decided since the last one, or several where that is much. A state folder that takes nothing never holds up what is said: it is tried again later. */
  async function publish(): Promise<void> {
    if (!isUnsaid || !isWritable()) return
    const isMuch = decisions.length > MOST_DECISIONS_A_WORD && patched('words-in-parts')
    const word = { snapshot: snapshotOf(state, Date.now(), run()), decisions: isMuch ? decisions.slice(0, MOST_DECISIONS_A_WORD) : decisions, evidence }
    isUnsaid = isMuch
    decisions = decisions.slice(word.decisions.length)
    evidence = []
    setCurrentDetails(deskDetails(word.snapshot))
    try {
      const published = await stateActivities().publishDesk.executeWithOptions(
        { summary: `Write down ${word.snapshot.incidents.length} incidents, ${word.decisions.length} decisions` },
        [word],
      )
      if (state.unwritten != null) settleWriting(null)
      // Once a pass. An earlier release answered nothing.
      if (published?.marks === undefined || word.snapshot.passId === markedPassId) return
      toMark = published.marks
      if (toMark.withheld === null) markedPassId = word.snapshot.passId
    } catch (error) {
      if (!(error instanceof ActivityFailure)) throw error
      decisions = [...word.decisions, ...decisions].slice(-MOST_UNWRITTEN.decisions)
      evidence = [...word.evidence, ...evidence].slice(-MOST_UNWRITTEN.evidence)
      writeAgainAtMs = Date.now() + WRITE_AGAIN_MS
      settleWriting(`${error.cause?.message ?? error.message}`.slice(0, 300))
    }
  }

  function settleWriting(why: string | null): void {
    setState({ ...state, unwritten: why === null ? null : { sinceMs: state.unwritten?.sinceMs ?? Date.now(), why } })
    take(tick(state, Date.now()))
  }

  /** What we know does not agree with what a scope says about itself: a report was lost, or this desk is new. */
  async function readWhole(): Promise<void> {
    const [scope] = state.unsure
    if (scope === undefined) return
    const known = Object.values(state.incidents)
      .filter((incident) => incident.scope === scope && !incident.isAbsent)
      .map(({ key, severity, reason }) => ({ key, severity, reason }))
    try {
      const report = await stateActivities().readWhole.executeWithOptions({ summary: `Read all that is wrong in ${scope}` }, [{ scope, known }])
      take(receive(state, report, Date.now(), { isWhole: true, doubtsClocks, readdresses }))
    } catch (error) {
      if (!(error instanceof ActivityFailure)) throw error
    }
    // read or not: the next report that does not agree asks again
    setState({ ...state, unsure: state.unsure.filter((each) => each !== scope) })
  }

  async function deliverMails(): Promise<void> {
    for (;;) {
      if (state.outbox.length > 1) state = foldOutbox(state, Date.now(), () => patched('long-outbox'))
      const isPaced = isNearingLimit(state, Date.now()) && patched('paced-mails')
      const next = nextSend(state, Date.now(), isPaced)
      if (next.kind === 'wait') {
        const isReady = () => isLeaving || nextSend(state, Date.now(), isPaced).kind !== 'wait'
        if (isLeaving) return
        if (next.untilMs === null) await condition(isReady)
        else await condition(isReady, Math.max(1, next.untilMs - Date.now()), { summary: 'Until the outbox may try again' })
        if (isLeaving) return
        continue
      }
      if (isLeaving) return
      const { messageId } = next.entry.mail
      if (next.kind === 'ask') {
        const answer = await wasDelivered(next.entry, input.lookAgainSeconds ?? LOOK_AGAIN_SECONDS)
        setState(settleAsked(state, messageId, answer, Date.now()))
      } else {
        const { entry, deliverTo } = next
        const result = await sendMail(entry, deliverTo)
        setState(settleSend(state, messageId, deliverTo, result, Date.now()))
      }
      take(tick(state, Date.now()))
    }
  }

  async function sendMail(entry: OutboxEntry, deliverTo: readonly string[]): Promise<SendResult> {
    try {
      return await delivery('sendMail').sendMail.executeWithOptions({ summary: `Mail: ${entry.mail.subject}`.slice(0, 180) }, [{ ...entry.mail, deliverTo }])
    } catch (error) {
      if (!(error instanceof ActivityFailure)) throw error
      const cause = error.cause
      const isSettings = cause instanceof ApplicationFailure && cause.type === 'InvalidRunbooks'
      const reply = `the attempt broke off: ${cause?.message ?? error.message}`.slice(0, 300)
      // whoever broke off may have sent it before: the mailbox knows
      return {
        outcome: isSettings ? 'refused' : 'unknown',
        stage: isSettings ? 'configuration' : 'data',
        perRecipient: [],
        code: null,
        reply,
        server: '',
        latencyMs: 0,
      }
    }
  }

  async function wasDelivered(entry: Pick<OutboxEntry, 'mail' | 'queuedAtMs'>, waitSeconds: number): Promise<DeliveredAnswer> {
    const question = { messageId: entry.mail.messageId, since: new Date(entry.queuedAtMs).toISOString(), recipients: entry.mail.deliverTo, waitSeconds }
    try {
      return await delivery('wasDelivered').wasDelivered.executeWithOptions({ summary: 'Look for it in the mailbox' }, [question])
    } catch (error) {
      if (!(error instanceof ActivityFailure)) throw error
      return {
        answer: 'cannot_tell',
        arrivedAt: null,
        mailbox: 'none',
        why: `the mailbox was not read: ${error.cause?.message ?? error.message}`.slice(0, 300),
        latencyMs: 0,
      }
    }
  }

  async function deliverNotices(): Promise<void> {
    for (;;) {
      const next = nextNotice(state, Date.now())
      if (isLeaving) return
      if (next.kind === 'wait') {
        const isReady = () => isLeaving || nextNotice(state, Date.now()).kind === 'send'
        if (next.untilMs === null) await condition(isReady)
        else await condition(isReady, Math.max(1, next.untilMs - Date.now()), { summary: 'Until the second channel may try again' })
        continue
      }
      const { id, title, text, severity } = next.notice
      const result = await sendWebhook({ id, title, text, severity })
      setState(settleNotice(state, id, result, Date.now()))
      const test = state.secondChannel
      if (id !== test?.noticeId || test.settledAtMs === null) continue
      const facts = { noticeId: id, state: test.state, httpStatus: result.status, latencyMs: result.latencyMs }
      testify({ id: `second-channel/${test.askedAtMs}`, what: 'second-channel', by: 'schedule', reason: test.state, facts })
    }
  }

  async function sendWebhook(notice: Parameters<DeliveryActivities['sendWebhook']>[0]): Promise<WebhookResult> {
    try {
      return await delivery('sendWebhook').sendWebhook.executeWithOptions({ summary: `Second channel: ${notice.title}`.slice(0, 180) }, [notice])
    } catch (error) {
      if (!(error instanceof ActivityFailure)) throw error
      return { outcome: 'unknown', status: null, reply: `the attempt broke off: ${error.cause?.message ?? error.message}`.slice(0, 300), latencyMs: 0 }
    }
  }

  async function markPasses(): Promise<void> {
    for (;;) {
      await condition(() => toMark !== undefined)
      const opened = toMark
      toMark = undefined
      if (opened !== undefined) await leaveMarks(opened)
    }
  }

  async function watchCanary(): Promise<void> {
    for (;;) {
      await condition(() => isLeaving || isCanaryDue(state))
      if (isLeaving) return
      const { canary, contract } = state
      if (canary === null || contract === null) continue
      const mail = { messageId: canary.messageId, deliverTo: contract.defaultRoute.recipients } as OutboxEntry['mail']
      const answer = await wasDelivered({ mail, queuedAtMs: canary.askedAtMs }, CANARY_LOOK_SECONDS)
      // Only now: what the desk knew before the look is not what it knows after it.
      setState(settleCanary(state, answer))
      const seen = state.canary
      if (seen === null) continue
      const latencySeconds = seen.arrivedAtMs === null || seen.sentAtMs === null ? null : Math.round((seen.arrivedAtMs - seen.sentAtMs) / 1000)
      const facts = { messageId: seen.messageId, state: seen.state, latencySeconds }
      testify({ id: `canary/${seen.askedAtMs}`, what: 'canary', by: 'schedule', reason: seen.state, facts })
      take(tick(state, Date.now()))
    }
  }
}

/** Given up after some seconds: the desk has more to do than to wait for a disk. */
function stateActivities() {
  return proxyActivities<DeskActivities>({
    taskQueue: queueNames(workflowInfo().taskQueue).state,
    startToCloseTimeout: '30 seconds',
    retry: { maximumInterval: '1 minute', maximumAttempts: 5 },
  })
}

/** Sending is never retried by Temporal: whether to try again is decided from what came of the attempt. Reading the mailbox changes nothing. */
function delivery(activity: keyof typeof DELIVERY_DEADLINE_SECONDS) {
  return proxyActivities<DeliveryActivities>({
    taskQueue: queueNames(workflowInfo().taskQueue).state,
    startToCloseTimeout: `${DELIVERY_DEADLINE_SECONDS[activity] + 15} seconds`,
    retry: { maximumAttempts: activity === 'wasDelivered' ? 5 : 1, nonRetryableErrorTypes: ['InvalidRunbooks'] },
  })
}
