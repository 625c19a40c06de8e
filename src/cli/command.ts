/** How every command is declared: `--config`, `--json`, examples in the help, usage errors with exit code 64. */
import { Command, type CommanderError, InvalidArgumentError, Option } from 'commander'
import { UsageError } from './usage-error.js'

export interface CommonOptions {
  readonly config: string
  readonly json: boolean
}

/** The configuration folder unless told: `NIGHTSHIFT_CONFIG`, else `runbooks` beside the caller. */
export function defaultConfigDir(env: NodeJS.ProcessEnv = process.env): string {
  return env.NIGHTSHIFT_CONFIG || 'runbooks'
}

/** A command with the settings of all of ours, but no options yet. */
export function bareCommand(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
    .helpOption('-h, --help', 'show this help')
    .helpCommand(false)
}

/** Adds `--config` and `--json`, and examples at the end of the help. */
export function withCommonOptions(command: Command, examples: readonly (readonly [line: string, what: string])[]): Command {
  const longest = Math.max(...examples.map(([line]) => line.length))
  const text = examples.map(([line, what]) => `  $ ${line.padEnd(longest)}  # ${what}`).join('\n')
  return command
    .addOption(new Option('--config <dir>', 'configuration folder').default(defaultConfigDir(), 'NIGHTSHIFT_CONFIG, else runbooks'))
    .option('--json', 'print one JSON document and nothing else', false)
    .addHelpText('after', `\nExamples:\n${text}`)
}

/** What commander refuses, as our error; help that was asked for is none. @returns undefined when the program should just end with 0 */
export function asUsageError(error: CommanderError, command: string): UsageError | undefined {
  if (error.exitCode === 0) return undefined
  // `nightshift receipts` alone: commander shows the help and calls that an error.
  const message = error.code === 'commander.help' ? 'a command is missing' : error.message.replace(/^error: /, '')
  const [first = '', ...rest] = message.split('\n')
  const suggestion = rest
    .join(' ')
    .trim()
    .replace(/^\(|\)$/g, '')
  return new UsageError(first, `${suggestion === '' ? '' : `${suggestion} `}${command} --help shows how it is used`)
}

/** A whole number within bounds, for options. */
export function integerBetween(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!/^\d+$/.test(text) || value < least || value > most) throw new InvalidArgumentError(`a whole number from ${least} to ${most} is needed.`)
    return value
  }
}

/** A length of time such as `90s`, `15m`, `26h`, `7d`, in seconds. */
export function durationSeconds(text: string): number {
  const match = /^(\d{1,6})(s|m|h|d)$/.exec(text)
  const unit = { s: 1, m: 60, h: 3600, d: 86_400 }[match?.[2] ?? '']
  if (match?.[1] === undefined || unit === undefined) throw new InvalidArgumentError('a duration such as 90s, 15m, 26h or 7d is needed.')
  return Number(match[1]) * unit
}
