/** Checked files → the typed objects that everything else works on: defaults filled in, hours turned into seconds, paths made absolute. */
import { resolve } from 'node:path'
import type {
  AlertContract,
  Calendar,
  CalendarEvent,
  Classification,
  Estate,
  Host,
  Inventory,
  MailServer,
  Producer,
  SecondChannel,
  Target,
} from '../domain/estate.js'
import type { AlertsFile } from './alerts-schema.js'
import type { CalendarFile } from './calendar-schema.js'
import type { EstateFile } from './estate-schema.js'
import type { InventoryFile } from './inventory-schema.js'
import { isSecretReference, parseSecretReference, resolveLocalPath } from './secret-reference.js'

/** Freshness limits of the classifications, in hours (the operator's backup governance). */
export const CLASS_LIMIT_HOURS: Readonly<Record<Classification, number>> = { critical: 26, important: 48, rebuildable: 168 }

/** For a target of which nothing at all is said: the strictest limit. */
const LAST_RESORT_LIMIT_HOURS = 26
const DEFAULT_SSH_TIMEOUT_SECONDS = 6

/** Where a row stands, for messages: `inventory.yaml:12`. */
export type PlaceOf = (index: number) => string

export function normaliseEstate(file: EstateFile, configDir: string): Estate {
  const local = (path: string) => resolveLocalPath(path, resolve(configDir))
  const fromReference = (reference: string) => local(reference.slice('file:'.length))
  return {
    id: file.id,
    timezone: file.timezone,
    sites: file.sites.map((site) => ({ id: site.id, ...(site.task_queue === undefined ? {} : { taskQueue: site.task_queue }) })),
    hosts: file.hosts.map(normaliseHost),
    guests: file.guests ?? [],
    producedBy: Object.fromEntries(Object.entries(file.produced_by ?? {}).map(([target, producer]) => [target, normaliseProducer(producer)])),
    monitor: {
      periodSeconds: (file.monitor?.every_minutes ?? 10) * 60,
      maxHostsAtOnce: file.monitor?.max_hosts_at_once ?? 8,
      hostDeadlineSeconds: file.monitor?.host_deadline_seconds ?? 60,
    },
    ssh: { configPath: local(file.ssh?.config ?? 'ssh_config'), knownHostsPaths: (file.ssh?.known_hosts ?? ['known_hosts']).map(local) },
    receipts: {
      signingKeyPath: fromReference(file.receipts?.signing_key ?? 'file:keys/receipt_ed25519'),
      headMirrorPath: fromReference(file.receipts?.head_mirror ?? 'file:receipt-head.json'),
    },
  }
}

export function normaliseInventory(file: InventoryFile, estate: Estate, placeOf: PlaceOf): Inventory {
  return {
    timezone: file.defaults?.timezone ?? estate.timezone,
    sshTimeoutSeconds: file.defaults?.ssh_timeout_sec ?? DEFAULT_SSH_TIMEOUT_SECONDS,
    targets: file.targets.map((row, index) => normaliseTarget(row, file.defaults?.stale_after_hours, placeOf(index))),
  }
}

export function normaliseCalendar(file: CalendarFile, estate: Estate, placeOf: PlaceOf): Calendar {
  return {
    timezone: file.timezone ?? estate.timezone,
    calendarName: file.calendar_name,
    dtstartDate: file.dtstart_date,
    events: file.events.map((row, index) => normaliseEvent(row, placeOf(index))),
  }
}

export function normaliseAlerts(file: AlertsFile, configDir: string): AlertContract {
  const defaultRoute = { recipients: file.default.recipients, repeatHours: file.default.repeat_hours ?? 24 }
  const { mail, second_channel: second } = file
  return {
    sender: file.sender,
    defaultRoute,
    rules: (file.rules ?? []).map((rule) => ({
      conditions: rule.conditions,
      severity: rule.severity,
      sender: rule.sender ?? file.sender,
      recipients: rule.recipients ?? defaultRoute.recipients,
      repeatHours: rule.repeat_hours ?? defaultRoute.repeatHours,
    })),
    digestTime: file.digest_time ?? '07:30',
    unknownAfterMinutes: file.unknown_after_minutes ?? 30,
    flapping: {
      windowHours: file.flapping?.window_hours ?? 12,
      enterChanges: file.flapping?.enter_changes ?? 6,
      leaveChanges: file.flapping?.leave_changes ?? 2,
    },
    limits: { mailsPerHour: file.limits?.mails_per_hour ?? 20, openPerSite: file.limits?.open_per_site ?? 500 },
    ...(mail === undefined ? {} : { mail: normaliseMail(mail, configDir) }),
    ...(second === undefined ? {} : { secondChannel: normaliseSecondChannel(second, configDir) }),
  }
}

