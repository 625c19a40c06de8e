/**
 * How long a pass of the monitor takes, beside the raw floor measured in the same run.
 * Everything is real: a lab with sshd on each host, a Temporal server, a worker; ours and raw take turns, so that both meet the same machine.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Client } from '@temporalio/client'
import { NativeConnection } from '@temporalio/worker'
import { execa } from 'execa'
import { taskQueueOf, workflowIds } from '../src/domain/ids.js'
import type { PassResult, SiteReading } from '../src/domain/monitor.js'
import type { HostObservation } from '../src/domain/observation.js'
import { planHostProbe } from '../src/domain/probe/plan.js'
import { renderProbeScript } from '../src/domain/probe/script.js'
import { loadRunbooks } from '../src/runbooks/index.js'
import { openState, type StateFolder } from '../src/state/index.js'
import { connectClient, targetOfAddress } from '../src/temporal/connection.js'
import { startDevServer } from '../src/temporal/dev-server.js'
import { prepareNamespace } from '../src/temporal/namespace.js'
import { packageRoot } from '../src/temporal/package-root.js'
import { anyFreePort } from '../src/temporal/ports.js'
import { resolveServerBinary } from '../src/temporal/server-binary.js'
import { type RunningWorkers, startHomeWorker } from '../src/worker.js'
import { HOSTS, sevenHosts } from './estate.js'
import { benchLab } from './lab.js'
import { closeRaw, type RawHost, readRaw } from './raw.js'
import { median, roundTo, timed } from './stats.js'

export interface MonitorBenchOptions {
  readonly rounds: number
  readonly say: (line: string) => void
}

interface Compared {
  oursMs: number[]
  rawMs: number[]
  medianOursMs: number
  medianRawMs: number
  ratio: number
}

/** Runs the whole benchmark in a lab and a Temporal server of its own, which are gone afterwards. */
export async function benchMonitor({ rounds, say }: MonitorBenchOptions): Promise<Record<string, unknown>> {
  const work = await mkdtemp(join(tmpdir(), 'nightshift-bench-'))
  const lab = await benchLab(HOSTS, say)
  try {
    const config = await sevenHosts(lab.config, join(work, 'seven'))
    const bench = await startBench(config, join(work, 'seven-state'), work)
    try {
      say(`${bench.enabledTargets} enabled targets on ${bench.hosts.length} hosts, ${rounds} rounds`)
      await bench.pass()
      const cold = await compareCold(bench, rounds, say)
      const warm = await compareWarm(bench, rounds, work, say)
      const stages = await stagesOf(bench)
      const history = await historyOf(bench)
      await lab.latency(550)
      const status = await benchStatus(rounds, { ...process.env, NIGHTSHIFT_CONFIG: config, NIGHTSHIFT_STATE: join(work, 'seven-state') })
      say('0.55 s per Proxmox process')
      const realMs = await repeat(5, async () => (await timed(() => bench.pass())).ms)
      await lab.latency(0)
      const residentMb = roundTo(process.memoryUsage().rss / 1e6, 1)
      const callsPerHost = await bench.proxmoxCalls()
      await bench.stop()
      say('1,000 targets on 50 names')
      const scale = await benchScale(lab.config, work, rounds)
      return {
        bench: 'monitor',
        rounds,
        targets: bench.enabledTargets,
        hosts: bench.hosts.length,
        cold,
        warm,
        real: { oursMs: realMs, medianOursMs: median(realMs), latencyPerProxmoxProcessMs: 550 },
        scale,
        callsPerHost,
        ...history,
        workerRssMb: residentMb,
        stages,
        status,
      }
    } finally {
      await bench.stop()
    }
  } finally {
    await lab.down()
    await rm(work, { recursive: true, force: true })
  }
}

export interface Bench {
  readonly client: Client
  readonly estateId: string
  readonly state: StateFolder
  readonly hosts: readonly RawHost[]
  readonly sshConfigPath: string
  readonly enabledTargets: number
  worker: RunningWorkers
  /** One pass, from workflow start to result. */
  pass(): Promise<PassResult & { workflowRunId: string }>
  proxmoxCalls(): Promise<Record<string, number>>
  stop(): Promise<void>
}

