/** How activities reach the alert desk and see which hosts are being changed: through the worker's own connection to Temporal. */
import { getClient, log } from '@temporalio/activity'
import type { AlertDeskInput } from '../domain/desk/messages.js'
import type { DeskReport } from '../domain/desk/report.js'
import { taskQueueOf, workflowIds } from '../domain/ids.js'

/** Signals the desk of the estate, and starts it where it does not run. */
export async function signalDesk(report: DeskReport): Promise<void> {
  const input: AlertDeskInput = { estate: report.estate }
  await getClient().workflow.signalWithStart('alertDesk', {
    workflowId: workflowIds.alertDesk(report.estate),
    taskQueue: taskQueueOf(report.estate),
    args: [input],
    signal: 'report',
    signalArgs: [report],
    staticSummary: `Says once what is wrong in ${report.estate}`,
  })
}

/**
 * Hosts that a run of ours is applying a change to, or was since then: what was read meanwhile may be of its making.
 * When Temporal does not tell, none: an alert too many is better than one too few.
 */
export async function hostsUnderChange(since: Date): Promise<string[]> {
  const prefix = workflowIds.apply('')
  const hosts = new Set<string>()
  try {
    const query = `WorkflowId STARTS_WITH "${prefix}" AND (ExecutionStatus = "Running" OR CloseTime >= "${since.toISOString()}")`
    for await (const { workflowId } of getClient().workflow.list({ query })) hosts.add(workflowId.slice(prefix.length))
  } catch (error) {
    log.warn('it cannot be told which hosts are being changed', { cause: error instanceof Error ? error.message : String(error) })
  }
  return [...hosts]
}
