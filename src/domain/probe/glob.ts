/**
 * Shell patterns against file names, as `sh` expands them (POSIX XCU 2.14): `*` and `?` match neither `/` nor a leading dot,
 * `[…]` is a set, `\x` is x.
 */

const cache = new Map<string, RegExp>()

/** Whether a path relative to the pattern's folder matches. A pattern with a broken set matches it literally, like the shell does. */
export function matchesGlob(glob: string, path: string): boolean {
  let regex = cache.get(glob)
  if (!regex) {
    if (cache.size > 5000) cache.clear()
    regex = new RegExp(`^${glob.split('/').map(segmentToRegex).join('/')}$`, 's')
    cache.set(glob, regex)
  }
  return regex.test(path)
}

const CLASSES: Readonly<Record<string, string>> = {
  alpha: 'A-Za-z',
  digit: '0-9',
  alnum: 'A-Za-z0-9',
  lower: 'a-z',
  upper: 'A-Z',
  xdigit: '0-9A-Fa-f',
  space: '\\s',
  blank: ' \\t',
  punct: '!-\\/:-@\\[-`{-~',
}

const escapeRegex = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')

function segmentToRegex(segment: string): string {
  let out = segment.startsWith('*') || segment.startsWith('?') || segment.startsWith('[') ? '(?!\\.)' : ''
  for (let i = 0; i < segment.length; i++) {
    const c = segment.charAt(i)
    if (c === '*') out += '[^/]*'
    else if (c === '?') out += '[^/]'
    else if (c === '\\' && i + 1 < segment.length) out += escapeRegex(segment.charAt(++i))
    else if (c === '[') {
      const set = readSet(segment, i)
      if (set) {
        out += set.regex
        i = set.end
      } else out += '\\['
    } else out += escapeRegex(c)
  }
  return out
}

function readSet(segment: string, start: number): { regex: string; end: number } | undefined {
  let i = start + 1
  const negated = segment.charAt(i) === '!' || segment.charAt(i) === '^'
  if (negated) i++
  let body = ''
  for (let first = true; i < segment.length; i++, first = false) {
    const c = segment.charAt(i)
    if (c === ']' && !first) {
      try {
        const regex = `[${negated ? '^/' : ''}${body}]`
        new RegExp(regex)
        return { regex, end: i }
      } catch {
        return undefined
      }
    }
    const named = /^\[:([a-z]+):\]/.exec(segment.slice(i))
    const known = named?.[1] === undefined ? undefined : CLASSES[named[1]]
    if (named && known !== undefined) {
      body += known
      i += named[0].length - 1
    } else if (c === '-') body += first || segment.charAt(i + 1) === ']' ? '\\-' : '-'
    else if (c === '\\' && i + 1 < segment.length) body += escapeRegex(segment.charAt(++i))
    else body += escapeRegex(c)
  }
  return undefined
}
