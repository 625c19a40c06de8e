/** A plan in words: for the Temporal UI, for a terminal, for whoever decides. */
import type { ApprovalPolicy, CountedAnswer } from './approval.js'
import type { ChangePlan, Effect, Json, PlanStep } from './plan.js'

/** Markdown of at most `maxBytes`; what does not fit is said, and where the whole is. */
export function renderPlanMarkdown(plan: ChangePlan, maxBytes: number): string {
  const warnings = plan.warnings.length === 0 ? [] : [...plan.warnings.map(({ message }) => `- ⚠ ${line(message)}`), '']
  const head = [`### ${line(plan.title)}`, '', `digest \`${plan.digest}\``, '', ...warnings]
  const steps = plan.steps.map((step, index) => stepMarkdown(step, index + 1))
  const whole = [...head, ...steps].join('\n')
  if (bytes(whole) <= maxBytes) return whole
  const note = `\n… ${plan.steps.length} steps in all; the whole plan: \`nightshift plan WORKFLOW\`, or query \`plan\`\n`
  const kept: string[] = [...head]
  for (const step of steps) {
    if (bytes([...kept, step, note].join('\n')) > maxBytes) break
    kept.push(step)
  }
  return `${cut(kept.join('\n'), maxBytes - bytes(note))}${note}`
}

function stepMarkdown(step: PlanStep, number: number): string {
  const marks = step.destructive.length === 0 ? '' : ` — **${step.destructive.join(', ')}**`
  const rows = step.diff.map(({ field, from, to }) => `- ${line(field)}: \`${value(from)}\` → \`${value(to)}\``)
  const removed = step.removes.map(({ volid, createdAt }) => `- removes \`${code(volid)}\`${createdAt === null ? '' : ` of ${createdAt}`}`)
  return [
    // no list in a list: the Temporal UI runs its lines together
    `**${number}.** ${line(step.what)}${marks}`,
    '',
    ...rows,
    ...removed,
    `- does: \`${code(effectLine(step.effect))}\``,
    `- undo: ${undoLine(step)}`,
    '',
  ].join('\n')
}

/** Plain text for a terminal, the whole of it. */
export function renderPlanText(plan: ChangePlan): string {
  const lines = [plan.title, `  digest  ${plan.digest}`, `  host    ${plan.host}`, ...plan.warnings.map(({ message }) => `  warning ${message}`)]
  for (const [name, fact] of Object.entries(plan.facts)) if (typeof fact !== 'object' || fact === null) lines.push(`  ${name}: ${value(fact)}`)
  if (plan.steps.length === 0) lines.push('', 'Nothing to do: everything is as wanted.')
  for (const [index, step] of plan.steps.entries()) {
    lines.push('', `${index + 1}. ${step.what}${step.destructive.length === 0 ? '' : `  [${step.destructive.join(', ')}]`}`)
    for (const { field, from, to } of step.diff) lines.push(`     ${field}: ${value(from)} → ${value(to)}`)
    for (const { volid, createdAt } of step.removes) lines.push(`     removes ${volid}${createdAt === null ? '' : ` of ${createdAt}`}`)
    lines.push(`     does: ${effectLine(step.effect)}`, `     undo: ${undoLine(step)}`)
  }
  return `${lines.join('\n')}\n`
}

/** What is asked of whom, and the commands for it. */
export function renderQuestion(about: {
  readonly workflowId: string
  readonly plans: readonly ChangePlan[]
  readonly policy: ApprovalPolicy
  readonly answers: readonly CountedAnswer[]
  readonly until: string
}): string {
  const { policy } = about
  const who = `${policy.needed} of ${policy.approvers.join(', ')}`
  const signed = policy.signature === 'required' ? ' --sign KEY' : ''
  const lines = about.plans.map(
    // a block of its own: the digest is longer than the column that the Temporal UI leaves
    (plan) =>
      `${line(plan.title)}:\n\n\`\`\`text\nnightshift approve ${about.workflowId} --digest ${plan.digest} \\\n  --as NAME --reason TEXT${signed}\n\`\`\`\n`,
  )
  const so =
    about.answers.length === 0 ? 'No answer so far.' : about.answers.map(({ approver, decision, proof }) => `${approver}: ${decision} (${proof})`).join(', ')
  return [
    `**Waiting for an approval** by ${who}, until ${about.until}; no answer means no.`,
    '',
    ...lines,
    'No: `nightshift reject` with the same options.',
    '',
    so,
  ].join('\n')
}

export function effectLine(effect: Effect): string {
  switch (effect.kind) {
    case 'command':
      return effect.argv.map(shellWord).join(' ')
    case 'write-file':
      return `write ${effect.path} (mode ${effect.mode}, ${effect.content.length} characters)`
    case 'remove-file':
      return `remove ${effect.path}`
    case 'runbook':
      return `edit ${effect.file}.yaml: ${effect.edits.map((edit) => `${edit.op} ${edit.path.map((part) => (typeof part === 'object' ? `[${part.key}=${String(part.value)}]` : part)).join('.')} ${value('value' in edit ? edit.value : edit.values)}`).join('; ')}`
  }
}

function undoLine(step: PlanStep): string {
  return 'none' in step.undo ? `none: ${line(step.undo.none)}` : `\`${code(effectLine(step.undo.effect))}\``
}

function shellWord(word: string): string {
  return /^[A-Za-z0-9_./:=,@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}

function value(json: Json): string {
  if (json === null) return 'not set'
  return code(typeof json === 'string' ? json : JSON.stringify(json))
}

const CONTROLS = /[\u0000-\u001f\u007f-\u009f]+/g
const line = (text: string): string => text.replace(CONTROLS, ' ')
const code = (text: string): string => line(text).replaceAll('`', "'")
const encoder = new TextEncoder()
const bytes = (text: string): number => encoder.encode(text).length

function cut(text: string, maxBytes: number): string {
  let kept = text
  while (bytes(kept) > maxBytes) kept = kept.slice(0, Math.floor(kept.length * 0.9))
  return kept
}
