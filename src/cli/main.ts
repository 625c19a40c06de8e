/** The program `nightshift`: what `bin/nightshift.js` starts. */
import { survivePipes } from './output.js'
import { runNightshift } from './program.js'

survivePipes()
await runNightshift(process.argv.slice(2))
