/** `nightshift runs`: the runs of this estate, newest first, as Temporal knows them. */
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common'
import { connectEstate } from './estate-client.js'
import { estateIdOf } from './estate-id.js'
import { doingOf } from './follow.js'

export interface RunRow {
  readonly runbook: string
  readonly workflowId: string
  readonly runId: string
  readonly status: string
  readonly startedAt: string
  readonly closedAt: string | null
  /** Where it stands: `approve`, `apply`, `prove`, …; null for runs that do not say. */
  readonly phase: string | null
  readonly host: string | null
  /** What it does or waits for, and for whom, in its own words; null when it has ended or no worker answers. */
  readonly doing: string | null
}

const PHASE = defineSearchAttributeKey('NightshiftPhase', SearchAttributeType.KEYWORD)
const HOST = defineSearchAttributeKey('NightshiftHost', SearchAttributeType.KEYWORD)

/** @returns at most `limit` runs; `openOnly` leaves out those that have ended */
export async function listRuns(options: { config: string; limit: number; openOnly: boolean }): Promise<RunRow[]> {
  const temporal = await connectEstate(await estateIdOf(options.config))
  try {
    const rows: RunRow[] = []
    const query = options.openOnly ? 'ExecutionStatus = "Running"' : undefined
    for await (const run of temporal.client.workflow.list({ query, pageSize: options.limit })) {
      if (run.type.startsWith('temporal-sys')) continue
      rows.push({
        runbook: run.type,
        workflowId: run.workflowId,
        runId: run.runId,
        status: run.status.name,
        startedAt: run.startTime.toISOString(),
        closedAt: run.closeTime?.toISOString() ?? null,
        phase: run.typedSearchAttributes.get(PHASE) ?? null,
        host: run.typedSearchAttributes.get(HOST) ?? null,
        doing: null,
      })
      if (rows.length >= options.limit) break
    }
    return await Promise.all(
      rows.map(async (row) =>
        row.status === 'RUNNING' ? { ...row, doing: await doingOf(temporal.client.workflow.getHandle(row.workflowId, row.runId)) } : row,
      ),
    )
  } finally {
    await temporal.close()
  }
}
