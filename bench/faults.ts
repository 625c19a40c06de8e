/**
 * `npm run --silent faults -- RUNBOOK`: kills the worker at every point of a runbook and compares the effects with those of an unfaulted run.
 * What a runbook has to bring for it, and what is compared, stands in `fault-scenario.ts`.
 */
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Client } from '@temporalio/client'
import { Command } from 'commander'
import { execa } from 'execa'
import { canonicalJson } from '../src/domain/canonical.js'
import { taskQueueOf } from '../src/domain/ids.js'
import { loadRunbooks } from '../src/runbooks/index.js'
import { bundleWorkflows } from '../src/temporal/bundle-workflows.js'
import { connectClient, targetOfAddress } from '../src/temporal/connection.js'
import { startDevServer } from '../src/temporal/dev-server.js'
import { prepareNamespace } from '../src/temporal/namespace.js'
import { packageRoot } from '../src/temporal/package-root.js'
import { anyFreePort } from '../src/temporal/ports.js'
import { resolveServerBinary } from '../src/temporal/server-binary.js'
import type { FaultPlace, FaultScenario } from './fault-scenario.js'
import { FAULT_SCENARIOS } from './fault-scenarios/index.js'
import type { FaultWorkerSettings } from './fault-worker.js'
import { type BenchLab, benchLab } from './lab.js'

const say = (line: string): void => void process.stderr.write(`${line}\n`)

/** A run that has not ended by then is a finding of its own. */
const RUN_SECONDS = 120

/** What must be the same with and without a fault. */
interface Outcome {
  readonly effects: readonly string[]
  readonly state: unknown
  readonly receipts: string
}

interface Bench {
  readonly scenario: FaultScenario
  readonly lab: BenchLab
  readonly work: string
  readonly bundle: string
  readonly address: string
  readonly client: Client
  readonly estateId: string
}

async function faultsOf(scenario: FaultScenario): Promise<{ passed: number; failed: number }> {
  const work = await mkdtemp(join(tmpdir(), 'nightshift-faults-'))
  const bundle = join(work, 'workflow-bundle.js')
  const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))
  await bundleWorkflows(here('../src/workflows/index.js'), bundle, [here('./fault-heartbeat.js')])
  const lab = await benchLab(scenario.hosts, say)
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
      try {
        await prepareNamespace(connection, estate.id)
        return await killEverywhere({ scenario, lab, work, bundle, address: server.address, client, estateId: estate.id })
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

async function killEverywhere(bench: Bench): Promise<{ passed: number; failed: number }> {
  const unfaulted = await runWithFault(bench, 'unfaulted')
  say(`${unfaulted.points.length} points: ${unfaulted.points.join(', ')}`)
  let passed = 0
  for (const point of unfaulted.points) {
    const from = performance.now()
    const wrong = await runWithFault(bench, point).then(
      (faulted) => differences(unfaulted.outcome, faulted),
      (error: unknown) => [error instanceof Error ? error.message : String(error)],
    )
    if (wrong.length === 0) passed += 1
    const seconds = ((performance.now() - from) / 1000).toFixed(1)
    process.stdout.write(`${wrong.length === 0 ? 'ok  ' : 'FAIL'} kill -9 at ${point} (${seconds} s)${wrong.length === 0 ? '' : `: ${wrong.join('; ')}`}\n`)
  }
  return { passed, failed: unfaulted.points.length - passed }
}

function differences(expected: Outcome, faulted: { died: boolean; outcome: Outcome }): string[] {
  const what = { effects: 'other effects', state: 'another final state', receipts: 'other receipts' } as const
  const wrong = Object.entries(what).flatMap(([key, words]) => {
    const [was, is] = [expected, faulted.outcome].map((outcome) => canonicalJson(outcome[key as keyof Outcome]))
    return was === is ? [] : [`${words}: ${firstDifference(was ?? '', is ?? '')}`]
  })
  return faulted.died ? wrong : ['the worker did not die there, so nothing was shown', ...wrong]
}

/** One run from an empty state folder and a prepared lab; a worker that dies is started again, as a supervisor would. */
async function runWithFault(bench: Bench, point: string): Promise<{ died: boolean; points: string[]; outcome: Outcome }> {
  const { scenario, lab, client, estateId } = bench
  const name = point.replace(/[:#]/g, '-')
  const stateDir = join(bench.work, name)
  const config = join(bench.work, `${name}.config`)
  await cp(lab.config, config, { recursive: true })
  const place: FaultPlace = { lab, estateId, config, stateDir, client, taskQueue: taskQueueOf(estateId) }
  await scenario.prepare(place)
  const before = (await effectsOn(bench)).length
  const passed = join(bench.work, `${name}.passed`)
  const supervisor = superviseWorker({
    config,
    stateDir,
    address: bench.address,
    bundle: bench.bundle,
    marker: join(bench.work, `${name}.marker`),
    passed,
    ...(point === 'unfaulted' ? {} : { killAt: point }),
  })
  try {
    await supervisor.ready
    const handle = await scenario.start(place)
    const [result] = await inTime(Promise.race([Promise.all([handle.result(), scenario.drive?.(place, handle)]), supervisor.crashed]), point)
    const effects = (await effectsOn(bench)).slice(before).sort()
    const outcome = { effects, state: await scenario.finalState(place, result), receipts: await receiptsIn(stateDir, config) }
    const points = (await readFile(passed, 'utf8')).trim().split('\n')
    return { died: supervisor.deaths() > 0, points: [...new Set(points)], outcome }
  } finally {
    await supervisor.stop()
  }
}

async function inTime<T>(work: Promise<T>, point: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`the run (${point}) has not ended after ${RUN_SECONDS} s`)), RUN_SECONDS * 1000)
  })
  return await Promise.race([work, late]).finally(() => clearTimeout(timer))
}

