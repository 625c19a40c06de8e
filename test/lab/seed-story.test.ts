/**
 * The checklist of a real February, played: five guests in three jobs, a manual backup that must not count, two windows in which somebody was to look and flip
 * a flag. Here nobody looks. Time is skipped by Temporal's own test server; the host is a lab host with real sshd and systemd whose clock and scheduler follow
 * the server's time, shifted to the February in question by a constant, because that server begins at the true date.
 */
import { randomUUID } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DefaultLogger, Runtime } from '@temporalio/worker'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { PVE_FOLDER } from '../../lab/catalog.js'
import { setClock } from '../../lab/clock.js'
import { writeConfig } from '../../lab/config.js'
import { downLab } from '../../lab/down.js'
import { editConfig, editRunbooks, rowOf } from '../../lab/estate/config-edits.js'
import { mergePlans } from '../../lab/estate/file-plan.js'
import { HOME_GUESTS, type LabGuest } from '../../lab/estate/guests.js'
import { AS_FOUND_HOME_JOBS, HOME_BACKUPS, homeStorage, type LabJob } from '../../lab/estate/jobs.js'
import { planProxmox } from '../../lab/estate/proxmox-plan.js'
import { writePlan } from '../../lab/estate/write-files.js'
import { Zone } from '../../lab/estate/zone.js'
import type { LabHost } from '../../lab/host.js'
import type { Lab } from '../../lab/lab.js'
import { upLab } from '../../lab/up.js'
import type { ChangeResult } from '../../src/domain/change/apply.js'
import type { GuestOutcome } from '../../src/domain/enroll/run.js'
import { taskQueueOf, workflowIds } from '../../src/domain/ids.js'
import { loadRunbooks } from '../../src/runbooks/index.js'
import { openState, type StateFolder } from '../../src/state/index.js'
import { startHomeWorker } from '../../src/worker.js'
import { labName } from '../support/lab-names.js'
import { serverNow, startTimeSkipping } from '../support/time-skipping.js'

const LAB = labName('story')
const HOST = 'proxmox-home'
const ZONE = 'America/New_York'
const JOBS = ['backup-home-p0-daily', 'backup-home-p1-daily', 'backup-home-p2-weekly'] as const
const TARGETS = {
  100: 'home-vm-100-ha-primary',
  101: 'home-vm-101-immich-primary',
  102: 'home-vm-102-vaultwarden-primary',
  103: 'home-lxc-103-download-primary',
  105: 'home-lxc-105-pihole-primary',
} as const

let lab: Lab
let host: LabHost

beforeAll(async () => {
  Runtime.install({ logger: new DefaultLogger('ERROR') })
  await downLab(LAB, { say: () => {} })
  lab = await upLab(LAB, { hosts: [HOST] })
  host = lab.host(HOST)
  await host.mountDisk({ name: 'backups', path: HOME_BACKUPS, sizeBytes: 200_000_000_000 })
  await host.exec(['systemctl', 'stop', 'pvescheduler'])
}, 120_000)

afterAll(async () => {
  await downLab(LAB, { say: () => {} })
})

const OLD_GUESTS: readonly LabGuest[] = [
  { vmid: 101, name: 'immich', type: 'qemu', running: false },
  { vmid: 102, name: 'vaultwarden', type: 'qemu', running: true },
  { vmid: 103, name: 'download-home', type: 'lxc', running: false },
].map((guest) => ({
  ...guest,
  type: guest.type as 'qemu' | 'lxc',
  cores: 1,
  memoryMib: 512,
  disks: [{ key: guest.type === 'qemu' ? 'scsi0' : 'rootfs', sizeGib: 1 }],
  archiveBytes: 1_000_000,
  ageDays: 400,
}))

/** Disks of a gibibyte: the emulated vma reads every byte of one. */
function small(guest: LabGuest): LabGuest {
  return { ...guest, disks: guest.disks.map((disk) => ({ ...disk, sizeGib: 1 })) }
}

/** Makes the host and the runbooks as they were at `start`: the guests of the story, these jobs, no archive of any of them. */
async function begin(start: Date, jobs: readonly LabJob[]): Promise<void> {
  const now = Math.floor(start.getTime() / 1000)
  await setClock(host, now - Math.floor(Date.now() / 1000))
  await host.exec(['sh', '-c', `rm -rf ${HOME_BACKUPS}/dump /var/lib/nightshift-lab/last-round /run/nightshift-verify`])
  const site = {
    node: 'pve',
    guests: [...HOME_GUESTS, ...OLD_GUESTS].map(small),
    jobs,
    storage: { ...homeStorage(3), type: 'dir' as const, fields: [['content', 'backup']] as const },
  }
  writePlan(host.root(), mergePlans(planProxmox(site, now, new Zone(ZONE)).plan), now)
  // The plan gives every job a history; in this story there is none yet.
  await host.exec(['sh', '-c', `rm -rf ${HOME_BACKUPS}/dump/* /var/log/pve/tasks/* /var/lib/pve-manager/jobs/* /var/log/vzdump/*`])
  writeFileSync(join(host.root(), 'etc/nightshift-lab/pve.json'), JSON.stringify({ latency_ms: 0, now: null, node: 'pve' }))
  // A fresh state folder begins a fresh chain of receipts.
  await rm(join(lab.paths.config, 'receipt-head.json'), { force: true })
  await writeConfig(lab)
  editRunbooks(lab.paths.config, 'as-found', start)
  editConfig(lab.paths.config, 'inventory.yaml', (document) => {
    for (const target of Object.values(TARGETS)) rowOf(document, 'targets', 'name', target).set('enabled', false)
  })
}

