/** What a Proxmox host says about its ways of sending mail: answers to questions, as they were read. Nothing is judged here. */

/** A line of a file that a question asked for. */
export interface FoundLine {
  /** From 1. */
  readonly line: number
  readonly text: string
}

/** A file: what was found in it, or why it could not be read. A file that is not there does not appear. */
export interface FoundFile {
  readonly path: string
  readonly lines: readonly FoundLine[]
  readonly error: string | null
}

/** Answer to a question. `timeout`, `absent` (no such program) and unreadable files are unknown, never clean. */
export type Answer =
  | { readonly kind: 'lines'; readonly files: readonly FoundFile[] }
  /** A whole file of which the content is compared and brought back. `text` is null when there is no such file. */
  | { readonly kind: 'file'; readonly text: string | null; readonly sha256: string | null; readonly mode: string | null; readonly error: string | null }
  | { readonly kind: 'run'; readonly exit: number; readonly out: string; readonly err: string }
  /** Whether a file holds a secret as it should; neither the secret nor its hash comes back. `identity`: inode, size, mtime and mode of what is there. */
  | { readonly kind: 'secret'; readonly state: 'same' | 'other' | 'absent'; readonly identity: string | null; readonly error: string | null }

export interface RelayObservation {
  readonly schema: 'nightshift.relay-observation/1'
  readonly host: string
  readonly node: string
  readonly answers: Readonly<Record<string, Answer>>
}

/** What is asked: data, so that a new channel needs no new program. */
export type Question =
  /**
   * Lines of files that match a Perl pattern; all lines without one. A path that begins with `~*` is looked for in every user's home.
   * `mask`: what follows the first `=`, `:` or blank is not shown, only that it is there. `captures`: of lines that are no comments only what the named
   * groups of each match hold, as `name value`; lines that a `\` parts are one. `scripts`: only of files that begin with `#!`.
   */
  | {
      readonly name: string
      readonly kind: 'lines'
      readonly globs: readonly string[]
      readonly pattern?: string
      readonly mask?: boolean
      readonly captures?: boolean
      readonly scripts?: boolean
    }
  | { readonly name: string; readonly kind: 'file'; readonly path: string }
  | { readonly name: string; readonly kind: 'run'; readonly argv: readonly string[] }
  | { readonly name: string; readonly kind: 'secret'; readonly path: string; readonly sha256: string; readonly mode: string }

/** What could not be read, with the reason. */
export class Unreadable extends Error {
  override readonly name = 'Unreadable'
}

/** @throws Unreadable with the reason */
export function linesOf(seen: RelayObservation, name: string): readonly FoundFile[] {
  const answer = seen.answers[name]
  if (answer?.kind !== 'lines') throw new Unreadable(`the host did not answer "${name}"`)
  const bad = answer.files.find((file) => file.error !== null)
  if (bad !== undefined) throw new Unreadable(`${bad.path}: ${bad.error}`)
  return answer.files
}

/** @throws Unreadable with the reason */
export function fileOf(seen: RelayObservation, name: string): Extract<Answer, { kind: 'file' }> {
  const answer = seen.answers[name]
  if (answer?.kind !== 'file') throw new Unreadable(`the host did not answer "${name}"`)
  if (answer.error !== null) throw new Unreadable(answer.error)
  return answer
}

/** What a program printed. @throws Unreadable when it did not end well */
export function outputOf(seen: RelayObservation, name: string): string {
  const answer = seen.answers[name]
  if (answer?.kind !== 'run') throw new Unreadable(`the host did not answer "${name}"`)
  if (answer.exit !== 0) {
    const said = answer.err.trim().split('\n')[0] ?? ''
    throw new Unreadable(`${name} ended with ${answer.exit}${said === '' ? '' : `: ${said.slice(0, 300)}`}`)
  }
  return answer.out
}

/** @throws Unreadable when it did not end well or is not the JSON of a list of rows */
export function rowsOf(seen: RelayObservation, name: string): Record<string, unknown>[] {
  const value = jsonOf(seen, name)
  if (!Array.isArray(value)) throw new Unreadable(`${name} is not a list`)
  return value as Record<string, unknown>[]
}

/** @throws Unreadable when it did not end well or is not JSON */
export function jsonOf(seen: RelayObservation, name: string): unknown {
  const text = outputOf(seen, name)
  try {
    return JSON.parse(text)
  } catch {
    throw new Unreadable(`${name} is not JSON: ${text.slice(0, 80)}`)
  }
}

/** Proxmox writes lists as arrays or as text with commas, and truth as 1, "1" or true. */
export function listOf(value: unknown): string[] {
  const text = Array.isArray(value) ? value.join(',') : typeof value === 'string' || typeof value === 'number' ? String(value) : ''
  return text.split(/[\s,;]+/).filter((part) => part !== '')
}

export function isOn(value: unknown): boolean {
  return value === true || value === 1 || value === '1' || value === 'true'
}
