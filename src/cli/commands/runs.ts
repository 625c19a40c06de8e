/** Declares `nightshift runs`. */
import type { Command } from 'commander'
import { inert } from '../../domain/render/inert.js'
import { bareCommand, type CommonOptions, integerBetween, withCommonOptions } from '../command.js'
import { printJson } from '../output.js'

interface Options extends CommonOptions {
  readonly limit: number
  readonly open: boolean
}

export function command(): Command {
  const declared = bareCommand('runs', 'the runs of this estate, newest first; what waits, and for whom')
    .option('--limit <n>', 'at most so many', integerBetween(1, 1000), 20)
    .option('--open', 'only those that have not ended', false)
  withCommonOptions(declared, [
    ['nightshift runs', 'the last twenty'],
    ['nightshift runs --open --json', 'what waits or works now'],
  ])
  return declared.action(async ({ config, json, limit, open }: Options) => {
    const { listRuns } = await import('../runs.js')
    const runs = await listRuns({ config, limit, openOnly: open })
    if (json) return printJson(runs)
    if (runs.length === 0) process.stderr.write('no runs\n')
    for (const run of runs) {
      process.stdout.write(`${run.startedAt}  ${run.status.padEnd(10)}  ${inert(run.workflowId)}  ${run.runId}\n`)
      if (run.doing !== null) process.stdout.write(`    ${inert(run.doing)}\n`)
    }
  })
}
