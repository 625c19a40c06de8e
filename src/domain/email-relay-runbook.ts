/** What `email-relay.yaml` wants, as typed objects: by which way each Proxmox host may send mail, and what is accepted beside it. No I/O here. */
import type { ApprovalPolicy } from './change/approval.js'
import type { RelayWatcher } from './relay/watcher.js'

/** Every way by which a Proxmox host can send mail or be made to; each is looked at in each reading. */
export const RELAY_CHANNELS = [
  'targets',
  'matchers',
  'notification-files',
  'jobs',
  'vzdump-cron',
  'vzdump-defaults',
  'hook-scripts',
  'scripts',
  'users',
  'datacenter',
  'forward',
  'aliases',
  'postfix',
  'queue',
  'other-mta',
  'smartd',
  'zed',
  'cron',
  'anacron',
  'mdadm',
  'apt',
  'logs',
  'security',
  'ups',
  'systemd',
  'sudo',
  'agents',
  'pbs',
  'outside',
] as const

export type RelayChannel = (typeof RELAY_CHANNELS)[number]

/** The one mail server that hosts hand their mail to. The password is a reference: `env:NAME` or `file:` with an absolute path. */
export interface RelayServer {
  readonly server: string
  readonly port: number
  readonly username: string
  readonly password: string
  /** Envelope sender of everything that leaves a host; a default Stalwart takes no other. */
  readonly sender: string
  /** Who reads what a host has to say to root. */
  readonly rootMailTo: string
  /** How the server calls itself in the `Received` line that it writes. */
  readonly receivedBy: string
}

export interface RelayHost {
  readonly host: string
  /** `relay`: through the server. `disable`: no mail leaves the host, and no notification is sent. */
  readonly mode: 'relay' | 'disable'
  /** What becomes of mail that waits in the queue when the relay is proven; always asked for. */
  readonly oldQueue: 'keep' | 'flush' | 'delete'
  /** Where it stands, for messages: `email-relay.yaml:12`. */
  readonly place: string
}

/** A finding that is known and accepted. All of host, channel and place have to fit. */
export interface RelayException {
  readonly host: string
  readonly channel: RelayChannel
  readonly place: string
  readonly reason: string
  /** Last day (YYYY-MM-DD, the estate's zone) on which it counts. */
  readonly until: string
}

/** How long "no other route" is looked at before it counts. */
export interface RelayWatch {
  /** `time`: for `days`. `events`: until a job's notification and a change of packages have passed, at most `days`. */
  readonly until: 'time' | 'events'
  readonly days: number
  readonly everyMinutes: number
}

/** `email-relay.yaml`, whole. */
export interface EmailRelayRunbook {
  readonly approval: ApprovalPolicy
  readonly relay: RelayServer
  readonly watch: RelayWatch
  readonly hosts: readonly RelayHost[]
  readonly exceptions: readonly RelayException[]
  /** At most one for each site. */
  readonly watchers: readonly RelayWatcher[]
  /** SHA-256 (hex) over the RFC 8785 form of the parsed file. */
  readonly digest: string
}
