/** Declares `nightshift run`. */
import type { Command } from 'commander'
import { bareCommand, type CommonOptions, durationSeconds, withCommonOptions } from '../command.js'
import { UsageError } from '../usage-error.js'

interface Options extends CommonOptions {
  readonly detach?: boolean
  readonly wait?: number
  readonly as?: string
}

export function command(): Command {
  const declared = bareCommand('run', 'start a runbook, or follow the run that is already on the same thing')
    .argument('<runbook>', 'for example backupMonitor')
    .argument('[input]', 'one JSON object')
    .option('--detach', 'do not wait for its end')
    .option('--as <name>', 'who asks, for runbooks that change something (default: the user of this machine)')
    .option('--wait <duration>', 'wait at most so long (90s, 15m, 26h, 7d), then leave with 75', durationSeconds)
  withCommonOptions(declared, [
    ['nightshift run backupMonitor', 'one pass now; 0 done, 2 failed, 3 unknown'],
    ['nightshift run backupMonitor --wait 2m', '75 when it still runs by then'],
    [
      `nightshift run vzdumpJobs '{"host":"pve"}' --as ronny`,
      'shows the plan, waits for the approval; 0 done, 1 rejected or timed out, 2 failed or rolled back',
    ],
    ['nightshift run driftGates', '0 every gate passed, 2 one failed, 3 one is unknown'],
    ['nightshift run backupMonitor --detach --json', 'its workflow and run id'],
  ])
  return declared.action(async (runbook: string, input: string | undefined, options: Options) => {
    if (options.detach && options.wait !== undefined) throw new UsageError('--detach and --wait exclude each other', 'give one of them')
    const { config, json } = options
    const { run } = await import('../run.js')
    process.exitCode = await run({
      config,
      json,
      runbook,
      input,
      detach: options.detach === true,
      ...(options.as === undefined ? {} : { as: options.as }),
      ...(options.wait === undefined ? {} : { waitSeconds: options.wait }),
    })
  })
}
