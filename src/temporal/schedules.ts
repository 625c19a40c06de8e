/**
 * Schedules as declared state: made when missing, brought to what is wanted when they differ, and whatever a person did by hand
 * about pausing (and why) is kept.
 */
import { type Client, ScheduleAlreadyRunning, type ScheduleOptions, type ScheduleOptionsStartWorkflowAction, ScheduleOverlapPolicy } from '@temporalio/client'
import { defineSearchAttributeKey, type Workflow } from '@temporalio/common'
import { scheduleIds, taskQueueOf, workflowIds } from '../domain/ids.js'

type StartAction = ScheduleOptionsStartWorkflowAction<Workflow>

export interface DeclaredSchedule extends Omit<ScheduleOptions<StartAction>, 'state'> {
  /** The note of a schedule that nobody paused. */
  readonly note?: string
}

/**
 * Creates the schedule or updates it to the wanted state, keeping `paused` and the note of a paused one.
 * @returns whether it was there
 */
export async function declareSchedule(client: Client, wanted: DeclaredSchedule): Promise<'created' | 'updated'> {
  const { note, ...options } = wanted
  try {
    await client.schedule.create({ ...options, state: { paused: false, ...(note !== undefined && { note }) } })
    return 'created'
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error
  }
  const { scheduleId, memo: _memo, ...changeable } = options
  await client.schedule.getHandle(scheduleId).update<Workflow>((previous) => ({
    ...changeable,
    state: { paused: previous.state.paused, note: previous.state.paused ? (previous.state.note ?? '') : (note ?? '') },
  }))
  return 'updated'
}

/**
 * The monitor's schedule: a pass every so many seconds, never two at once, and after an outage the next pass is enough.
 * @param periodSeconds from `estate.yaml`; the catch-up window is one period, at least the server's minimum of 10 s
 */
export function monitorSchedule(estateId: string, periodSeconds: number, workflowType = 'backupMonitor'): DeclaredSchedule {
  return {
    scheduleId: scheduleIds.monitor(estateId),
    spec: { intervals: [{ every: periodSeconds * 1000 }] },
    policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: Math.max(10, periodSeconds) * 1000 },
    action: {
      type: 'startWorkflow',
      workflowType,
      // The server appends the nominal time to the ID of a scheduled run.
      workflowId: workflowIds.monitor(estateId),
      taskQueue: taskQueueOf(estateId),
      args: [{}],
      staticSummary: `Look at every backup of ${estateId}`,
      typedSearchAttributes: [{ key: defineSearchAttributeKey('NightshiftRunbook', 'KEYWORD'), value: workflowType }],
    },
    note: `A pass every ${periodSeconds / 60} minutes, as estate.yaml says. When pausing, say why here.`,
  }
}
