/** Words of mails: one line each, nothing in them can end a line, start a header or hide other text; readable on a phone. */
import { ageInWords } from '../judge/words.js'
import { inert } from '../render/inert.js'

const WIDTH = 72

/** One line without control characters, at most `most` characters: for headers and for anything that came from a host. */
export function headerText(text: string, most: number): string {
  const line = inert(text).replace(/ {2,}/g, ' ').trim()
  // never half of a character that takes two places
  return line.length <= most
    ? line
    : `${line
        .slice(0, most - 1)
        .replace(/[\ud800-\udbff]$/, '')
        .trimEnd()}…`
}

/** `headerText` of at most `most` bytes, as JSON: what counts where hundreds of them travel in one message to Temporal. */
export function briefText(text: string, most: number): string {
  let length = most
  for (;;) {
    const line = headerText(text, length)
    const over = new TextEncoder().encode(JSON.stringify(line)).length - 2 - most
    if (over <= 0) return line
    // a character is at most four bytes of UTF-8, or six of an escape
    length = Math.max(1, Math.min(length, line.length) - Math.max(1, Math.floor(over / 6)))
  }
}

/** `2026-02-12 04:14 UTC` */
export function atText(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 16).replace('T', ' ')} UTC`
}

export function lengthText(fromMs: number, toMs: number): string {
  return ageInWords((toMs - fromMs) / 1000)
}

/** A command that somebody shall copy stays on one line, as does any word that is longer than a line (a path). */
const WORDS = /(?:ssh \S+|nightshift run \S+) '(?:[^']|'\\'')*'|\S+/g
const wordsOf = (text: string): readonly string[] => inert(text).match(WORDS) ?? []

/** A labelled entry, wrapped at 72 columns with a hanging indent. */
export const entry = (label: string, text: string): string => hanging(label, text, 10)

/** A line of a list, wrapped likewise. */
export const bullet = (text: string): string => hanging('-', text, 2)

function hanging(label: string, text: string, indent: number): string {
  const lines: string[] = []
  let line = label.padEnd(indent)
  let isEmpty = true
  for (const word of wordsOf(text)) {
    if (!isEmpty && line.length + 1 + word.length > WIDTH) {
      lines.push(line)
      line = ' '.repeat(indent)
      isEmpty = true
    }
    line += isEmpty ? word : ` ${word}`
    isEmpty = false
  }
  lines.push(line.trimEnd())
  return lines.join('\n')
}

/** A paragraph, wrapped at 72 columns. */
export function paragraph(text: string): string {
  const lines: string[] = []
  let line = ''
  for (const word of wordsOf(text)) {
    if (line !== '' && line.length + 1 + word.length > WIDTH) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  lines.push(line)
  return lines.join('\n')
}

/** A command on a line of its own, so that it can be copied. */
export const commandLine = (command: string): string => `  ${inert(command)}`
