/** What is declared on a real server: namespace, retention, search attributes, schedules; and the metrics endpoint. */
import { spawnSync } from 'node:child_process'
import { ScheduleOverlapPolicy } from '@temporalio/client'
import { defineSearchAttributeKey } from '@temporalio/common'
import { Runtime } from '@temporalio/worker'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ConfigError } from '../../../src/domain/config-error.js'
import { SEARCH_ATTRIBUTES } from '../../../src/domain/ids.js'
import { connectClient, type TemporalClient, targetOfAddress } from '../../../src/temporal/connection.js'
import { prepareNamespace } from '../../../src/temporal/namespace.js'
import { anyFreePort } from '../../../src/temporal/ports.js'
import { installRuntime, parseMetricsAddress } from '../../../src/temporal/runtime.js'
import { declareSchedule, monitorSchedule } from '../../../src/temporal/schedules.js'
import { startTestServer, type TestServer } from '../../support/dev-server.js'

const NINETY_DAYS_SECONDS = 90 * 24 * 3600

let test: TestServer
let temporal: TemporalClient

beforeAll(async () => {
  test = await startTestServer()
  temporal = await connectClient(targetOfAddress(test.server.address, 'home'))
})
afterAll(async () => {
  await temporal?.close()
  await test?.close()
})

async function retentionSeconds(namespace: string): Promise<number> {
  const { config } = await temporal.connection.workflowService.describeNamespace({ namespace })
  return Number(config?.workflowExecutionRetentionTtl?.seconds)
}

function cli(...args: string[]): void {
  const run = spawnSync(test.options.binaryPath, [...args, '--address', test.server.address], { encoding: 'utf8' })
  if (run.status !== 0) throw new Error(run.stderr)
}

describe('prepareNamespace', () => {
  it('makes the namespace with 90 days of retention and search attributes that can be used at once', async () => {
    await prepareNamespace(temporal.connection, 'home')
    expect(await retentionSeconds('nightshift-home')).toBe(NINETY_DAYS_SECONDS)
    const typedSearchAttributes = SEARCH_ATTRIBUTES.map((name) => ({ key: defineSearchAttributeKey(name, 'KEYWORD'), value: `of ${name}` }))
    await temporal.client.workflow.start('waits', { workflowId: 'w', taskQueue: 'nobody', typedSearchAttributes })
    const { typedSearchAttributes: seen } = await temporal.client.workflow.getHandle('w').describe()
    expect(seen.get(defineSearchAttributeKey('NightshiftTarget', 'KEYWORD'))).toBe('of NightshiftTarget')
  })

  it('raises a shorter retention to 90 days, and leaves a longer one', async () => {
    cli('operator', 'namespace', 'update', '--namespace', 'nightshift-home', '--retention', '24h')
    expect(await retentionSeconds('nightshift-home')).toBe(24 * 3600)
    await prepareNamespace(temporal.connection, 'home')
    expect(await retentionSeconds('nightshift-home')).toBe(NINETY_DAYS_SECONDS)
    cli('operator', 'namespace', 'update', '--namespace', 'nightshift-home', '--retention', '4800h')
    await prepareNamespace(temporal.connection, 'home')
    expect(await retentionSeconds('nightshift-home')).toBe(4800 * 3600)
  })

  it('can be called by two programs at once', async () => {
    await Promise.all([prepareNamespace(temporal.connection, 'twice'), prepareNamespace(temporal.connection, 'twice')])
    expect(await retentionSeconds('nightshift-twice')).toBe(NINETY_DAYS_SECONDS)
  })

  it('refuses a namespace that carries another estate’s mark', async () => {
    cli('operator', 'namespace', 'create', '--namespace', 'nightshift-shop', '--data', 'nightshift_estate=bakery')
    const error = await prepareNamespace(temporal.connection, 'shop').catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(ConfigError)
    expect((error as ConfigError).message).toContain('belongs to estate bakery')
  })

  it('refuses a search attribute of ours with another type, with the command that helps', async () => {
    cli('operator', 'namespace', 'create', '--namespace', 'nightshift-typed')
    cli('operator', 'search-attribute', 'create', '--namespace', 'nightshift-typed', '--name', 'NightshiftHost', '--type', 'Text')
    const error = await prepareNamespace(temporal.connection, 'typed').catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(ConfigError)
    expect((error as ConfigError).next).toBe('temporal operator search-attribute remove --namespace nightshift-typed --name NightshiftHost')
  })
})

