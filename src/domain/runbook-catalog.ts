/** The runbooks that can be started, with the ID that makes two runs on one thing impossible. */
import { workflowIds } from './ids.js'

export interface RunbookEntry {
  readonly summary: string
  /** @param input what the operator gave; unchecked, the workflow checks it */
  workflowId(estateId: string, input: unknown): string
}

export const RUNBOOKS: Readonly<Record<string, RunbookEntry>> = {
  backupMonitor: { summary: 'Look at every backup, asked for by a person', workflowId: (estateId) => workflowIds.monitor(estateId) },
}
