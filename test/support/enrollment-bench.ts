/**
 * An enrollment without a lab: a Proxmox host in a folder whose scheduler plays exactly the time that Temporal's test server skips, the example's runbook
 * files in a folder of their own, and the product's workflows and activities. What a host says, it says by the emulated programs of `lab/pve`.
 */
import { execFileSync } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, type WorkflowHandle } from '@temporalio/client'
import type { TestWorkflowEnvironment } from '@temporalio/testing'
import { Worker, type WorkflowBundle } from '@temporalio/worker'
import { parse, parseDocument, type YAMLMap, type YAMLSeq } from 'yaml'
import { createArtifactSiteActivities, createArtifactStateActivities } from '../../src/activities/artifact-proof.js'
import { createChangeSiteActivities, createChangeStateActivities } from '../../src/activities/change.js'
import { createEnrollmentSiteActivities, createEnrollmentStateActivities } from '../../src/activities/enrollment.js'
import { RunbookKeeper } from '../../src/activities/runbook-keeper.js'
import { createVzdumpSiteActivities, createVzdumpStateActivities } from '../../src/activities/vzdump.js'
import type { ChangeResult } from '../../src/domain/change/apply.js'
import type { GuestOutcome } from '../../src/domain/enroll/run.js'
import { workflowIds } from '../../src/domain/ids.js'
import { SshError } from '../../src/ssh/index.js'
import { openState, type StateFolder } from '../../src/state/index.js'
import type { PlanView } from '../../src/workflows/approval.js'
import type { VzdumpEnrollmentInput } from '../../src/workflows/vzdump-enrollment.js'
import { PveRoot } from '../helpers/pve-root.js'
import { until } from './polling.js'
import { serverNow } from './time-skipping.js'

export const JOB = 'backup-pve-daily'
export const STORAGE = 'tank-backups'
const HOST = 'pve'

let benches = 0

export class EnrollmentBench {
  /** The host neither answers nor runs anything. */
  isOff = false
  private readonly plain: Client
  private now = new Date(0)
  private played = new Date(0)
  private following: Promise<void> = Promise.resolve()
  private readonly started: WorkflowHandle[] = []
  private workers: Worker[] = []
  private running: Promise<unknown> = Promise.resolve()

  private constructor(
    private readonly env: TestWorkflowEnvironment,
    private readonly workflowBundle: WorkflowBundle,
    readonly host: PveRoot,
    readonly name: string,
    private readonly folder: string,
    readonly state: StateFolder,
  ) {
    this.plain = new Client({ connection: env.connection })
  }