/** `EFFECT SUBJECT` from the ledgers of the hosts, oldest first on each; what the hosts' own schedulers did is not ours. */
async function effectsOn({ lab, scenario }: Bench): Promise<string[]> {
  const ledgers = await Promise.all(scenario.hosts.map((host) => lab.ledger(host)))
  return ledgers.flat().flatMap(({ by, effect, subject }) => (/^(pvescheduler|nightshift-lab-pve)\b/.test(by) ? [] : [`${effect} ${subject}`]))
}

async function receiptsIn(stateDir: string, config: string): Promise<string> {
  const program = join(packageRoot(), 'bin', 'nightshift.js')
  const { stdout } = await execa(process.execPath, [program, 'receipts', 'verify', '--json', '--config', config], {
    env: { NIGHTSHIFT_STATE: stateDir },
    reject: false,
  })
  const verified = JSON.parse(stdout) as { ok: boolean; count: number; firstBad: unknown }
  return verified.ok ? `${verified.count}, chain ok` : `${verified.count}, ${JSON.stringify(verified.firstBad)}`
}

interface Supervisor {
  readonly ready: Promise<unknown>
  /** Rejects when a worker ends that was not killed. */
  readonly crashed: Promise<never>
  deaths(): number
  stop(): Promise<void>
}

function superviseWorker(settings: FaultWorkerSettings): Supervisor {
  const program = join(packageRoot(), 'dist', 'bench', 'fault-worker.js')
  let deaths = 0
  let stopping = false
  let child = start()
  const ready = new Promise<void>((resolve) => child.stdout.once('data', () => resolve()))
  const over = (async () => {
    for (;;) {
      const { signal, exitCode } = await child
      if (stopping) return
      if (signal !== 'SIGKILL') throw new Error(`the worker ended by itself (${signal ?? `exit code ${exitCode}`}); its words are above`)
      deaths += 1
      child = start()
    }
  })()
  const crashed = over.then(() => new Promise<never>(() => {}))
  crashed.catch(() => {})
  function start() {
    return execa(process.execPath, [program, JSON.stringify(settings)], { reject: false, stdin: 'ignore', stderr: 'inherit' })
  }
  return {
    ready: Promise.race([ready, crashed]),
    crashed,
    deaths: () => deaths,
    async stop() {
      stopping = true
      child.kill('SIGTERM')
      await over
    },
  }
}

/** The place where two texts begin to differ, with a little of both. */
function firstDifference(was: string, is: string): string {
  let at = 0
  while (at < was.length && was[at] === is[at]) at += 1
  const from = Math.max(0, at - 40)
  return `${is.slice(from, from + 240)} instead of ${was.slice(from, from + 240)}`
}

const known = Object.keys(FAULT_SCENARIOS)
const program = new Command('faults')
  .description('Kills the worker at every point of a runbook and compares the effects with an unfaulted run.')
  .argument('<runbook>', known.join(', '))
  .addHelpText('after', '\nExample:\n  $ npm run --silent faults -- backupMonitor')
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 64))
  .action(async (runbook: string) => {
    const scenario = FAULT_SCENARIOS[runbook]
    if (scenario === undefined) {
      process.stderr.write(`faults: there is no runbook ${runbook}\n  → known: ${known.join(', ')}\n`)
      process.exitCode = 64
      return
    }
    const { passed, failed } = await faultsOf(scenario)
    process.stdout.write(`${passed} passed, ${failed} failed\n`)
    process.exitCode = failed === 0 ? 0 : 1
  })

await program.parseAsync()
