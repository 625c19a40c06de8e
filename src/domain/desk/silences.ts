/** Whom a silence is about. */
import type { Incident, Silence } from './state.js'

/** True when the silence names the incident, its subject, or a pattern over subjects in which `*` stands for anything. */
export function isSilencedBy(incident: Pick<Incident, 'id' | 'key' | 'subject'>, silence: Pick<Silence, 'matching'>): boolean {
  const { matching } = silence
  if (matching === incident.id || matching === incident.key || matching === incident.subject) return true
  return matching.includes('*') && fitsPattern(matching.split('*'), incident.subject)
}

/** Piece after piece, each at its first place: a pattern of many stars takes no longer than one of few. */
function fitsPattern(pieces: readonly string[], text: string): boolean {
  const [first = '', ...rest] = pieces
  const last = rest.pop() ?? ''
  if (!text.startsWith(first)) return false
  let at = first.length
  for (const piece of rest) {
    const found = text.indexOf(piece, at)
    if (found === -1) return false
    at = found + piece.length
  }
  return text.length - last.length >= at && text.endsWith(last)
}