  /** A host with guest 200 in its daily job of 02:00 UTC, and others that are in none. */
  static async create(env: TestWorkflowEnvironment, workflowBundle: WorkflowBundle): Promise<EnrollmentBench> {
    benches += 1
    const name = `e${benches}`
    const guests = [
      { vmid: 200, name: 'docker-host' },
      { vmid: 211, name: 'finance-stack' },
      { vmid: 212, name: 'mint-data' },
    ]
    const host = await PveRoot.create({
      guests: guests.map((guest) => ({ ...guest, type: 'qemu', running: true, lines: [`smbios1: uuid=0000000${guest.vmid}`] })),
      storages: { [STORAGE]: 'keep-last=2' },
      jobs: [{ id: JOB, schedule: '02:00', storage: STORAGE, vmid: 200, mode: 'snapshot', compress: 'zstd' }],
    })
    const folder = await mkdtemp(join(tmpdir(), 'nightshift-enrollment-'))
    await cp('runbooks', join(folder, 'config'), { recursive: true })
    await mkdir(join(folder, 'config/keys'), { recursive: true })
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'test', '-f', join(folder, 'config/keys/receipt_ed25519')])
    const bench = new EnrollmentBench(env, workflowBundle, host, name, folder, await openState({ dir: join(folder, 'state'), estateId: name }))
    await bench.writeRunbooks()
    bench.now = bench.played = await serverNow(env)
    await bench.work()
    return bench
  }

  /** The example's, with archives where this host has them, the guests of its job, and the targets of the others off. */
  private async writeRunbooks(): Promise<void> {
    const at = (file: string) => join(this.folder, 'config', file)
    const jobs = parseDocument(await readFile(at('vzdump.yaml'), 'utf8'))
    jobs.setIn(['hosts', 0, 'jobs', 0, 'guests'], jobs.createNode([200]))
    await writeFile(at('vzdump.yaml'), jobs.toString({ lineWidth: 0 }))
    const inventory = parseDocument(await readFile(at('inventory.yaml'), 'utf8'))
    for (const target of (inventory.get('targets') as YAMLSeq<YAMLMap>).items) {
      if (target.get('host') !== HOST) continue
      target.set('base_path', this.dump)
      if (/^vm-2(11|12)-/.test(String(target.get('name')))) target.set('enabled', false)
    }
    await writeFile(at('inventory.yaml'), inventory.toString({ lineWidth: 0 }))
    const calendar = parseDocument(await readFile(at('calendar.yaml'), 'utf8'))
    calendar.setIn(['events', 0, 'guests'], calendar.createNode([200]))
    await writeFile(at('calendar.yaml'), calendar.toString({ lineWidth: 0 }))
  }

  get dump(): string {
    return `${this.host.storagePath(STORAGE)}/dump`
  }

  async work(): Promise<void> {
    const keeper = new RunbookKeeper(join(this.folder, 'config'))
    const ssh = this.host.ssh(() => this.now, true)
    const reading = {
      ssh: () => ({
        run: async (alias: string, request: Parameters<typeof ssh.run>[1]) => {
          if (this.isOff) throw new SshError({ reason: 'connect_refused', host: alias, message: `${alias}: connection refused`, next: 'start it' })
          return await ssh.run(alias, request)
        },
      }),
      redact: (text: string) => text,
      now: () => this.now,
    }
    const local = { runbooks: keeper, state: this.state, onStatus: () => {}, version: '0.0.0', configDir: join(this.folder, 'config') }
    const site = {
      ...createArtifactSiteActivities(reading),
      ...createEnrollmentSiteActivities(reading),
      ...createVzdumpSiteActivities(reading),
      ...createChangeSiteActivities({ ...reading, secret: async (reference) => reference, lockPath: join(this.folder, 'lock') }),
    }
    const home = {
      ...createArtifactStateActivities({ ...reading, ...local }),
      ...createEnrollmentStateActivities({ ...reading, ...local }),
      ...createVzdumpStateActivities({ ...reading, ...local }),
      ...createChangeStateActivities({ ...reading, ...local }),
    }
    const shared = {
      connection: this.env.nativeConnection,
      interceptors: {
        activity: [
          () => ({
            inbound: {
              execute: async <Input, Output>(input: Input, next: (input: Input) => Promise<Output>) => {
                await this.follow()
                return await next(input)
              },
            },
          }),
        ],
      },
    }
    this.workers = await Promise.all([
      Worker.create({ ...shared, taskQueue: `nightshift-${this.name}`, workflowBundle: this.workflowBundle, activities: site }),
      Worker.create({ ...shared, taskQueue: `${this.name}-state`, activities: home }),
    ])
    this.running = Promise.all(this.workers.map((worker) => worker.run()))
  }

  /** The host's clock is the server's, and its scheduler has run until then. */
  private follow(): Promise<void> {
    this.following = this.following.then(async () => {
      const now = await serverNow(this.env)
      if (!this.isOff && now.getTime() - this.played.getTime() >= 1000) {
        await this.host.play(this.played, now)
        this.played = now
      }
      this.now = now
    })
    return this.following
  }

  /** Time passes, for all waiting runs. */
  async pass(hours: number): Promise<void> {
    await this.env.sleep(hours * 3_600_000)
    await this.follow()
  }

  /** The host goes off, time passes, and it comes back without having run anything. */
  async off(hours: number): Promise<void> {
    await this.follow()
    this.isOff = true
    await this.env.sleep(hours * 3_600_000)
    this.played = await serverNow(this.env)
    this.isOff = false
    // Its scheduler wakes once a minute.
    await this.pass(0.05)
  }

  /** As YYYY-MM-DD, of UTC. */
  tomorrow(): string {
    return new Date(this.now.getTime() + 86_400_000).toISOString().slice(0, 10)
  }

  /** Until that day has begun in the estate's zone, New York. */
  hoursToMorrow(): number {
    return (Date.parse(`${this.tomorrow()}T05:05:00Z`) - this.now.getTime()) / 3_600_000
  }

  /** A run of something else has this name until it is closed. It begins next year: what waits for a worker holds up the server's time, even once it is closed. */
  async occupy(workflowId: string): Promise<{ close: () => Promise<void> }> {
    const handle = await this.env.client.workflow.start('vzdumpEnrollment', { workflowId, taskQueue: 'nobody', args: [], cronSchedule: '0 0 1 1 *' })
    return { close: async () => void (await handle.terminate('done')) }
  }

  /** Hours until the clock of the host says that for the next time. */
  hoursTo(hour: number): number {
    const then = new Date(this.now)
    then.setUTCHours(hour, 0, 0, 0)
    if (then <= this.now) then.setUTCDate(then.getUTCDate() + 1)
    return (then.getTime() - this.now.getTime()) / 3_600_000
  }

  async start(input: Partial<VzdumpEnrollmentInput> & { guests: readonly number[] }): Promise<WorkflowHandle> {
    await this.follow()
    const handle = await this.env.client.workflow.start('vzdumpEnrollment', {
      // Tests share a server: the host's name is what tells their runs apart.
      workflowId: `${workflowIds.enroll(HOST, input.job ?? input.guests)}/${this.name}`,
      taskQueue: `nightshift-${this.name}`,
      args: [{ host: HOST, requestedBy: 'ronny', ...input }],
    })
    this.started.push(handle, this.waitOf(handle))
    return handle
  }

  waitOf(handle: WorkflowHandle): WorkflowHandle {
    return this.env.client.workflow.getHandle(workflowIds.firstArtifacts(handle.workflowId))
  }

  /** Waits for a question whose title fits. */
  async asked(handle: WorkflowHandle, title: RegExp): Promise<PlanView> {
    return await until(`the question ${title}`, async () => {
      const view = await handle.query<PlanView>('plan')
      return view.state === 'waiting for approval' && title.test(view.plans[0]?.title ?? '') ? view : undefined
    })
  }

  async answer(handle: WorkflowHandle, title: RegExp, decision: 'approve' | 'reject' = 'approve'): Promise<PlanView> {
    const view = await this.asked(handle, title)
    await handle.executeUpdate(decision, { args: [{ digest: view.plans[0]?.digest, approver: 'ronny', reason: 'looked at it' }] })
    return view
  }

  /** Starts an enrollment, says yes to its plan, and waits until it waits. */
  async enrolled(guests: readonly number[], more: Partial<VzdumpEnrollmentInput> = {}): Promise<WorkflowHandle> {
    const handle = await this.start({ guests, ...more })
    await this.answer(handle, /into job/)
    await this.shows(handle, /not_due/)
    return handle
  }

  async details(handle: WorkflowHandle): Promise<string> {
    return (await handle.query<{ currentDetails?: string }>('__temporal_workflow_metadata')).currentDetails ?? ''
  }

  /** Waits until the run shows that; tells the run to look. */
  async shows(handle: WorkflowHandle, words: RegExp): Promise<string> {
    let last = ''
    return await until(`${words}`, async () => {
      last = await this.details(handle)
      return words.test(last) ? last : undefined
    }).catch((error: unknown) => {
      throw new Error(`${String(error)}; it shows: ${last}`)
    })
  }

  async look(handle: WorkflowHandle, words: RegExp): Promise<string> {
    await handle.signal('look')
    return await this.shows(handle, words)
  }

  /** Time passes until the run has ended. (Awaiting its result would let the server's time run ten years ahead, to the end of what had a time limit.) */
  async outcomes(handle: WorkflowHandle): Promise<{ result: ChangeResult; guests: readonly GuestOutcome[] }> {
    while ((await handle.describe()).status.name === 'RUNNING') await this.pass(4)
    const result = await this.result(handle)
    return { result, guests: (result.proof as unknown as { guests: readonly GuestOutcome[] } | null)?.guests ?? [] }
  }

  /** Of a run that ends by itself, without any time passing. (After a cancelled enrollment the test server skips no time any more.) */
  async result(handle: WorkflowHandle): Promise<ChangeResult> {
    return (await this.plain.workflow.getHandle(handle.workflowId).result()) as ChangeResult
  }

  /** A program on the host, at its time. */
  async sh(...argv: string[]): Promise<string> {
    await this.follow()
    const ran = await this.host.run(argv, this.now)
    if (ran.exitCode !== 0) throw new Error(`${argv.join(' ')}: ${ran.stderr}`)
    return ran.stdout
  }

  async jobGuests(): Promise<string> {
    return (JSON.parse(await this.sh('pvesh', 'get', `/cluster/backup/${JOB}`, '--output-format', 'json')) as { vmid: string }).vmid
  }

  /** Whom vzdump.yaml lists for the job. */
  async listedGuests(): Promise<readonly number[]> {
    const { hosts } = parse(await this.read('vzdump.yaml')) as { hosts: { jobs: { guests: number[] }[] }[] }
    return hosts[0]?.jobs[0]?.guests ?? []
  }

  read(file: string): Promise<string> {
    return readFile(join(this.folder, 'config', file), 'utf8')
  }

  async isEnabled(vmid: number): Promise<boolean | undefined> {
    const { targets } = parse(await this.read('inventory.yaml')) as { targets: { glob: string; host: string; enabled: boolean }[] }
    return targets.find(({ glob, host }) => host === HOST && glob.includes(`-${vmid}-`))?.enabled
  }

  async eventGuests(): Promise<readonly number[]> {
    const { events } = parse(await this.read('calendar.yaml')) as { events: { id: string; guests: number[] }[] }
    return events.find(({ id }) => id === 'vzdump-pve-daily')?.guests ?? []
  }

  async remove(): Promise<void> {
    // The next test's host has the same name.
    const open = [...this.started, this.env.client.workflow.getHandle(workflowIds.apply(HOST))]
    for (const handle of open) await handle.terminate('the test is over').catch(() => {})
    for (const worker of this.workers) worker.shutdown()
    await this.running
    this.state.close()
    await this.host.remove()
    await rm(this.folder, { recursive: true, force: true })
  }
}
