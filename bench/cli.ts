/**
 * `npm run --silent bench -- NAME --json`: measures us beside the raw floor of the same run. One JSON object on stdout, progress on stderr.
 */
import { Command, InvalidArgumentError } from 'commander'
import { installRuntime } from '../src/temporal/runtime.js'
import { benchMonitor } from './monitor.js'

const program = new Command('bench')
  .description('Measures nightshift beside the raw floor of the same run, in a lab and a Temporal server of its own.')
  .argument('<name>', 'monitor')
  .option('--json', 'print the JSON object only', false)
  .option('--rounds <n>', 'samples of each side', wholeNumber, 15)
  .addHelpText('after', '\nExamples:\n  $ npm run --silent bench -- monitor --json\n  $ npm run --silent bench -- monitor --rounds 5')
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 64))
  .action(async (name: string, { json, rounds }: { json: boolean; rounds: number }) => {
    if (name !== 'monitor') {
      process.stderr.write(`bench: there is no benchmark ${name}\n  → known: monitor\n`)
      process.exitCode = 64
      return
    }
    await installRuntime({ logLevel: 'ERROR' })
    const result = await benchMonitor({ rounds, say: (line) => process.stderr.write(`${line}\n`) })
    process.stdout.write(`${JSON.stringify(result, null, json ? 0 : 2)}\n`)
  })

function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text)) throw new InvalidArgumentError('a whole number from 1 is needed.')
  return Number(text)
}

await program.parseAsync()
