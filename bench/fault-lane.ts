/**
 * Where faults are tried: a lab, a Temporal server and workers of their own, used for one run after the other. What a run changed on the hosts is put
 * back before the next.
 */
import { appendFileSync, existsSync } from 'node:fs'
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Client, Connection } from '@temporalio/client'
import { downLab } from '../lab/down.js'
import type { Lab } from '../lab/lab.js'
import { upLab } from '../lab/up.js'
import { taskQueueOf } from '../src/domain/ids.js'
import { loadRunbooks } from '../src/runbooks/index.js'
import { readTrustedKeys, STATE_NAMES, verifyChain } from '../src/state/index.js'
import { targetOfAddress } from '../src/temporal/connection.js'
import { type DevServer, type DevServerOptions, startDevServer } from '../src/temporal/dev-server.js'
import { prepareNamespace } from '../src/temporal/namespace.js'
import { anyFreePort } from '../src/temporal/ports.js'
import { resolveServerBinary } from '../src/temporal/server-binary.js'
import { answerEverything, retrying } from './fault-client.js'
import { EffectGate, effectsOf, type Ledgers, ledgerLength, type MadeEffect, putBack, remember } from './fault-hosts.js'
import type { FaultPlace, FaultScenario } from './fault-scenario.js'
import { type FaultWorker, SpareWorkers } from './fault-workers.js'

/** A run that has not ended by then is a finding of its own. */
const RUN_SECONDS = 150

/** One thing that dies at one point. */
export interface Fault {
  readonly point: string
  readonly dies: 'worker' | 'server'
  /** Of an effect: whether the command that made it dies with the worker. */
  readonly host?: 'goes on' | 'dies'
  /** Of an effect: the job, storage, guest, archive or task. */
  readonly subject?: string
}

/** What must be the same with and without a fault. */
export interface Outcome {
  readonly effects: readonly string[]
  readonly state: unknown
  readonly receipts: string
}

export interface RunReport {
  readonly outcome: Outcome
  /** Points that were passed, in order. */
  readonly passed: readonly string[]
  readonly effects: readonly MadeEffect[]
  /** Points at which the fault happened. */
  readonly happened: ReadonlySet<string>
}

export class FaultLane {
  private scenario: FaultScenario | undefined
  private runs = 0
  private restart: Promise<void> = Promise.resolve()

  private constructor(
    readonly lab: Lab,
    private readonly estateId: string,
    private readonly work: string,
    private readonly bundle: string,
    private readonly serverOptions: DevServerOptions,
    private server: DevServer,
    private readonly connection: Connection,
    private readonly client: Client,
    private readonly workers: SpareWorkers,
  ) {}

  static async open(number: number, of: { hosts: readonly string[]; work: string; bundle: string; say: (line: string) => void }): Promise<FaultLane> {
    const work = join(of.work, `lane-${number}`)
    await mkdir(work, { recursive: true })
    const lab = await upLab(`faults-${process.pid}-${number}`, { hosts: of.hosts, say: of.say })
    const { estate } = await loadRunbooks(lab.paths.config)
    const options: DevServerOptions = {
      binaryPath: await resolveServerBinary(of.say),
      databasePath: join(work, 'temporal', 'temporal.db'),
      port: await anyFreePort(),
      maxRestarts: 0,
    }
    const server = await startDevServer(options)
    const { connectionOptions, namespace } = targetOfAddress(server.address, estate.id)
    // The server dies often here: its clients must notice soon that it is back.
    const channelArgs = { 'grpc.initial_reconnect_backoff_ms': 100, 'grpc.max_reconnect_backoff_ms': 300 }
    const connection = await Connection.connect({ ...connectionOptions, channelArgs })
    await prepareNamespace(connection, estate.id)
    const client = new Client({ connection, namespace })
    return new FaultLane(lab, estate.id, work, of.bundle, options, server, connection, client, new SpareWorkers())
  }

  /** Brings the hosts to where every run of this scenario begins. */
  async prepare(scenario: FaultScenario): Promise<void> {
    await scenario.prepare(this.lab)
    await remember(this.lab, scenario.changes)
    this.scenario = scenario
  }

