/**
 * The estate of the lab: what is on its hosts in the two named states, and the ways to hurt it.
 * `apply.ts` puts a state onto the hosts · `estate-plan.ts` says what that is (pure) · `cases/` hurts · `incidents.ts` runs all of the operator's incidents.
 */
import { closest, distance } from 'fastest-levenshtein'
import { LabError } from '../errors.js'
import type { Lab } from '../lab.js'
import { putState } from './apply.js'
import { CASES, type HurtCase, isIncident } from './cases/index.js'
import type { EstateState } from './estate-plan.js'
import { Surgery } from './surgery.js'

export type { EstateState } from './estate-plan.js'

/**
 * Writes the content of every host of this lab and the lab's copy of the runbooks. Heals every case in force first; can be repeated.
 * @param o.now the lab's clock; the machine's unless told
 */
export async function applyState(lab: Lab, state: EstateState, o: { now?: Date; log?: (line: string) => void } = {}): Promise<void> {
  for (const name of [...lab.record.hurt].reverse()) await heal(lab, name)
  await putState(lab, state, o.now ?? new Date(), o.log ?? (() => {}))
  lab.setRecord({ state, hurt: [] })
}

export interface CaseSummary {
  readonly name: string
  readonly title: string
  /** What is done to the lab, one sentence. */
  readonly what: string
  /** One of the operator's incidents. */
  readonly incident: boolean
}

export function cases(): CaseSummary[] {
  return CASES.map((one) => ({ name: one.name, title: one.title, what: one.what, incident: isIncident(one) }))
}

/** @throws LabError `usage` for an unknown name; `failed` when the lab is not in the state that the case starts from */
export async function hurt(lab: Lab, name: string): Promise<void> {
  const one = caseOf(name)
  if (lab.record.hurt.includes(one.name))
    throw new LabError('failed', `case ${one.name} is in force already`, `npm run lab -- --lab ${lab.name} heal ${one.name}`)
  lab.setRecord({ hurt: [...lab.record.hurt, one.name] })
  try {
    await one.hurt(lab, new Surgery(lab, one.name))
  } catch (error) {
    await heal(lab, one.name)
    throw error instanceof LabError
      ? error
      : new LabError('failed', `case ${one.name} could not be staged: ${String(error)}`, `npm run lab -- --lab ${lab.name} reset`, { cause: error })
  }
}

/** Takes a case back exactly. Harmless when it is not in force. @throws LabError `usage` for an unknown name */
export async function heal(lab: Lab, name: string): Promise<void> {
  const one = caseOf(name)
  await new Surgery(lab, one.name).heal()
  lab.setRecord({ hurt: lab.record.hurt.filter((other) => other !== one.name) })
}

function caseOf(name: string): HurtCase {
  const one = CASES.find((each) => each.name.toLowerCase() === name.toLowerCase())
  if (one !== undefined) return one
  const names = CASES.map((each) => each.name)
  const guess = closest(name, names)
  const meant = distance(name.toLowerCase(), guess.toLowerCase()) <= 3 ? `; did you mean ${guess}?` : ''
  throw new LabError('usage', `there is no case "${name}"${meant}`, 'npm run lab -- cases')
}