const dump = () => readdirSync(join(host.root(), HOME_BACKUPS, 'dump')).filter((name) => /\.zst$/.test(name))
/** Every archive that was ever written there; retention has removed some since. */
const written = () =>
  readFileSync(join(host.root(), 'var/lib/nightshift-lab/ledger.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { effect: string; subject: string })
    .filter(({ effect }) => effect === 'archive.write')
    .map(({ subject }) => subject.split('/').at(-1) ?? '')
const isEnabled = (name: string) =>
  (parse(readFileSync(join(lab.paths.config, 'inventory.yaml'), 'utf8')) as { targets: { name: string; enabled: boolean }[] }).targets.find(
    (row) => row.name === name,
  )?.enabled

interface Ended {
  readonly result: ChangeResult
  /** By the story's clock. */
  readonly endedAt: Date
}

/** Runs one enrollment a job until all have ended; the host's scheduler plays exactly the time that passes. */
async function play(start: Date, runs: readonly { job: string; guests: readonly number[] }[]): Promise<Ended[]> {
  const env = await startTimeSkipping()
  const folder = await mkdtemp(join(tmpdir(), 'nightshift-story-'))
  let state: StateFolder | undefined
  try {
    const shiftMs = start.getTime() - (await serverNow(env)).getTime()
    const storyNow = async () => new Date((await serverNow(env)).getTime() + shiftMs)
    let played = start
    let queue = Promise.resolve()
    const follow = () => {
      queue = queue.then(async () => {
        const now = await storyNow()
        const [from, to] = [played, now].map((at) => String(Math.floor(at.getTime() / 1000)))
        if (to !== from) await host.exec([`${PVE_FOLDER}/bin/nightshift-lab-pve`, 'play', from as string, to as string])
        played = now
        writeFileSync(join(host.root(), 'etc/faketimerc'), `${Math.round((now.getTime() - Date.now()) / 1000)}\n`)
      })
      return queue
    }
    const runbooks = await loadRunbooks(lab.paths.config)
    state = await openState({ dir: folder, estateId: lab.name })
    const worker = await startHomeWorker({
      connection: env.nativeConnection,
      namespace: 'default',
      configDir: lab.paths.config,
      runbooks,
      state,
      activityInterceptors: [
        () => ({
          inbound: {
            async execute(input, next) {
              await follow()
              return await next(input)
            },
          },
        }),
      ],
    })
    try {
      const handles = []
      for (const { job, guests } of runs) {
        const args = [{ host: HOST, job, guests, requestedBy: `story-${randomUUID().slice(0, 8)}` }]
        handles.push(await env.client.workflow.start('vzdumpEnrollment', { workflowId: workflowIds.enroll(HOST, job), taskQueue: taskQueueOf(lab.name), args }))
      }
      const ended: Ended[] = []
      // Only one may be waited for at a time: waiting is what lets this server's time run. The last one to end goes first.
      for (const handle of handles.toReversed()) {
        const result = (await handle.result()) as ChangeResult
        const { closeTime } = await handle.describe()
        ended.unshift({ result, endedAt: new Date((closeTime?.getTime() ?? 0) + shiftMs) })
      }
      return ended
    } finally {
      worker.shutdown()
      await worker.stopped
    }
  } finally {
    state?.close()
    await env.teardown()
    await rm(folder, { recursive: true, force: true })
  }
}

const outcomesOf = ({ result }: Ended): readonly GuestOutcome[] => (result.proof as unknown as { guests: readonly GuestOutcome[] }).guests
const newYork = (text: string): Date => new Date(`${text}-05:00`)

describe('the February of the checklist', () => {
  const jobs = AS_FOUND_HOME_JOBS.filter(({ id }) => (JOBS as readonly string[]).includes(id)).map((job) => ({ ...job, enabled: true }))
  let ended: Ended[]

  beforeAll(async () => {
    const start = newYork('2026-02-11T09:30:00')
    await begin(start, jobs)
    // What a person had done that morning, to see whether it works at all.
    const manual = String(newYork('2026-02-11T08:53:32').getTime() / 1000)
    await host.exec(['vzdump', '102', '--storage', 'synology-backups', '--mode', 'snapshot', '--compress', 'zstd'], { env: { NIGHTSHIFT_LAB_NOW: manual } })
    ended = await play(start, [
      { job: JOBS[0], guests: [100, 102] },
      { job: JOBS[1], guests: [103] },
      { job: JOBS[2], guests: [101, 105] },
    ])
  }, 170_000)

  it('ends with every guest proven, and nobody asked anything', () => {
    expect(ended.map(({ result }) => result.state)).toEqual(['already_so', 'already_so', 'already_so'])
    expect(ended.flatMap(outcomesOf).map(({ vmid, outcome, level }) => [vmid, outcome, level])).toEqual([
      [100, 'proven', 2],
      [102, 'proven', 2],
      [103, 'proven', 2],
      [101, 'proven', 2],
      [105, 'proven', 2],
    ])
  })

  it('finds the four patterns that were to be looked for', () => {
    for (const pattern of [
      /^vzdump-qemu-100-2026_02_12-.*\.vma\.zst$/,
      /^vzdump-lxc-103-2026_02_12-.*\.tar\.zst$/,
      /^vzdump-qemu-101-2026_02_15-.*\.vma\.zst$/,
      /^vzdump-lxc-105-2026_02_15-.*\.tar\.zst$/,
    ]) {
      expect(written().filter((name) => pattern.test(name))).toHaveLength(1)
      expect(ended.flatMap(outcomesOf).filter(({ artifact }) => pattern.test(artifact?.path.split('/').at(-1) ?? ''))).toHaveLength(1)
    }
  })

  it('answers each window by itself: the daily jobs in the night to Thursday, the weekly one on Sunday morning', () => {
    const [p0, p1, p2] = ended.map(({ endedAt }) => endedAt.getTime())
    for (const daily of [p0, p1]) {
      expect(daily).toBeGreaterThan(newYork('2026-02-12T03:00:00').getTime())
      expect(daily).toBeLessThan(newYork('2026-02-12T12:00:00').getTime())
    }
    expect(p2).toBeGreaterThan(newYork('2026-02-15T04:00:00').getTime())
    expect(p2).toBeLessThan(newYork('2026-02-16T04:30:00').getTime())
  })

  it('does not count the manual backup of 102, and says so', () => {
    const vaultwarden = ended.flatMap(outcomesOf).find(({ vmid }) => vmid === 102)
    expect(vaultwarden?.artifact?.path).toContain('vzdump-qemu-102-2026_02_12-')
    expect(JSON.stringify(vaultwarden?.notCounted)).toContain('vzdump-qemu-102-2026_02_11-08_53_32.vma.zst')
  })

  it('flips the flags in the inventory, all of them', () => {
    expect(Object.values(TARGETS).map(isEnabled)).toEqual([true, true, true, true, true])
  })
})

describe('nights in which the clocks are changed', () => {
  const daily = (event: string, hour: number, minute: number): LabJob[] => [
    { id: JOBS[0], enabled: true, schedule: { event, hour, minute }, vmids: [100, 102], storage: 'synology-backups', keepLast: 3, sinceDays: 0 },
  ]

  it.each([
    ['02:30 does not exist on 8 March: the first run is that of the 9th, and none was missed', '2026-03-07T12:00:00-05:00', '02:30', 2, 30, '2026_03_09'],
    ['03:00 on 8 March is an hour earlier than the day before', '2026-03-07T12:00:00-05:00', '03:00', 3, 0, '2026_03_08'],
    ['01:30 comes twice on 1 November and runs once', '2026-10-31T12:00:00-04:00', '01:30', 1, 30, '2026_11_01'],
    ['03:00 on 1 November is an hour later than the day before', '2026-10-31T12:00:00-04:00', '03:00', 3, 0, '2026_11_01'],
  ])(
    '%s',
    async (_what, at, event, hour, minute, day) => {
      const start = new Date(at)
      await begin(start, daily(event, hour, minute))
      editConfig(lab.paths.config, 'vzdump.yaml', (document) => {
        const hosts = document.getIn(['hosts']) as {
          items: { get(key: string): unknown; getIn(path: unknown[]): unknown; setIn(path: unknown[], value: unknown): void }[]
        }
        const entry = hosts.items.find((row) => row.get('host') === HOST)
        entry?.setIn(['jobs', 0, 'schedule'], event)
      })
      const [ended] = await play(start, [{ job: JOBS[0], guests: [100] }])
      const [outcome] = outcomesOf(ended as Ended)
      expect(outcome).toMatchObject({ vmid: 100, outcome: 'proven', missed: [] })
      expect(outcome?.artifact?.path).toContain(`vzdump-qemu-100-${day}-`)
      expect(dump().filter((name) => name.startsWith('vzdump-qemu-100-'))).toHaveLength(1)
    },
    120_000,
  )
})
