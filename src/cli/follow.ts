/** Follows a run by what it says of itself: a line when something changes, the whole plan when it asks somebody. */
import { setTimeout as delay } from 'node:timers/promises'
import type { WorkflowHandle } from '@temporalio/client'
import { inert } from '../domain/render/inert.js'
import type { PlanView } from '../workflows/approval.js'
import { planText } from './plan.js'

const ASK_EVERY_MS = 2_000
const MOST_WORDS = 240
/** Asking a worker that is not there takes no longer. */
const ASK_DEADLINE_MS = 5_000

/** What a run shows in the Temporal UI, as lines for a terminal; undefined when no worker answers, or the run is of a kind that shows nothing. */
export async function detailsOf(handle: WorkflowHandle): Promise<string[] | undefined> {
  try {
    const ask = () => handle.query<{ currentDetails?: string }>('__temporal_workflow_metadata')
    const { currentDetails = '' } = await handle.client.withDeadline(Date.now() + ASK_DEADLINE_MS, ask)
    return currentDetails
      .split('\n')
      .map((line) => inert(line.replaceAll('**', '').replaceAll('`', '')).trim())
      .filter((line) => line !== '')
  } catch {
    return undefined
  }
}

/** What a run and those that it started and waits for say of themselves; undefined when no worker answers for the run. */
async function saidBy(handle: WorkflowHandle): Promise<string[] | undefined> {
  const own = await detailsOf(handle)
  if (own === undefined || own[0]?.startsWith('approve') === true) return own
  const { raw } = await handle.describe()
  const children = (raw.pendingChildren ?? []).map(({ workflowId }) => handle.client.getHandle(workflowId ?? ''))
  const told = await Promise.all(children.map(detailsOf))
  return [...new Set([...own, ...told.flatMap((lines) => lines ?? [])])]
}

/** For whoever leaves while a run waits: the first thing that it says. */
export async function doingOf(handle: WorkflowHandle): Promise<string | null> {
  const lines = await detailsOf(handle)
  // The first paragraph; of a question only that it is asked, of whom and until when.
  const said = lines
    ?.slice(0, lines[0] === 'approve ·' ? 2 : 1)
    .join(' ')
    .slice(0, MOST_WORDS)
  return said === undefined || said === '' ? null : said
}

/** Prints what is new about a run until `ended` settles or `signal` aborts. A run that asks for an approval is shown with its plan and the commands that answer it. */
export async function followRun(
  handle: WorkflowHandle,
  ended: Promise<unknown>,
  print: (line: string) => void,
  options: { readonly signal?: AbortSignal; readonly config: string },
): Promise<void> {
  let shown: ReadonlySet<string> = new Set()
  let asked = ''
  let isOver = false
  let isSilent = false
  const over = ended.then(
    () => {
      isOver = true
    },
    () => {
      isOver = true
    },
  )
  while (!isOver && options.signal?.aborted !== true) {
    const lines = await saidBy(handle).catch(() => undefined)
    if (lines === undefined && !isSilent && !isOver) print('No worker answers for this run now; it waits, and loses nothing. Is `nightshift up` running?')
    isSilent = lines === undefined
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
