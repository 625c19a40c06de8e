import { ApplicationFailure, defineSearchAttributeKey } from '@temporalio/common'
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js'
import type { TestWorkflowEnvironment } from '@temporalio/testing'
import { Worker } from '@temporalio/worker'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { PassPlan, PassResult, SitePlan, SiteReading, SiteUnread } from '../../../src/domain/monitor.js'
import { withSettings } from '../../../src/temporal/bundle-workflows.js'
import { PRODUCT } from '../../support/bundles.js'
import { SIGNS_OF_LIFE, startTestTemporal } from '../../support/test-temporal.js'

let env: TestWorkflowEnvironment
let workflowBundle: { code: string }

beforeAll(async () => {
  const { bundle, ...started } = await startTestTemporal(PRODUCT, [SIGNS_OF_LIFE])
  env = started.env
  workflowBundle = { code: withSettings(bundle.code, { heartbeatSeconds: 12 }) }
}, 120_000)

afterAll(async () => {
  await env?.teardown()
})

interface Script {
  sites: SitePlan[]
  observeSite: (args: SitePlan & { passId: string }) => Promise<SiteReading>
  details?: string
  tellDesk?: (args: { passId: string }) => Promise<unknown>
}

/** Runs one pass on real workers and a real server; only what touches hosts and the state folder is scripted. */
async function runPass(estate: string, script: Script, input: unknown = {}) {
  const seen: { readings: readonly (SiteReading | SiteUnread)[] } = { readings: [] }
  const stateSide = {
    openPass: async ({ passId }: { passId: string }): Promise<PassPlan> => ({
      passId,
      estate,
      rulesDigest: 'r',
      sites: script.sites,
      enabledTargets: 28,
    }),
    closePass: async (args: { passId: string; readings: readonly (SiteReading | SiteUnread)[] }): Promise<PassResult> => {
      seen.readings = args.readings
      return {
        passId: args.passId,
        takenAt: '2026-02-12T08:30:00.000Z',
        verdict: 'ok',
        expected: 28,
        seen: 28,
        counts: { ok: 28, warning: 0, unknown: 0, critical: 0 },
        findings: [],
        findingsTotal: 0,
        findingsDigest: 'f',
        statusDigest: 's',
        written: true,
        details: script.details ?? '| target | state |',
        receipt: null,
        stageMs: { judge: 1, write: 1 },
      }
    },
  }
  const connection = env.nativeConnection
  const told: string[] = []
  const tellDesk = async (args: { passId: string }) => {
    told.push(args.passId)
    return script.tellDesk?.(args)
  }
  const workers = await Promise.all([
    Worker.create({
      connection,
      taskQueue: `nightshift-${estate}`,
      workflowBundle,
      activities: { ...stateSide, observeSite: script.observeSite, tellDesk },
    }),
  ])
  const running = Promise.all(workers.map((worker) => worker.run()))
  try {
    const handle = await env.client.workflow.start('backupMonitor', { workflowId: `monitor/${estate}`, taskQueue: `nightshift-${estate}`, args: [input] })
    const result = await handle.result().then(
      (value: PassResult) => ({ value }),
      (error: unknown) => ({ error }),
    )
    const history = await handle.fetchHistory()
    const details = await handle.query<{ currentDetails?: string }>('__temporal_workflow_metadata').then((metadata) => metadata.currentDetails ?? '')
    return { result, told, readings: seen.readings, history, details, description: await handle.describe() }
  } finally {
    for (const worker of workers) worker.shutdown()
    await running
  }
}

const plan = (site: string, count = 2): SitePlan => ({ site, hostCount: count, deadlineSeconds: 5 })
const reading = (args: SitePlan): SiteReading => ({
  site: args.site,
  hostCount: args.hostCount,
  unreadable: { count: 0, first: [] },
  slowestMs: 1,
  slowestConnectMs: 1,
  digest: `digest of ${args.site}`,
})

