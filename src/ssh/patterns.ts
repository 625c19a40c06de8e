/** The wildcard patterns that `ssh_config` and `known_hosts` share (ssh_config(5) PATTERNS): `*`, `?`, and `!` to negate. */

/** Does one pattern without `!` match? `?` is exactly one character. Linear in time for any pattern. */
export function matchesPattern(pattern: string, text: string): boolean {
  let p = 0
  let t = 0
  let starAt = -1
  let textAtStar = 0
  while (t < text.length) {
    if (p < pattern.length && pattern[p] === '*') {
      starAt = p++
      textAtStar = t
    } else if (p < pattern.length && (pattern[p] === '?' || pattern[p] === text[t])) {
      p++
      t++
    } else if (starAt >= 0) {
      p = starAt + 1
      t = ++textAtStar
    } else return false
  }
  while (pattern[p] === '*') p++
  return p === pattern.length
}

/** Does a list of patterns match? One negated match refuses the whole list; a list of only negated patterns matches nothing. */
export function matchesPatternList(patterns: readonly string[], text: string): boolean {
  let matched = false
  for (const pattern of patterns) {
    if (pattern.startsWith('!')) {
      if (matchesPattern(pattern.slice(1), text)) return false
    } else if (matchesPattern(pattern, text)) matched = true
  }
  return matched
}
