/**
 * `npm run --silent faults -- RUNBOOK`: kills the worker at every point of a runbook and compares the effects with those of an unfaulted run.
 * The points are taken from the history of the unfaulted run, not written down by hand: for each activity before and after its effect.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Client } from '@temporalio/client'
import { Command } from 'commander'
import { execa } from 'execa'
import { canonicalJson, sha256Hex } from '../src/domain/canonical.js'
import { taskQueueOf, workflowIds } from '../src/domain/ids.js'
import type { StatusDocument } from '../src/domain/status.js'
import { loadRunbooks } from '../src/runbooks/index.js'
import { readStatusFile } from '../src/state/index.js'
import { connectClient, targetOfAddress } from '../src/temporal/connection.js'
import { startDevServer } from '../src/temporal/dev-server.js'
import { prepareNamespace } from '../src/temporal/namespace.js'
import { packageRoot } from '../src/temporal/package-root.js'
import { anyFreePort } from '../src/temporal/ports.js'
import { resolveServerBinary } from '../src/temporal/server-binary.js'
import type { FaultWorkerSettings } from './fault-worker.js'
import { benchLab } from './lab.js'

const say = (line: string): void => void process.stderr.write(`${line}\n`)

interface Effects {
  /** What was judged, without the times that differ from pass to pass. */
  readonly judged: string
  readonly receipts: number
  readonly chain: string
}

interface Estate {
  readonly config: string
  readonly work: string
  readonly address: string
  readonly client: Client
  readonly estateId: string
}

/** Hosts are few: every point costs a pass and the time until Temporal notices that a worker is gone. */
const FAULT_HOSTS = ['pve', 'nas'] as const

async function faultsOfMonitor(): Promise<{ passed: number; failed: number }> {
  const work = await mkdtemp(join(tmpdir(), 'nightshift-faults-'))
  const lab = await benchLab(FAULT_HOSTS, say)
  try {
    const { estate } = await loadRunbooks(lab.config)
    const server = await startDevServer({
      binaryPath: await resolveServerBinary(say),
      databasePath: join(work, 'temporal', 'temporal.db'),
      port: await anyFreePort(),
      say,
    })
    try {
      const { client, connection, close } = await connectClient(targetOfAddress(server.address, estate.id))
      await prepareNamespace(connection, estate.id)
      try {
        return await killEverywhere({ config: lab.config, work, address: server.address, client, estateId: estate.id })
      } finally {
        await close()
      }
    } finally {
      await server.stop()
    }
  } finally {
    await lab.down()
    await rm(work, { recursive: true, force: true })
  }
}

async function killEverywhere(estate: Estate): Promise<{ passed: number; failed: number }> {
  const unfaulted = await passWithFault(estate, 'unfaulted')
  const points = unfaulted.activities.flatMap((activity) => [`${activity}:before`, `${activity}:after`])
  say(`${points.length} points: ${points.join(', ')}`)
  let passed = 0
  for (const point of points) {
    const faulted = await passWithFault(estate, point)
    const wrong = differences(unfaulted.effects, faulted)
    if (wrong.length === 0) passed += 1
    process.stdout.write(`${wrong.length === 0 ? 'ok  ' : 'FAIL'} kill -9 at ${point}${wrong.length === 0 ? '' : `: ${wrong.join('; ')}`}\n`)
  }
  return { passed, failed: points.length - passed }
}

function differences(expected: Effects, faulted: { died: boolean; effects: Effects }): string[] {
  return [
    ...(faulted.died ? [] : ['the worker did not die there, so nothing was shown']),
    ...(faulted.effects.judged === expected.judged ? [] : ['another status was written']),
    ...(faulted.effects.receipts === expected.receipts ? [] : [`${faulted.effects.receipts} receipts instead of ${expected.receipts}`]),
    ...(faulted.effects.chain === expected.chain ? [] : [`the chain of receipts: ${faulted.effects.chain}`]),
  ]
}