/** A Temporal server and a worker of its own for a configuration folder. */
export async function startBench(config: string, stateDir: string, work: string): Promise<Bench> {
  const runbooks = await loadRunbooks(config)
  const { estate } = runbooks
  const server = await startDevServer({
    binaryPath: await resolveServerBinary(),
    databasePath: join(work, `${estate.id}-${Date.now()}`, 'temporal.db'),
    port: await anyFreePort(),
  })
  const target = targetOfAddress(server.address, estate.id)
  const { client, connection, close } = await connectClient(target)
  await prepareNamespace(connection, estate.id)
  const native = await NativeConnection.connect(target.connectionOptions)
  const state = await openState({ dir: stateDir, estateId: estate.id })
  const worker = await startHomeWorker({ connection: native, namespace: target.namespace, configDir: config, runbooks, state })
  let stopped: Promise<void> | undefined
  const bench: Bench = {
    client,
    estateId: estate.id,
    state,
    sshConfigPath: estate.ssh.configPath,
    enabledTargets: runbooks.inventory.targets.filter((each) => each.enabled).length,
    hosts: estate.hosts.map((host) => {
      const plan = planHostProbe(runbooks, host.name)
      return { alias: host.sshAlias, script: renderProbeScript(plan, '0123456789abcdef0123456789abcdef0123'), sudo: plan.sudo, deadlineMs: plan.deadlineMs }
    }),
    worker,
    async pass() {
      const handle = await client.workflow.start('backupMonitor', { workflowId: workflowIds.monitor(estate.id), taskQueue: taskQueueOf(estate.id), args: [{}] })
      const result = (await handle.result()) as PassResult
      if (result.seen !== result.expected)
        throw new Error(`a pass saw ${result.seen} of ${result.expected} targets: not worth measuring (${JSON.stringify(result.findings)})`)
      return { ...result, workflowRunId: handle.firstExecutionRunId }
    },
    async proxmoxCalls() {
      const { value } = await timed(async () => state.getObservations((await bench.pass()).passId))
      return callsByHost(value.flatMap((each) => each.value as HostObservation[]))
    },
    stop() {
      stopped ??= (async () => {
        worker.shutdown()
        await worker.stopped
        state.close()
        await native.close()
        await close()
        await server.stop()
      })()
      return stopped
    },
  }
  return bench
}

/** Jobs, tasks, VMs, containers, storages and their configuration; then one for each schedule and each guest agent that was asked. */
function callsByHost(observations: readonly HostObservation[]): Record<string, number> {
  return Object.fromEntries(
    observations.flatMap(({ host, proxmox }) => (proxmox === null ? [] : [[host, 6 + proxmox.schedules.length + proxmox.agents.length]])),
  )
}

/** New connections on both sides. */
async function compareCold(bench: Bench, rounds: number, say: (line: string) => void): Promise<Compared> {
  return compare(rounds, 'cold', say, {
    async ours() {
      await bench.worker.sshPool.disconnect()
      return (await timed(() => bench.pass())).ms
    },
    raw: async () => (await timed(() => readRaw(bench.hosts, { sshConfigPath: bench.sshConfigPath }))).ms,
  })
}

/** Kept connections on both sides. */
async function compareWarm(bench: Bench, rounds: number, work: string, say: (line: string) => void): Promise<Compared & { overMs: number }> {
  const raw = { sshConfigPath: bench.sshConfigPath, controlFolder: work }
  await bench.pass()
  await readRaw(bench.hosts, raw)
  try {
    const compared = await compare(rounds, 'warm', say, {
      ours: async () => (await timed(() => bench.pass())).ms,
      raw: async () => (await timed(() => readRaw(bench.hosts, raw))).ms,
    })
    return { ...compared, overMs: roundTo(compared.medianOursMs - compared.medianRawMs, 1) }
  } finally {
    await closeRaw(bench.hosts, raw)
  }
}

