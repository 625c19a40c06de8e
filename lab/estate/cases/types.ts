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
}

export const isIncident = (one: Pick<HurtCase, 'name'>): boolean => /^I\d+$/.test(one.name)
