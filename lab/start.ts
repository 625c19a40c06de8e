/**
 * `npm start`: the lab estate, and nightshift running on it, in the foreground. A second start continues the same lab and its waiting runs.
 * nightshift is started as the program that it is on real hosts; only its configuration folder, state folder and ports are the lab's.
 */
import { join } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { execa } from 'execa'
import { checkPort } from '../src/temporal/dev-server.js'
import { packageRoot } from '../src/temporal/package-root.js'
import { describeError, exitCodeOf, LabError } from './errors.js'
import { applyState } from './estate/index.js'
import { type Lab, openLab } from './lab.js'
import { checkLabName } from './names.js'
import { stopLab, upLab } from './up.js'

interface StartOptions {
  readonly lab: string
  readonly once: boolean
  readonly temporal?: string
  readonly temporalPort: number
  readonly uiPort: number
  readonly metricsAddress?: string
}

const say = (line: string): void => void process.stderr.write(`${line}\n`)

/** Ctrl-C reaches nightshift too (it is in the foreground group of the terminal); this program waits until it has stopped, then stops the lab. */
class Interrupt {
  asked = false
  constructor() {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => this.#ask(signal))
  }
  onAsk: (signal: NodeJS.Signals) => void = () => {}
  #ask(signal: NodeJS.Signals): void {
    this.asked = true
    this.onAsk(signal)
  }
}

async function start(options: StartOptions): Promise<number> {
  checkLabName(options.lab)
  if (options.temporal === undefined) {
    await checkPort('127.0.0.1', options.temporalPort, 'Temporal', 'npm start -- --temporal-port')
    await checkPort('127.0.0.1', options.uiPort, "Temporal's web interface", 'npm start -- --ui-port')
  }
  const interrupt = new Interrupt()
  // Until nightshift runs, Ctrl-C ends the preparation at once: whatever is half way is mended by the next start.
  interrupt.onAsk = () => void abandon(options.lab)
  const lab = await upLab(options.lab, { say })
  try {
    if (lab.record.state === null) {
      say('Filling the lab: the estate as the audits found it')
      await applyState(lab, 'as-found', { log: say })
    } else say(`Continuing lab "${lab.name}" (${lab.record.state})`)
    return await runNightshift(lab, options, interrupt)
  } finally {
    say(`Stopping the lab's hosts. \`npm start\` continues this lab, \`npm run lab -- --lab ${lab.name} down\` removes it.`)
    await stopLab(lab)
  }
}

async function abandon(name: string): Promise<void> {
  say('Interrupted. Stopping the hosts that are up; `npm start` goes on from here.')
  await openLab(name).then(stopLab, () => {})
  process.exit(130)
}

async function runNightshift(lab: Lab, options: StartOptions, interrupt: Interrupt): Promise<number> {
  const ports = ['--temporal-port', String(options.temporalPort), '--ui-port', String(options.uiPort), '--temporal-data', lab.paths.temporal]
  const metrics = options.metricsAddress === undefined ? [] : ['--metrics-address', options.metricsAddress]
  const child = execa(
    process.execPath,
    [join(packageRoot(), 'bin', 'nightshift.js'), 'up', '--config', lab.paths.config, ...ports, ...metrics, ...(options.once ? ['--once'] : [])],
    {
      env: environment(lab, options.temporal),
      extendEnv: false,
      stdio: 'inherit',
      reject: false,
      // A signal to this program alone (not from the terminal) is passed on by `onAsk`.
      cleanup: true,
    },
  )
  interrupt.onAsk = (signal) => void child.kill(signal)
  const { exitCode, signal } = await child
  if (exitCode === undefined)
    throw new LabError('failed', `nightshift was ended by ${signal ?? 'an unknown signal'}`, 'start it again: what waits goes on waiting')
  return exitCode
}

/** Whatever Temporal the caller's environment names is not the lab's, unless `--temporal` says so. */
function environment(lab: Lab, temporal: string | undefined): NodeJS.ProcessEnv {
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('TEMPORAL_')))
  return { ...inherited, NIGHTSHIFT_STATE: lab.paths.state, ...(temporal === undefined ? {} : { TEMPORAL_ADDRESS: temporal }) }
}

function port(text: string): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || value < 1 || value > 65_535) throw new InvalidArgumentError('a port from 1 to 65535 is needed.')
  return value
}

const program = new Command('npm start --')
  .description('Brings up the lab estate as the audits found it, and nightshift on it. Ctrl-C stops everything; what waits goes on waiting.')
  .option('--once', 'leave after one pass, with the exit code of `nightshift status`', false)
  .option('--lab <name>', 'which lab', 'lab')
  .option('--temporal <address>', 'use this Temporal server instead of an embedded one')
  .option('--temporal-port <port>', 'port of the embedded Temporal server', port, 7233)
  .option('--ui-port <port>', 'port of its web page', port, 8233)
  .option('--metrics-address <host:port>', 'serve Prometheus metrics there')
  .addHelpText('after', '\nExamples:\n  $ npm start\n  $ npm start -- --once\n  $ npm start -- --lab second --temporal-port 7333 --ui-port 8333')
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 64))
  .action(async (options: StartOptions) => {
    try {
      process.exitCode = await start(options)
    } catch (error) {
      say(describeError(error))
      process.exitCode = exitCodeOf(error)
    }
  })

await program.parseAsync()
