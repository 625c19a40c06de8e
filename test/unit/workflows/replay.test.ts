/**
 * Runs may wait for weeks, and a new release must go on with them: every history that was ever recorded (`bench/record-histories.ts`) replays with the
 * workflows of today.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { historyFromJSON } from '@temporalio/common/lib/proto-utils.js'
import { DefaultLogger, makeTelemetryFilterString, Runtime, Worker, type WorkflowBundle } from '@temporalio/worker'
import { DeterminismViolationError } from '@temporalio/workflow'
import { beforeAll, describe, expect, it } from 'vitest'
import { packageRoot } from '../../../src/temporal/package-root.js'
import * as workflows from '../../../src/workflows/index.js'
import { bundleOf, PRODUCT } from '../../support/bundles.js'

const FOLDER = join(packageRoot(), 'test', 'histories')
let workflowBundle: WorkflowBundle

beforeAll(async () => {
  // Histories that must not replay would fill the screen with warnings.
  Runtime.install({
    logger: new DefaultLogger('ERROR'),
    telemetryOptions: { logging: { filter: makeTelemetryFilterString({ core: 'ERROR', other: 'ERROR' }) } },
  })
  workflowBundle = await bundleOf(PRODUCT)
}, 120_000)

const casesOf = (type: string): string[] => {
  try {
    return readdirSync(join(FOLDER, type)).map((file) => join(type, file))
  } catch {
    return []
  }
}
const types = Object.keys(workflows)
const cases = types.flatMap(casesOf)
const recorded = (path: string) => historyFromJSON(JSON.parse(readFileSync(join(FOLDER, path), 'utf8')))

async function* histories(paths: readonly string[]) {
  for (const path of paths) yield { workflowId: path, history: recorded(path) }
}

describe('a history of an earlier release', () => {
  it('is kept of every workflow, and of nothing else', () => {
    expect(types.filter((type) => casesOf(type).length === 0)).toEqual([])
    expect(readdirSync(FOLDER).filter((type) => !types.includes(type))).toEqual([])
  })

  it('replays with the workflows of today', { timeout: 120_000 }, async () => {
    const failed: string[] = []
    let replayed = 0
    for await (const { workflowId, error } of Worker.runReplayHistories({ workflowBundle }, histories(cases))) {
      replayed += 1
      if (error !== undefined) failed.push(`${workflowId}: ${error.message}`)
    }
    expect(failed).toEqual([])
    expect(replayed).toBe(cases.length)
  })

  it('that another workflow would have made does not replay', { timeout: 60_000 }, async () => {
    for (const path of [...new Set(cases.map((each) => each.split('/')[0] ?? ''))].flatMap((type) => casesOf(type).slice(0, 1))) {
      const history = recorded(path)
      const scheduled = history.events?.find((event) => event.activityTaskScheduledEventAttributes != null)?.activityTaskScheduledEventAttributes
      if (scheduled?.activityType == null) continue
      scheduled.activityType.name = 'anotherActivity'
      await expect(Worker.runReplayHistory({ workflowBundle }, history, path), path).rejects.toThrow(DeterminismViolationError)
    }
  })
})