describe('a pass', () => {
  it('reads every site and hands all readings to the judge', async () => {
    const { result, readings, description, details, history } = await runPass('both', {
      sites: [plan('shop'), plan('home')],
      observeSite: async (args) => reading(args),
    })
    expect(result).toHaveProperty('value.verdict', 'ok')
    expect(readings.map((each) => each.site)).toEqual(['shop', 'home'])
    expect(description.typedSearchAttributes.get(defineSearchAttributeKey('NightshiftRunbook', 'KEYWORD'))).toBe('backupMonitor')
    expect(description.typedSearchAttributes.get(defineSearchAttributeKey('NightshiftPhase', 'KEYWORD'))).toBe('judge')
    expect(details).toBe('| target | state |')
    const silence = history.events?.flatMap(({ activityTaskScheduledEventAttributes: scheduled }) =>
      scheduled ? [Number(scheduled.heartbeatTimeout?.seconds)] : [],
    )
    expect(silence, 'by the setting of the worker').toEqual([12, 12])
  })

  it('tells the alert desk, and stands when the desk cannot be told', async () => {
    const sites = [plan('shop')]
    const heard = await runPass('heard', { sites, observeSite: async (args) => reading(args) })
    expect(heard.told).toEqual([heard.result && 'value' in heard.result ? heard.result.value.passId : ''])
    const deaf = await runPass('deaf', {
      sites,
      observeSite: async (args) => reading(args),
      tellDesk: async () => {
        throw ApplicationFailure.nonRetryable('the desk is not there', 'Broken')
      },
    })
    expect(deaf.result).toHaveProperty('value.verdict', 'ok')
  })

  it('goes on when reading one site fails for good, and says why', async () => {
    const { result, readings } = await runPass('partly', {
      sites: [plan('shop'), plan('home')],
      observeSite: async (args) => {
        if (args.site === 'home') throw ApplicationFailure.nonRetryable('the key file is not readable', 'Broken')
        return reading(args)
      },
    })
    expect(result).toHaveProperty('value')
    expect(readings[1]).toEqual({ site: 'home', unread: { reason: 'probe_failed', message: 'reading site home failed: the key file is not readable' } })
    expect(readings[0]).toHaveProperty('digest')
  })

  it('refuses an input that it does not know, before it touches anything', async () => {
    const { result, history } = await runPass('strict', { sites: [plan('shop')], observeSite: async (args) => reading(args) }, { hosts: ['pve'] })
    expect(result).toHaveProperty('error.cause.type', 'InvalidInput')
    expect(result).toHaveProperty('error.cause.message', expect.stringContaining('hosts'))
    expect(history.events?.some((event) => event.activityTaskScheduledEventAttributes)).toBe(false)
  })

  it('leaves a history with as many events for fifty hosts of a site as for two', async () => {
    const few = await runPass('few', { sites: [plan('shop', 2)], observeSite: async (args) => reading(args) })
    const many = await runPass('many', { sites: [plan('shop', 50)], observeSite: async (args) => reading(args) })
    expect(many.readings[0]).toHaveProperty('hostCount', 50)
    expect(many.history.events?.length).toBe(few.history.events?.length)
    expect(few.history.events?.length).toBeLessThan(25)
  })
})

describe('a stored history', () => {
  it('replays with the workflow as it is now, and a doctored one does not', async () => {
    const { history } = await runPass('replay', { sites: [plan('shop'), plan('home')], observeSite: async (args) => reading(args) })
    const json = JSON.parse(historyToJSON(history)) as { events: { activityTaskScheduledEventAttributes?: { activityType: { name: string } } }[] }
    await expect(Worker.runReplayHistory({ workflowBundle }, json)).resolves.toBeUndefined()
    const scheduled = json.events.find((event) => event.activityTaskScheduledEventAttributes?.activityType.name === 'observeSite')
    if (scheduled?.activityTaskScheduledEventAttributes) scheduled.activityTaskScheduledEventAttributes.activityType.name = 'somethingElse'
    await expect(Worker.runReplayHistory({ workflowBundle }, json)).rejects.toThrow(/[Nn]ondeterminism|DeterminismViolation/)
  })
})
