/** The doctor on Temporal: reachable, this estate's namespace, search attributes, schedule, and workers on every queue. Changes nothing. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Client } from '@temporalio/client'
import proto from '@temporalio/proto'
import type { RunbookSet } from '../../domain/estate.js'
import { namespaceOf, SEARCH_ATTRIBUTES, scheduleIds, stateQueueOf, taskQueueOf } from '../../domain/ids.js'
import { duration } from '../../domain/render/quantities.js'
import { RETENTION_DAYS } from '../../temporal/namespace.js'
import { connectEstate } from '../estate-client.js'
import { type Check, fail, failedWith, ok, unknown, warn } from './check.js'

const AREA = 'temporal'
const DEADLINE_MS = 15_000
/** A worker that polls is seen at least once a minute (long polls last that long). */
const MOST_POLL_AGE_SECONDS = 150
const DAY_SECONDS = 86_400

const { TASK_QUEUE_TYPE_WORKFLOW, TASK_QUEUE_TYPE_ACTIVITY } = proto.temporal.api.enums.v1.TaskQueueType

export async function checkTemporal(set: RunbookSet, now: Date): Promise<Check[]> {
  const stop = new AbortController()
  try {
    return await Promise.race([
      lookAtTemporal(set, now),
      delay(
        DEADLINE_MS,
        [unknown(AREA, 'server', `no complete answer within ${DEADLINE_MS / 1000} s`, 'look at the server: temporal operator cluster health')],
        { signal: stop.signal },
      ),
    ])
  } finally {
    stop.abort()
  }
}

async function lookAtTemporal(set: RunbookSet, now: Date): Promise<Check[]> {
  const namespace = namespaceOf(set.estate.id)
  let temporalClient: Awaited<ReturnType<typeof connectEstate>>
  try {
    temporalClient = await connectEstate(set.estate.id)
  } catch (error) {
    return [failedWith(AREA, 'server', error, 'start it: nightshift up')]
  }
  const { client, close } = temporalClient
  try {
    const checks = [ok(AREA, 'server', `answers; namespace ${namespace}`)]
    for (const [name, look] of LOOKS) {
      try {
        checks.push(...(await look(client, set, now)))
      } catch (error) {
        checks.push(failedWith(AREA, name, error, 'nightshift up makes what is missing'))
      }
    }
    return checks
  } finally {
    await close()
  }
}

async function checkNamespace(client: Client, set: RunbookSet): Promise<Check[]> {
  const namespace = namespaceOf(set.estate.id)
  const { config } = await client.workflowService.describeNamespace({ namespace })
  const seconds = Number(config?.workflowExecutionRetentionTtl?.seconds ?? 0)
  if (seconds >= RETENTION_DAYS * DAY_SECONDS) return [ok(AREA, 'retention', `histories are kept for ${duration(seconds)}`)]
  return [
    warn(
      AREA,
      'retention',
      `histories are kept for ${duration(seconds)} only`,
      `temporal operator namespace update --namespace ${namespace} --retention ${RETENTION_DAYS}d`,
    ),
  ]
}

async function checkSearchAttributes(client: Client, set: RunbookSet): Promise<Check[]> {
  const namespace = namespaceOf(set.estate.id)
  const { customAttributes } = await client.connection.operatorService.listSearchAttributes({ namespace })
  const missing = SEARCH_ATTRIBUTES.filter((name) => customAttributes?.[name] === undefined)
  if (missing.length === 0) return [ok(AREA, 'search attributes', SEARCH_ATTRIBUTES.join(', '))]
  return [
    fail(
      AREA,
      'search attributes',
      `missing: ${missing.join(', ')}`,
      missing.map((name) => `temporal operator search-attribute create --namespace ${namespace} --name ${name} --type Keyword`).join('\n'),
    ),
  ]
}

async function checkSchedule(client: Client, set: RunbookSet, now: Date): Promise<Check[]> {
  const scheduleId = scheduleIds.monitor(set.estate.id)
  const { state, info } = await client.schedule.getHandle(scheduleId).describe()
  if (state.paused) {
    return [
      warn(
        AREA,
        'schedule',
        `${scheduleId} is paused${state.note ? `: ${state.note}` : ''}`,
        `when that is over: temporal schedule toggle --unpause --schedule-id ${scheduleId} --namespace ${namespaceOf(set.estate.id)} --reason "…"`,
      ),
    ]
  }
  const last = info.recentActions.at(-1)?.takenAt
  const period = set.estate.monitor.periodSeconds
  if (last !== undefined && now.getTime() - last.getTime() > 3 * period * 1000) {
    return [
      fail(
        AREA,
        'schedule',
        `${scheduleId} last started a pass ${duration((now.getTime() - last.getTime()) / 1000)} ago, one is due every ${duration(period)}`,
        'look at the schedule in the Temporal UI; a pass that never ends holds up the next ones',
      ),
    ]
  }
  const skipped = `${info.numActionsSkippedOverlap} skipped because one was running, ${info.numActionsMissedCatchupWindow} missed`
  return [ok(AREA, 'schedule', `${scheduleId}: ${info.numActionsTaken} passes started, ${skipped}`)]
}

async function checkQueues(client: Client, set: RunbookSet, now: Date): Promise<Check[]> {
  const { estate } = set
  const common = taskQueueOf(estate.id)
  const queues = [
    { queue: common, type: TASK_QUEUE_TYPE_WORKFLOW, what: 'workflows', start: 'nightshift up' },
    { queue: common, type: TASK_QUEUE_TYPE_ACTIVITY, what: 'reading', start: 'nightshift up' },
    { queue: stateQueueOf(estate.id), type: TASK_QUEUE_TYPE_ACTIVITY, what: 'the state folder', start: 'nightshift up' },
    ...estate.sites.flatMap((site) =>
      site.taskQueue === undefined
        ? []
        : [{ queue: site.taskQueue, type: TASK_QUEUE_TYPE_ACTIVITY, what: `site ${site.id}`, start: `the worker of site ${site.id}` }],
    ),
  ]
  return await Promise.all(
    queues.map(async ({ queue, type, what, start }) => {
      const { pollers } = await client.workflowService.describeTaskQueue({ namespace: namespaceOf(estate.id), taskQueue: { name: queue }, taskQueueType: type })
      const live = (pollers ?? []).filter((poller) => now.getTime() / 1000 - Number(poller.lastAccessTime?.seconds ?? 0) < MOST_POLL_AGE_SECONDS)
      const name = `worker for ${what}`
      if (live.length > 0) return ok(AREA, name, `${live.length} on queue ${queue}`)
      return fail(AREA, name, `nobody works on queue ${queue}`, `start ${start}`)
    }),
  )
}

const LOOKS = [
  ['retention', checkNamespace],
  ['search attributes', checkSearchAttributes],
  ['schedule', checkSchedule],
  ['workers', checkQueues],
] as const
