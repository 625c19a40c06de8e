/** `vzdump.yaml` checked → typed: defaults filled in, fields by the names that Proxmox gives them. */
import { canonicalJson, sha256Hex } from '../domain/canonical.js'
import type { ApprovalPolicy } from '../domain/change/approval.js'
import type { KeepOption, Retention, VzdumpHost, VzdumpRunbook, WantedJob, YieldableField } from '../domain/vzdump-runbook.js'
import type { VzdumpFile } from './vzdump-schema.js'
import type { YamlSource } from './yaml-source.js'

const DEFAULT_TIMEOUT_HOURS = 72
const DEFAULT_PROVEN_COPIES = { critical: 2, important: 2, rebuildable: 1 } as const
const DEFAULT_NOT_OWNED = ['comment', 'notes_template'] as const

type HostRow = VzdumpFile['hosts'][number]
type JobRow = HostRow['jobs'][number]

export function normaliseVzdump(file: VzdumpFile, source: YamlSource): VzdumpRunbook {
  return {
    approval: policyOf(file.approval, file.approval.preapprove_harmless ?? false),
    retention: { policy: policyOf(file.retention, false), provenCopies: { ...DEFAULT_PROVEN_COPIES, ...withoutAbsent(file.retention.proven_copies ?? {}) } },
    hosts: file.hosts.map((row, index) => hostOf(row, source, index)),
    digest: sha256Hex(canonicalJson(source.value)),
  }
}

function policyOf(row: Omit<VzdumpFile['approval'], 'preapprove_harmless'>, preApproveHarmless: boolean): ApprovalPolicy {
  return {
    approvers: row.approvers,
    needed: row.needed ?? 1,
    mayApproveOwn: row.may_approve_own ?? false,
    timeoutHours: row.timeout_hours ?? DEFAULT_TIMEOUT_HOURS,
    preApproveHarmless,
    signature: row.signature ?? 'optional',
  }
}

function hostOf(row: HostRow, source: YamlSource, index: number): VzdumpHost {
  const placeOf = (list: string, at: number) => `${baseName(source.file)}:${source.place(['hosts', index, list, at]).line}`
  return {
    host: row.host,
    notOwned: (row.not_owned ?? DEFAULT_NOT_OWNED).map(nameOnHost),
    otherJobs: row.other_jobs ?? 'report',
    storages: (row.storages ?? []).map((storage, at) => ({
      id: storage.id,
      ...(storage.retention === undefined ? {} : { retention: retentionOf(storage.retention) }),
      place: placeOf('storages', at),
    })),
    jobs: row.jobs.map((job, at) => jobOf(job, placeOf('jobs', at))),
    leftovers: (row.leftovers ?? []).map(({ guest, keep_until, reason }) => ({ guest, keepUntil: keep_until, reason })),
  }
}

function jobOf(row: JobRow, place: string): WantedJob {
  const { notes_template, mail_notification, notification_mode, repeat_missed, retention, scheduled, guests, ...same } = row
  return {
    ...same,
    guests: [...guests].sort((a, b) => a - b),
    scheduled: scheduled ?? true,
    ...(retention === undefined ? {} : { retention: retentionOf(retention) }),
    ...(notes_template === undefined ? {} : { notesTemplate: notes_template }),
    ...(mail_notification === undefined ? {} : { mailNotification: mail_notification }),
    ...(notification_mode === undefined ? {} : { notificationMode: notification_mode }),
    ...(repeat_missed === undefined ? {} : { repeatMissed: repeat_missed }),
    place,
  }
}

function retentionOf(row: NonNullable<JobRow['retention']>): Retention {
  const pairs = Object.entries(row).filter(([, value]) => value !== undefined)
  return Object.fromEntries(pairs.map(([key, value]) => [key.replace('_', '-') as KeepOption, value === true ? 1 : value]))
}

function nameOnHost(field: (typeof DEFAULT_NOT_OWNED)[number] | NonNullable<HostRow['not_owned']>[number]): YieldableField {
  if (field === 'retention') return 'prune-backups'
  if (field === 'mail_notification') return 'mailnotification'
  return field.replace('_', '-') as YieldableField
}

function withoutAbsent<T extends object>(value: T): Partial<{ [K in keyof T]: Exclude<T[K], undefined> }> {
  return Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== undefined)) as never
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}
