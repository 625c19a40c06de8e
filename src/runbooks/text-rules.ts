/**
 * What a text in a runbook file may hold. Values end in shell scripts, mail headers, calendar files and terminals,
 * so what has no sane use there is refused here, once, for all of them.
 */

/**
 * Never allowed in any text: control characters but tab and line feed, the C1 block, Unicode's line separators, characters that turn
 * the writing direction (CVE-2021-42574) or are invisible, and halves of surrogate pairs.
 */
const FORBIDDEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/

/** Index of the first forbidden character, or -1. */
export function indexOfForbiddenCharacter(text: string): number {
  return text.search(FORBIDDEN)
}

/** `U+202E` for messages. */
export function codePointName(text: string, index: number): string {
  const code = text.codePointAt(index) ?? 0
  return `U+${code.toString(16).toUpperCase().padStart(4, '0')}`
}

/** A value as it may stand in a message: quoted, everything unprintable escaped, cut. */
export function inert(value: unknown, maxLength = 60): string {
  if (value === undefined) return 'nothing'
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list'
  if (typeof value === 'object' && value !== null) return inertKeys(Object.keys(value))
  if (typeof value === 'number') return String(value)
  const cut = typeof value === 'string' && value.length > maxLength ? `${value.slice(0, maxLength)}…` : value
  return JSON.stringify(cut).replace(/[^\x20-\x7e\u00a1-\u024f\u2026]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

function inertKeys(keys: readonly string[]): string {
  if (keys.length === 0) return 'an empty mapping'
  const more = keys.length > 4 ? ' …' : ''
  return `a mapping of ${keys
    .slice(0, 4)
    .map((key) => inert(key))
    .join(', ')}${more}`
}

/** Names of Object.prototype are no names here: rules are kept in plain records, which other programs read as JSON. */
export function isReservedWord(name: string): boolean {
  return name in {}
}

/** True for a date that exists, written YYYY-MM-DD. */
export function isRealDate(text: string): boolean {
  const match = /^(\d{4})-(\d{2})-(\d{2})$/.exec(text)
  if (match === null) return false
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])]
  const date = new Date(Date.UTC(year, month - 1, day))
  return year >= 1970 && date.getUTCFullYear() === year && date.getUTCMonth() === month - 1 && date.getUTCDate() === day
}

/** True for an IANA zone that this Node knows, in its own spelling (`America/New_York`, `UTC`); offsets are not zones. */
export function isTimeZone(text: string): boolean {
  if (!/^(UTC|[A-Z][A-Za-z0-9_+-]*(\/[A-Z][A-Za-z0-9_+-]*){1,2})$/.test(text)) return false
  try {
    new Intl.DateTimeFormat('en', { timeZone: text })
    return true
  } catch {
    return false
  }
}

/**
 * True for a glob as the probes understand it, relative to a target's base path: `*`, `?`, `[a-z]`, `[!a-z]`, and `/` for folders below
 * (a folder pattern, a slash, `manifest.txt`). No `..`, no `**`, no braces.
 */
export function isPlainGlob(text: string): boolean {
  if (text.length > 255 || !/^[\p{L}\p{N} ._+@:=~%#*?[\]!^/-]+$/u.test(text)) return false
  if (text.startsWith('-') || text.includes('**')) return false
  if (text.split('/').some((part) => part === '' || part === '.' || part === '..')) return false
  return text.replace(/\[[!^]?[^[\]/]+\]/g, '').search(/[[\]]/) === -1
}

/** True for an absolute path without `..`, empty parts, or anything that a shell, a mail header or a calendar file gives a meaning to. */
export function isPlainAbsolutePath(text: string): boolean {
  if (text.length > 1024 || !/^\/[\p{L}\p{N} ._+@:=~%#/-]*$/u.test(text)) return false
  const parts = text.replace(/\/$/, '').split('/').slice(1)
  return parts.every((part) => part !== '' && part !== '.' && part !== '..' && part === part.trim())
}

/** True for a path on this machine: absolute, `~/…`, or relative to the configuration folder. */
export function isPlainLocalPath(text: string): boolean {
  return text.length <= 1024 && text === text.trim() && /^[\p{L}\p{N}~._/][\p{L}\p{N} ._+@:=~%#/-]*$/u.test(text)
}
