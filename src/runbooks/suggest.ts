/** "Did you mean …?": the nearest of the known words, when it is near enough to be a slip of the pen. */
import { distance } from 'fastest-levenshtein'

/**
 * The nearest candidate, or undefined. Case and `-`/`_` do not count; up to a third of the letters may differ, three at most.
 * Digits have to be the same: `vm-202` is no slip of the pen for `vm-203`.
 */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  if (word === '' || word.length > 128) return undefined
  const plain = (text: string) => text.toLowerCase().replaceAll('-', '_')
  let best: { candidate: string; distance: number } | undefined
  for (const candidate of candidates) {
    if (!isShowable(candidate) || digitsOf(candidate) !== digitsOf(word)) continue
    const steps = slips(plain(word), plain(candidate))
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
  const showable = candidates.filter(isShowable)
  const shown = showable.slice(0, 12).join(', ')
  return `${what}: ${shown}${showable.length > 12 ? ` and ${showable.length - 12} more` : ''}`
}

/** Edit distance, in which two neighbouring letters that changed places are one slip and not two. */
function slips(word: string, candidate: string): number {
  const steps = distance(word, candidate)
  if (steps !== 2 || word.length !== candidate.length) return steps
  const at = [...word].findIndex((letter, index) => letter !== candidate[index])
  return word[at] === candidate[at + 1] && word[at + 1] === candidate[at] ? 1 : steps
}

/** Candidates come from files that may be broken: what is no plain word is not repeated in a message. */
function isShowable(candidate: string): boolean {
  return /^[\x21-\x7e]{1,128}$/.test(candidate)
}

function digitsOf(text: string): string {
  return text.replace(/\D/g, '')
}
