/**
 * The ways that alerts take stand somewhere themselves. A mail server that is a guest of a host cannot tell that this host is down: such a channel is named
 * in the finding about the host, and that nothing else would tell is a finding of its own.
 */
import type { AlertContract, Host, RunbookSet } from '../estate.js'
import type { Pass } from './pass.js'
import { subjectOf } from './pass.js'
import { report } from './report.js'
import { waiverState } from './waivers.js'
import { listInWords } from './words.js'

/** What `host:` of a channel says when it stands on no host of the estate. */
export const ELSEWHERE = 'elsewhere'

/** One way of alerts, and what it stands on. */
export interface Channel {
  readonly kind: 'mail' | 'mailbox' | 'second channel'
  /** For people: `mail by mail.example.org`. */
  readonly name: string
  /** As in alerts.yaml; undefined: nobody said. */
  readonly host: string | undefined
}

export function channelsOf({ mail, secondChannel }: AlertContract): Channel[] {
  return [
    ...(mail === undefined ? [] : [{ kind: 'mail' as const, name: `mail by ${mail.server}`, host: mail.host }]),
    ...(mail?.mailbox === undefined ? [] : [{ kind: 'mailbox' as const, name: `the mailbox of ${mail.mailbox.address}`, host: mail.mailbox.host }]),
    ...(secondChannel === undefined ? [] : [{ kind: 'second channel' as const, name: 'the second channel', host: secondChannel.host }]),
  ]
}

/** The channels that are lost with a host: they stand on it, or on a guest of it. */
export function channelsLostWith(set: Pick<RunbookSet, 'alerts' | 'estate'>, host: string): Channel[] {
  const standsOn = (name: string): boolean => name === host || set.estate.hosts.find((each) => each.name === name)?.guestOf?.host === host
  return channelsOf(set.alerts).filter((channel) => channel.host !== undefined && standsOn(channel.host))
}

/** `mail by … and the mailbox of … (guest 214 of pve, communications-stack)` */
export function channelsInWords(set: Pick<RunbookSet, 'alerts' | 'estate'>, channels: readonly Channel[]): string {
  return `${listInWords(channels.map(({ name }) => name))} (${placesInWords(set, channels)})`
}

function placesInWords(set: Pick<RunbookSet, 'estate'>, channels: readonly Channel[]): string {
  return [...new Set(channels.map(({ host }) => host))].map((name) => placeInWords(set.estate.hosts.find((each) => each.name === name))).join('; ')
}

const placeInWords = (host: Host | undefined): string =>
  host === undefined ? '?' : host.guestOf === undefined ? host.name : `${host.name}, guest ${host.guestOf.vmid} of ${host.guestOf.host}`

/** True when nobody is told while the host is down: mail stands on it, and there is no second channel that does not. */
export function isSilencedBy(set: Pick<RunbookSet, 'alerts' | 'estate'>, host: string): boolean {
  const lost = channelsLostWith(set, host).map(({ kind }) => kind)
  return lost.includes('mail') && (set.alerts.secondChannel === undefined || lost.includes('second channel'))
}

/** For a finding about a host that does not answer: what is not told meanwhile; empty where no channel stands on it. */
export function lostChannels(pass: Pass, hosts: readonly string[]): string {
  const lost = [...new Map(hosts.flatMap((host) => channelsLostWith(pass.runbooks, host)).map((channel) => [channel.kind, channel])).values()]
  if (lost.length === 0) return ''
  return `; ${listInWords(lost.map(({ kind }) => kind))} ${lost.length === 1 ? 'stands' : 'stand'} on it (${placesInWords(pass.runbooks, lost)}): what goes that way waits`
}

/** Says of each host whose loss would not be told that it is so, unless that is accepted. */
export function judgeChannels(pass: Pass): void {
  const { estate, alerts } = pass.runbooks
  const { valid, expired } = waiverState(pass, alerts.mail?.waiver)
  if (valid) return
  for (const host of estate.hosts) {
    if (host.guestOf !== undefined || !isSilencedBy(pass.runbooks, host.name)) continue
    const ended = expired ? `; that was accepted until ${alerts.mail?.waiver?.until}` : ''
    report(pass, subjectOf(host.site, 'host', host.name), 'delivery', {
      reason: 'channel_on_reported_host',
      severity: 'warning',
      message: `alerts about ${host.name} go by what stands on it: ${channelsInWords(pass.runbooks, channelsLostWith(pass.runbooks, host.name))}; while it is down nobody is told${ended}`,
      next: 'name a second_channel that stands elsewhere in alerts.yaml, or accept it: mail.waiver',
    })
  }
}
