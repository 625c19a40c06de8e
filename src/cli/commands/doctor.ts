/** Declares `nightshift doctor`. */
import type { Command } from 'commander'
import { bareCommand, type CommonOptions, withCommonOptions } from '../command.js'

export function command(): Command {
  const declared = bareCommand('doctor', 'check files, hosts, trust, tools, storages, secrets, Temporal, clocks').option(
    '--offline',
    'look at files and state only: no host, no server',
    false,
  )
  withCommonOptions(declared, [
    ['nightshift doctor', 'exit code 0 well, 1 warnings, 2 failures, 3 something could not be looked at'],
    ['nightshift doctor --offline --config /etc/nightshift', 'before anything runs'],
    ['nightshift doctor --json', 'every check as {area, name, result, message, next}'],
  ])
  return declared.action(async (options: CommonOptions & { offline: boolean }) => {
    const { doctor } = await import('../doctor.js')
    process.exitCode = await doctor(options)
  })
}
