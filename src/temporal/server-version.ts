/** Which Temporal CLI this release works with, and what a given program says it is. */
import { execa } from 'execa'

/** The CLI whose database format we keep (there is no schema migration between versions). */
export const TEMPORAL_CLI_VERSION = '1.8.2'

/** The server inside of that CLI. */
export const TEMPORAL_SERVER_VERSION = '1.31.2'

export interface TemporalVersion {
  readonly cli: string
  readonly server: string
}

/** Asks a program for its version; undefined when it does not start or does not answer like the Temporal CLI. */
export async function versionOfProgram(path: string): Promise<TemporalVersion | undefined> {
  const answer = await execa(path, ['--version'], { reject: false, timeout: 20_000, stdin: 'ignore' })
  if (answer.exitCode !== 0) return undefined
  const match = /temporal version v?(\S+) \(Server v?([^,)\s]+)/.exec(answer.stdout)
  return match?.[1] !== undefined && match[2] !== undefined ? { cli: match[1], server: match[2] } : undefined
}

export function isWantedVersion(version: TemporalVersion | undefined): version is TemporalVersion {
  return version?.cli === TEMPORAL_CLI_VERSION && version.server === TEMPORAL_SERVER_VERSION
}
