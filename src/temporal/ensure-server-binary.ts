/** `node dist/src/temporal/ensure-server-binary.js`: the set-up step that gets the Temporal CLI; its path on stdout, progress on stderr. */
import { ConfigError } from '../domain/config-error.js'
import { resolveServerBinary } from './server-binary.js'

try {
  const path = await resolveServerBinary((line) => process.stderr.write(`${line}\n`))
  process.stdout.write(`${path}\n`)
} catch (error) {
  if (!(error instanceof ConfigError)) throw error
  process.stderr.write(`${error.message}\n  → ${error.next}\n`)
  process.exitCode = error.exitCode
}
