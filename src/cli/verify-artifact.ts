/**
 * `nightshift verify-artifact HOST VOLID`: proves one archive complete and readable, and follows the run that does it. The run goes on without us.
 * Exit codes: 0 proven, 2 damaged, 3 unknown.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { WorkflowFailedError, type WorkflowHandle } from '@temporalio/client'
import { rootCause } from '@temporalio/common'
import { taskQueueOf, workflowIds } from '../domain/ids.js'
import type { ProofResult } from '../domain/proof/types.js'
import { connectEstate } from './estate-client.js'
import { estateIdOf } from './estate-id.js'
import { printJson } from './output.js'
import { startOrFollow } from './start-run.js'

const EXIT_OF = { proven: 0, damaged: 2, unknown: 3 } as const

/** How often the progress is asked for. */
const ASK_EVERY_MS = 2_000

export interface VerifyOptions {
  readonly config: string
  readonly host: string
  readonly volid: string
  readonly json: boolean
}

/** @returns the exit code */
export async function verifyArtifact({ config, host, volid, json }: VerifyOptions): Promise<number> {
  const estateId = await estateIdOf(config)
  const temporal = await connectEstate(estateId)
  try {
    const { handle } = await startOrFollow(temporal.client, {
      type: 'verifyArtifact',
      workflowId: workflowIds.verify(host, volid),
      taskQueue: taskQueueOf(estateId),
      input: { host, volid },
      summary: `Prove ${volid} of ${host}`,
    })
    const ended = handle.result().then(
      (result: ProofResult) => result,
      (error: unknown) => notFound(error),
    )
    await showProgress(handle, ended)
    const result = await ended
    if (json) printJson({ schema: 'nightshift.proof/1', host, volid, workflowId: handle.workflowId, ...result })
    else process.stdout.write(`${result.outcome}: ${result.message}\n`)
    return EXIT_OF[result.outcome]
  } finally {
    await temporal.close()
  }
}

/** A run that failed (a host that is none, cancelled, …) found nothing out. */
function notFound(error: unknown): ProofResult {
  const cause = error instanceof WorkflowFailedError ? (rootCause(error.cause) ?? error.message) : error instanceof Error ? error.message : String(error)
  return { outcome: 'unknown', level: 0, message: cause, file: null, sha256: null }
}

/** Prints what the run says of itself, whenever it changes, on standard error. */
async function showProgress(handle: WorkflowHandle, ended: Promise<unknown>): Promise<void> {
  let shown = ''
  let isOver = false
  const over = ended.then(() => {
    isOver = true
  })
  while (!isOver) {
    const said = await handle.query<{ currentDetails?: string }>('__temporal_workflow_metadata').then(
      (metadata) => (metadata.currentDetails ?? '').replaceAll('**', ''),
      () => shown,
    )
    if (said !== shown && !isOver) process.stderr.write(`${said}\n`)
    shown = said
    await Promise.race([over, delay(ASK_EVERY_MS, undefined, { ref: false })])
  }
}
