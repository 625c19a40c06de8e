/**
 * `node dist/bench/record-histories.js`: runs every workflow in a lab of its own and adds their histories to `test/histories/<workflow>/<case>-<version>.json`.
 * A release that may still have to replay them adds its own; what is there stays (`test/unit/workflows/replay.test.ts`).
 */

import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Client } from '@temporalio/client'
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js'
import { Command } from 'commander'
import { workflowIds } from '../src/domain/ids.js'
import { workflowBundlePath } from '../src/temporal/bundle-workflows.js'
import { packageRoot, packageVersion } from '../src/temporal/package-root.js'
import { answerEverything } from './fault-client.js'
import { FaultLane } from './fault-lane.js'
import type { FaultPlace, FaultScenario } from './fault-scenario.js'
import { FAULT_SCENARIOS } from './fault-scenarios/index.js'

const { backupMonitor, retentionPrune, vzdumpEnrollment, vzdumpJobs } = FAULT_SCENARIOS as Record<string, FaultScenario>

const starting = (scenario: FaultScenario | undefined, workflow: string, args: (place: FaultPlace) => Promise<object>): FaultScenario => {
  if (scenario === undefined) throw new Error(`there is no scenario to start ${workflow} from`)
  const { approver: _, meanwhile: _meanwhile, ...rest } = scenario
  return {
    ...rest,
    start: async (place) =>
      await place.client.workflow.start(workflow, { workflowId: `recorded/${workflow}`, taskQueue: place.taskQueue, args: [await args(place)] }),
    finalState: async () => null,
  }
}

/** Names say what happened. */
const CASES: Readonly<Record<string, FaultScenario | undefined>> = {
  'pass-with-most-hosts-away': backupMonitor,
  'pass-within-its-tasks': backupMonitor,
  'found-approved-and-applied': vzdumpJobs,
  audit: starting(vzdumpJobs, 'vzdumpJobs', async () => ({ host: 'proxmox-home', mode: 'audit' })),
  'two-archives-removed': retentionPrune,
  preview: starting(retentionPrune, 'retentionPrune', async () => ({ host: 'pve' })),
  'readable-archive': starting(retentionPrune, 'verifyArtifact', async ({ lab }) => {
    const { stdout } = await lab.host('pve').exec(['sh', '-c', 'ls /tank/backups/vzdump/dump | grep -- "-211-.*zst$" | tail -n 1'])
    return { host: 'pve', volid: `tank-backups:backup/${stdout.trim()}` }
  }),
  'first-artifact-proven': vzdumpEnrollment,
  'planned-and-rejected': {
    ...starting(vzdumpEnrollment, 'emailRelay', async () => ({ host: 'pve', requestedBy: 'ronny' })),
    meanwhile: (_, handle, over) => answerEverything(handle, 'reject', 'ronny', over),
  },
  'gates-of-a-new-estate': starting(backupMonitor, 'driftGates', async () => ({})),
  // The first pass starts the alert desk, which the canary asks.
  'canary-asked': starting(backupMonitor, 'alertCanary', async ({ client, estateId, taskQueue }) => {
    await client.workflow.execute('backupMonitor', { workflowId: workflowIds.monitor(estateId), taskQueue, args: [{}] })
    return {}
  }),
}

/** @returns false when a case went wrong; the others are recorded all the same */
async function record(only: readonly string[] | undefined): Promise<boolean> {
  const work = await mkdtemp(join(tmpdir(), 'nightshift-histories-'))
  const say = (line: string): void => void process.stderr.write(`${line}\n`)
  const lane = await FaultLane.open(1, { hosts: ['pve', 'nas', 'proxmox-home'], work, bundle: workflowBundlePath(), say })
  let isWhole = true
  try {
    for (const [name, scenario] of Object.entries(CASES)) {
      if (scenario === undefined || (only !== undefined && !only.includes(name))) continue
      await lane.prepare(scenario)
      const since = new Date()
      await lane
        .run([], (client) => keepAll(client, since, name, say))
        .catch((error: unknown) => {
          isWhole = false
          say(`${name}: ${String(error)}`)
        })
    }
    return isWhole
  } finally {
    await lane.close()
    await rm(work, { recursive: true, force: true })
  }
}

async function keepAll(client: Client, since: Date, name: string, say: (line: string) => void): Promise<void> {
  const perType = new Map<string, number>()
  for await (const { type, workflowId, runId } of client.workflow.list({ query: `StartTime >= '${since.toISOString()}'` })) {
    const number = (perType.get(type) ?? 0) + 1
    perType.set(type, number)
    const folder = join(packageRoot(), 'test', 'histories', type)
    const path = join(folder, `${name}${number === 1 ? '' : `-${number}`}-${packageVersion()}.json`)
    if (existsSync(path)) {
      say(`${path} is there already and stays`)
      continue
    }
    mkdirSync(folder, { recursive: true })
    const whole = historyToJSON(await client.workflow.getHandle(workflowId, runId).fetchHistory())
    // Which machine and process it was is of no consequence.
    const text = whole.replace(/"identity": *"[^"]*"/g, '"identity":"recorded"')
    writeFileSync(path, `${JSON.stringify(JSON.parse(text))}\n`)
    say(path)
  }
}

await new Command('record-histories')
  .description('Adds histories of every workflow to test/histories. Needs a built checkout, and the machine that a lab needs.')
  .option('--only <case...>', Object.keys(CASES).join(', '))
  .action(async ({ only }: { only?: string[] }) => {
    process.exitCode = (await record(only)) ? 0 : 1
  })
  .parseAsync()
