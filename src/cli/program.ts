/**
 * The command line of `nightshift`. Only the command that was asked for is loaded: the others are names and a line each, so that `status` starts at once. And of it no more
 * than its declaration before its arguments are found right: `up` loads a second's worth of code.
 */
import { type Command, CommanderError } from 'commander'
import { asUsageError, bareCommand } from './command.js'
import { reportError } from './output.js'
import { programVersion } from './version.js'

interface Entry {
  readonly summary: string
  readonly load: () => Promise<{ command(): Command }>
}

/** All commands, by name. */
export const COMMANDS: Readonly<Record<string, Entry>> = {
  up: { summary: 'run the estate: Temporal, worker, schedules; stays in the foreground', load: () => import('./commands/up.js') },
  doctor: { summary: 'check files, hosts, trust, tools, storages, secrets, Temporal, clocks', load: () => import('./commands/doctor.js') },
  trust: { summary: 'look at the key of a host and record it as known', load: () => import('./commands/trust.js') },
  status: { summary: 'the last pass of the monitor: what is wrong, why, and what to do', load: () => import('./commands/status.js') },
  run: { summary: 'start a runbook and follow it', load: () => import('./commands/run.js') },
  runs: { summary: 'the runs of this estate, newest first', load: () => import('./commands/runs.js') },
  plan: { summary: 'what a run wants to do, and what it waits for', load: () => import('./commands/plan.js') },
  approve: { summary: 'say yes to exactly one plan of a run', load: () => import('./commands/approve.js') },
  reject: { summary: 'say no to a plan', load: () => import('./commands/reject.js') },
  'verify-artifact': { summary: 'prove one backup archive complete and readable', load: () => import('./commands/verify-artifact.js') },
  alerts: { summary: 'what is open and what was said; acknowledge and silence', load: () => import('./commands/alerts.js') },
  receipts: { summary: 'list, show and verify the evidence', load: () => import('./commands/receipts.js') },
}

/** Runs one command line (without `node` and the script). Sets `process.exitCode`. */
export async function runNightshift(argv: readonly string[]): Promise<void> {
  const program = bareCommand('nightshift', 'Durable backup runbooks for Proxmox: watches the 03:00 backups and says the true cause when something is wrong.')
    .version(programVersion(), '-V, --version', 'show the version')
    .addHelpText('after', '\nEvery command takes --config DIR and --json, and shows examples with --help.\nExit codes: 64 wrong usage, 78 wrong configuration.')
  const asked = argv.find((argument) => !argument.startsWith('-'))
  try {
    for (const [name, { summary, load }] of Object.entries(COMMANDS)) {
      if (name === asked) program.addCommand((await load()).command())
      else program.addCommand(bareCommand(name, summary))
    }
    await program.parseAsync(argv, { from: 'user' })
  } catch (error) {
    const shown =
      error instanceof CommanderError
        ? asUsageError(error, asked !== undefined && Object.hasOwn(COMMANDS, asked) ? `nightshift ${asked}` : 'nightshift')
        : error
    if (shown !== undefined) process.exitCode = reportError(shown, argv.includes('--json'))
  }
}
