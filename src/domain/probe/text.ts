/** Text of a host, made safe to show: one line, no control characters, bounded. */

const MOST_CHARACTERS = 400

/** Line breaks and control characters become visible escapes; long text is cut. */
export function visible(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, (c) =>
    c === '\n' ? '\\n' : c === '\t' ? '\\t' : c === '\r' ? '\\r' : `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`,
  )
}

/** The text as one bounded line; line breaks become ` / `. */
export function oneLine(text: string): string {
  const line = visible(
    text
      .split(/\r?\n/)
      .map((part) => part.trim())
      .filter((part) => part !== '')
      .join(' / '),
  )
  return line.length > MOST_CHARACTERS ? `${line.slice(0, MOST_CHARACTERS - 1)}…` : line
}
