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
