/** Follows a run by what it says of itself: a line when something changes, the whole plan when it asks somebody. */
import { setTimeout as delay } from 'node:timers/promises'
import type { WorkflowHandle } from '@temporalio/client'
import { inert } from '../domain/render/inert.js'
import type { PlanView } from '../workflows/approval.js'
import { planText } from './plan.js'

const ASK_EVERY_MS = 2_000

/** What a run shows in the Temporal UI, as lines for a terminal; undefined when no worker answers, or the run is of a kind that shows nothing. */
export async function detailsOf(handle: WorkflowHandle): Promise<string[] | undefined> {
  try {
    const { currentDetails = '' } = await handle.query<{ currentDetails?: string }>('__temporal_workflow_metadata')
    return currentDetails
      .split('\n')
      .map((line) => inert(line.replaceAll('**', '').replaceAll('`', '')).trim())
      .filter((line) => line !== '')
  } catch {
    return undefined
  }
}

/**
 * Prints what is new about a run until `ended` settles or `signal` aborts. A run that asks for an approval is shown with its plan and the commands that answer it.
 * @param command how the reader calls this program, for the commands it is shown
 */
export async function followRun(
  handle: WorkflowHandle,
  ended: Promise<unknown>,
  print: (line: string) => void,
  options: { readonly signal?: AbortSignal; readonly config: string },
): Promise<void> {
  let shown: ReadonlySet<string> = new Set()
  let asked = ''
  let isOver = false
  const over = ended.then(
    () => {
      isOver = true
    },
    () => {
      isOver = true
    },
  )
  while (!isOver && options.signal?.aborted !== true) {
    const lines = await detailsOf(handle)
    if (lines?.[0]?.startsWith('approve') === true) {
      const view = await handle.query<PlanView>('plan').catch(() => undefined)
      const question = view === undefined ? '' : JSON.stringify([view.until, view.answers.length, view.refused.length, view.plans.map(({ digest }) => digest)])
      if (view !== undefined && question !== asked && !isOver) print(planText(view, handle.workflowId, options.config))
      asked = question === '' ? asked : question
    } else if (lines !== undefined && !isOver) {
      for (const line of lines) if (!shown.has(line)) print(line)
    }
    if (lines !== undefined) shown = new Set(lines)
    await Promise.race([over, delay(ASK_EVERY_MS, undefined, { ref: false, signal: options.signal }).catch(() => {})])
  }
}
