/**
 * `node dist/bench/scale.js LAB_CONFIG WORK ROUNDS`: passes over 1,000 targets on 50 names of a running lab's hosts, by a worker and a Temporal server of
 * this process. Prints one JSON object. `npm run bench -- monitor` starts it.
 */
import { join } from 'node:path'
import { installRuntime } from '../src/temporal/runtime.js'
import { manyNames } from './estate.js'
import { historyOf, repeat, startBench } from './monitor.js'
import { median, roundTo, timed } from './stats.js'

const [labConfig = '', work = '', rounds = ''] = process.argv.slice(2)
await installRuntime({ logLevel: 'ERROR' })
const config = await manyNames(labConfig, join(work, 'many'), { hosts: 50, targets: 1000 })
const bench = await startBench(config, join(work, 'many-state'), work)
try {
  const coldMs = (await timed(() => bench.pass())).ms
  const oursMs = await repeat(Number(rounds), async () => (await timed(() => bench.pass())).ms)
  const history = await historyOf(bench)
  const workerRssMb = roundTo(process.memoryUsage().rss / 1e6, 1)
  const result = { targets: bench.enabledTargets, hosts: bench.hosts.length, coldMs, oursMs, medianOursMs: median(oursMs), ...history, workerRssMb }
  process.stdout.write(`${JSON.stringify(result)}\n`)
} finally {
  await bench.stop()
}
