/**
 * Schedules as declared state: made when missing, brought to what is wanted when they differ, and whatever a person did by hand
 * about pausing (and why) is kept.
 */
import {
  type CalendarSpec,
  type Client,
  ScheduleAlreadyRunning,
  type ScheduleOptions,
  type ScheduleOptionsStartWorkflowAction,
  ScheduleOverlapPolicy,
} from '@temporalio/client'
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

/** Every day the gates; an outage is made good within a day, because a day without a look is what they are for. */
export function gatesSchedule(estateId: string, timezone: string): DeclaredSchedule {
  return at(estateId, 'driftGates', scheduleIds.gates(estateId), workflowIds.gates(estateId), {
    calendar: { hour: 6, minute: 40, comment: 'before the daily summary' },
    timezone,
    summary: `Look at every gate of ${estateId}`,
    note: 'Daily: package upgrades bring back what was taken out. When pausing, say why here.',
  })
}

/** Every week a message through the whole way of alerts, read back from the mailbox. */
export function canarySchedule(estateId: string, timezone: string): DeclaredSchedule {
  return at(estateId, 'alertCanary', scheduleIds.canary(estateId), workflowIds.canary(estateId), {
    calendar: { dayOfWeek: 'MONDAY', hour: 9, minute: 10, comment: 'when somebody is awake to miss it' },
    timezone,
    summary: `Send the canary of ${estateId}`,
    note: 'Weekly: proves that alerts reach the mailbox. When pausing, say why here.',
  })
}

const DAY_MS = 86_400_000

function at(
  estateId: string,
  workflowType: string,
  scheduleId: string,
  workflowId: string,
  when: { calendar: CalendarSpec; timezone: string; summary: string; note: string },
): DeclaredSchedule {
  return {
    scheduleId,
    spec: { calendars: [when.calendar], timezone: when.timezone },
    policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: DAY_MS },
    action: {
      type: 'startWorkflow',
      workflowType,
      workflowId,
      taskQueue: taskQueueOf(estateId),
      args: [{}],
      staticSummary: when.summary,
      typedSearchAttributes: [{ key: defineSearchAttributeKey('NightshiftRunbook', 'KEYWORD'), value: workflowType }],
    },
    note: when.note,
  }
}