  /**
   * One run from the prepared state and an empty state folder.
   * @param atEnd looks at the server before the workflows of the run are ended
   * @throws Error when it does not end, or a worker ends by itself
   */
  async run(faults: readonly Fault[], atEnd?: (client: Client) => Promise<void>): Promise<RunReport> {
    const scenario = this.scenario
    if (scenario === undefined) throw new Error('prepare a scenario first')
    this.runs += 1
    const folder = join(this.work, `run-${this.runs}`)
    const place: FaultPlace = {
      lab: this.lab,
      estateId: this.estateId,
      config: join(folder, 'config'),
      stateDir: join(folder, 'state'),
      client: this.client,
      taskQueue: taskQueueOf(this.estateId),
    }
    await mkdir(folder)
    await cp(this.lab.paths.config, place.config, { recursive: true })
    await putBack(this.lab, scenario.changes)
    const from = await ledgerLength(this.lab)
    const files = { passed: join(folder, 'passed'), done: join(folder, 'done') }
    await Promise.all(Object.values(files).map((file) => writeFile(file, '')))
    const worker = this.workers.start(
      {
        config: place.config,
        stateDir: place.stateDir,
        address: this.server.address,
        bundle: this.bundle,
        faults: faults.filter(({ host }) => host === undefined).map(({ point, dies }) => ({ point, dies })),
        ...files,
      },
      (onDead) => this.killServer(onDead),
    )
    const over = new AbortController()
    try {
      await worker.ready
      const atEffects = this.atEveryEffect(faults, worker, { ...files, from }, over.signal)
      // Waited for below; when it fails before, the lab must be taken down all the same.
      atEffects.catch(() => {})
      const handle = await scenario.start(place)
      const approving = scenario.approver === undefined ? undefined : answerEverything(handle, 'approve', scenario.approver, over.signal)
      const meanwhile = scenario.meanwhile?.(place, handle, over.signal)
      const beside = [atEffects, approving, meanwhile]
      const end = scenario.live?.(place, handle, over.signal) ?? retrying(() => handle.result(), over.signal)
      const result = await Promise.race([end, this.tooLate(over.signal), worker.crashed, ...beside.map(failed)])
      over.abort()
      await Promise.all(beside)
      const effects = await effectsOf(this.lab, from)
      const state = await scenario.finalState(place, result)
      const outcome = { effects: effects.map(({ what }) => what), state, receipts: await receiptsIn(place) }
      await atEnd?.(this.client)
      const passed = (await readFile(files.passed, 'utf8')).split('\n').filter(Boolean)
      return { outcome, passed, effects, happened: new Set((await readFile(files.done, 'utf8')).split('\n').filter(Boolean)) }
    } finally {
      over.abort()
      await worker.end()
      await this.endWorkflows()
      if (existsSync(folder)) await rm(folder, { recursive: true, force: true })
    }
  }

  async close(): Promise<void> {
    await this.workers.end()
    await this.connection.close()
    await this.server.stop()
    await downLab(this.lab.name)
  }

  /** Kills the server and starts it again on the same database; one that is being started is killed once it is there. @param onDead told in between */
  private killServer(onDead: () => void = () => {}): Promise<void> {
    this.restart = this.restart.then(async () => {
      process.kill(this.server.pid, 'SIGKILL')
      onDead()
      await this.server.ended
      this.server = await startDevServer(this.serverOptions)
    })
    return this.restart
  }

  private tooLate(over: AbortSignal): Promise<never> {
    return delay(RUN_SECONDS * 1000, undefined, { signal: over }).then(
      async () => Promise.reject(new Error(`the run has not ended after ${RUN_SECONDS} s: ${await this.pending()}`)),
      () => new Promise<never>(() => {}),
    )
  }

  /** What the runs that have not ended wait for. */
  private async pending(): Promise<string> {
    const words: string[] = []
    for await (const { type, workflowId, runId } of this.client.workflow.list({ query: "ExecutionStatus='Running'" })) {
      const { pendingActivities } = (await this.client.workflow.getHandle(workflowId, runId).describe()).raw
      const waits = pendingActivities?.map(
        ({ activityType, attempt, lastFailure }) => `${activityType?.name} (attempt ${attempt}) ${lastFailure?.message ?? ''}`,
      )
      words.push(`${type}: ${waits?.join(', ') || 'no activity'}`)
    }
    return words.join('; ')
  }

  /** Writes every effect down while it is held, and lets die what is to die there. */
  private async atEveryEffect(
    faults: readonly Fault[],
    worker: FaultWorker,
    of: { passed: string; done: string; from: Ledgers },
    over: AbortSignal,
  ): Promise<void> {
    const left = new Map(faults.filter(({ host }) => host !== undefined).map((fault) => [fault.point, fault] as const))
    const gate = new EffectGate(this.lab, of.from)
    try {
      for (let held = await gate.next(over); held !== undefined; held = await gate.next(over)) {
        appendFileSync(of.passed, `${held.point}\n`)
        const fault = left.get(held.point)
        if (fault !== undefined) {
          left.delete(held.point)
          if (fault.dies === 'worker') worker.kill()
          else await this.killServer()
          appendFileSync(of.done, `${held.point}\n`)
          if (fault.host === 'dies') await held.killCommand()
        }
        held.release()
      }
    } finally {
      gate.close()
    }
  }

  /** Nothing of this run may meet the next one. */
  private async endWorkflows(): Promise<void> {
    for (;;) {
      const running: { workflowId: string; runId: string }[] = []
      await retrying(async () => {
        for await (const each of this.client.workflow.list({ query: "ExecutionStatus='Running'" })) running.push(each)
      })
      if (running.length === 0) return
      for (const { workflowId, runId } of running) {
        await this.client.workflow
          .getHandle(workflowId, runId)
          .terminate('the run of the fault harness is over')
          .catch(() => {})
      }
      await delay(100)
    }
  }
}

/** Rejects when the work does, and never resolves. */
async function failed(work: Promise<unknown> | undefined): Promise<never> {
  await work
  return await new Promise<never>(() => {})
}

async function receiptsIn({ stateDir, config }: FaultPlace): Promise<string> {
  const { estate } = await loadRunbooks(config)
  const { signingKeyPath, headMirrorPath } = estate.receipts
  const verdict = verifyChain({
    dir: join(stateDir, STATE_NAMES.receipts),
    estate: estate.id,
    trusted: readTrustedKeys(signingKeyPath),
    mirrorPath: headMirrorPath,
  })
  return verdict.ok ? `${verdict.count}, chain ok` : `${verdict.count}, ${verdict.problem?.message}`
}
