/** What `nightshift approve` and `nightshift reject` have in common: everything but the word. */
import { type Command, InvalidArgumentError } from 'commander'
import { inert } from '../domain/render/inert.js'
import { bareCommand, type CommonOptions, withCommonOptions } from './command.js'
import { printJson } from './output.js'

interface Options extends CommonOptions {
  readonly digest: string
  readonly as: string
  readonly reason: string
  readonly sign?: string
}

const DESCRIPTIONS = { approve: 'say yes to exactly one plan of a run', reject: 'say no to a plan; the run ends without a change' }

export function answerCommand(decision: 'approve' | 'reject'): Command {
  const declared = bareCommand(decision, DESCRIPTIONS[decision])
    .argument('<workflow>', 'the workflow ID of the run that asks')
    .requiredOption('--digest <d>', 'the digest of the plan, as `nightshift plan` shows it', digest)
    .requiredOption('--as <name>', 'who answers: a name of `approvers` in the runbook')
    .requiredOption('--reason <text>', 'why; it goes into the receipt')
    .option('--sign <key>', 'sign the answer with this SSH key; its public half stands in allowed_signers')
  withCommonOptions(declared, [
    [`nightshift ${decision} jobs/pve --digest D --as ronny --reason 'read it'`, '0 counted, 1 not counted'],
    [`nightshift ${decision} jobs/pve --digest D --as ronny --reason 'read it' --sign ~/.ssh/id_ed25519`, 'signed, and so more than a claim'],
  ])
  return declared.action(async (workflowId: string, options: Options) => {
    const { config, json, sign: signKey } = options
    const answer = { digest: options.digest, approver: options.as, reason: options.reason }
    const { giveAnswer } = await import('./answer.js')
    const counted = await giveAnswer({ config, workflowId, decision, answer, ...(signKey === undefined ? {} : { signKey }) })
    if (json) return printJson({ schema: 'nightshift.answer/1', workflowId, decision, ...counted })
    const more = decision === 'approve' && counted.stillNeeded > 0 ? `; ${counted.stillNeeded} more must say yes` : ''
    process.stdout.write(`${decision === 'approve' ? 'Approved' : 'Rejected'} by ${inert(options.as)} (${counted.proof})${more}\n`)
  })
}

function digest(text: string): string {
  if (!/^[0-9a-f]{64}$/.test(text)) throw new InvalidArgumentError('the whole digest is needed, 64 hex digits.')
  return text
}
