/**
 * What is wrong with a runbook file, and where: the shape that people read (`file:line:column path: found …, allowed …`)
 * and the one that programs read (`nightshift.error/1`).
 */

export interface RunbookProblem {
  /** The file as the caller named its folder: `runbooks/inventory.yaml`. */
  readonly file: string
  /** From 1. */
  readonly line: number
  /** From 1. */
  readonly column: number
  /** `targets[3].stale_after_hours`; empty for the file as a whole. */
  readonly path: string
  readonly found: string
  readonly allowed: string
  /** What to do about it: a likely meaning, or the next step. Null when `allowed` says it all. */
  readonly hint: string | null
}

/** All problems of all files at once. Not retryable: a person has to edit a file. */
export class RunbookErrors extends Error {
  override readonly name = 'RunbookErrors'

  constructor(readonly problems: readonly RunbookProblem[]) {
    const first = problems[0]
    const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : ''
    super(first === undefined ? 'the runbook files cannot be used' : `${formatProblem(first)}${more}`)
  }

  /** The document that every `--json` command prints for wrong configuration. */
  toJSON(): { schema: 'nightshift.error/1'; errors: readonly RunbookProblem[] } {
    return { schema: 'nightshift.error/1', errors: this.problems }
  }
}

/** One problem on one line; nothing in it can break the line or the terminal, because `found` is made inert when it is recorded. */
export function formatProblem(problem: RunbookProblem): string {
  const place = `${problem.file}:${problem.line}:${problem.column}`
  const path = problem.path === '' ? '' : ` ${problem.path}`
  const hint = problem.hint === null ? '' : `, ${problem.hint}`
  return `${place}${path}: found ${problem.found}, allowed ${problem.allowed}${hint}`
}

/** All problems (or the warnings of a load), a line each, in the order of the files. */
export function formatRunbookErrors(errors: RunbookErrors | readonly RunbookProblem[]): string {
  const problems = errors instanceof RunbookErrors ? errors.problems : errors
  return problems.map(formatProblem).join('\n')
}

/** By file in the given order, then by place; of several about one value at one place, the first. */
export function sortProblems(problems: readonly RunbookProblem[], files: readonly string[]): RunbookProblem[] {
  const rank = (problem: RunbookProblem) => files.indexOf(problem.file)
  const one = new Map<string, RunbookProblem>()
  for (const problem of problems) {
    const key = JSON.stringify([problem.file, problem.line, problem.column, problem.path])
    if (!one.has(key)) one.set(key, problem)
  }
  return [...one.values()].sort((a, b) => rank(a) - rank(b) || a.line - b.line || a.column - b.column)
}
