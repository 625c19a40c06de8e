/** The shape of `vzdump.yaml`: nightshift's own file, so that every unknown key is an error. */
import { z } from 'zod'
import * as f from './fields.js'

const STORAGE_ALLOWED = 'the id of a Proxmox storage, such as tank-backups'
/** pve-storage `Storage.pm`: a letter first, a letter or digit last, two characters at least. */
const storageId = () => z.string({ error: STORAGE_ALLOWED }).regex(/^[A-Za-z][A-Za-z0-9._-]{0,98}[A-Za-z0-9]$/, STORAGE_ALLOWED)

const JOB_ALLOWED = 'the id of a vzdump job: a letter, then letters, digits, `_` and `-`, 2 to 50 characters'
/** pve-common `pve-configid`; at most 50 characters on get, set and delete (pve-manager PVE/API2/Backup.pm). */
const jobId = () => z.string({ error: JOB_ALLOWED }).regex(/^[A-Za-z][A-Za-z0-9_-]{1,49}$/, JOB_ALLOWED)

const SCHEDULE_ALLOWED = 'a Proxmox calendar event such as `"02:00"` or `"sun 04:00"`, at most 128 characters'
/** Whether it is one, and when it fires, only the host can say; nightshift asks it. */
const schedule = () => z.string({ error: SCHEDULE_ALLOWED }).regex(/^(?=\S)[A-Za-z0-9*:.,/ -]{1,128}(?<=\S)$/, SCHEDULE_ALLOWED)

const count = () => f.wholeNumber(1, 10_000, 'archives')

const retention = () =>
  f
    .mapping({
      keep_all: z.literal(true, { error: 'true, or left out' }).optional().describe('Nothing is ever pruned. Stands alone.'),
      keep_last: count().optional().describe('The newest N.'),
      keep_hourly: count().optional().describe('The newest of each of the last N hours that have one.'),
      keep_daily: count().optional().describe('The newest of each of the last N days that have one.'),
      keep_weekly: count().optional().describe('The newest of each of the last N weeks that have one.'),
      keep_monthly: count().optional().describe('The newest of each of the last N months that have one.'),
      keep_yearly: count().optional().describe('The newest of each of the last N years that have one.'),
    })
    .refine((value) => Object.keys(value).length > 0, { error: 'at least one of keep_last, keep_daily, …, or keep_all' })
    .refine((value) => value.keep_all === undefined || Object.keys(value).length === 1, { error: 'keep_all alone: Proxmox takes nothing beside it' })

const approvers = () =>
  f.listOf(f.name(), { min: 1, max: 50 }).describe('Who may say yes. A signature is checked against the same name in `allowed_signers` of this folder.')
const needed = () => f.wholeNumber(1, 50, 'people').describe('How many different people must say yes.')
const mayApproveOwn = () => f.trueOrFalse().describe('Whoever asked for the run may approve it: one operator alone needs this.')
const timeoutHours = () => f.hours().describe('Without an answer within this time the answer is no.')
const signature = () => f.oneOf(['optional', 'required']).describe('required: a yes without a valid SSH signature is refused.')

const JOB_FIELDS = ['comment', 'notes_template', 'mode', 'compress', 'mailto', 'mail_notification', 'notification_mode', 'node', 'repeat_missed'] as const

