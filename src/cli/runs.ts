/** `nightshift runs`: the runs of this estate, newest first, as Temporal knows them. */
import type { Client } from '@temporalio/client'
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common'
import { connectEstate } from './estate-client.js'
import { estateIdOf } from './estate-id.js'
import { detailsOf } from './follow.js'

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

/** Asking a worker that is not there takes no longer. */
const ASK_DEADLINE_MS = 5_000
const MOST_WORDS = 240

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
    return await Promise.all(rows.map(async (row) => (row.status === 'RUNNING' ? { ...row, doing: await doingOf(temporal.client, row) } : row)))
  } finally {
    await temporal.close()
  }
}

async function doingOf(client: Client, { workflowId, runId }: RunRow): Promise<string | null> {
  const handle = client.workflow.getHandle(workflowId, runId)
  const lines = await client.withDeadline(Date.now() + ASK_DEADLINE_MS, () => detailsOf(handle))
  // The first paragraph; of a question only that it is asked, of whom and until when.
  const said = lines
    ?.slice(0, lines[0] === 'approve ·' ? 2 : 1)
    .join(' ')
    .slice(0, MOST_WORDS)
  return said === undefined || said === '' ? null : said
}
