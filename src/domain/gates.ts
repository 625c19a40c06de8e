/**
 * Gates: questions about the estate that must be answered with yes, each from evidence. A gate passes, fails with the place and the way out, or is
 * unknown, which is not a pass. Looked at daily and on demand (`driftGates`); shown by `nightshift status`. They are no part of the verdict over the backups: what a gate finds
 * goes to the alert desk as a finding of its own.
 */
import type { Finding, Instant } from './status.js'

export interface GateResult {
  /** `notification-pipeline`, `mail-route/pve`. */
  readonly id: string
  readonly state: 'passed' | 'failed' | 'unknown'
  /** One word, stable; `ok` when it passed. */
  readonly reason: string
  readonly message: string
  /** What to do; null when there is nothing to do. */
  readonly next: string | null
  /** Each place that keeps it from passing, where there can be several; `message` and `next` speak of the first. */
  readonly places?: readonly GatePlace[]
}

export interface GatePlace {
  /** Exactly where: `/etc/aliases: root`. */
  readonly place: string
  readonly found: string
  /** What to do about it. */
  readonly next: string
}

export interface GatesDocument {
  readonly schema: 'nightshift.gates/1'
  readonly estate: string
  readonly takenAt: Instant
  readonly gates: readonly GateResult[]
}

/** Gates are looked at daily; what is older says nothing about today. */
const GATES_LIMIT_SECONDS = 2 * 86_400

/** What is shown of the last look: a look that is too old has become unknown. */
export function gatesShown(document: GatesDocument | undefined, now: Date): GateResult[] {
  if (document === undefined) return []
  const ageSeconds = (now.getTime() - Date.parse(document.takenAt)) / 1000
  if (ageSeconds <= GATES_LIMIT_SECONDS) return [...document.gates]
  return document.gates.map((gate) => ({
    ...gate,
    state: 'unknown',
    reason: 'stale',
    message: `was ${gate.state} at ${document.takenAt}; nobody has looked since`,
    next: 'nightshift run driftGates',
  }))
}

/** What the alert desk is told of gates that did not pass. @param siteOf the estate's site that a gate belongs to */
export function gateFindings(gates: readonly GateResult[], siteOf: (gate: GateResult) => string): Finding[] {
  return gates
    .filter((gate) => gate.state !== 'passed')
    .map((gate) => ({
      subject: `${siteOf(gate)}/delivery/gate-${gate.id.replaceAll('/', '-')}`,
      condition: 'delivery',
      severity: gate.state === 'failed' ? 'critical' : 'unknown',
      reason: 'gate_not_passed',
      message: `gate ${gate.id}: ${gate.message}`,
      next: gate.next,
    }))
}

/** One line a place, for the details of a run. */
export function placesListed(places: readonly GatePlace[]): string[] {
  return places.map(({ place, found, next }) => `- ${place}: ${found}. Next: ${next}`.replaceAll('\n', ' '))
}