/** One pass from an empty state folder; a worker that dies is started again, as a supervisor would. */
async function passWithFault(estate: Estate, point: string): Promise<{ died: boolean; activities: string[]; effects: Effects }> {
  const name = point.replace(':', '-')
  const stateDir = join(estate.work, name)
  const settings: FaultWorkerSettings = {
    config: estate.config,
    stateDir,
    address: estate.address,
    marker: join(estate.work, `${name}.marker`),
    ...(point === 'unfaulted' ? {} : { killAt: point }),
  }
  const supervisor = superviseWorker(settings)
  try {
    await supervisor.ready
    const workflowId = workflowIds.monitor(estate.estateId)
    const handle = await estate.client.workflow.start('backupMonitor', { workflowId, taskQueue: taskQueueOf(estate.estateId), args: [{}] })
    await handle.result()
    const { events } = await handle.fetchHistory()
    const activities = events?.map((event) => event.activityTaskScheduledEventAttributes?.activityType?.name).filter((each) => typeof each === 'string') ?? []
    return { died: supervisor.deaths() > 0, activities: [...new Set(activities)], effects: await effectsIn(stateDir, estate.config) }
  } finally {
    await supervisor.stop()
  }
}

function superviseWorker(settings: FaultWorkerSettings): { ready: Promise<void>; deaths: () => number; stop: () => Promise<void> } {
  const program = join(packageRoot(), 'dist', 'bench', 'fault-worker.js')
  let deaths = 0
  let stopping = false
  let child = start()
  const ready = new Promise<void>((resolve) => child.stdout.once('data', () => resolve()))
  const over = (async () => {
    for (;;) {
      const { signal } = await child
      if (stopping) return
      if (signal === 'SIGKILL') deaths += 1
      child = start()
    }
  })()
  function start() {
    return execa(process.execPath, [program, JSON.stringify(settings)], { reject: false, stdin: 'ignore', stderr: 'inherit' })
  }
  return {
    ready,
    deaths: () => deaths,
    async stop() {
      stopping = true
      child.kill('SIGTERM')
      await over
    },
  }
}

async function effectsIn(stateDir: string, config: string): Promise<Effects> {
  const status = readStatusFile(stateDir)
  if (status === undefined) throw new Error(`no status in ${stateDir}`)
  const program = join(packageRoot(), 'bin', 'nightshift.js')
  const { stdout } = await execa(process.execPath, [program, 'receipts', 'verify', '--json', '--config', config], {
    env: { NIGHTSHIFT_STATE: stateDir },
    reject: false,
  })
  const verified = JSON.parse(stdout) as { ok: boolean; count: number; firstBad: unknown }
  return { judged: sha256Hex(canonicalJson(judgedOnly(status))), receipts: verified.count, chain: verified.ok ? 'ok' : JSON.stringify(verified.firstBad) }
}

/** States and reasons by subject: what two passes over the same hosts must agree on. */
function judgedOnly(status: StatusDocument): unknown {
  const rows = [...status.targets, ...status.guests, ...status.jobs, ...status.storages, ...status.hosts] as {
    state: string
    reason: string
    severity: string
    id?: string
    host?: string
    vmid?: number
  }[]
  return {
    verdict: status.verdict,
    expected: status.expected,
    seen: status.seen,
    rows: rows.map(({ state, reason, severity, id, host, vmid }) => [host ?? null, id ?? vmid ?? null, state, reason, severity]),
    findings: status.findings.map(({ subject, condition, reason, severity }) => [subject, condition, reason, severity]),
  }
}

const program = new Command('faults')
  .description('Kills the worker at every point of a runbook and compares the effects with an unfaulted run.')
  .argument('<runbook>', 'backupMonitor')
  .addHelpText('after', '\nExample:\n  $ npm run --silent faults -- backupMonitor')
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 64))
  .action(async (runbook: string) => {
    if (runbook !== 'backupMonitor') {
      process.stderr.write(`faults: there is no runbook ${runbook}\n  → known: backupMonitor\n`)
      process.exitCode = 64
      return
    }
    const { passed, failed } = await faultsOfMonitor()
    process.stdout.write(`${passed} passed, ${failed} failed\n`)
    process.exitCode = failed === 0 ? 0 : 1
  })

await program.parseAsync()
