/** What the desk's workflow and its activities say to each other. */
import type { OpenedMarks } from '../relay/marks.js'
import type { Finding, Severity } from '../status.js'
import type { CarriedIncidents } from './carried.js'
import type { DeskSnapshot } from './snapshot.js'
import type { Decision, DeskState } from './state.js'

export interface AlertDeskInput {
  readonly estate: string
  /** What the run before knew; given by continue-as-new alone. */
  readonly state?: DeskState
  /** Incidents of `state` that travel packed; given by continue-as-new alone. */
  readonly incidents?: CarriedIncidents
  /** What the run before decided and could not write down; given by continue-as-new alone. */
  readonly unwritten?: Pick<DeskWord, 'decisions' | 'evidence'>
  /** How long a message whose answer was lost is looked for before it is sent again; 60 unless told. */
  readonly lookAgainSeconds?: number
  /** Events of history after which the run hands over to a new one; 1500 unless told. */
  readonly continueAfterEvents?: number
}

export interface TellResult {
  /** `superseded`: a newer pass is published, and tells more. */
  readonly told: 'all' | 'changes' | 'superseded'
  readonly changed: number
  readonly closed: number
  readonly held: number
  readonly setDigest: string
  readonly bytes: number
}

/** Findings of a run that is not a pass of the monitor, complete for their scope. */
export interface FindingsReport {
  /** `gates`, `relay/pve`, … */
  readonly scope: string
  /** Of the run: the same one is never told twice. */
  readonly passId: string
  readonly takenAt: string
  readonly periodSeconds: number | null
  readonly findings: readonly Finding[]
}

export interface KnownKey {
  readonly key: string
  readonly severity: Severity
  readonly reason: string
}

/** Something that people did or that was proven: becomes a receipt. */
export interface DeskEvidence {
  /** Unique within the run of the desk. */
  readonly id: string
  readonly what: 'close-adopted' | 'canary' | 'second-channel'
  readonly by: string
  readonly reason: string
  readonly facts: Readonly<Record<string, string | number | null>>
  readonly at: string
}

export interface DeskWord {
  readonly snapshot: DeskSnapshot
  readonly decisions: readonly Decision[]
  readonly evidence: readonly DeskEvidence[]
}

/** What follows from a word that is written down. */
export interface DeskPublished {
  /** Which marks may now be left; absent where no watcher is declared. */
  readonly marks?: OpenedMarks
}
