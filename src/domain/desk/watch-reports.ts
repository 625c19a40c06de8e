/** A monitor that has gone silent is noticed by the desk: no report for three of its periods, half an hour at least. */
import { mailRecoveries } from './mails.js'
import { keyOf } from './report.js'
import { lengthText } from './text.js'
import type { Turn } from './turn.js'

const LEAST_SILENCE_MS = 30 * 60_000

export function watchReports(turn: Turn): void {
  for (const [scope, { receivedAtMs, periodSeconds }] of Object.entries(turn.state.scopes)) {
    const finding = { subject: `${turn.state.estate}/monitor/reports of ${scope}`, condition: 'blind' as const }
    const key = keyOf(finding)
    const known = turn.incidents[key]
    const isSilent = periodSeconds !== null && turn.nowMs - receivedAtMs > Math.max(LEAST_SILENCE_MS, 3 * periodSeconds * 1000)
    if (isSilent && known === undefined) {
      turn.begin({
        ...finding,
        key,
        scope: 'desk',
        site: turn.state.estate,
        host: null,
        severity: 'unknown',
        reason: 'no_report',
        message: `nothing was heard from ${scope} for ${lengthText(receivedAtMs, turn.nowMs)}: what it watches is not watched`,
        next: 'nightshift doctor; is the worker up, is the schedule paused?',
        since: new Date(receivedAtMs).toISOString(),
        lastGood: null,
        brokenAtMs: receivedAtMs,
        isAdopted: false,
      })
    } else if (!isSilent && known !== undefined) {
      turn.remove(known)
      mailRecoveries(turn, [{ incident: known, why: 'recovered', message: `${scope} reports again` }])
    }
  }
}
