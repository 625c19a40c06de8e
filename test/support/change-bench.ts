/** A host in a folder, a state folder, a real Temporal server and the product's own activities: what a changing runbook needs, without a lab. */
import { execFileSync } from 'node:child_process'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { WorkflowHandle } from '@temporalio/client'
import { Worker } from '@temporalio/worker'
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest'
import { createChangeSiteActivities, createChangeStateActivities } from '../../src/activities/change.js'
import { RunbookKeeper } from '../../src/activities/runbook-keeper.js'
import type { ChangeResult } from '../../src/domain/change/apply.js'
import { APPROVAL_NAMESPACE, type ApprovalAnswer, type ApprovalPolicy, approvalMessage } from '../../src/domain/change/approval.js'
import { type PlanStep, sealPlan } from '../../src/domain/change/plan.js'
import { openState, parseReceipt, type Receipt, type StateFolder } from '../../src/state/index.js'
import type { PlanView } from '../../src/workflows/approval.js'
import type { MadePlan } from '../../src/workflows/change-shell.js'
import { PveRoot } from '../helpers/pve-root.js'
import { until } from './polling.js'
import { startTestTemporal, type TestTemporal } from './test-temporal.js'
import type { TestActivities, TestChangeInput } from './workflows/test-change.js'

export const JOBS = ['daily', 'weekly'] as const
const NOW = new Date('2026-02-11T20:00:00Z')

export const SOLO: ApprovalPolicy = {
  approvers: ['ronny', 'ada'],
  needed: 1,
  mayApproveOwn: true,
  timeoutHours: 72,
  preApproveHarmless: false,
  signature: 'optional',
}

const WORKFLOWS = fileURLToPath(new URL('./workflows/test-change.ts', import.meta.url))

/** Registers hooks: one server for all tests around it, and a bench for each of them. */
export function benchForEach(use: (bench: ChangeBench, temporal: TestTemporal) => void): void {
  let temporal: TestTemporal | undefined
  let bench: ChangeBench | undefined
  beforeAll(async () => {
    temporal = await startTestTemporal(WORKFLOWS)
  }, 120_000)
  afterAll(async () => await temporal?.env.teardown())
  beforeEach(async () => {
    if (temporal === undefined) throw new Error('no Temporal')
    bench = await ChangeBench.create(temporal)
    use(bench, temporal)
  })
  afterEach(async () => await bench?.remove())
}

type Ssh = ReturnType<PveRoot['ssh']>

let benches = 0

export class ChangeBench {
  policy: ApprovalPolicy = SOLO
  /** What the comments of the jobs have to be. */
  wanted: Record<string, string> = { daily: 'ours', weekly: 'ours too' }
  /** Steps that only this test has, behind the others. */
  furtherSteps: readonly PlanStep[] = []
  /** Stands between the product and the host. */
  transport: (ssh: Ssh) => Ssh = (ssh) => ssh
  /** Holds a planning back, or lets it fail. */
  beforePlan: () => Promise<void> = async () => {}
  private workers: Worker[] = []
  private running: Promise<unknown> = Promise.resolve()

  private constructor(
    readonly temporal: TestTemporal,
    readonly host: PveRoot,
    readonly name: string,
    readonly folder: string,
    readonly state: StateFolder,
  ) {}

  static async create(temporal: TestTemporal): Promise<ChangeBench> {
    benches += 1
    const name = `b${benches}`
    const host = await PveRoot.create({
      guests: [{ vmid: 100, type: 'qemu', name: 'web' }],
      jobs: JOBS.map((id) => ({ id, schedule: '02:00', storage: 'nas', vmid: 100, comment: 'theirs', compress: 'zstd' })),
    })
    const folder = await mkdtemp(join(tmpdir(), 'nightshift-change-'))
    await cp('runbooks', join(folder, 'config'), { recursive: true })
    const state = await openState({ dir: join(folder, 'state'), estateId: name })
    const bench = new ChangeBench(temporal, host, name, folder, state)
    makeKey(join(folder, 'receipt_key'))
    await bench.work()
    return bench
  }

  /** Starts the workers of this estate. */
  async work(): Promise<void> {
    const { env, bundle } = this.temporal
    const receipts = { signingKeyPath: join(this.folder, 'receipt_key'), headMirrorPath: join(this.folder, 'head.json') }
    const keeper = new RunbookKeeper(join(this.folder, 'config'))
    const { set } = await keeper.refresh()
    Object.assign(set.estate, { receipts })
    const site = createChangeSiteActivities({
      ssh: () => this.transport(this.host.ssh(() => NOW)),
      secret: async (reference) => `value of ${reference}`,
      lockPath: join(this.folder, 'lock'),
    })
    const home = createChangeStateActivities({
      runbooks: keeper,
      state: this.state,
      onStatus: () => {},
      version: '0.0.0',
      configDir: join(this.folder, 'config'),
      redact: (text) => text.replaceAll('hunter2', '[redacted]'),
    })
    const own: TestActivities = { testPlan: (args) => this.makePlan(args.host) }
    const connection = env.nativeConnection
    this.workers = await Promise.all([
      Worker.create({ connection, taskQueue: `nightshift-${this.name}`, workflowBundle: bundle, activities: site, maxHeartbeatThrottleInterval: '1 second' }),
      Worker.create({ connection, taskQueue: `${this.name}-state`, activities: { ...home, ...own } }),
    ])
    this.running = Promise.all(this.workers.map((worker) => worker.run()))
  }

