/** The doctor on the ways of alerts: on which hosts they stand, and which of those nobody would be told about. */
import type { RunbookSet } from '../../domain/estate.js'
import { channelsInWords, channelsLostWith, channelsOf, ELSEWHERE, isSilencedBy } from '../../domain/judge/channels.js'
import { localDate } from '../../domain/judge/zone.js'
import { type Check, ok, warn } from './check.js'

const AREA = 'alerts'

/** @returns one check for each host that a channel depends on, and one for each channel of which nobody said where it stands */
export function checkChannels(set: RunbookSet, now: Date): Check[] {
  const channels = channelsOf(set.alerts)
  if (set.alerts.mail === undefined) return [warn(AREA, 'mail', 'alerts.yaml names no mail server: nobody is mailed', 'write mail: into alerts.yaml')]
  const unsaid = channels
    .filter(({ host }) => host === undefined)
    .map(({ kind, name }) =>
      warn(
        AREA,
        kind,
        `nobody said on which host ${name} stands`,
        `write host: into alerts.yaml, a host of estate.yaml or ${ELSEWHERE}; a pass then says what is lost with it`,
      ),
    )
  const { waiver } = set.alerts.mail
  const isAccepted = waiver !== undefined && localDate(now.getTime() / 1000, set.estate.timezone) <= waiver.until
  const dependent = set.estate.hosts.flatMap((host) => {
    const lost = channelsLostWith(set, host.name)
    if (host.guestOf !== undefined || lost.length === 0) return []
    const what = `${channelsInWords(set, lost)} ${lost.length === 1 ? 'is' : 'are'} lost with it`
    if (!isSilencedBy(set, host.name)) return [ok(AREA, `host ${host.name}`, `${what}; another channel is not`)]
    if (isAccepted) return [ok(AREA, `host ${host.name}`, `${what}; accepted until ${waiver.until}: ${waiver.reason}`)]
    const next = 'name a second_channel that stands elsewhere in alerts.yaml, or accept it: mail.waiver'
    return [warn(AREA, `host ${host.name}`, `${what}, and nobody is told while it is down`, next)]
  })
  if (unsaid.length > 0 || dependent.length > 0) return [...unsaid, ...dependent]
  return [ok(AREA, 'channels', 'no channel stands on a host that it reports about')]
}