function normaliseMail(mail: NonNullable<AlertsFile['mail']>, configDir: string): MailServer {
  const { mailbox } = mail
  const security = mail.security ?? 'tls'
  const mailboxHost = mailbox?.host ?? ((mailbox?.server ?? mail.server) === mail.server ? mail.host : undefined)
  return {
    server: mail.server,
    ...(mail.host === undefined ? {} : { host: mail.host }),
    ...(mail.waiver === undefined ? {} : { waiver: mail.waiver }),
    port: mail.port ?? (security === 'tls' ? 465 : 587),
    security,
    ...(mail.ca === undefined ? {} : { caPath: resolveLocalPath(mail.ca, resolve(configDir)) }),
    username: mail.username,
    password: absoluteReference(mail.password, configDir),
    ...(mailbox === undefined
      ? {}
      : {
          mailbox: {
            address: mailbox.address,
            server: mailbox.server ?? mail.server,
            ...(mailboxHost === undefined ? {} : { host: mailboxHost }),
            port: mailbox.port ?? 993,
            username: mailbox.username,
            password: absoluteReference(mailbox.password, configDir),
            folders: mailbox.folders ?? ['INBOX', 'Junk'],
          },
        }),
  }
}

function normaliseSecondChannel(second: NonNullable<AlertsFile['second_channel']>, configDir: string): SecondChannel {
  return {
    url: isSecretReference(second.url) ? absoluteReference(second.url, configDir) : second.url,
    ...(second.host === undefined ? {} : { host: second.host }),
    ...(second.token === undefined ? {} : { token: absoluteReference(second.token, configDir) }),
    ...(second.ca === undefined ? {} : { caPath: resolveLocalPath(second.ca, resolve(configDir)) }),
  }
}

/** `file:secrets/x` → `file:/etc/nightshift/secrets/x`; `env:NAME` as it is. */
function absoluteReference(text: string, configDir: string): string {
  const reference = parseSecretReference(text, resolve(configDir))
  return reference.kind === 'env' ? text : `file:${reference.path}`
}

function normaliseHost(row: EstateFile['hosts'][number]): Host {
  return {
    name: row.name,
    site: row.site,
    kind: row.kind,
    ...(row.kind === 'proxmox' ? { node: row.node ?? row.name } : {}),
    sshAlias: row.ssh ?? row.name,
    sudo: row.sudo ?? false,
    ...(row.guest === undefined ? {} : { guestOf: row.guest }),
  }
}

function normaliseProducer(row: NonNullable<EstateFile['produced_by']>[string]): Producer {
  if (row.vzdump !== undefined) return { kind: 'vzdump', ...row.vzdump }
  if (row.cron !== undefined) return { kind: 'cron', ...row.cron }
  if (row.timer !== undefined) return { kind: 'timer', ...row.timer }
  if (row.transfer !== undefined) return { kind: 'transfer', ...row.transfer }
  return { kind: 'external', ...(row.external === undefined ? {} : { description: row.external }) }
}

function normaliseTarget(row: InventoryFile['targets'][number], defaultHours: number | undefined, place: string): Target {
  const classHours = row.classification === undefined ? undefined : CLASS_LIMIT_HOURS[row.classification]
  const limitHours = row.stale_after_hours ?? classHours ?? defaultHours ?? LAST_RESORT_LIMIT_HOURS
  return {
    id: row.name,
    enabled: row.enabled ?? true,
    kind: row.kind,
    host: row.host,
    basePath: row.base_path.length > 1 ? row.base_path.replace(/\/$/, '') : row.base_path,
    glob: row.glob,
    classification: row.classification ?? 'important',
    limitSeconds: limitHours * 3600,
    ...(typeof row.description === 'string' ? { description: row.description } : {}),
    ...(row.waiver === undefined ? {} : { waiver: row.waiver }),
    ...(row.decommissioned === undefined ? {} : { decommissioned: row.decommissioned }),
    place,
  }
}

function normaliseEvent(row: CalendarFile['events'][number], place: string): CalendarEvent {
  return {
    id: row.id,
    summary: row.summary,
    freq: row.freq,
    ...(row.byhour === undefined ? {} : { byHour: asList(row.byhour) }),
    ...(row.byminute === undefined ? {} : { byMinute: asList(row.byminute) }),
    ...(row.byday === undefined ? {} : { byDay: asList(row.byday) }),
    ...(row.bymonthday === undefined ? {} : { byMonthDay: asList(row.bymonthday) }),
    durationMinutes: row.duration_minutes,
    ...(typeof row.description === 'string' ? { description: row.description } : {}),
    ...(typeof row.source === 'string' ? { source: row.source } : {}),
    ...(row.guests === undefined ? {} : { guests: row.guests }),
    ...(row.job === undefined ? {} : { job: row.job }),
    ...(row.decommissioned === undefined ? {} : { decommissioned: row.decommissioned }),
    place,
  }
}

function asList<T>(value: T | readonly T[]): readonly T[] {
  return Array.isArray(value) ? (value as readonly T[]) : [value as T]
}
