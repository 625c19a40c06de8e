/** The gate over the way of alerts: shown from what the way left behind, not from configuration. */
import type { GateResult } from '../gates.js'
import type { Instant, StatusDocument } from '../status.js'
import { type DeskSnapshot, OUTBOX_LATE_SECONDS } from './snapshot.js'

/** A canary is sent weekly; a day of grace. */
const CANARY_LIMIT_SECONDS = 8 * 86_400
/** What the pipeline has left behind: nothing of it is configuration. */
export interface PipelineEvidence {
  readonly status: Pick<StatusDocument, 'takenAt' | 'passId' | 'periodSeconds'> | undefined
  readonly desk: Pick<DeskSnapshot, 'takenAt' | 'passId' | 'passTakenAt' | 'outbox' | 'canary'> | undefined
  readonly now: Instant
}

/** Is the way from a pass to the mailbox alive? By the last pass, the desk's last word, the age of what it could not send, and the last canary. */
export function pipelineGate({ status, desk, now }: PipelineEvidence): GateResult {
  const id = 'notification-pipeline'
  const gate = (state: GateResult['state'], reason: string, message: string, next: string | null = null): GateResult => ({ id, state, reason, message, next })
  const ageSeconds = (at: string | number): number => (Date.parse(now) - (typeof at === 'number' ? at : Date.parse(at))) / 1000
  if (status === undefined) return gate('unknown', 'no_pass', 'no pass of the monitor has been published yet', 'nightshift run backupMonitor')
  const limit = 3 * status.periodSeconds
  if (ageSeconds(status.takenAt) > limit) {
    return gate(
      'failed',
      'no_pass',
      `the last pass is ${minutes(ageSeconds(status.takenAt))} old, expected one every ${minutes(status.periodSeconds)}`,
      'nightshift doctor',
    )
  }
  if (desk === undefined) return gate('unknown', 'no_desk', 'the alert desk has never said a word', 'nightshift alerts list')
  if (desk.passTakenAt === null || Date.parse(status.takenAt) - Date.parse(desk.passTakenAt) > limit * 1000) {
    const last = desk.passTakenAt === null ? 'none' : `that of ${desk.passTakenAt}`
    return gate('failed', 'desk_behind', `the desk has not taken the passes of the last ${minutes(limit)}; its last one: ${last}`, 'nightshift runs')
  }
  const { oldestAt, lastReply } = desk.outbox
  if (oldestAt !== null && ageSeconds(oldestAt) > OUTBOX_LATE_SECONDS) {
    const said = lastReply === null ? '' : `; the server said: ${lastReply}`
    return gate('failed', 'outbox_late', `a message has been waiting to be sent for ${minutes(ageSeconds(oldestAt))}${said}`, 'nightshift alerts list')
  }
  const { canary } = desk
  if (canary === null) return gate('unknown', 'no_canary', 'no canary was ever sent through the whole way', 'nightshift run alertCanary')
  if (canary.state === 'lost')
    return gate(
      'failed',
      'canary_lost',
      `the last canary did not arrive: ${canary.detail}`,
      'look into the mail server, then send another: nightshift run alertCanary',
    )
  if (canary.state !== 'arrived' || canary.arrivedAtMs === null)
    return gate('unknown', 'canary_unproven', `the last canary: ${canary.detail}`, 'nightshift alerts list')
  if (ageSeconds(canary.arrivedAtMs) > CANARY_LIMIT_SECONDS) {
    return gate(
      'failed',
      'canary_old',
      `the last canary arrived ${Math.floor(ageSeconds(canary.arrivedAtMs) / 86_400)} days ago, expected one a week`,
      'nightshift run alertCanary',
    )
  }
  const seconds = Math.max(0, Math.round((canary.arrivedAtMs - canary.askedAtMs) / 1000))
  return gate(
    'passed',
    'ok',
    `the canary of ${new Date(canary.askedAtMs).toISOString()} was in the mailbox after ${seconds} s; the desk took the pass of ${desk.passTakenAt}`,
  )
}

function minutes(seconds: number): string {
  return seconds >= 2 * 3600 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 60)} min`
}
