/**
 * One YAML text → plain values with the place of each, or the problems in it. On the `yaml` library's Document API, with what that
 * library leaves to its caller: limits, and no characters that lie.
 */
import { type Document, isScalar, LineCounter, parseDocument } from 'yaml'
import type { RunbookProblem } from './problems.js'
import { codePointName, indexOfForbiddenCharacter, inert } from './text-rules.js'
import { formatPath, type Located, MAX_DEPTH, type Path, type Report, ValueReader } from './yaml-values.js'

export const MAX_FILE_BYTES = 1024 * 1024
/** Words and punctuation marks, roughly: what the parser's time grows with. */
const MAX_TOKENS = 150_000
const MAX_PROBLEMS_OF_A_KIND = 20
/** After a few, syntax errors are only consequences of the first. */
const MAX_SYNTAX_ERRORS = 3

/** A file that could be parsed. */
export class YamlSource {
  readonly #root: Located
  readonly #lines: LineCounter

  constructor(
    readonly file: string,
    root: Located,
    lines: LineCounter,
  ) {
    this.#root = root
    this.#lines = lines
  }

  /** Plain JSON-like values: objects without a prototype's names, arrays, strings, finite numbers, booleans, null. */
  get value(): unknown {
    return this.#root.value
  }

  /** Where the value at a path stands; for a path that does not exist, its nearest parent that does. */
  place(path: Path, of: 'key' | 'value' = 'value'): { line: number; column: number } {
    let at = this.#root
    for (const [index, segment] of path.entries()) {
      const next = at.children?.get(segment)
      if (next === undefined) return this.#position(at.keyOffset)
      if (index === path.length - 1 && of === 'key') return this.#position(next.keyOffset)
      at = next
    }
    return this.#position(at.offset)
  }

  /** The value at a path, or undefined. */
  at(path: Path): unknown {
    let at: Located | undefined = this.#root
    for (const segment of path) at = at?.children?.get(segment)
    return at?.value
  }

  /** A problem with the value (or the key) at a path. */
  problem(path: Path, details: { found?: string; allowed: string; hint?: string | null; of?: 'key' | 'value' }): RunbookProblem {
    return {
      file: this.file,
      ...this.place(path, details.of),
      path: formatPath(path),
      found: details.found ?? inert(this.at(path)),
      allowed: details.allowed,
      hint: details.hint ?? null,
    }
  }

  #position(offset: number): { line: number; column: number } {
    return positionOf(this.#lines, offset)
  }
}

/** Parses one text. Never throws: what is wrong is in `problems`; `source` is absent when nothing can be read from the text. */
export function parseYaml(file: string, textOfFile: string): { source?: YamlSource; problems: RunbookProblem[] } {
  const text = textOfFile.replace(/^\ufeff/, '')
  const lines = new LineCounter()
  const problems: RunbookProblem[] = []
  const report = (offset: number, found: string, allowed: string, hint: string | null = null, path = ''): void => {
    problems.push({ file, ...positionOf(lines, offset), path, found, allowed, hint })
  }
  countLines(lines, text)
  reportRawCharacters(text, report)
  if (deepestNesting(text) > MAX_DEPTH * 4) {
    report(0, 'brackets nested very deeply', `at most ${MAX_DEPTH} levels`)
    return { problems }
  }
  if (countTokens(text) > MAX_TOKENS) {
    report(0, 'a text of very many parts', `at most ${MAX_TOKENS} words and punctuation marks`)
    return { problems }
  }

  let document: Document.Parsed
  try {
    document = parseDocument(text, { schema: 'core', version: '1.2', merge: false, uniqueKeys: false, prettyErrors: false, logLevel: 'error' })
  } catch (error) {
    // The composer is recursive: what is nested too deeply for it ends here.
    report(0, error instanceof RangeError ? 'values nested very deeply' : 'a text that the YAML parser gives up on', `YAML with at most ${MAX_DEPTH} levels`)
    return { problems }
  }
  if (document.directives.yaml.explicit === true && document.directives.yaml.version !== '1.2') {
    report(0, `%YAML ${document.directives.yaml.version}`, 'YAML 1.2', 'leave the %YAML line out')
  }
  reportSyntaxErrors(document, text, report)
  for (const warning of document.warnings.slice(0, MAX_PROBLEMS_OF_A_KIND)) {
    report(warning.pos[0], `something that means nothing here: ${plainMessage(warning.message)}`, 'plain values, without tags and directives', 'remove it')
  }
  if (document.errors.length > 0) return { problems }
  if (document.contents === null || (isScalar(document.contents) && document.contents.value === null)) {
    report(0, 'an empty file', 'a mapping of settings', 'if an editor is just saving it, try again')
    return { problems }
  }

  const reader = new ValueReader(text, report)
  const root = reader.read(document.contents, 0, [])
  return root === undefined ? { problems } : { source: new YamlSource(file, root, lines), problems }
}

