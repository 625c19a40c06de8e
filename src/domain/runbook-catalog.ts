/** The runbooks that can be started, with the ID that makes two runs on one thing impossible. */
import { workflowIds } from './ids.js'

export interface RunbookEntry {
  readonly summary: string
  /** Its input takes `requestedBy`: who asks matters for approvals. */
  readonly takesRequester?: true
  /** @param input what the operator gave; unchecked, the workflow checks it */
  workflowId(estateId: string, input: unknown): string
}

export const RUNBOOKS: Readonly<Record<string, RunbookEntry>> = {
  alertCanary: { summary: 'Send a message to ourselves and look for it in the mailbox', workflowId: (estateId) => workflowIds.canary(estateId) },
  backupMonitor: { summary: 'Look at every backup, asked for by a person', workflowId: (estateId) => workflowIds.monitor(estateId) },
  driftGates: { summary: 'Look at every gate, asked for by a person', workflowId: (estateId) => workflowIds.gates(estateId) },
  emailRelay: {
    summary: 'Let a host send its mail through one server, as email-relay.yaml wants; asks first, and proves it',
    takesRequester: true,
    workflowId: (_, input) => workflowIds.relay(field(input, 'host')),
  },
  retentionPrune: {
    summary: 'Remove backup archives that retention gives up; a preview unless told',
    takesRequester: true,
    workflowId: (_, input) => workflowIds.prune(field(input, 'host'), field(input, 'storage', 'all')),
  },
  vzdumpEnrollment: {
    summary: 'Put guests into a backup job and wait for the first scheduled artifact of each',
    takesRequester: true,
    workflowId: (_, input) => workflowIds.enroll(field(input, 'host'), field(input, 'job', '') || guestsOf(input)),
  },
  verifyArtifact: {
    summary: 'Prove one backup archive complete and readable',
    workflowId: (_, input) => workflowIds.verify(field(input, 'host'), field(input, 'volid')),
  },
  vzdumpJobs: {
    summary: 'Bring the backup jobs of a host to what vzdump.yaml wants; asks first',
    takesRequester: true,
    workflowId: (_, input) => workflowIds.jobs(field(input, 'host')),
  },
}

function guestsOf(input: unknown): readonly number[] {
  const { guests } = (input ?? {}) as { guests?: unknown }
  return Array.isArray(guests) ? guests.filter((vmid) => typeof vmid === 'number') : []
}

/** A member of what the operator typed, as far as it can name a run; the workflow refuses what is wrong. */
function field(input: unknown, name: string, absent = '?'): string {
  const value = typeof input === 'object' && input !== null ? (input as Record<string, unknown>)[name] : undefined
  return typeof value === 'string' || typeof value === 'number' ? String(value) : absent
}
