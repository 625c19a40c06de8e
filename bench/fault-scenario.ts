/**
 * What `npm run --silent faults -- RUNBOOK` needs to know of a runbook: one file in `fault-scenarios/`, one line in its `index.ts`.
 *
 * The harness does the rest, the same for every runbook: an unfaulted run first, in which the worker writes down every activity it takes up
 * (of child workflows too); then one run per point, each from an empty state folder and a prepared lab, in which the worker is killed by SIGKILL
 * once, at `ACTIVITY#N:before` (taken up, nothing done yet) or `ACTIVITY#N:after` (done, Temporal not told yet), and started again.
 * Compared with the unfaulted run are the effects in the ledgers of the lab's hosts, the final state that the scenario names, and the chain of receipts.
 *
 * Every activity has a heartbeat time-out of two seconds here and the worker beats for it, so that a lost attempt is noticed soon. Whether an
 * activity beats by itself is therefore not shown here.
 */
import type { Client, WorkflowHandle } from '@temporalio/client'
import type { BenchLab } from './lab.js'

export interface FaultPlace {
  readonly lab: BenchLab
  readonly estateId: string
  /** The configuration folder of the lab. */
  readonly config: string
  /** Empty before each run. */
  readonly stateDir: string
  readonly client: Client
  /** Where the workflows of the estate run. */
  readonly taskQueue: string
}

export interface FaultScenario {
  /** Hosts of the lab; few, because every point costs a run. */
  readonly hosts: readonly string[]
  /** Brings hosts and runbooks to the same start, before each run. */
  prepare(place: FaultPlace): Promise<void>
  start(place: FaultPlace): Promise<WorkflowHandle>
  /** Answers what the run asks a person (approvals), beside the waiting for its result; ends by itself. */
  drive?(place: FaultPlace, handle: WorkflowHandle): Promise<void>
  /** What is true after the run, without times and numbers that differ from run to run. */
  finalState(place: FaultPlace, result: unknown): Promise<unknown>
}
