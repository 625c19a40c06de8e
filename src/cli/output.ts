/** What all commands share in talking: results on stdout, everything else on stderr, errors for people or as `nightshift.error/1`, exit codes. Loads little. */
import { inert } from '../domain/render/inert.js'
import { EXIT_USAGE } from './usage-error.js'

export const EXIT_CONFIG = 78
/** sysexits EX_SOFTWARE: a defect of nightshift itself. */
const EXIT_SOFTWARE = 70

/** One entry of `nightshift.error/1`. What does not apply is null: most errors have no place in a file. */
export interface ErrorEntry {
  readonly file: string | null
  readonly line: number | null
  readonly column: number | null
  readonly path: string | null
  /** What is wrong, the cause first. */
  readonly found: string
  readonly allowed: string | null
  /** What to do. */
  readonly hint: string | null
}

/**
 * Says what went wrong: with `json` one document on stdout, else lines on stderr.
 * @returns the exit code that belongs to the error: its own `exitCode`, 78 for errors in runbook files, 70 for what nobody expected
 */
export function reportError(error: unknown, json: boolean): number {
  const { entries, exitCode } = describe(error)
  if (json) process.stdout.write(`${JSON.stringify({ schema: 'nightshift.error/1', errors: entries })}\n`)
  else for (const entry of entries) process.stderr.write(`${lines(entry)}\n`)
  if (exitCode === EXIT_SOFTWARE && process.env.NIGHTSHIFT_DEBUG && error instanceof Error) process.stderr.write(`${error.stack}\n`)
  return exitCode
}

/** Prints one JSON document, pretty, and nothing else. */
export function printJson(document: unknown): void {
  process.stdout.write(`${JSON.stringify(document, null, 2)}\n`)
}

/** A reader that goes away early (`nightshift status | head -1`) is no error: the exit code stays what it was. */
export function survivePipes(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit()
      throw error
    })
  }
}

/** Columns to write for: the terminal's, else `COLUMNS`, else 100. */
export function outputWidth(env: NodeJS.ProcessEnv = process.env, columns: number | undefined = process.stdout.columns): number {
  const told = Number(env.COLUMNS)
  return columns || (Number.isInteger(told) && told > 0 ? told : 100)
}

/** Colour only on a terminal that can; `NO_COLOR` (no-color.org) wins over `FORCE_COLOR`, both win over the terminal. */
export function wantsColour(env: NodeJS.ProcessEnv = process.env, isTerminal: boolean = process.stdout.isTTY === true): boolean {
  if (env.NO_COLOR) return false
  if (env.FORCE_COLOR !== undefined) return env.FORCE_COLOR !== '0' && env.FORCE_COLOR !== 'false'
  return isTerminal && env.TERM !== 'dumb'
}

function describe(error: unknown): { entries: readonly ErrorEntry[]; exitCode: number } {
  if (hasProblems(error)) return { entries: error.problems, exitCode: EXIT_CONFIG }
  const found = error instanceof Error ? error.message : String(error)
  const exitCode = sshExitCode(error) ?? field(error, 'exitCode', isExitCode) ?? EXIT_SOFTWARE
  const hint =
    field(error, 'next', isText) ?? (exitCode === EXIT_SOFTWARE ? 'this is likely a defect of nightshift: NIGHTSHIFT_DEBUG=1 shows where it comes from' : null)
  return { entries: [{ file: field(error, 'file', isText) ?? null, line: null, column: null, path: null, found, allowed: null, hint }], exitCode }
}

function lines(entry: ErrorEntry): string {
  const place = entry.file === null || entry.line === null ? '' : `${entry.file}:${entry.line}:${entry.column}${entry.path ? ` ${entry.path}` : ''}: found `
  const allowed = entry.allowed === null ? '' : `, allowed ${entry.allowed}`
  const first = `nightshift: ${place}${entry.found}${allowed}`.split('\n').map(inert).join('\n')
  return entry.hint === null ? first : `${first}\n  → ${inert(entry.hint)}`
}

/** RunbookErrors, told by its shape: importing its class would load the YAML reader into every command. */
function hasProblems(error: unknown): error is { problems: readonly ErrorEntry[] } {
  return error instanceof Error && error.name === 'RunbookErrors' && 'problems' in error && Array.isArray(error.problems)
}

/** A host that cannot be reached is a failure (2); an ssh_config or a key that cannot be used is wrong configuration. An SshError's own exit code is the remote program's. */
function sshExitCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || error.name !== 'SshError') return undefined
  const reason = field(error, 'reason', isText)
  return reason === 'unsupported_ssh_config' || reason === 'bad_ssh_key' ? EXIT_CONFIG : 2
}

function field<T>(error: unknown, name: string, is: (value: unknown) => value is T): T | undefined {
  if (typeof error !== 'object' || error === null) return undefined
  const value = (error as Record<string, unknown>)[name]
  return is(value) ? value : undefined
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

function isExitCode(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value > 0 && value < 256
}

export { EXIT_USAGE }
