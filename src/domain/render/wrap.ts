/** Breaking text into lines by the columns that it takes on a terminal (wide and combining characters counted right). */
import stringWidth from 'string-width'

/** Lines of at most `width` columns, broken at spaces; a word longer than a line (a path) is cut where it must be. At least one line. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ').filter((part) => part !== '')) {
    const joined = line === '' ? word : `${line} ${word}`
    if (stringWidth(joined) <= width) {
      line = joined
      continue
    }
    if (line !== '') lines.push(line)
    const pieces = cut(word, width)
    line = pieces.pop() ?? ''
    lines.push(...pieces)
  }
  lines.push(line)
  return lines
}

/** `text` filled with spaces to `width` columns, or cut to it with an ellipsis. */
export function padded(text: string, width: number): string {
  const taken = stringWidth(text)
  if (taken <= width) return text + ' '.repeat(width - taken)
  const [head = ''] = cut(text, width - 1)
  return `${head}…${' '.repeat(Math.max(0, width - 1 - stringWidth(head)))}`
}

function cut(word: string, width: number): string[] {
  const pieces: string[] = []
  let piece = ''
  let taken = 0
  for (const { segment } of new Intl.Segmenter(undefined, { granularity: 'grapheme' }).segment(word)) {
    const columns = stringWidth(segment)
    if (taken + columns > width && piece !== '') {
      pieces.push(piece)
      piece = ''
      taken = 0
    }
    piece += segment
    taken += columns
  }
  pieces.push(piece)
  return pieces
}
