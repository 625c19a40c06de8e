/** What a shell needs to use a lab as an estate: `eval "$(npm run --silent lab -- env)"`. */

import { findRunningUp } from '../src/cli/running-up.js'
import type { Lab } from './lab.js'

/** Variables by name; TEMPORAL_* only while something serves this lab's Temporal. */
export function labEnvironment(lab: Lab): Record<string, string> {
  const up = findRunningUp(lab.paths.state)
  return {
    NIGHTSHIFT_LAB: lab.name,
    NIGHTSHIFT_CONFIG: lab.paths.config,
    NIGHTSHIFT_STATE: lab.paths.state,
    ...(up === undefined ? {} : { TEMPORAL_ADDRESS: up.address, TEMPORAL_NAMESPACE: up.namespace }),
  }
}

/** Lines for a POSIX shell. */
export function shellLines(variables: Readonly<Record<string, string>>): string {
  return Object.entries(variables)
    .map(([name, value]) => `export ${name}='${value.replaceAll("'", "'\\''")}'`)
    .join('\n')
}
