/**
 * `npm run --silent faults -- RUNBOOK`: lets the worker and the Temporal server die at every point of a runbook and compares the effects with those of an
 * unfaulted run. What the points are, and what is compared, stands in `fault-scenario.ts`.
 */
import { Command, InvalidArgumentError } from 'commander'
import { tryFaults } from './fault-matrix.js'
import { FAULT_SCENARIOS } from './fault-scenarios/index.js'

const known = Object.keys(FAULT_SCENARIOS)
const program = new Command('faults')
  .description('Kills the worker and the Temporal server at every point of a runbook and compares the effects with an unfaulted run.')
  .argument('<runbook...>', known.join(', '))
  .option('--points <n>', 'only so many, chosen by the seed', wholeNumber)
  .option('--seed <n>', 'chooses the points; printed, so that a choice can be tried again', wholeNumber)
  .option('--only <text>', 'only faults whose line contains this')
  .option('--lanes <n>', 'labs side by side, each with a Temporal server of its own', wholeNumber, 2)
  .addHelpText(
    'after',
    '\nExamples:\n  $ npm run --silent faults -- vzdumpJobs\n  $ npm run --silent faults -- vzdumpJobs retentionPrune --points 6 --seed 7 --lanes 1',
  )
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 64))
  .action(async (runbooks: string[], options: { points?: number; seed?: number; only?: string; lanes: number }) => {
    const unknown = runbooks.find((runbook) => !Object.hasOwn(FAULT_SCENARIOS, runbook))
    if (unknown !== undefined) {
      process.stderr.write(`faults: there is no runbook ${unknown}\n  → known: ${known.join(', ')}\n`)
      process.exitCode = 64
      return
    }
    const { points, seed = Date.now() % 1_000_000, only, lanes } = options
    if (points !== undefined) process.stdout.write(`seed ${seed}\n`)
    const scenarios = Object.fromEntries(Object.entries(FAULT_SCENARIOS).filter(([name]) => runbooks.includes(name)))
    const { passed, failed } = await tryFaults(scenarios, {
      lanes,
      ...(points === undefined ? {} : { sample: { count: points, seed } }),
      ...(only === undefined ? {} : { only }),
      say: (line) => void process.stderr.write(`${line}\n`),
      tell: (line) => void process.stdout.write(`${line}\n`),
    })
    process.stdout.write(`${passed} passed, ${failed} failed\n`)
    process.exitCode = failed === 0 && passed > 0 ? 0 : 1
  })

function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('a whole number from 1 is needed.')
  return Number(text)
}

await program.parseAsync()