function reportSyntaxErrors(document: Document.Parsed, text: string, report: Report): void {
  const lineOf = (offset: number) => text.lastIndexOf('\n', offset - 1)
  // One tab makes errors of everything after it.
  const tabs = document.errors.filter((error) => error.code === 'TAB_AS_INDENT')
  const causes = (tabs.length > 0 ? tabs : document.errors).slice(0, 100)
  const firstOfItsLine = causes.filter((error, index, all) => index === 0 || lineOf(error.pos[0]) !== lineOf(all[index - 1]?.pos[0] ?? -1))
  for (const error of firstOfItsLine.slice(0, MAX_SYNTAX_ERRORS)) {
    if (error.code === 'MULTIPLE_DOCS') report(error.pos[0], 'a second document', 'one document a file', 'remove the `---` and what follows')
    else if (error.message.includes('call stack')) {
      report(error.pos[0], 'values nested very deeply', `at most ${MAX_DEPTH} levels`)
      return
    } else report(error.pos[0], `no valid YAML: ${plainMessage(error.message)}`, 'YAML 1.2', hintForSyntax(text, error.pos[0]))
  }
}
function reportRawCharacters(text: string, report: Report): void {
  let from = 0
  for (let count = 0; count < MAX_PROBLEMS_OF_A_KIND; count += 1) {
    const rest = text.slice(from)
    // A carriage return before a line feed is only another editor's line end.
    const index = indexOfForbiddenCharacter(rest.replaceAll('\r\n', ' \n'))
    if (index === -1) return
    report(from + index, `the character ${codePointName(rest, index)}`, 'printable text', 'remove the control or invisible character')
    const lineEnd = text.indexOf('\n', from + index)
    if (lineEnd === -1) return
    from = lineEnd + 1
  }
}

/** Flow brackets only; block nesting costs a line a level and ends at the parser's own limits. An upper bound: quoted brackets count too. */
function deepestNesting(text: string): number {
  let depth = 0
  let deepest = 0
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index)
    if (code === 0x5b || code === 0x7b) {
      depth += 1
      if (depth > deepest) deepest = depth
    } else if ((code === 0x5d || code === 0x7d) && depth > 0) depth -= 1
  }
  return deepest
}

function countTokens(text: string): number {
  let count = 0
  for (const _ of text.matchAll(/[^\s,[\]{}"']+|[,[\]{}"']|\n/g)) count += 1
  return count
}

function countLines(lines: LineCounter, text: string): void {
  lines.addNewLine(0)
  for (let index = text.indexOf('\n'); index !== -1; index = text.indexOf('\n', index + 1)) lines.addNewLine(index + 1)
}

function positionOf(lines: LineCounter, offset: number): { line: number; column: number } {
  const { line, col } = lines.linePos(offset)
  return { line, column: col }
}

function plainMessage(message: string): string {
  // The parser repeats the text it stumbles over, which may be a secret.
  const words = message.replace(/( token)? in YAML stream: [\s\S]*$/, ' in an odd place')
  return inert(words.split('\n')[0]?.replace(/\s+/g, ' ') ?? '', 200)
    .slice(1, -1)
    .replaceAll('\\"', '"')
}

function hintForSyntax(text: string, offset: number): string | null {
  const lineStart = text.lastIndexOf('\n', offset - 1) + 1
  const lineEnd = text.indexOf('\n', lineStart)
  const line = text.slice(lineStart, lineEnd === -1 ? text.length : lineEnd)
  if (/^\s*\t/.test(line)) return 'indent with spaces, not with tabs'
  if (/:\s+[*&!%@`]/.test(line) || /:\s+[^'"\s].*:\s/.test(line)) return 'put the value into quotes'
  return null
}