const job = f.mapping({
  id: jobId().describe('Id of the job on the host.'),
  tier: f.oneOf(['P0', 'P1', 'P2']).describe('P0: critical, daily; P1: important, daily; P2: weekly.'),
  guests: f.listOf(f.vmid(), { min: 1, max: 1000 }).describe('Numbers of the guests that this job backs up. This list alone says so.'),
  schedule: schedule().describe("When it runs, as Proxmox writes it, in the host's time zone."),
  scheduled: f.trueOrFalse().optional().describe('false: the job is kept, and runs only by hand. Left out: true.'),
  storage: storageId().describe('Where the archives go.'),
  retention: retention().optional().describe("What the job keeps, instead of what its storage keeps. Left out: the storage's retention."),
  mode: f.oneOf(['snapshot', 'suspend', 'stop']).optional().describe('Left out: snapshot.'),
  compress: f.oneOf(['0', 'gzip', 'lzo', 'zstd']).optional().describe('Left out: "0", no compression, as Proxmox has it.'),
  comment: f.oneLine(512).optional().describe('Shown in the web interface.'),
  notes_template: f.oneLine(1024).optional().describe('Notes of each archive, such as {{guestname}}.'),
  mailto: f.listOf(f.mailAddress(), { min: 1, max: 20 }).optional().describe('Addresses that Proxmox mails itself (deprecated there).'),
  mail_notification: f.oneOf(['always', 'failure']).optional().describe('When Proxmox mails `mailto` (deprecated there).'),
  notification_mode: f.oneOf(['auto', 'legacy-sendmail', 'notification-system']).optional().describe('Left out: auto.'),
  node: f.name().optional().describe('Only this node runs it. Left out: every node, each its own guests.'),
  repeat_missed: f.trueOrFalse().optional().describe('A run missed while the host was off is made up for. Left out: false.'),
})

const storage = f.mapping({
  id: storageId().describe('Id of the storage on the host.'),
  retention: retention().optional().describe("What the storage keeps of each guest where a job does not say otherwise. Left out: stays the host's."),
})

const leftover = f.mapping({
  guest: f.vmid().describe('Number of a guest that is gone and whose archives are still there.'),
  keep_until: f.date().describe('Last day on which its archives are kept without question (YYYY-MM-DD).'),
  reason: f.oneLine().describe('Why they are kept.'),
})

const host = f.mapping({
  host: f.name().describe('A host of kind proxmox in estate.yaml.'),
  not_owned: f
    .listOf(f.oneOf([...JOB_FIELDS, 'retention']))
    .optional()
    .describe('Fields of jobs that people may change on the host; nightshift sets them only when it creates a job. Left out: [comment, notes_template].'),
  other_jobs: f
    .oneOf(['report', 'remove'])
    .optional()
    .describe('Jobs of the host that are not listed here. Jobs that can never back anything up are removed in any case. Left out: report.'),
  storages: f.listOf(storage, { max: 100 }).optional().describe('Retention of storages.'),
  jobs: f.listOf(job, { max: 500 }).describe('The vzdump jobs of this host.'),
  leftovers: f.listOf(leftover, { max: 1000 }).optional().describe('Decisions about archives of guests that are gone.'),
})

export const vzdumpSchema = f
  .mapping({
    version: f.formatVersion().describe('Version of this format.'),
    approval: f
      .mapping({
        approvers: approvers(),
        needed: needed().optional(),
        may_approve_own: mayApproveOwn().optional(),
        timeout_hours: timeoutHours().optional(),
        preapprove_harmless: f.trueOrFalse().optional().describe('Plans that neither delete nor lessen protection need nobody. Left out: false.'),
        signature: signature().optional(),
      })
      .describe('Who decides about changes of jobs, storages and enrollments.'),
    retention: f
      .mapping({
        approvers: approvers(),
        needed: needed().optional(),
        may_approve_own: mayApproveOwn().optional(),
        timeout_hours: timeoutHours().optional(),
        signature: signature().optional(),
        proven_copies: f
          .mapping({
            critical: f.wholeNumber(1, 100, 'archives').optional().describe('Left out: 2.'),
            important: f.wholeNumber(1, 100, 'archives').optional().describe('Left out: 2.'),
            rebuildable: f.wholeNumber(1, 100, 'archives').optional().describe('Left out: 1.'),
          })
          .optional()
          .describe('Fewest proven archives of a guest that are ever left, by its classification.'),
      })
      .describe('Who decides about the removal of archives, and what is never removed.'),
    hosts: f.listOf(host, { max: 200 }).describe('The jobs of each Proxmox host.'),
  })
  .meta({ title: 'nightshift vzdump', description: 'The vzdump jobs, their guests, schedules and retention, and who approves changes.' })

export type VzdumpFile = z.infer<typeof vzdumpSchema>
