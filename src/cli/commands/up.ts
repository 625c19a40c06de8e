/** Declares `nightshift up`. */
import type { Command } from 'commander'
import { bareCommand, type CommonOptions, integerBetween, withCommonOptions } from '../command.js'

interface Options extends CommonOptions {
  readonly once: boolean
  readonly temporalPort: number
  readonly uiPort: number
  readonly temporalData?: string
  readonly metricsAddress?: string
}

export function command(): Command {
  const port = integerBetween(1, 65_535)
  const declared = bareCommand('up', 'run the estate: Temporal, worker, schedules; stays in the foreground')
    .option('--once', 'leave after one pass, with the exit code of `status`', false)
    .option('--temporal-port <port>', 'port of the embedded Temporal server', port, 7233)
    .option('--ui-port <port>', 'port of its web page', port, 8233)
    .option('--temporal-data <dir>', 'folder of its database (default: in the state folder)')
    .option('--metrics-address <host:port>', 'serve Prometheus metrics there')
  withCommonOptions(declared, [
    ['nightshift up --config /etc/nightshift', 'until Ctrl-C; what waits goes on waiting in Temporal'],
    ['nightshift up --once', 'one pass, printed as a table'],
    ['TEMPORAL_ADDRESS=temporal:7233 nightshift up', 'on an existing cluster'],
  ])
  return declared.action(async (options: Options) => {
    const { up } = await import('../up.js')
    process.exitCode = await up(options)
  })
}
