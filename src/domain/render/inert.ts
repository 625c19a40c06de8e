/** Text that came from a remote host or from a file, made harmless for a terminal: nothing in it can move the cursor, recolour or hide other text. */

/** C0 and C1 controls, DEL, line and paragraph separators, bidirectional controls (CVE-2021-42574), zero-width and other invisible characters, lone surrogates. */
const HARMFUL = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u115f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]|\p{Surrogate}/gu

/** `text` with every harmful character written out visibly (`\x1b`, `\u202e`); tabs and newlines become spaces. */
export function inert(text: string): string {
  return text.replace(/[\t\r\n]+/g, ' ').replace(HARMFUL, visible)
}

function visible(character: string): string {
  const code = character.codePointAt(0) ?? 0
  return code <= 0xff ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`
}
