/**
 * Takes credentials out of text before it can reach a history, a log, a receipt or a screen.
 * Two nets: the values of the secrets that this estate refers to, and the shapes credentials usually have.
 * Pure; the one place of this rule.
 */

/** A secret that is known by value; `name` is what may be shown instead. */
export interface KnownSecret {
  readonly name: string
  readonly value: string
}

export type Redact = (text: string) => string

const MASK = '[redacted]'

/** Values shorter than this would blank out ordinary words. */
const SHORTEST_KNOWN_SECRET = 6

/** `key` and `pass` alone are ordinary words here (host key, monitor pass) and are left alone. */
const KEY_WORDS = 'pass(?:word|wd|phrase|code)|pwd|secret|token|(?:api|access|auth|private|encryption|signing|master|client|secret)[_-]?key|credentials?|cookie'

/** `env:NAME` and `file:PATH` say where a secret is, and not what it is: a plan has to arrive with its references whole. */
const NO_REFERENCE = `(?!["']?(?:env:[A-Za-z_][A-Za-z0-9_]*|file:[^\\s,;&"')\\]}]+)(?:["'\\s,;&)\\]}]|$))`

const SHAPES: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|$)/g, MASK],
  [/\b([a-z][a-z0-9+.-]*:\/\/[^\s:/@]*):[^\s/@]+@/gi, `$1:${MASK}@`],
  [/\b(authorization\s*[:=]\s*(?:basic|bearer|digest)?)\s*\S+/gi, `$1 ${MASK}`],
  [/\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}/gi, `$1 ${MASK}`],
  [/\b(PVEAPIToken|PBSAPIToken)\s*[=:]\s*\S+/g, `$1=${MASK}`],
  // key=value, key: value, "key":"value", --key value; the key may be part of a longer name (DB_PASSWORD, x-api-key)
  [
    new RegExp(`((?:^|[^A-Za-z0-9])[A-Za-z0-9_.-]*(?:${KEY_WORDS})["']?\\s*(?:=|:(?!/)|=>)\\s*)${NO_REFERENCE}("[^"\\n]*"|'[^'\\n]*'|[^\\s,;&"')\\]}]+)`, 'gi'),
    `$1${MASK}`,
  ],
  [new RegExp(`(--?(?:${KEY_WORDS})\\s+)(?!-)(\\S+)`, 'gi'), `$1${MASK}`],
  [/\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*/g, MASK],
  [/\b(?:AKIA|ASIA)[0-9A-Z]{16}\b/g, MASK],
  [/\b(?:gh[pousr]_[A-Za-z0-9]{20,}|glpat-[A-Za-z0-9_-]{16,}|xox[abpr]-[A-Za-z0-9-]{10,}|sk-[A-Za-z0-9_-]{20,})/g, MASK],
]

/**
 * Makes the redactor for an estate.
 * @param known secrets by value (from the estate's secret references); ones of fewer than 6 characters are ignored.
 */
export function makeRedact(known: readonly KnownSecret[] = []): Redact {
  const values = known
    .flatMap(({ name, value }) => value.split('\n').map((line) => ({ name, value: line.trim() })))
    .filter(({ value }) => value.length >= SHORTEST_KNOWN_SECRET)
    .sort((a, b) => b.value.length - a.value.length)
  return (text) => {
    let clean = text
    for (const { name, value } of values) clean = clean.replaceAll(value, `[redacted ${name}]`)
    for (const [shape, replacement] of SHAPES) clean = clean.replace(shape, replacement)
    return clean
  }
}

/** Redacts every string inside a plain JSON value; keys and structure stay. */
export function redactDeep<T>(value: T, redact: Redact): T {
  if (typeof value === 'string') return redact(value) as T
  if (Array.isArray(value)) return value.map((entry: unknown) => redactDeep(entry, redact)) as T
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, redactDeep(entry as unknown, redact)])) as T
  }
  return value
}
