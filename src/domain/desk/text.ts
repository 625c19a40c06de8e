/** Words of mails: one line each, nothing in them can end a line, start a header or hide other text; readable on a phone. */
import { ageInWords } from '../judge/words.js'
import { inert } from '../render/inert.js'

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

/** A paragraph is one line, however long: each reader's screen breaks it where it has to, and a command or a path in it stays whole. */
export const paragraph = (text: string): string => inert(text).replace(/\s+/g, ' ').trim()

/** A labelled entry. */
export const entry = (label: string, text: string): string => `${label}: ${paragraph(text)}`

/** A line of a list. */
export const bullet = (text: string): string => `- ${paragraph(text)}`

/** A command on a line of its own, so that it can be copied. */
export const commandLine = (command: string): string => `  ${inert(command)}`
