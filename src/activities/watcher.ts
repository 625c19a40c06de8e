/** The activities around the watcher at the other site: leave a mark for it after a pass, and look whether it is in place. */
import { ApplicationFailure, cancellationSignal } from '@temporalio/activity'
import type { RunbookSet } from '../domain/estate.js'
import type { GateResult } from '../domain/gates.js'
import type { HostRoute } from '../domain/proof/types.js'
import { isBlind, type OpenedMarks, whyWithheld } from '../domain/relay/marks.js'
import { parseRelayReading, relayProbe } from '../domain/relay/probe-program.js'
import { type MarkOrder, type MarkOutcome, markProgram, type WatcherOrder } from '../domain/relay/watcher.js'
import { watcherGate, watcherQuestions } from '../domain/relay/watcher-plan.js'
import type { StateFolder } from '../state/index.js'
import type { ReadingDeps, StateDeps } from './monitor.js'
import { routeOf } from './vzdump.js'

export type WatcherActivities = ReturnType<typeof createWatcherSiteActivities> & ReturnType<typeof createWatcherStateActivities>

const MARK_DEADLINE_MS = 15_000
const READING_DEADLINE_MS = 60_000
const MOST_OUTPUT_BYTES = 1024 * 1024

export function createWatcherSiteActivities(deps: ReadingDeps) {
  async function onHost<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      cancellationSignal().throwIfAborted()
      throw ApplicationFailure.retryable(deps.redact(error instanceof Error ? error.message : String(error)), 'HostUnread')
    }
  }

  return {
    /** Replaces the mark on a host; none where no watcher is in place. @throws ApplicationFailure `HostUnread` (retryable) */
    leaveMark(order: MarkOrder): Promise<MarkOutcome> {
      const { host, sshAlias, sudo } = order.route
      return onHost(async () => {
        const answer = await deps.ssh(sshAlias).run(sshAlias, {
          argv: ['sh', '-s'],
          stdin: markProgram(order),
          sudo,
          deadlineMs: MARK_DEADLINE_MS,
          signal: cancellationSignal(),
          okExitCodes: 'any',
        })
        const said = answer.stdoutText.trim()
        if (said === 'written' || said === 'absent') return said
        throw new Error(`leaving a mark on ${host} ended with ${answer.exitCode}: ${answer.stderrText.trim().slice(0, 300)}`)
      })
    },

    /** The gate over one watcher. @throws ApplicationFailure `HostUnread` (retryable) */
    gateOfWatcher({ order, route }: { order: WatcherOrder; route: HostRoute }): Promise<GateResult> {
      return onHost(async () => {
        const questions = watcherQuestions(order.estate)
        const answer = await deps.ssh(route.sshAlias).run(route.sshAlias, {
          argv: ['perl', '-'],
          stdin: relayProbe(questions),
          sudo: route.sudo,
          deadlineMs: READING_DEADLINE_MS,
          maxOutputBytes: MOST_OUTPUT_BYTES,
          signal: cancellationSignal(),
          okExitCodes: 'any',
        })
        return watcherGate(order, parseRelayReading(route.host, route.node, questions, answer.stdoutText))
      })
    },
  }
}

/** Which marks may be left for the last pass; none for a host that it could not read: another time-out would tell nothing new. */
export function openMarks(set: RunbookSet, state: StateFolder, now: Date): OpenedMarks {
  const status = state.readStatus()
  const withheld = whyWithheld(status, state.desk.snapshot(), now)
  const unmarked = Object.keys(state.marks.unmarked())
  if (status === undefined || withheld !== null) return { marks: [], withheld, unmarked }
  const { passId, takenAt } = status
  const marks = (set.emailRelay?.watchers ?? []).map(({ host }): MarkOrder => ({ route: routeOf(set, host), estate: set.estate.id, passId, takenAt }))
  return { marks: marks.filter(({ route }) => !isBlind(status, route.host)), withheld, unmarked }
}

export function createWatcherStateActivities(deps: Pick<StateDeps, 'state'>) {
  return {
    /** Keeps where no mark could be left, and why: the next pass shows it. */
    async noteUnmarked({ unmarked }: { unmarked: Readonly<Record<string, string>> }): Promise<void> {
      deps.state.marks.putUnmarked(unmarked)
    },
  }
}
