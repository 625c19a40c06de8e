/**
 * What a case is: a way to hurt the healthy lab, and what the monitor must say about it. Healing is the surgery's.
 */
import type { Lab } from '../../lab.js'
import type { Surgery } from '../surgery.js'

export type SubjectKind = 'target' | 'guest' | 'job' | 'storage' | 'host' | 'finding'

/**
 * One or several subjects of the status document that the case changes. Every field given must fit.
 * Whatever a case changes must be covered by an expectation; what no expectation covers must stay as it was in the healthy pass.
 */
export interface Expectation {
  readonly kind: SubjectKind
  /** `id` of targets, jobs, storages and hosts; `vmid` as text for guests; `subject` of findings. A list: any of these, each must be there. */
  readonly ids: readonly string[] | 'all'
  /** Only subjects on these hosts (guests, jobs, storages, targets). */
  readonly host?: string | readonly string[]
  readonly state?: string
  readonly reason?: string | readonly string[]
  readonly severity?: string
  /** Words that the sentence must hold, whatever their case. */
  readonly messageIncludes?: readonly string[]
  /** The subject is held back because of another one. */
  readonly inhibited?: boolean
  /** It may change so, or stay as it was: a consequence that is neither asked for nor wrong. */
  readonly optional?: boolean
}

/** What a gate must say while the case is in force. Gates that are not named say what they said before. */
export interface GateExpectation {
  readonly id: string
  readonly state: 'passed' | 'failed' | 'unknown'
  /** Words that its sentence must hold, whatever their case. */
  readonly messageIncludes: readonly string[]
}

/** What a case may ask the product beside the status. */
export interface DeskView {
  desk(): Promise<{
    readonly incidents: readonly { readonly subject: string; readonly reason: string; readonly message: string }[]
    readonly outbox: { readonly depth: number; readonly oldestAt: string | null }
  }>
}

export interface HurtCase {
  /** `I1` … for the operator's incidents, else a word. Stable. */
  readonly name: string
  readonly title: string
  /** What is done to the lab, one sentence. */
  readonly what: string
  hurt(lab: Lab, surgery: Surgery): Promise<void>
  readonly expect: readonly Expectation[]
  /** The verdict of the whole pass. */
  readonly verdict: 'critical' | 'unknown' | 'warning' | 'ok'
  /** How many passes are made while it is hurt; with more than one, nothing but ages may differ between them. */
  readonly passes?: number
  /** How many findings it adds: one for each cause, however many subjects suffer from it. */
  readonly newFindings?: number
  /** What else must be so while it is in force; waits for it where it takes its time. @returns what is not so */
  readonly also?: (lab: Lab, product: DeskView) => Promise<string[]>
  /** The monitor looks at backups; what a host may not do beside them is looked at by `driftGates`, which is then run too. */
  readonly gates?: readonly GateExpectation[]
}

export const isIncident = (one: Pick<HurtCase, 'name'>): boolean => /^I\d+$/.test(one.name)