async function compare(
  rounds: number,
  name: string,
  say: (line: string) => void,
  sides: { ours: () => Promise<number>; raw: () => Promise<number> },
): Promise<Compared> {
  const oursMs: number[] = []
  const rawMs: number[] = []
  for (let round = 0; round < rounds; round++) {
    // They take turns at going first.
    const order = round % 2 === 0 ? (['ours', 'raw'] as const) : (['raw', 'ours'] as const)
    for (const side of order) (side === 'ours' ? oursMs : rawMs).push(await sides[side]())
  }
  const medianOursMs = roundTo(median(oursMs), 1)
  const medianRawMs = roundTo(median(rawMs), 1)
  say(`${name}: ours ${medianOursMs} ms, raw ${medianRawMs} ms`)
  return { oursMs, rawMs, medianOursMs, medianRawMs, ratio: roundTo(medianOursMs / medianRawMs, 3) }
}

export async function repeat(times: number, work: () => Promise<number>): Promise<number[]> {
  const samples: number[] = []
  for (let turn = 0; turn < times; turn++) samples.push(await work())
  return samples
}

/** Where the time of one cold pass goes, milliseconds: from its history (start, reading, end) and from what the activities measured (connect, judge, write). */
async function stagesOf(bench: Bench): Promise<Record<string, number>> {
  await bench.worker.sshPool.disconnect()
  const { workflowRunId, stageMs } = await bench.pass()
  const { events } = await bench.client.workflow.getHandle(workflowIds.monitor(bench.estateId), workflowRunId).fetchHistory()
  const at = (event: { eventTime?: { seconds?: unknown; nanos?: number | null } | null } | undefined): number =>
    Number(event?.eventTime?.seconds ?? 0) * 1000 + (event?.eventTime?.nanos ?? 0) / 1e6
  const scheduled = (name: string) => events?.find((event) => event.activityTaskScheduledEventAttributes?.activityType?.name === name)
  const readings = (events ?? [])
    .flatMap((event) => event.activityTaskCompletedEventAttributes?.result?.payloads ?? [])
    .flatMap((payload) => {
      const value = JSON.parse(Buffer.from(payload.data ?? []).toString('utf8')) as Partial<SiteReading>
      return value.slowestConnectMs === undefined ? [] : [value.slowestConnectMs]
    })
  const connect = Math.max(0, ...readings)
  const reading = at(scheduled('observeSite'))
  const closing = Math.max(...(events ?? []).filter((event) => event.activityTaskCompletedEventAttributes).map(at))
  const end = at(events?.[events.length - 1])
  return {
    start: roundTo(reading - at(events?.[0]), 1),
    connect,
    remote: roundTo(closing - reading - connect, 1),
    judge: stageMs.judge,
    write: stageMs.write,
    end: roundTo(end - closing - stageMs.judge - stageMs.write, 1),
  }
}

export async function historyOf(bench: Bench): Promise<{ historyEvents: number; historyBytes: number }> {
  const { workflowRunId } = await bench.pass()
  const { historyLength, historySize } = await bench.client.workflow.getHandle(workflowIds.monitor(bench.estateId), workflowRunId).describe()
  return { historyEvents: historyLength, historyBytes: historySize ?? Number.NaN }
}

/** In a process of its own, so that its memory is that of one worker. */
async function benchScale(labConfig: string, work: string, rounds: number): Promise<Record<string, unknown>> {
  const program = fileURLToPath(new URL('./scale.js', import.meta.url))
  const { stdout } = await execa(process.execPath, [program, labConfig, work, String(Math.min(5, rounds))], { stdin: 'ignore', stderr: 'inherit' })
  return JSON.parse(stdout) as Record<string, unknown>
}

/** The time of the installed `nightshift status`, beside a Node process that does nothing. */
async function benchStatus(rounds: number, env: NodeJS.ProcessEnv): Promise<{ oursMs: number[]; rawMs: number[]; medianOursMs: number; medianRawMs: number }> {
  const program = join(packageRoot(), 'bin', 'nightshift.js')
  const time = async (args: readonly string[]) => (await timed(() => execa(process.execPath, args, { reject: false, env, extendEnv: false }))).ms
  const oursMs: number[] = []
  const rawMs: number[] = []
  for (let round = 0; round < rounds; round++) {
    oursMs.push(await time([program, 'status', '--json']))
    rawMs.push(await time(['--eval', '']))
  }
  return { oursMs, rawMs, medianOursMs: roundTo(median(oursMs), 1), medianRawMs: roundTo(median(rawMs), 1) }
}
