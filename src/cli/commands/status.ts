/** Declares `nightshift status`. */
import type { Command } from 'commander'
import { bareCommand, type CommonOptions, withCommonOptions } from '../command.js'
import { status } from '../status.js'

export function command(): Command {
  const declared = bareCommand('status', 'the last pass of the monitor: what is wrong, why, and what to do').option('--all', 'also name what is fine', false)
  withCommonOptions(declared, [
    ['nightshift status', 'exit code 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN'],
    ['nightshift status --config /etc/nightshift', 'the estate of that folder'],
    ['nightshift status --json | jq .verdict', 'for scripts'],
  ])
  return declared.action(async (options: CommonOptions & { all: boolean }) => {
    process.exitCode = await status({ ...options, configIsExplicit: declared.getOptionValueSource('config') === 'cli' })
  })
}
