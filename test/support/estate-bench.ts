/** An estate of one host in a folder, with `vzdumpJobs` as the product has it: for what people do with a run, without a lab. */
import { execFileSync } from 'node:child_process'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestWorkflowEnvironment } from '@temporalio/testing'
import { Worker, type WorkflowBundle } from '@temporalio/worker'
import { createChangeSiteActivities, createChangeStateActivities } from '../../src/activities/change.js'
import { RunbookKeeper } from '../../src/activities/runbook-keeper.js'
import { createVzdumpSiteActivities, createVzdumpStateActivities } from '../../src/activities/vzdump.js'
import { namespaceOf, queueNames, taskQueueOf } from '../../src/domain/ids.js'
import { openState, type StateFolder } from '../../src/state/index.js'
import { PveRoot } from '../helpers/pve-root.js'
import { bundled, startLocal } from './test-temporal.js'

/** The estate of the example runbooks. */
export const ESTATE = 'ronny'
const NOW = new Date('2026-02-11T20:00:00Z')

export interface Approval {
  readonly approvers: readonly string[]
  readonly needed: number
  readonly mayApproveOwn: boolean
  readonly signature: 'optional' | 'required'
}

export const ONE_OF_TWO: Approval = { approvers: ['ronny', 'ada'], needed: 1, mayApproveOwn: true, signature: 'optional' }

/** Where the commands of the program find this estate. */
export interface EstatePlace {
  readonly config: string
  readonly state: string
  readonly env: Readonly<Record<string, string>>
}

export class EstateBench {
  /** Stands between the product and the host. */
  transport: (ssh: ReturnType<PveRoot['ssh']>) => ReturnType<PveRoot['ssh']> = (ssh) => ssh
  private workers: Worker[] = []
  private running: Promise<unknown> = Promise.resolve()

  private constructor(
    readonly temporal: TestWorkflowEnvironment,
    readonly host: PveRoot,
    readonly folder: string,
    readonly place: EstatePlace,
    private readonly state: StateFolder,
    private readonly bundle: WorkflowBundle,
  ) {}

  static async create(): Promise<EstateBench> {
    const [bundle, temporal, host, folder] = await Promise.all([
      bundled(),
      startLocal(namespaceOf(ESTATE)),
      PveRoot.create({
        guests: [{ vmid: 100, type: 'qemu', name: 'web', running: true, lines: ['agent: 1'] }],
        storages: { nas: 'keep-last=3' },
        jobs: [{ id: 'daily', schedule: '02:00', storage: 'nas', vmid: 100, mode: 'snapshot', compress: 'zstd' }],
      }),
      mkdtemp(join(tmpdir(), 'nightshift-estate-')),
    ])
    const config = join(folder, 'config')
    await cp('runbooks', config, { recursive: true })
    const key = join(folder, 'receipt_key')
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key])
    const state = await openState({ dir: join(folder, 'state'), estateId: ESTATE })
    const place = { config, state: join(folder, 'state'), env: { TEMPORAL_ADDRESS: temporal.address } }
    const bench = new EstateBench(temporal, host, folder, place, state, bundle)
    await bench.want('zstd')
    await bench.work()
    return bench
  }

  /** What `vzdump.yaml` wants of the one job, and who may say yes. */
  async want(compress: 'zstd' | 'gzip', approval: Approval = ONE_OF_TWO): Promise<void> {
    const { approvers, needed, signature } = approval
    const asked = { approvers, needed, may_approve_own: approval.mayApproveOwn, timeout_hours: 72, signature }
    const file = {
      version: 1,
      approval: { ...asked, preapprove_harmless: false },
      retention: { ...asked, proven_copies: { critical: 2, important: 2, rebuildable: 1 } },
      hosts: [
        {
          host: 'pve',
          other_jobs: 'report',
          storages: [],
          jobs: [{ id: 'daily', tier: 'P1', guests: [100], schedule: '02:00', storage: 'nas', mode: 'snapshot', compress }],
        },
      ],
    }
    await writeFile(join(this.place.config, 'vzdump.yaml'), JSON.stringify(file, null, 2))
  }

  /** Starts the workers of this estate. */
  async work(): Promise<void> {
    const { place, state } = this
    const receipts = { signingKeyPath: join(this.folder, 'receipt_key'), headMirrorPath: join(this.folder, 'head.json') }
    const runbooks = new RunbookKeeper(place.config)
    const keeper = {
      refresh: async () => {
        const refreshed = await runbooks.refresh()
        return { ...refreshed, set: { ...refreshed.set, estate: { ...refreshed.set.estate, receipts } } }
      },
      current: () => keeper.refresh(),
    } as RunbookKeeper
    const reading = { ssh: () => this.transport(this.ssh()), redact: (text: string) => text, now: () => NOW }
    const local = { runbooks: keeper, state, onStatus: () => {}, version: '0.0.0' }
    const site = {
      ...createVzdumpSiteActivities(reading),
      ...createChangeSiteActivities({ ...reading, secret: async (reference) => `value of ${reference}`, lockPath: join(this.folder, 'lock') }),
    }
    const home = {
      ...createVzdumpStateActivities({ ...reading, ...local }),
      ...createChangeStateActivities({ ...local, configDir: place.config, redact: reading.redact }),
    }
    const shared = { connection: this.temporal.nativeConnection, namespace: namespaceOf(ESTATE) }
    const queues = queueNames(taskQueueOf(ESTATE))
    this.workers = await Promise.all([
      Worker.create({ ...shared, taskQueue: queues.common, workflowBundle: this.bundle, activities: site }),
      Worker.create({ ...shared, taskQueue: queues.state, activities: home }),
    ])
    this.running = Promise.all(this.workers.map((worker) => worker.run()))
  }

  /** Stops the workers. */
  async rest(): Promise<void> {
    for (const worker of this.workers) worker.shutdown()
    this.workers = []
    await this.running
  }

  /** The files that the product reads beside Proxmox' programs are in the host's folder, too. */
  private ssh(): ReturnType<PveRoot['ssh']> {
    const ssh = this.host.ssh(() => NOW)
    const here = (text: unknown) => String(text ?? '').replace(/'\/(etc|var)\//g, `'${this.host.dir}/$1/`)
    return { run: (alias, request) => ssh.run(alias, { ...request, stdin: here(request.stdin) }) }
  }

  /** Makes a key and lets `allowed_signers` trust it under a name. */
  async signer(name: string): Promise<string> {
    const key = join(this.folder, `key-${name}`)
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key])
    const [type = '', blob = ''] = (await readFile(`${key}.pub`, 'utf8')).split(' ')
    await writeFile(join(this.place.config, 'allowed_signers'), `${name} ${type} ${blob}\n`, { flag: 'a' })
    return key
  }

  /** How the host's job packs its archives now. */
  async compress(): Promise<string> {
    const { stdout } = await this.host.run(['pvesh', 'get', '/cluster/backup/daily', '--output-format', 'json'], NOW)
    return (JSON.parse(stdout) as { compress: string }).compress
  }

  async remove(): Promise<void> {
    await this.rest()
    this.state.close()
    await this.temporal.teardown()
    await this.host.remove()
    await rm(this.folder, { recursive: true, force: true })
  }
}
