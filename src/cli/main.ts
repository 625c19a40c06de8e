/** The program `nightshift`: what `bin/nightshift.js` starts. */
import { survivePipes } from './output.js'
import { runNightshift } from './program.js'

survivePipes()
await runNightshift(process.argv.slice(2))
// Whoever leaves a run that goes on has calls to Temporal under way. Their retries (timers of its client, which nothing can cancel) would hold the process, or end it
// with an error on the closed connection.
for (const stream of [process.stdout, process.stderr]) await new Promise<void>((written) => stream.write('', () => written()))
process.exit()
