/**
 * The `yaml` library writes a document in one layout of its own. Here the lines that an edit did not touch get their own layout back:
 * spaces inside of brackets, double blank lines, aligned comments.
 */
import { parseDocument } from 'yaml'
import { canonicalJson } from '../domain/canonical.js'

/** A line that is not empty, with the empty lines above it. */
interface Chunk {
  readonly text: string
  readonly blankLinesAbove: readonly string[]
}

/** Above this many comparisons the part between the first and the last change is written in the library's layout. */
const MAX_COMPARISONS = 4_000_000

/**
 * @param original the file as it was
 * @param unedited the same document as the library writes it
 * @param edited the edited document as the library writes it
 * @returns the edited document; where the layouts cannot be brought together, or the result would mean something else, `edited` as it is
 */
export function keepLayout(original: string, unedited: string, edited: string): string {
  const before = chunksOf(original)
  const written = chunksOf(unedited)
  const after = chunksOf(edited)
  const isSame =
    before.chunks.length === written.chunks.length && before.chunks.every((chunk, index) => squeeze(chunk.text) === squeeze(written.chunks[index]?.text ?? ''))
  if (!isSame) return edited
  const lines: string[] = []
  for (const [index, partner] of matchLines(written.chunks, after.chunks).entries()) {
    const chunk = (partner === undefined ? undefined : before.chunks[partner]) ?? after.chunks[index]
    if (chunk !== undefined) lines.push(...chunk.blankLinesAbove, chunk.text)
  }
  const result = [...lines, ...before.blankLinesAtEnd].join('\n')
  return meansTheSame(result, edited) ? result : edited
}

function chunksOf(text: string): { chunks: Chunk[]; blankLinesAtEnd: string[] } {
  const chunks: Chunk[] = []
  let blank: string[] = []
  for (const line of text.split('\n')) {
    if (line.trim() === '') blank.push(line)
    else {
      chunks.push({ text: line, blankLinesAbove: blank })
      blank = []
    }
  }
  return { chunks, blankLinesAtEnd: blank }
}

/** For each line of `now` the index of the line of `old` that it continues: the longest common subsequence. */
function matchLines(old: readonly Chunk[], now: readonly Chunk[]): (number | undefined)[] {
  const matches = new Array<number | undefined>(now.length).fill(undefined)
  const isEqual = (oldIndex: number, nowIndex: number) => old[oldIndex]?.text === now[nowIndex]?.text
  let start = 0
  while (start < old.length && start < now.length && isEqual(start, start)) {
    matches[start] = start
    start += 1
  }
  let [oldEnd, nowEnd] = [old.length, now.length]
  while (oldEnd > start && nowEnd > start && isEqual(oldEnd - 1, nowEnd - 1)) {
    oldEnd -= 1
    nowEnd -= 1
    matches[nowEnd] = oldEnd
  }
  const [rows, columns] = [oldEnd - start, nowEnd - start]
  if (rows * columns > MAX_COMPARISONS) return matches
  const width = columns + 1
  // lengths[row * width + column]: the longest common subsequence of what follows these two lines.
  const lengths = new Uint32Array((rows + 1) * width)
  const at = (row: number, column: number) => lengths[row * width + column] ?? 0
  for (let row = rows - 1; row >= 0; row -= 1) {
    for (let column = columns - 1; column >= 0; column -= 1) {
      lengths[row * width + column] = isEqual(start + row, start + column) ? at(row + 1, column + 1) + 1 : Math.max(at(row + 1, column), at(row, column + 1))
    }
  }
  for (let row = 0, column = 0; row < rows && column < columns; ) {
    if (isEqual(start + row, start + column)) {
      matches[start + column] = start + row
      row += 1
      column += 1
    } else if (at(row + 1, column) >= at(row, column + 1)) row += 1
    else column += 1
  }
  return matches
}

function squeeze(line: string): string {
  return line.replace(/\s+/g, '')
}

function meansTheSame(one: string, other: string): boolean {
  const canonical = (text: string): string | undefined => {
    const document = parseDocument(text, { schema: 'core', version: '1.2', merge: false, prettyErrors: false, logLevel: 'silent' })
    return document.errors.length > 0 ? undefined : canonicalJson(document.toJS({ maxAliasCount: 1000 }) ?? null)
  }
  const value = canonical(one)
  return value !== undefined && value === canonical(other)
}
