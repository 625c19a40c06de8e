/** Whom a silence is about. */
import type { Incident, Silence } from './state.js'

/** True when the silence names the incident, its subject, or a pattern over subjects in which `*` stands for anything. */
export function isSilencedBy(incident: Pick<Incident, 'id' | 'key' | 'subject'>, silence: Pick<Silence, 'matching'>): boolean {
  const { matching } = silence
  if (matching === incident.id || matching === incident.key || matching === incident.subject) return true
  if (!matching.includes('*')) return false
  const pieces = matching.split('*').map((piece) => piece.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${pieces.join('.*')}$`).test(incident.subject)
}
