/** What an operator may type as input of each workflow. Unknown keys are refused: a typo must not be silently ignored. */
import { z } from 'zod'
import { ESTATE_ID } from '../domain/ids.js'

/** No settings: all gates, always. */
export const driftGatesInput = z.strictObject({})
export const alertCanaryInput = z.strictObject({})

export const backupMonitorInput = z.strictObject({
  note: z.string().max(200).optional(),
})

/** A Proxmox host as `estate.yaml` names it. */
const host = z.string().min(1).max(64)
/** Who asks, for approvals and receipts. */
const requestedBy = z.string().min(1).max(64).optional()

export const verifyArtifactInput = z.strictObject({
  host,
  volid: z.string().regex(/^[A-Za-z][A-Za-z0-9_.-]*:[^\s]{1,240}$/, 'STORAGE:backup/NAME, as pvesm list prints it'),
  requestedBy,
})

const storage = z.string().regex(/^[A-Za-z][A-Za-z0-9._-]*$/, 'a storage as pvesm status lists it')
const guests = z.array(z.int().min(100).max(999_999_999)).min(1).max(200)

export const retentionPruneInput = z.strictObject({
  host,
  storage: storage.optional(),
  guests: guests.optional(),
  mode: z.enum(['preview', 'remove']).default('preview'),
  requestedBy,
})

export const vzdumpJobsInput = z.strictObject({
  host,
  mode: z.enum(['apply', 'audit']).default('apply'),
  requestedBy,
})

export const emailRelayInput = z.strictObject({
  host,
  requestedBy,
})

/** Started by the first pass of the monitor; a person has no reason to. */
export const alertDeskInput = z.strictObject({
  estate: z.string().regex(ESTATE_ID, 'the id of estate.yaml'),
  state: z.unknown().optional(),
  incidents: z.unknown().optional(),
  unwritten: z.unknown().optional(),
  lookAgainSeconds: z.int().min(1).max(120).optional(),
  continueAfterEvents: z.int().min(50).max(10_000).optional(),
})

export const vzdumpEnrollmentInput = z.strictObject({
  host,
  guests,
  job: z.string().min(1).max(64).optional(),
  when: z
    .strictObject({
      guestExists: z.boolean().optional(),
      guestRuns: z.boolean().optional(),
      notBefore: z.iso.date('a date such as 2026-12-01').optional(),
    })
    .optional(),
  validate: z.literal('now').optional(),
  requestedBy,
})

const instantText = z.string().refine((text) => Number.isFinite(Date.parse(text)), 'an instant such as 2026-02-13T08:00:00Z')
const address = z.string().regex(/^[^\s@<>,;"]+@[^\s@<>,;"]+$/, 'one bare mail address')
const route = { recipients: z.array(address).min(1), repeatHours: z.number() }
const severity = z.enum(['ok', 'warning', 'critical', 'unknown'])
const deskFinding = z.looseObject({
  subject: z.string().min(1),
  condition: z.string().min(1),
  site: z.string(),
  host: z.string().nullable(),
  severity,
  reason: z.string(),
  message: z.string(),
  next: z.string().nullable(),
  since: instantText.nullable(),
  lastGood: z.looseObject({ path: z.string(), at: instantText }).nullable(),
})

/** What the desk is told by signal. A signal cannot be refused: whatever is in the history is read at every replay, so that what is no report must break nothing. */
export const deskReport = z.looseObject({
  scope: z.string().min(1),
  passId: z.string().min(1),
  takenAt: instantText,
  estate: z.string().regex(ESTATE_ID),
  rulesDigest: z.string(),
  periodSeconds: z.number().nullable(),
  contract: z.looseObject({
    sender: address,
    defaultRoute: z.looseObject(route),
    rules: z.array(z.looseObject({ conditions: z.array(z.string()), severity, sender: address, ...route })),
    unknownAfterMinutes: z.number(),
    flapping: z.looseObject({ windowHours: z.number(), enterChanges: z.number(), leaveChanges: z.number() }),
    limits: z.looseObject({ mailsPerHour: z.number().min(1), openPerSite: z.number() }),
    hasSecondChannel: z.boolean(),
  }),
  digestDueAt: z.string(),
  changed: z.array(deskFinding),
  closed: z.array(z.looseObject({ key: z.string(), why: z.enum(['recovered', 'not_watched']), message: z.string() })),
  set: z.looseObject({ digest: z.string(), count: z.number() }),
  held: z.array(z.looseObject({ key: z.string(), by: z.string().nullable(), why: z.string() })),
  underChange: z.array(z.string()),
  soonStale: z.array(z.looseObject({ subject: z.string(), message: z.string() })),
  seen: z.looseObject({ expected: z.number(), seen: z.number() }).nullable(),
})

/** @returns why it is no report, or null */
export function refusalOfReport(report: unknown): string | null {
  const [issue] = deskReport.safeParse(report).error?.issues ?? []
  return issue === undefined ? null : `it is no report: ${issue.path.join('.') || 'the whole'}: ${issue.message}`.slice(0, 300)
}
