/** Where things are: the checkout, and the cache that all checkouts of one user share. */
import { homedir } from 'node:os'
import { dirname, isAbsolute, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** `${XDG_CACHE_HOME:-~/.cache}/nightshift` */
export function cacheFolder(env = process.env) {
  const base = env.XDG_CACHE_HOME
  return join(base && isAbsolute(base) ? base : join(homedir(), '.cache'), 'nightshift')
}

/** The CLI version of `src/temporal/server-version.ts`; a unit test keeps the two equal. */
export const TEMPORAL_CLI_VERSION = '1.8.2'

export function temporalBinary() {
  return join(cacheFolder(), 'temporal', TEMPORAL_CLI_VERSION, 'temporal')
}

/** Where the set-up puts Temporal's time-skipping test server; `test/support/time-skipping.ts` starts it from there. */
export function timeSkippingServer() {
  return join(cacheFolder(), 'temporal-test-server', '1.38.0', 'temporal-test-server')
}
