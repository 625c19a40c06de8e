/** Looks at every gate, writes down what each said, and tells the alert desk of those that did not pass. A Schedule starts it daily; an operator may too, with `{}`. */
import { ActivityFailure, proxyActivities, setCurrentDetails, upsertSearchAttributes, workflowInfo } from '@temporalio/workflow'
import type { DeskActivities } from '../activities/desk.js'
import type { GateActivities } from '../activities/gates.js'
import type { WatcherActivities } from '../activities/watcher.js'
import { type GateResult, placesListed } from '../domain/gates.js'
import type { HostRoute } from '../domain/proof/types.js'
import type { WatcherOrder } from '../domain/relay/watcher.js'
import { driftGatesInput } from './inputs.js'
import { relayGate } from './relay-gate.js'
import { atHome, atSite } from './routes.js'
import { parseInput, phase, runbookAttributes } from './shell.js'

const MOST_DETAILS_CHARACTERS = 15_000

export interface GatesResult {
  readonly passed: number
  readonly failed: number
  readonly unknown: number
  readonly gates: readonly GateResult[]
}

export async function driftGates(rawInput?: Record<string, never>): Promise<GatesResult> {
  parseInput('driftGates', driftGatesInput, rawInput ?? {})
  upsertSearchAttributes(runbookAttributes('driftGates'))
  const home = proxyActivities<GateActivities & DeskActivities>({
    ...atHome(),
    startToCloseTimeout: '30 seconds',
    retry: { maximumAttempts: 5, initialInterval: '2 seconds', nonRetryableErrorTypes: ['InvalidRunbooks'] },
  })

  phase('read', 'Which gates are there?')
  const {
    routes,
    watchers = [],
    relayHosts = [],
    hasSecondChannel = false,
  } = await home.planGates.executeWithOptions({ summary: 'Read the runbook files' }, [])

  phase('judge', 'Looking at every gate.')
  const gates = await Promise.all([
    gate('notification-pipeline', () => home.gateOfPipeline.executeWithOptions({ summary: 'Do alerts reach people? From what they left behind' }, [])),
    ...(hasSecondChannel
      ? [gate('second-channel', () => home.gateOfSecondChannel.executeWithOptions({ summary: 'Does the second channel take messages? By its last test' }, []))]
      : []),
    ...relayHosts.map((host) => gate(`mail-route/${host}`, () => relayGate(host))),
    ...watchers.map(({ order, route }) => gate(`watcher/${order.host}`, () => lookAtWatcher(order, route))),
  ])

  phase('write', 'Writing down what the gates said.')
  const sites = Object.fromEntries(routes.map(({ host, site }) => [host, site]))
  const { runId } = workflowInfo()
  const report = await home.writeGates.executeWithOptions({ summary: 'Publish the gates' }, [{ runId, gates, sites }])
  await home.tellFindings.executeWithOptions({ summary: 'Tell the alert desk' }, [report])

  const of = (state: GateResult['state']) => gates.filter((each) => each.state === state).length
  setCurrentDetails(
    [
      '| gate | state | why |',
      '| --- | --- | --- |',
      ...gates.map(({ id, state, message }) => `| ${id} | ${state} | ${message.replaceAll('|', '\\|')} |`),
      ...gates.flatMap(({ id, places = [] }) => (places.length > 1 ? ['', `**${id}**`, ...placesListed(places)] : [])),
    ]
      .join('\n')
      .slice(0, MOST_DETAILS_CHARACTERS),
  )
  return { passed: of('passed'), failed: of('failed'), unknown: of('unknown'), gates }
}

function lookAtWatcher(order: WatcherOrder, route: HostRoute): Promise<GateResult> {
  const { gateOfWatcher } = proxyActivities<WatcherActivities>({
    ...atSite(route),
    startToCloseTimeout: '90 seconds',
    retry: { maximumAttempts: 3, initialInterval: '2 seconds' },
  })
  return gateOfWatcher.executeWithOptions({ summary: `Is the watcher on ${route.host} as declared, and its mark fresh?` }, [{ order, route }])
}

/** A gate that could not be looked at is unknown, which is not a pass. */
async function gate(id: string, look: () => Promise<GateResult>): Promise<GateResult> {
  try {
    return await look()
  } catch (error) {
    if (!(error instanceof ActivityFailure)) throw error
    return {
      id,
      state: 'unknown',
      reason: 'not_looked_at',
      message: `could not be looked at: ${error.cause?.message ?? error.message}`,
      next: 'nightshift doctor',
    }
  }
}