  async start(input: Partial<TestChangeInput> = {}, suffix = ''): Promise<WorkflowHandle> {
    return await this.temporal.env.client.workflow.start('testChange', {
      workflowId: `change/${this.name}${suffix}`,
      taskQueue: `nightshift-${this.name}`,
      args: [{ host: this.name, requestedBy: 'ronny', ...input }],
    })
  }

  /** The mirror knows of a receipt that the state folder has not: somebody removed it, or the folder is another one. */
  async loseReceipts(): Promise<void> {
    const head = { schema: 'nightshift.receipt-head/1', estate: this.name, number: 7, sha256: '0'.repeat(64) }
    await writeFile(join(this.folder, 'head.json'), `${JSON.stringify(head)}\n`)
  }

  /** A run as far as its question. */
  async asked(input: Partial<TestChangeInput> = {}, suffix = ''): Promise<{ handle: WorkflowHandle; view: PlanView; digest: string }> {
    const handle = await this.start(input, suffix)
    const view = await this.question(handle)
    return { handle, view, digest: view.plans[0]?.digest ?? '' }
  }

  /** What the run asks, once it asks something else than before. */
  async question(handle: WorkflowHandle, before = ''): Promise<PlanView> {
    return await until('a question', async () => {
      const view = await handle.query<PlanView>('plan')
      return view.state === 'waiting for approval' && view.plans[0]?.digest !== before ? view : undefined
    })
  }

  answer(handle: WorkflowHandle, decision: 'approve' | 'reject', digest: string, over: Partial<ApprovalAnswer> = {}): Promise<unknown> {
    const answer: ApprovalAnswer = { digest, approver: 'ronny', reason: 'looked at it', ...over }
    return handle.executeUpdate(decision, { args: [answer] })
  }

  /** The signature of `key` under a decision about this run. */
  async sign(handle: WorkflowHandle, key: string, answer: ApprovalAnswer, decision: 'approve' | 'reject' = 'approve'): Promise<string> {
    const { runId } = await handle.describe()
    const message = approvalMessage({ estate: this.name, workflowId: handle.workflowId, runId, decision, answer })
    return execFileSync('ssh-keygen', ['-Y', 'sign', '-q', '-n', APPROVAL_NAMESPACE, '-f', key], { input: message, encoding: 'utf8' })
  }

  /** Makes a key and lets `allowed_signers` trust it under a name. */
  async signer(name: string, listed = true): Promise<string> {
    const key = makeKey(join(this.folder, `key-${name}`))
    const [type = '', blob = ''] = (await readFile(`${key}.pub`, 'utf8')).split(' ')
    if (listed) await writeFile(join(this.folder, 'config/allowed_signers'), `${name} ${type} ${blob}\n`, { flag: 'a' })
    return key
  }

  async comment(job: string): Promise<string> {
    const { stdout } = await this.host.run(['pvesh', 'get', `/cluster/backup/${job}`, '--output-format', 'json'], NOW)
    return (JSON.parse(stdout) as { comment?: string }).comment ?? ''
  }

  /** Somebody else's edit. */
  async edit(job: string, ...options: string[]): Promise<void> {
    const ran = await this.host.run(['pvesh', 'set', `/cluster/backup/${job}`, ...options], NOW)
    if (ran.exitCode !== 0) throw new Error(ran.stderr)
  }

  /** What was set on the host, in order: `daily`, `weekly`. */
  async effects(): Promise<string[]> {
    return (await this.host.ledger()).filter(({ effect }) => effect === 'job.set').map(({ subject }) => subject)
  }

  async receipt(result: ChangeResult): Promise<Receipt> {
    const name = `${String(result.receipt?.number).padStart(6, '0')}.json`
    const receipt = parseReceipt(await readFile(join(this.folder, 'state/receipts', name), 'utf8'))
    if (receipt === undefined) throw new Error(`${name} is no receipt`)
    return receipt
  }

  async remove(): Promise<void> {
    for (const worker of this.workers) worker.shutdown()
    await this.running
    this.state.close()
    await this.host.remove()
    await rm(this.folder, { recursive: true, force: true })
  }

  private async makePlan(host: string): Promise<MadePlan> {
    await this.beforePlan()
    const steps: PlanStep[] = []
    for (const id of JOBS) {
      const [from, to] = [await this.comment(id), this.wanted[id] ?? '']
      if (from !== to) steps.push(commentStep(host, id, from, to))
    }
    const plan = sealPlan({
      runbook: 'testChange',
      host,
      title: `Comments of jobs on ${host}`,
      steps: [...steps, ...this.furtherSteps],
      warnings: [],
      facts: {},
    })
    const route = { host, site: 'shop', sshAlias: host, sudo: false, node: 'pve' }
    return { plan, policy: this.policy, runbookDigest: 'd'.repeat(64), route, observed: { jobs: JOBS.length } }
  }
}

export function commentStep(host: string, id: string, from: string, to: string): PlanStep {
  const path = `/cluster/backup/${id}`
  const holds = (comment: string) => [{ kind: 'api' as const, path, fields: { comment } }]
  const set = (comment: string) => ({ kind: 'command' as const, argv: ['pvesh', 'set', path, '--comment', comment] })
  return {
    id: `set job ${id}`,
    what: `Set the comment of job ${id}`,
    host,
    effect: set(to),
    destructive: ['lessens protection'],
    before: holds(from),
    after: holds(to),
    undo: { effect: set(from) },
    diff: [{ field: 'comment', from, to }],
    removes: [],
  }
}

function makeKey(path: string): string {
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'test', '-f', path])
  return path
}
