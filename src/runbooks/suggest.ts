/** "Did you mean …?": the nearest of the known words, when it is near enough to be a slip of the pen. */
import { distance } from 'fastest-levenshtein'

/** The nearest candidate, or undefined. Case and `-`/`_` do not count; up to a third of the letters may differ, three at most. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  if (word === '' || word.length > 128) return undefined
  const plain = (text: string) => text.toLowerCase().replaceAll('-', '_')
  let best: { candidate: string; distance: number } | undefined
  for (const candidate of candidates) {
    const steps = distance(plain(word), plain(candidate))
    if (steps <= Math.min(3, Math.max(1, Math.floor(candidate.length / 3))) && (best === undefined || steps < best.distance))
      best = { candidate, distance: steps }
  }
  return best?.candidate
}

/** `did you mean X?`, or null. */
export function didYouMean(word: unknown, candidates: readonly string[]): string | null {
  const candidate = typeof word === 'string' ? nearest(word, candidates) : undefined
  return candidate === undefined || candidate === word ? null : `did you mean ${candidate}?`
}

/** The candidates as a text for `allowed`, cut where it becomes unreadable. */
export function oneOfThese(what: string, candidates: readonly string[]): string {
  if (candidates.length === 0) return `${what} (there is none yet)`
  const shown = candidates.slice(0, 12).join(', ')
  return `${what}: ${shown}${candidates.length > 12 ? ` and ${candidates.length - 12} more` : ''}`
}