describe('the monitor’s schedule', () => {
  it('is made, then updated; never two passes at once, no burst after an outage', async () => {
    await prepareNamespace(temporal.connection, 'home')
    expect(await declareSchedule(temporal.client, monitorSchedule('home', 600))).toBe('created')
    expect(await declareSchedule(temporal.client, monitorSchedule('home', 300))).toBe('updated')
    const { spec, policies, action } = await temporal.client.schedule.getHandle('monitor/home').describe()
    expect(spec.intervals).toEqual([{ every: 300_000, offset: undefined }])
    expect(policies).toMatchObject({ overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: 300_000 })
    expect(action).toMatchObject({ workflowType: 'backupMonitor', workflowId: 'monitor/home', taskQueue: 'nightshift-home', args: [{}] })
  })

  it('stays paused, with the note of who paused it, when it is declared again', async () => {
    const handle = temporal.client.schedule.getHandle('monitor/home')
    await handle.pause('switch replaced until Friday')
    await declareSchedule(temporal.client, monitorSchedule('home', 600))
    const paused = await handle.describe()
    expect(paused.state).toMatchObject({ paused: true, note: 'switch replaced until Friday' })
    await handle.unpause()
    await declareSchedule(temporal.client, monitorSchedule('home', 600))
    const { state } = await handle.describe()
    expect(state.paused).toBe(false)
    expect(state.note).toContain('every 10 minutes')
  })

  it('starts a run that says in lists what it is for', async () => {
    const handle = temporal.client.schedule.getHandle('monitor/home')
    await handle.trigger(ScheduleOverlapPolicy.SKIP)
    await expect.poll(async () => (await handle.describe()).info.recentActions, { timeout: 10_000 }).not.toEqual([])
    const [latest] = (await handle.describe()).info.recentActions
    const run = await temporal.client.workflow.getHandle(latest?.action.workflow.workflowId ?? '').describe()
    expect(run.workflowId).toMatch(/^monitor\/home-20/)
    expect(await run.staticSummary()).toBe('Look at every backup of home')
    expect(run.typedSearchAttributes.get(defineSearchAttributeKey('NightshiftRunbook', 'KEYWORD'))).toBe('backupMonitor')
  })
})

describe('the runtime', () => {
  it('serves the SDK’s metrics and ours, by Prometheus naming, and logs without secrets', async () => {
    const port = await anyFreePort()
    const lines: string[] = []
    const runtime = await installRuntime({
      metricsAddress: String(port),
      redact: (text) => text.replaceAll('hunter2', '[redacted]'),
      write: (line) => lines.push(line),
    })
    try {
      runtime.metricMeter.createGauge('nightshift_targets', 'int', undefined, 'Targets by state').set(3, { state: 'OK' })
      const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
      expect(text).toMatch(/^nightshift_targets\{.*state="OK".*\} 3$/m)
      runtime.logger.warn('login with hunter2 failed', { password: 'hunter2', host: 'pve' })
      // Forwarded logs are sorted for 100 ms before they come.
      await expect.poll(() => lines.length).toBe(1)
      expect(lines[0]).toMatch(/^\d{4}-\d\d-\d\dT.*Z WARN login with \[redacted\] failed .*host=pve/)
      expect(lines[0]).not.toContain('hunter2')
      await expect(installRuntime({ metricsAddress: String(port) })).rejects.toThrow(new RegExp(`port ${port}.*metrics endpoint.*pid ${process.pid}`))
    } finally {
      await Runtime.instance().shutdown()
    }
  })

  it.each([
    ['9464', '127.0.0.1', 9464],
    ['0.0.0.0:9464', '0.0.0.0', 9464],
    ['[::1]:9464', '::1', 9464],
  ])('takes the address %s', (text, host, port) => {
    expect(parseMetricsAddress(text)).toMatchObject({ host, port })
  })
  it.each(['', 'metrics', '70000', 'http://127.0.0.1:1', '0'])('refuses the address %j', (text) => {
    expect(() => parseMetricsAddress(text)).toThrow(ConfigError)
  })
})
