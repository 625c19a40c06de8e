/** What the desk's last word adds to a status: until when a target is silenced, how the outbox stands. Loads nothing, so that `nightshift status` stays quick. */
import type { DeskStatus, Instant, StatusDocument } from '../status.js'
import { isSilencedBy } from './silences.js'
import type { DeskSnapshot } from './snapshot.js'

const isoOrNull = (ms: number | null): Instant | null => (ms === null ? null : new Date(ms).toISOString())

export function deskStatusOf({ takenAt, passId, incidents, silences, outbox, canary, secondChannel }: DeskSnapshot): DeskStatus {
  return {
    takenAt,
    passId,
    open: incidents.length,
    silences: silences.length,
    outbox,
    canary:
      canary === null ? null : { state: canary.state, sentAt: isoOrNull(canary.sentAtMs), arrivedAt: isoOrNull(canary.arrivedAtMs), detail: canary.detail },
    ...(secondChannel === undefined
      ? {}
      : {
          secondChannel: {
            state: secondChannel.state,
            askedAt: new Date(secondChannel.askedAtMs).toISOString(),
            settledAt: isoOrNull(secondChannel.settledAtMs),
            detail: secondChannel.detail,
          },
        }),
  }
}

/** The rows with `silencedUntil` as the desk last said: the latest end of what silences the target or one of its incidents. */
export function withSilences(targets: StatusDocument['targets'], snapshot: DeskSnapshot, nowMs: number): StatusDocument['targets'] {
  const isOpen = (until: Instant): boolean => Date.parse(until) > nowMs
  return targets.map((row) => {
    const subject = `${row.site}/target/${row.id}`
    const ends = [
      ...snapshot.silences.filter((silence) => isSilencedBy({ id: '', key: subject, subject }, silence)).map(({ until }) => until),
      ...snapshot.incidents.flatMap((incident) => (incident.subject === subject && incident.silencedUntil !== null ? [incident.silencedUntil] : [])),
    ]
    return { ...row, silencedUntil: ends.filter(isOpen).sort().at(-1) ?? null }
  })
}
