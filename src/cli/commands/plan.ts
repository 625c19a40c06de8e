/** Declares `nightshift plan`. */
import type { Command } from 'commander'
import { bareCommand, type CommonOptions, withCommonOptions } from '../command.js'
import { printJson } from '../output.js'

export function command(): Command {
  const declared = bareCommand('plan', 'what a run wants to do, step by step, and what it waits for').argument(
    '<workflow>',
    'its workflow ID, as `nightshift runs` shows it',
  )
  withCommonOptions(declared, [
    ['nightshift plan jobs/pve', 'the plan with its diff, its digest, and the commands that answer it'],
    ['nightshift plan jobs/pve --json', 'plans, policy, answers and refused answers for programs'],
  ])
  return declared.action(async (workflowId: string, { config, json }: CommonOptions) => {
    const { planText, readPlan } = await import('../plan.js')
    const view = await readPlan({ config, workflowId })
    if (json) printJson({ schema: 'nightshift.plan/1', workflowId, ...view })
    else process.stdout.write(`${planText(view, workflowId, config)}\n`)
  })
}
