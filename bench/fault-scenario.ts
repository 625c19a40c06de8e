/**
 * What `npm run --silent faults -- RUNBOOK` needs to know of a runbook: one file in `fault-scenarios/`, one line in its `index.ts`.
 *
 * The harness does the rest, the same for every runbook. An unfaulted run comes first; in it are written down every activity and every timer of the
 * scenario's workflows (the wait for an approval is a timer), and the ledgers of the hosts. Each of them gives points where something dies:
 *
 * - `WORKFLOW/ACTIVITY.N: before` (taken up, nothing done yet) and `…: after` (done, Temporal not told yet), of the Nth of this type in its run: the same in
 *   every attempt, and there also when a fault before made the run do more (`@2`: after it went on as a new run);
 * - `WORKFLOW/timer.N`: the server knows of the timer;
 * - `effect EFFECT.N on HOST`: the Nth of its kind is in the ledger, the command that made it has not answered. Afterwards either `the host goes on`, or
 *   `the host's command dies` too.
 *
 * At each of them the worker dies by SIGKILL, and at each of them the Temporal server does; both are started again, as a supervisor would.
 * Compared with the unfaulted run are the effects in the ledgers (with their arguments, without order), the final state that the scenario names, and
 * the chain of receipts.
 *
 * The worker's heartbeat time-out is two seconds here, and the first pause before another attempt a fifth of a second, so that a lost attempt is noticed and
 * made up for soon; everything else about it is the product's own.
 */
import type { Client, WorkflowHandle } from '@temporalio/client'
import type { Lab } from '../lab/lab.js'

export interface FaultPlace {
  readonly lab: Lab
  readonly estateId: string
  /** The configuration folder of this run: a copy of the lab's. */
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
  /** Folders (and files) of each host that the runbook changes: put back before each run as `prepare` left them. */
  readonly changes: Readonly<Record<string, readonly string[]>>
  /** Deaths in one run; eight unless told. */
  readonly faultsPerRun?: number
  /** Types of the workflows whose points count. Others that the runbook starts go on by themselves. */
  readonly workflows: readonly string[]
  /** Who says yes to every plan that waits; absent = the runbook asks nobody. */
  readonly approver?: string
  /** Brings the hosts and the lab's runbooks to the start, once. */
  prepare(lab: Lab): Promise<void>
  start(place: FaultPlace): Promise<WorkflowHandle>
  /**
   * Of a workflow that never ends: lives with it until nothing more is to come. What it gives takes the place of a result.
   * @param over ends when the run of the harness does
   */
  live?(place: FaultPlace, handle: WorkflowHandle, over: AbortSignal): Promise<unknown>
  /** What happens on the hosts while the run waits for it. Ends with the run. */
  meanwhile?(place: FaultPlace, handle: WorkflowHandle, over: AbortSignal): Promise<void>
  /** What is true after the run, without times and numbers that differ from run to run. */
  finalState(place: FaultPlace, result: unknown): Promise<unknown>
}
