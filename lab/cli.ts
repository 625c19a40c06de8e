/** The lab program: `npm run --silent lab -- …`. Declares the commands; what they do is in `commands.ts`. */
import { Argument, Command, CommanderError, Option } from 'commander'
import { asUsageError, integerBetween } from '../src/cli/command.js'
import { reportError, survivePipes } from '../src/cli/output.js'
import * as commands from './commands.js'
import { checkLabName } from './names.js'

const CALL = 'npm run --silent lab --'

/** @param examples what follows `npm run --silent lab --`, and what it does */
function examples(command: Command, lines: readonly (readonly [line: string, what: string])[]): Command {
  const longest = Math.max(...lines.map(([line]) => line.length))
  return command.addHelpText('after', `\nExamples:\n${lines.map(([line, what]) => `  $ ${CALL} ${line.padEnd(longest)}  # ${what}`).join('\n')}`)
}

function names(text: string): string[] {
  return text.split(',').filter(Boolean)
}

function program(): Command {
  const lab = new Command('lab')
    .description('A whole estate of real hosts on this machine: systemd, sshd, disks and a network of their own. Nothing here touches a real host.')
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
    .helpCommand(false)
    .option('--lab <name>', 'which lab: its estate id, its folders, its bridge', 'lab')
    .option('--json', 'print one JSON document on stdout and nothing else', false)
  const common = (): commands.Common => {
    const options = lab.opts<commands.Common>()
    checkLabName(options.lab)
    return options
  }
  const add = (name: string, description: string) => {
    const command = lab.command(name).description(description).copyInheritedSettings(lab)
    return command
  }

  examples(
    add('up', 'bring the lab up: what is missing is made, what is there continues')
      .addOption(new Option('--hosts <names>', 'only these hosts (comma-separated); a later up may add more').argParser(names))
      .addOption(new Option('--state <state>', 'what a new lab is filled with').choices(['healthy', 'as-found', 'none']).default('healthy'))
      .action(async (options: { hosts?: string[]; state: commands.NamedState | 'none' }) => await commands.up({ ...common(), ...options })),
    [
      ['up', 'the whole estate, healthy'],
      ['--lab trial up --hosts pve,nas', 'a small one beside it'],
    ],
  )
  examples(
    add('down', 'remove the lab and all its data, Temporal data included').action(async () => await commands.down(common())),
    [['down', 'also after a crash or kill -9 of the lab program']],
  )
  examples(
    add('stop', 'power all hosts off and keep everything; up continues').action(async () => await commands.stop(common())),
    [['stop', 'free the memory for a while']],
  )
  examples(
    add('reset', 'back to the state healthy: every fault mended, runbooks and hosts as new').action(async () => await commands.reset(common())),
    [['reset', "after hurting, or after editing the lab's runbooks"]],
  )
  examples(
    add('state', 'put the estate into a named state')
      .addArgument(new Argument('<state>', 'which one').choices(['healthy', 'as-found']))
      .action(async (state: commands.NamedState) => await commands.setState(common(), state)),
    [
      ['state healthy', 'a pass of the monitor exits 0'],
      ['state as-found', 'what the audits of the real estate found'],
    ],
  )
  examples(
    add('env', 'print the variables by which nightshift uses this lab as its estate').action(async () => await commands.env(common())),
    [['env', 'use it as: eval "$(npm run --silent lab -- env)"']],
  )
  examples(
    add('status', 'which hosts run, where they are, what they take').action(async () => await commands.status(common())),
    [['status --json', 'for scripts']],
  )
  examples(
    add('exec', 'run a program in a host, as root; passes stdin, output and exit code')
      .argument('<host>', 'a name of `lab status`')
      .argument('[command...]', 'the program and its arguments, after --')
      .action(async (host: string, argv: string[]) => {
        process.exitCode = await commands.exec(common(), host, argv)
      }),
    [['exec pve -- pvesh get /cluster/backup --output-format json', 'look at the jobs']],
  )
  examples(
    add('clock', 'set the clocks of the hosts, relative to the true time or to a moment; reset makes them true')
      .argument('<setting>', '+1h, -90s, 2026-02-12T03:30:00-05:00, or reset')
      .addOption(new Option('--hosts <names>', 'only these hosts (comma-separated)').argParser(names))
      .action(async (setting: string, options: { hosts?: string[] }) => await commands.clock(common(), setting, options.hosts)),
    [
      ['clock +1h --hosts nas', 'the NAS is an hour ahead'],
      ['clock reset', 'all clocks true again'],
    ],
  )
  examples(
    add('latency', 'let each emulated Proxmox program take longer, as on a real host')
      .argument('<milliseconds>', '0 to 60000', integerBetween(0, 60_000))
      .action(async (milliseconds: number) => await commands.latency(common(), milliseconds)),
    [['latency 550', 'what pvesh costs on real hosts']],
  )
  examples(
    add('hurt', 'stage a case: something breaks, as it did on the real estate')
      .argument('<case>', 'a name of `lab cases`')
      .action(async (name: string) => await commands.hurtCase(common(), name, false)),
    [['hurt I1', 'the first of the incidents']],
  )
  examples(
    add('heal', 'take a case back exactly')
      .argument('<case>', 'a name of `lab cases`')
      .action(async (name: string) => await commands.hurtCase(common(), name, true)),
    [['heal I1', 'as if it had not been']],
  )
  examples(
    add('cases', 'the cases that can be staged').action(() => commands.listCases(common())),
    [['cases --json', 'for scripts']],
  )
  examples(
    add('incidents', 'stage every incident in turn in a lab of its own, run the monitor, compare').action(async () => {
      const { incidents } = await import('./estate/incidents.js')
      const { json } = common()
      process.exitCode = await incidents({ json, log: (line) => void process.stderr.write(`${line}\n`) })
    }),
    [['incidents', 'last line: N passed, M failed']],
  )
  examples(
    add('replay', 'replay recorded Proxmox commands against the emulated ones and compare')
      .argument('<file>', 'a recording (JSON)')
      .option('--verbose', 'show what differs', false)
      .action(async (file: string, options: { verbose: boolean }) => {
        const { replayCommand } = await import('./replay.js')
        process.exitCode = await replayCommand(file, { json: common().json, verbose: options.verbose })
      }),
    [['replay test/fixtures/pve/pve-cli.json', 'last line: N passed, M failed']],
  )
  examples(
    add('tree', 'make the root tree that all hosts lie on, when it is missing').action(async () => await commands.tree(common())),
    [['tree', 'set-up does this by itself']],
  )
  return lab
}

survivePipes()
try {
  await program().parseAsync(process.argv)
} catch (error) {
  const shown = error instanceof CommanderError ? asUsageError(error, CALL) : error
  if (shown !== undefined) process.exitCode = reportError(shown, process.argv.slice(2, after(process.argv)).includes('--json'))
}

/** Options end at `--`: a `--json` behind it belongs to the program that runs in the host. */
function after(argv: readonly string[]): number {
  const end = argv.indexOf('--')
  return end === -1 ? argv.length : end
}
