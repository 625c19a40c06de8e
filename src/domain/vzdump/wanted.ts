/**
 * Jobs and storages field by field: what the host has, what `vzdump.yaml` wants, and whether these are the same. Values are kept as the host
 * tells them, so that a precondition compares what was seen, and an undo puts back what was there.
 */
import type { Json } from '../change/plan.js'
import type { Retention, VzdumpHost, WantedJob, YieldableField } from '../vzdump-runbook.js'
import { retentionText } from '../vzdump-runbook.js'
import type { Row, VzdumpQuestions } from './observation.js'
import { isTrue, vmidsOf } from './observation.js'

/** By field name of the Proxmox API; null = not set. */
export type Fields = Readonly<Record<string, Json>>

/** Lists that a job holds as text: order and separators mean nothing. Its retention is an object, compared as one. */
export const SET_FIELDS = ['vmid', 'exclude', 'mailto'] as const

/** Always ours: what is backed up, when, and where to. */
const OWN_FIELDS = ['vmid', 'all', 'exclude', 'pool', 'schedule', 'enabled', 'storage', 'dumpdir'] as const

const YIELDABLE: readonly YieldableField[] = [
  'comment',
  'compress',
  'mailnotification',
  'mailto',
  'mode',
  'node',
  'notes-template',
  'notification-mode',
  'prune-backups',
  'repeat-missed',
]

/** What an unset field means (pve-guest-common PVE/VZDump/Common.pm; `enabled` pve-common PVE/Job/Registry.pm). */
const DEFAULTS: Readonly<Record<string, string>> = {
  enabled: '1',
  all: '0',
  mode: 'snapshot',
  compress: '0',
  'notification-mode': 'auto',
  mailnotification: 'always',
  'repeat-missed': '0',
}

/** The fields that nightshift compares and sets on the jobs of this host. */
export function ownedFields(host: Pick<VzdumpHost, 'notOwned'>): readonly string[] {
  return [...OWN_FIELDS, ...YIELDABLE.filter((field) => !host.notOwned.includes(field))]
}

/** Those members of a row, null where they are not set. */
export function fieldsOf(row: Row, names: readonly string[]): Fields {
  return Object.fromEntries(names.map((name) => [name, row[name] ?? null]))
}

/** A job's entry as fields of the API, the guests given apart. Unset is null. */
export function wantedFields(job: WantedJob, guests: readonly number[]): Fields {
  return {
    vmid: guests.join(','),
    all: null,
    exclude: null,
    pool: null,
    schedule: job.schedule,
    enabled: job.scheduled ? 1 : 0,
    storage: job.storage,
    dumpdir: null,
    comment: job.comment ?? null,
    compress: job.compress ?? null,
    mailnotification: job.mailNotification ?? null,
    mailto: job.mailto?.join(',') ?? null,
    mode: job.mode ?? null,
    node: job.node ?? null,
    'notes-template': job.notesTemplate ?? null,
    'notification-mode': job.notificationMode ?? null,
    'prune-backups': job.retention === undefined ? null : retentionAnswer(job.retention),
    'repeat-missed': job.repeatMissed === true ? 1 : null,
  }
}

/** A job answers `prune-backups` as an object with counts as text and `keep-all` as a number (pve-common, property strings). */
function retentionAnswer(retention: Retention): Json {
  return Object.fromEntries(Object.entries(retention).map(([key, value]) => [key, key === 'keep-all' ? value : String(value)]))
}

/** True when both mean the same to Proxmox. */
export function sameValue(field: string, a: Json, b: Json): boolean {
  return meaning(field, a) === meaning(field, b)
}

function meaning(field: string, value: Json): string {
  if (field === 'prune-backups') return value === null ? '' : retentionText(retentionOf(value) ?? {})
  if (field === 'vmid' || field === 'exclude') return vmidsOf(value).join(',')
  if (field === 'mailto')
    return String(value ?? '')
      .split(/[\s,;]+/)
      .sort()
      .join(',')
  if (value === null || value === '') return DEFAULTS[field] ?? ''
  if (typeof value === 'boolean') return value ? '1' : '0'
  return String(value)
}

/** What a value of `prune-backups` keeps: nothing positive means everything is kept (pve-storage prune_backups). Null = not set. */
export function retentionOf(value: Json | undefined): Retention | null {
  if (value === null || value === undefined || value === '') return null
  const pairs =
    typeof value === 'object' && !Array.isArray(value)
      ? Object.entries(value)
      : String(value)
          .split(/[\s,]+/)
          .map((pair) => pair.split('=') as [string, string])
  const counts = pairs.filter(([key]) => key !== 'keep-all').map(([key, count]) => [key, Number(count)] as const)
  const positive = counts.filter(([, count]) => count > 0)
  return positive.length === 0 ? { 'keep-all': 1 } : Object.fromEntries(positive)
}

/** The options of a Proxmox command line for these fields: values as text, and `--delete` for those that are unset. */
export function fieldArguments(fields: Fields): string[] {
  const set = Object.entries(fields).flatMap(([name, value]) => (value === null ? [] : argumentsOf(name, value)))
  const unset = Object.keys(fields).filter((name) => fields[name] === null)
  return [...set, ...(unset.length === 0 ? [] : ['--delete', unset.join(',')])]
}

function argumentsOf(name: string, value: Json): string[] {
  // exclude-path is a list of its own; everything else that is an object is a property string
  if (Array.isArray(value)) return value.flatMap((entry) => [`--${name}`, String(entry)])
  if (typeof value === 'object' && value !== null) {
    const pairs = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
    return [`--${name}`, pairs.map(([key, entry]) => `${key}=${String(entry)}`).join(',')]
  }
  return [`--${name}`, typeof value === 'boolean' ? (value ? '1' : '0') : String(value)]
}

/** True when less is kept by `to` than by `from` for some run of archives. */
export function keepsLess(from: Retention | null, to: Retention | null): boolean {
  if (to === null || to['keep-all'] !== undefined) return false
  if (from === null || from['keep-all'] !== undefined) return true
  return Object.entries(from).some(([key, count]) => (to[key as keyof Retention] ?? 0) < count)
}

/** Everything that the host has to be asked for this entry of `vzdump.yaml`. */
export function questionsOf(host: VzdumpHost): VzdumpQuestions {
  const ofStorage = new Map(host.storages.map((storage) => [storage.id, storage.retention]))
  const prunes = new Map<string, { storage: string; options: string }>()
  const ask = (storage: string, retention: Retention | undefined) => {
    if (retention?.['keep-all'] !== undefined) return
    const options = retention === undefined ? '' : retentionText(retention)
    prunes.set(`${storage} ${options}`, { storage, options })
  }
  for (const storage of host.storages) ask(storage.id, storage.retention)
  for (const job of host.jobs) ask(job.storage, job.retention ?? ofStorage.get(job.storage))
  return { schedules: [...new Set(host.jobs.map((job) => job.schedule))].sort(), prunes: [...prunes.values()] }
}

/** Whether the job runs by its schedule. */
export function isScheduled(row: Row): boolean {
  return row.enabled === undefined || row.enabled === null ? true : isTrue(row.enabled)
}
