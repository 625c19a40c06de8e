/** `nightshift runs`: the runs of this estate, newest first, as Temporal knows them. */
import { connectEstate } from './estate-client.js'
import { estateIdOf } from './estate-id.js'

export interface RunRow {
  readonly runbook: string
  readonly workflowId: string
  readonly runId: string
  readonly status: string
  readonly startedAt: string
  readonly closedAt: string | null
}

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
      })
      if (rows.length >= options.limit) break
    }
    return rows
  } finally {
    await temporal.close()
  }
}
