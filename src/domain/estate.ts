/**
 * What the operator wants to be true, as typed objects: the shape of the runbook files after loading.
 * `src/runbooks/` reads YAML into these types; everything else works on them. No I/O here.
 */
import type { EmailRelayRunbook } from './email-relay-runbook.js'
import type { VzdumpRunbook } from './vzdump-runbook.js'

/** How much a target's loss would hurt; decides its default freshness limit (critical 26 h, important 48 h, rebuildable 168 h). */
export type Classification = 'critical' | 'important' | 'rebuildable'

/** "We know, and it is so until …". `until` is a calendar date (YYYY-MM-DD), inclusive, in the estate's time zone. */
export interface Waiver {
  readonly reason: string
  readonly until: string
}

/** The thing is gone for good. `date` is YYYY-MM-DD. */
export interface Decommissioned {
  readonly reason: string
  readonly date: string
}

export interface Site {
  readonly id: string
  /** Task queue of a worker that sits at this site; absent = the common queue. */
  readonly taskQueue?: string
}

export type HostKind = 'proxmox' | 'nas' | 'guest' | 'linux'

export interface Host {
  readonly name: string
  readonly site: string
  readonly kind: HostKind
  /** PVE node name where it is not the host name (`proxmox-home` is node `pve`). Only for kind `proxmox`; filled by the loader. */
  readonly node?: string
  /** `Host` alias in the ssh_config; filled by the loader (default: the name). */
  readonly sshAlias: string
  /** The SSH user is not root and reads what needs root through `sudo -n`. */
  readonly sudo: boolean
  /** For kind `guest`: which guest of which Proxmox host this is. */
  readonly guestOf?: { readonly host: string; readonly vmid: number }
}

/** A decision about one guest of one Proxmox host. */
export interface GuestDecision {
  readonly host: string
  readonly vmid: number
  readonly name?: string
  readonly classification?: Classification
  readonly waiver?: Waiver
  readonly decommissioned?: Decommissioned
}

/** Who makes the artifacts of a target. The pass checks that this producer still exists. */
export type Producer =
  | { readonly kind: 'vzdump'; readonly host: string; readonly vmid?: number; readonly job?: string }
  /** A line of a crontab (`/etc/crontab`, `/etc/cron.d/*`, users' crontabs) of `host` that contains `match`. */
  | { readonly kind: 'cron'; readonly host: string; readonly match: string }
  /** A systemd timer unit of `host`. */
  | { readonly kind: 'timer'; readonly host: string; readonly unit: string }
  /** A transfer that a cron line on `from` containing `match` does, to SSH destination `destination` (as that source names it). */
  | { readonly kind: 'transfer'; readonly from: string; readonly to: string; readonly match: string; readonly destination: string }
  | { readonly kind: 'external'; readonly description?: string }

export interface Estate {
  /** Permanent; the Temporal namespace is `nightshift-<id>`. `[a-z][a-z0-9-]{0,30}` */
  readonly id: string
  /** IANA zone of everything that does not say otherwise. */
  readonly timezone: string
  readonly sites: readonly Site[]
  readonly hosts: readonly Host[]
  readonly guests: readonly GuestDecision[]
  /** By target name. */
  readonly producedBy: Readonly<Record<string, Producer>>
  readonly monitor: {
    /** Seconds between two passes; 600 unless told. */
    readonly periodSeconds: number
    /** Most hosts that are read at the same time. */
    readonly maxHostsAtOnce: number
    /** Deadline for one host's whole reading. */
    readonly hostDeadlineSeconds: number
  }
  /** Absolute paths, resolved by the loader against the configuration folder. */
  readonly ssh: { readonly configPath: string; readonly knownHostsPaths: readonly string[] }
  readonly receipts: {
    /** Absolute path of the private key that signs receipts. */
    readonly signingKeyPath: string
    /** Absolute path of the file outside of the state folder that mirrors the head of the chain. */
    readonly headMirrorPath: string
  }
}

/** One row of `inventory.yaml`, normalised; unknown keys of the file are kept in the file, not here. */
export interface Target {
  /** The operator's `name`; the identity of a target. */
  readonly id: string
  readonly enabled: boolean
  readonly kind: 'file_glob'
  readonly host: string
  readonly basePath: string
  readonly glob: string
  readonly classification: Classification
  /** Already decided: own `stale_after_hours`, else the class's, else `defaults.stale_after_hours`. Seconds. */
  readonly limitSeconds: number
  readonly description?: string
  readonly waiver?: Waiver
  readonly decommissioned?: Decommissioned
  /** Where it stands in the file, for messages: `inventory.yaml:12`. */
  readonly place: string
}

