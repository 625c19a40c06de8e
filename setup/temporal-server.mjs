/** The Temporal server program, in the cache folder; `src/temporal/server-binary.ts` knows the ways to get it. */
import { spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'
import { run } from './command.mjs'
import { root, TEMPORAL_CLI_VERSION, temporalBinary } from './folders.mjs'
import { findProgram } from './system-packages.mjs'

export const temporalServer = {
  name: 'Temporal server',
  // A file of the cached name was checked before it was renamed to it; a program on PATH is asked.
  isDone: () => isExecutable(temporalBinary()) || isWantedVersion(findProgram('temporal')),
  async run(say) {
    await run(process.execPath, [join(root, 'dist/src/temporal/ensure-server-binary.js')], { say, showStderr: true })
  },
}

function isWantedVersion(path) {
  if (path === undefined) return false
  const answer = spawnSync(path, ['--version'], { encoding: 'utf8', timeout: 20_000 })
  return answer.status === 0 && answer.stdout.startsWith(`temporal version ${TEMPORAL_CLI_VERSION} `)
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
