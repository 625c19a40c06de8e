/** What all runbooks share: checked input, what the Temporal UI shows while they run. */
import { ApplicationFailure, defineSearchAttributeKey, type SearchAttributePair, SearchAttributeType } from '@temporalio/common'
import { setCurrentDetails, upsertSearchAttributes } from '@temporalio/workflow'
import type { z } from 'zod'

const RUNBOOK = defineSearchAttributeKey('NightshiftRunbook', SearchAttributeType.KEYWORD)
const HOST = defineSearchAttributeKey('NightshiftHost', SearchAttributeType.KEYWORD)
const TARGET = defineSearchAttributeKey('NightshiftTarget', SearchAttributeType.KEYWORD)
const PHASE = defineSearchAttributeKey('NightshiftPhase', SearchAttributeType.KEYWORD)

/**
 * Checks what an operator typed before anything else happens.
 * @throws ApplicationFailure `InvalidInput`, not retryable, naming every wrong path
 */
export function parseInput<T>(runbook: string, schema: z.ZodType<T>, input: unknown): T {
  const parsed = schema.safeParse(input)
  if (parsed.success) return parsed.data
  const problems = parsed.error.issues.map((issue) => `${issue.path.length > 0 ? `$.${issue.path.join('.')}` : '$'}: ${issue.message}`)
  throw ApplicationFailure.nonRetryable(`${runbook}: the input is not valid: ${problems.join('; ')}`, 'InvalidInput', problems)
}

/** Search attributes that every run carries from its first task on. */
export function runbookAttributes(runbook: string, about: { readonly host?: string; readonly target?: string } = {}): SearchAttributePair[] {
  return [
    { key: RUNBOOK, value: runbook },
    { key: PHASE, value: 'open' },
    ...(about.host === undefined ? [] : [{ key: HOST, value: about.host }]),
    ...(about.target === undefined ? [] : [{ key: TARGET, value: about.target }]),
  ]
}

/** Shows where a run stands: as search attribute for lists, as Markdown for whoever opens the run. */
export function phase(name: string, doing: string): void {
  setCurrentDetails(`**${name}** · ${doing}`)
  if (name !== 'open') upsertSearchAttributes([{ key: PHASE, value: name }])
}