export interface Inventory {
  readonly timezone: string
  readonly sshTimeoutSeconds: number
  readonly targets: readonly Target[]
}

export type Weekday = 'MO' | 'TU' | 'WE' | 'TH' | 'FR' | 'SA' | 'SU'

/** One row of `calendar.yaml`. */
export interface CalendarEvent {
  readonly id: string
  readonly summary: string
  readonly freq: 'HOURLY' | 'DAILY' | 'WEEKLY' | 'MONTHLY'
  readonly byHour?: readonly number[]
  readonly byMinute?: readonly number[]
  readonly byDay?: readonly Weekday[]
  readonly byMonthDay?: readonly number[]
  readonly durationMinutes: number
  readonly description?: string
  readonly source?: string
  /** Guests this event is about (ours; optional). */
  readonly guests?: readonly number[]
  /** A vzdump job this event is derived from: `host/job-id` (ours; optional). */
  readonly job?: string
  readonly decommissioned?: Decommissioned
  readonly place: string
}

export interface Calendar {
  readonly timezone: string
  readonly calendarName: string
  /** YYYY-MM-DD */
  readonly dtstartDate: string
  readonly events: readonly CalendarEvent[]
}

export type AlertCondition = 'freshness' | 'job-result' | 'integrity' | 'coverage' | 'blind' | 'space' | 'config' | 'clock' | 'delivery' | 'proof'

/** The notification contract: which condition at which severity goes to whom, how often, and by which way. */
export interface AlertContract {
  readonly sender: string
  readonly defaultRoute: { readonly recipients: readonly string[]; readonly repeatHours: number }
  readonly rules: readonly {
    readonly conditions: readonly AlertCondition[]
    /** The lowest that is mailed. */
    readonly severity: 'critical' | 'warning' | 'unknown'
    readonly sender: string
    readonly recipients: readonly string[]
    readonly repeatHours: number
  }[]
  /** HH:MM in the estate's zone. */
  readonly digestTime: string
  /** What cannot be looked at is mailed after so many minutes. */
  readonly unknownAfterMinutes: number
  readonly flapping: { readonly windowHours: number; readonly enterChanges: number; readonly leaveChanges: number }
  readonly limits: { readonly mailsPerHour: number; readonly openPerSite: number }
  readonly mail?: MailServer
  readonly secondChannel?: SecondChannel
}

/** Where mail is submitted. Passwords are references: `env:NAME` or `file:` with an absolute path. */
export interface MailServer {
  readonly server: string
  /** Host of the estate that it stands on; `elsewhere`: none of them; absent: nobody said. */
  readonly host?: string
  /** That it stands on a host that it reports about is accepted. */
  readonly waiver?: Waiver
  readonly port: number
  readonly security: 'tls' | 'starttls'
  /** Absolute path of the authority's certificate (PEM); absent: those of the system. */
  readonly caPath?: string
  readonly username: string
  readonly password: string
  readonly mailbox?: Mailbox
}

/** Read over IMAP with TLS, to find messages of ours that went to `address`. */
export interface Mailbox {
  readonly address: string
  readonly server: string
  /** As `MailServer.host`. */
  readonly host?: string
  readonly port: number
  readonly username: string
  readonly password: string
  readonly folders: readonly string[]
}

/** `url` is an address, or a reference to one. */
export interface SecondChannel {
  readonly url: string
  /** As `MailServer.host`. */
  readonly host?: string
  readonly token?: string
  readonly caPath?: string
}

/** Everything a configuration folder says. */
export interface RunbookSet {
  readonly estate: Estate
  readonly inventory: Inventory
  readonly calendar: Calendar
  readonly alerts: AlertContract
  /** Absent: there is no `vzdump.yaml`, and what needs it says so. */
  readonly vzdump?: VzdumpRunbook
  /** Absent: there is no `email-relay.yaml`. */
  readonly emailRelay?: EmailRelayRunbook
  /** SHA-256 (hex) over the RFC 8785 form of the parsed files: `rulesDigest` of status and receipts. */
  readonly digest: string
}
