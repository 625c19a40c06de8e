/**
 * Finds or gets the Temporal CLI that our dev server is: on PATH at the wanted version, else the cached copy, else the SDK's own
 * download, else a build from Go modules whose checksums are in this repository (`tools/temporal`).
 * Whatever is got is checked, then renamed into the cache: an interrupted set-up leaves nothing that looks finished.
 */

import { access, chmod, constants, copyFile, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { delimiter, isAbsolute, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import { ConfigError } from '../domain/config-error.js'
import { packageRoot } from './package-root.js'
import { isWantedVersion, TEMPORAL_CLI_VERSION, versionOfProgram } from './server-version.js'

const DOWNLOAD_TIMEOUT_MS = 180_000
const BUILD_TIMEOUT_MS = 30 * 60_000
const GO_PACKAGE = 'github.com/temporalio/cli/cmd/temporal'
/** Go before this cannot fetch the toolchain that `tools/temporal/go.mod` asks for. */
const OLDEST_GO_MINOR = 21

/** `${XDG_CACHE_HOME:-~/.cache}/nightshift`: what labs and checkouts share. */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  const base = env.XDG_CACHE_HOME
  return join(base !== undefined && isAbsolute(base) ? base : join(homedir(), '.cache'), 'nightshift')
}

export function cachedBinaryPath(env: NodeJS.ProcessEnv = process.env): string {
  return join(cacheFolder(env), 'temporal', TEMPORAL_CLI_VERSION, 'temporal')
}

/** Says what is going on, one line each. */
export type Say = (line: string) => void

/** The program that can serve here without getting anything, or undefined. */
export async function findServerBinary(env: NodeJS.ProcessEnv = process.env): Promise<string | undefined> {
  for (const folder of (env.PATH ?? '').split(delimiter)) {
    const candidate = join(folder, 'temporal')
    if (isAbsolute(folder) && (await isExecutable(candidate)) && isWantedVersion(await versionOfProgram(candidate))) return candidate
  }
  const cached = cachedBinaryPath(env)
  return (await isExecutable(cached)) && isWantedVersion(await versionOfProgram(cached)) ? cached : undefined
}

/**
 * The whole chain. Minutes on a machine that has to build, milliseconds afterwards.
 * @returns the path of a Temporal CLI of exactly the wanted version
 * @throws ConfigError when there is no way to get one, saying what each way answered
 */
export async function resolveServerBinary(say: Say = () => {}): Promise<string> {
  const found = await findServerBinary()
  if (found !== undefined) return found
  const target = cachedBinaryPath()
  const folder = join(cacheFolder(), 'temporal', TEMPORAL_CLI_VERSION)
  await mkdir(folder, { recursive: true })
  await removeLeftovers(folder)
  const work = await mkdtemp(join(folder, `.making-${process.pid}-`))
  const refusals: string[] = []
  try {
    for (const { name, get } of [
      { name: 'download', get: download },
      { name: 'build', get: buildFromModules },
    ]) {
      try {
        const candidate = await get(work, say)
        const version = await versionOfProgram(candidate)
        if (!isWantedVersion(version)) throw new Error('what came is not that version')
        await chmod(candidate, 0o755)
        await rename(candidate, target)
        return target
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error)
        refusals.push(`${name}: ${reason}`)
        say(`Temporal CLI: no ${name} (${reason.split('\n')[0]})`)
      }
    }
  } finally {
    await rm(work, { recursive: true, force: true })
  }
  throw new ConfigError(
    `no Temporal server can be had: ${refusals.join('; ')}`,
    `put the Temporal CLI ${TEMPORAL_CLI_VERSION} on PATH, or install Go 1.26 or later and start again, or use an existing cluster by TEMPORAL_ADDRESS with nightshift up`,
  )
}

/** Lets the SDK download the CLI as it does for its own test servers, in a process of its own that can be ended. */
async function download(work: string, say: Say): Promise<string> {
  say(`Temporal CLI ${TEMPORAL_CLI_VERSION}: trying the SDK's download`)
  const script = fileURLToPath(new URL('./sdk-download.js', import.meta.url))
  const run = await execa(process.execPath, [script, work], { reject: false, timeout: DOWNLOAD_TIMEOUT_MS, stdin: 'ignore' })
  if (run.timedOut) throw new Error(`not done within ${DOWNLOAD_TIMEOUT_MS / 1000} s`)
  if (run.exitCode !== 0) throw new Error(causeOfDownload(run.stderr) || run.shortMessage || 'failed')
  const name = (await readdir(work)).find((entry) => entry.startsWith('temporal-cli'))
  if (name === undefined) throw new Error('it left no program')
  const candidate = join(work, 'downloaded')
  await copyFile(join(work, name), candidate)
  return candidate
}

/** Builds the official CLI from the modules pinned in `tools/temporal/go.sum`. */
async function buildFromModules(work: string, say: Say): Promise<string> {
  const source = join(packageRoot(), 'tools', 'temporal')
  if (!(await exists(join(source, 'go.mod')))) throw new Error('this installation has no tools/temporal')
  const version = await execa('go', ['env', 'GOVERSION'], { cwd: work, reject: false, stdin: 'ignore' })
  const minor = /^go1\.(\d+)/.exec(version.stdout ?? '')?.[1]
  if (minor === undefined) throw new Error('Go is not installed')
  if (Number(minor) < OLDEST_GO_MINOR) throw new Error(`${version.stdout} is too old, 1.26 is needed`)
  say(`Temporal CLI ${TEMPORAL_CLI_VERSION}: building it from Go modules (three to five minutes, once)`)
  const target = join(work, 'built')
  const flags = ['-trimpath', `-ldflags=-s -w -X github.com/temporalio/cli/internal/temporalcli.Version=${TEMPORAL_CLI_VERSION}`]
  const run = await execa('go', ['build', ...flags, '-o', target, GO_PACKAGE], {
    cwd: source,
    env: { CGO_ENABLED: '0' },
    reject: false,
    timeout: BUILD_TIMEOUT_MS,
    stdin: 'ignore',
  })
  if (run.exitCode !== 0)
    throw new Error(run.timedOut ? `not done within ${BUILD_TIMEOUT_MS / 60_000} minutes` : lastLines(run.stderr) || run.shortMessage || 'failed')
  return target
}

/** Work folders of set-ups that were killed: their process is gone. */
async function removeLeftovers(folder: string): Promise<void> {
  for (const entry of await readdir(folder)) {
    const pid = /^\.making-(\d+)-/.exec(entry)?.[1]
    if (pid !== undefined && !(await exists(`/proc/${pid}`))) await rm(join(folder, entry), { recursive: true, force: true })
  }
}

async function isExecutable(path: string): Promise<boolean> {
  return await access(path, constants.X_OK).then(
    () => true,
    () => false,
  )
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  )
}

/** The SDK chains its causes with colons, outermost first and with the address in each: the last two say what happened. */
function causeOfDownload(text: string): string {
  const causes = text
    .trim()
    .replaceAll(/ for url \([^)]*\)/g, '')
    .split(': ')
  return causes.slice(-2).join(': ')
}

function lastLines(text: string): string {
  return text.trim().split('\n').slice(-3).join(' / ')
}
