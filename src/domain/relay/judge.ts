/** A reading of a host against `email-relay.yaml`: each channel clean, with findings, or unknown. Pure; used by the plan and by the gate. */
import { type EmailRelayRunbook, RELAY_CHANNELS, type RelayChannel, type RelayHost } from '../email-relay-runbook.js'
import type { GateResult } from '../gates.js'
import type { Found, RelayContext, RelayFinding } from './finding.js'
import { judgeCommands } from './judge-commands.js'
import { judgeFiles, judgePbs } from './judge-files.js'
import { judgeAliases, judgeForward, judgeOtherMailers, judgePostfix, judgeQueue } from './judge-mail.js'
import {
  judgeDatacenter,
  judgeHookScripts,
  judgeJobs,
  judgeMatchers,
  judgeNotificationFiles,
  judgeTargets,
  judgeUsers,
  judgeVzdumpCron,
  judgeVzdumpDefaults,
} from './judge-proxmox.js'
import { outputOf, type RelayObservation, Unreadable } from './observation.js'
import type { WatcherOrder } from './watcher.js'
import { watcherFilesInPlace } from './watcher-plan.js'

export interface ChannelVerdict {
  readonly channel: RelayChannel
  /** `note`: nothing on the host can show it; said so that nobody takes it for looked at. */
  readonly state: 'clean' | 'finding' | 'unknown' | 'note'
  /** Those that no exception accepts. */
  readonly findings: readonly RelayFinding[]
  readonly accepted: readonly { readonly finding: RelayFinding; readonly reason: string; readonly until: string }[]
  /** Why it is unknown, or the note; null otherwise. */
  readonly message: string | null
}

const JUDGES: Readonly<Record<Exclude<RelayChannel, 'outside'>, (seen: RelayObservation, context: RelayContext) => Found[]>> = {
  targets: judgeTargets,
  matchers: judgeMatchers,
  'notification-files': judgeNotificationFiles,
  jobs: judgeJobs,
  'vzdump-cron': judgeVzdumpCron,
  'vzdump-defaults': judgeVzdumpDefaults,
  'hook-scripts': judgeHookScripts,
  scripts: (seen, context) => judgeCommands('scripts', seen, context),
  users: judgeUsers,
  datacenter: judgeDatacenter,
  forward: judgeForward,
  aliases: judgeAliases,
  postfix: judgePostfix,
  queue: judgeQueue,
  'other-mta': judgeOtherMailers,
  pbs: judgePbs,
  ...byFiles('smartd', 'zed', 'cron', 'anacron', 'mdadm', 'apt', 'logs', 'security', 'ups', 'systemd', 'sudo', 'agents'),
}

function byFiles<C extends RelayChannel>(...channels: readonly C[]): Record<C, (seen: RelayObservation, context: RelayContext) => Found[]> {
  const judges = channels.map((channel) => [channel, (seen: RelayObservation, context: RelayContext) => judgeFiles(channel, seen, context)])
  return Object.fromEntries(judges) as Record<C, (seen: RelayObservation, context: RelayContext) => Found[]>
}

const OUTSIDE = 'mails that others send about this host (ACME account, subscription, alerts of a BMC or RAID controller) cannot be seen on it'

/** @throws Unreadable when not even the host's own names could be read */
export function contextOf(
  seen: RelayObservation,
  runbook: Pick<EmailRelayRunbook, 'relay'>,
  host: RelayHost,
  watcher: WatcherOrder | null = null,
): RelayContext {
  const fqdn = outputOf(seen, 'myhostname').trim()
  const localNames = [fqdn, fqdn.split('.')[0] ?? fqdn, `localhost.${fqdn.split('.').slice(1).join('.')}`]
  return { relay: runbook.relay, host, localNames, ownFiles: watcher === null ? [] : watcherFilesInPlace(watcher, seen) }
}

/**
 * @param today YYYY-MM-DD in the estate's zone: exceptions end
 * @param watcher the one that is declared for this host: its unit is no other way, whatever the estate is called
 */
export function judgeRelay(
  seen: RelayObservation,
  runbook: EmailRelayRunbook,
  host: RelayHost,
  today: string,
  watcher: WatcherOrder | null = null,
): ChannelVerdict[] {
  return RELAY_CHANNELS.map((channel) => {
    if (channel === 'outside') return { channel, state: 'note', findings: [], accepted: [], message: OUTSIDE }
    try {
      if (outputOf(seen, 'uid').trim() !== '0') throw new Unreadable('the reading did not run as root, which sees not everything')
      return verdictOf(channel, JUDGES[channel](seen, contextOf(seen, runbook, host, watcher)), runbook, host, today)
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error
      return { channel, state: 'unknown', findings: [], accepted: [], message: error.message }
    }
  })
}

function verdictOf(channel: RelayChannel, found: readonly Found[], { exceptions }: EmailRelayRunbook, { host }: RelayHost, today: string): ChannelVerdict {
  const findings: RelayFinding[] = []
  const accepted: ChannelVerdict['accepted'][number][] = []
  for (const each of found) {
    const finding: RelayFinding = { isPlanned: false, ...each, channel }
    const exception = exceptions.find((one) => one.host === host && one.channel === channel && one.place === finding.place && today <= one.until)
    if (exception === undefined) findings.push(finding)
    else accepted.push({ finding, reason: exception.reason, until: exception.until })
  }
  return { channel, state: findings.length > 0 ? 'finding' : 'clean', findings, accepted, message: null }
}

export const relayGateId = (host: string): string => `mail-route/${host}`

const MOST_PLACES = 200

/** Passed only when every channel was read and none leads elsewhere: what could not be read is no pass. */
export function relayGateOf(host: RelayHost, verdicts: readonly ChannelVerdict[]): GateResult {
  const id = relayGateId(host.host)
  const findings = verdicts.flatMap((verdict) => verdict.findings)
  const unread = verdicts.filter(({ state }) => state === 'unknown')
  const [first] = findings
  const places = [
    ...findings.map((finding) => ({ place: finding.place, found: finding.found.slice(0, 300), next: nextOf(finding, host) })),
    ...unread.map(({ channel, message }) => ({
      place: channel,
      found: `could not be read: ${message ?? ''}`.slice(0, 300),
      next: `make it readable on ${host.host}; what is not read is no pass`,
    })),
  ]
  const all = { places: places.slice(0, MOST_PLACES) }
  const more = places.length > 1 ? ` (and ${places.length - 1} more, each in: nightshift status)` : ''
  if (first !== undefined) {
    const reason = `${first.channel}_leads_elsewhere`.replaceAll('-', '_')
    return { id, state: 'failed', reason, message: `${host.host}: ${first.place}, found ${first.found}${more}`, next: nextOf(first, host), ...all }
  }
  const [unknown] = places
  if (unknown !== undefined)
    return { id, state: 'unknown', reason: 'unread', message: `${host.host}: ${unknown.place} ${unknown.found}${more}`, next: unknown.next, ...all }
  const accepted = verdicts.flatMap((verdict) => verdict.accepted)
  const beside = accepted.length === 0 ? '' : `, beside ${accepted.length} accepted by exceptions: ${accepted.map(({ finding }) => finding.place).join(', ')}`
  const says = host.mode === 'relay' ? 'every way of mail leads through the relay' : 'no mail leaves the host'
  return { id, state: 'passed', reason: 'ok', message: `${host.host}: ${says}${beside}`, next: null }
}

function nextOf({ isPlanned, fix }: RelayFinding, { host }: RelayHost): string {
  return isPlanned ? `nightshift run emailRelay '{"host":"${host}"}'` : fix
}
