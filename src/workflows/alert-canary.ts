/** Asks the alert desk to send its canary through the whole way. A Schedule starts it weekly; the gate `notification-pipeline` shows what came of it. */
import { defineSignal, getExternalWorkflowHandle, upsertSearchAttributes, workflowInfo } from '@temporalio/workflow'
import { estateOfNamespace, workflowIds } from '../domain/ids.js'
import { alertCanaryInput } from './inputs.js'
import { parseInput, phase, runbookAttributes } from './shell.js'

const canary = defineSignal<[unknown]>('canary')

export async function alertCanary(rawInput?: Record<string, never>): Promise<{ asked: string }> {
  parseInput('alertCanary', alertCanaryInput, rawInput ?? {})
  upsertSearchAttributes(runbookAttributes('alertCanary'))
  // The common task queue carries the estate's name just as the namespace does.
  const desk = workflowIds.alertDesk(estateOfNamespace(workflowInfo().taskQueue) ?? workflowInfo().taskQueue)
  phase('ask', `Asking ${desk} for a canary.`)
  await getExternalWorkflowHandle(desk).signal(canary, {})
  phase('done', `${desk} was asked; the gate \`notification-pipeline\` shows what came of it.`)
  return { asked: desk }
}
