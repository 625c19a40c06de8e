/** A state folder that takes nothing is an incident, told by mail: the desk goes on without it, but what it decides is in no record. */
import { sha256Hex } from '../canonical.js'
import { mailRecoveries } from './mails.js'
import { keyOf } from './report.js'
import type { Turn } from './turn.js'

export function watchRecord(turn: Turn): void {
  const finding = { subject: `${turn.state.estate}/desk/record`, condition: 'space' as const }
  const key = keyOf(finding)
  const known = turn.incidents[key]
  const unwritten = turn.state.unwritten ?? null
  if (unwritten !== null && known === undefined) {
    turn.put({
      ...finding,
      id: sha256Hex(`${key}\n${turn.nowMs}`).slice(0, 8),
      key,
      scope: 'desk',
      site: turn.state.estate,
      host: null,
      severity: 'critical',
      reason: 'not_written',
      message: `what the alert desk decides cannot be written down, so nightshift status and alerts show what was before: ${unwritten.why}`,
      next: 'free space on the disk of the state folder; mail goes on meanwhile',
      since: new Date(unwritten.sinceMs).toISOString(),
      lastGood: null,
      openedAtMs: turn.nowMs,
      brokenAtMs: unwritten.sinceMs,
      seenAtMs: turn.nowMs,
      isAdopted: false,
      told: null,
      ack: null,
      held: null,
      isAbsent: false,
      flappingSinceMs: null,
      decision: '',
    })
  } else if (unwritten === null && known !== undefined) {
    turn.remove(known)
    mailRecoveries(turn, [{ incident: known, why: 'recovered', message: 'the state folder takes what is decided again' }])
  }
}
