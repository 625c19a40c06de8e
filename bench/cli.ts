/**
 * `npm run --silent bench -- NAME --json`: measures us beside the raw floor of the same run. One JSON object on stdout, progress on stderr.
 */
import { Command, InvalidArgumentError } from 'commander'
import { installRuntime } from '../src/temporal/runtime.js'
import { benchAlerts } from './alerts.js'
import { benchMonitor } from './monitor.js'

const BENCHES = { monitor: benchMonitor, alerts: benchAlerts }

const program = new Command('bench')
  .description('Measures nightshift beside the raw floor of the same run, in a lab and a Temporal server of its own.')
  .argument('<name>', Object.keys(BENCHES).join(' or '))
  .option('--json', 'print the JSON object only', false)
  .option('--rounds <n>', 'samples of each side', wholeNumber, 15)
  .addHelpText('after', '\nExamples:\n  $ npm run --silent bench -- monitor --json\n  $ npm run --silent bench -- alerts --rounds 5')
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 64))
  .action(async (name: string, { json, rounds }: { json: boolean; rounds: number }) => {
    const bench = BENCHES[name as keyof typeof BENCHES]
    if (bench === undefined) {
      process.stderr.write(`bench: there is no benchmark ${name}\n  → known: ${Object.keys(BENCHES).join(', ')}\n`)
      process.exitCode = 64
      return
    }
    await installRuntime({ logLevel: 'ERROR' })
    const result = await bench({ rounds, say: (line) => process.stderr.write(`${line}\n`) })
    process.stdout.write(`${JSON.stringify(result, null, json ? 0 : 2)}\n`)
  })

function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text)) throw new InvalidArgumentError('a whole number from 1 is needed.')
  return Number(text)
}

await program.parseAsync()
