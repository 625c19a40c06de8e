/** The warnings of a plan of jobs, from what an emulated host itself answers: one reading of a host on which everything is amiss. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readVzdump } from '../../../src/activities/vzdump.js'
import type { VzdumpObservation } from '../../../src/domain/vzdump/observation.js'
import type { JobsPlan } from '../../../src/domain/vzdump/plan.js'
import type { VzdumpHost, WantedJob } from '../../../src/domain/vzdump-runbook.js'
import { PveRoot } from '../../helpers/pve-root.js'
import { plan, runbooks, stepsOf, withEntry } from './world.js'

const NOW = new Date('2026-11-21T12:00:00Z')
/** Facts of Proxmox' calendar: accepted, and not what people mean. */
const TRAPS = ['24:00', 'mon 25:00', '02:00,14:00', '22:00..23:00', '22', 'mon..fri 22', '8:00/15', '*:*', '*-31']
const JOB: WantedJob = { id: 'nightly', tier: 'P0', guests: [100, 101], schedule: '02:00', scheduled: true, storage: 'nas', place: 'vzdump.yaml:9' }

let host: PveRoot
let seen: VzdumpObservation
const healthy = await runbooks('healthy')
const wanted = (entry: Partial<VzdumpHost> = {}): JobsPlan =>
  plan(
    seen,
    withEntry(healthy, 'pve', () => ({ jobs: [JOB], storages: [], leftovers: [], ...entry })),
  )
const said = (planned: JobsPlan, code: string): string[] => planned.draft.warnings.filter((each) => each.code === code).map(({ message }) => message)

beforeAll(async () => {
  const nas = { storage: 'nas', enabled: 1 }
  host = await PveRoot.create({
    guests: [
      { vmid: 100, type: 'qemu', name: 'web', lines: ['agent: 1', 'scsi1: disks:100/vm-100-disk-1.raw,backup=0,size=1M'] },
      { vmid: 101, type: 'qemu', name: 'old' },
      { vmid: 102, type: 'lxc', name: 'dns', lines: ['mp0: disks:102/vm-102-disk-1.raw,mp=/data,size=1M'] },
      { vmid: 103, type: 'lxc', name: 'pooled' },
      { vmid: 104, type: 'lxc', name: 'nobody' },
    ],
    storages: { nas: 'keep-last=1' },
    jobs: [
      { id: 'nightly', schedule: '02:00', vmid: '100,101', ...nas },
      { id: 'in-its-way', schedule: '02:30', vmid: '102', 'prune-backups': 'keep-last=7', ...nas },
      { id: 'of-a-pool', schedule: '05:00', pool: 'web', 'prune-backups': 'keep-last=7', ...nas },
      { id: 'elsewhere', schedule: '06:00', vmid: '102', storage: 'synology-nas-storage', enabled: 0 },
      { id: 'no-node', schedule: '07:00', vmid: '102', node: 'pve9', ...nas },
    ],
  })
  await host.put('/etc/pve/user.cfg', 'user:root@pam:1:0::::::\n\npool:web:two of them:103,100::\n')
  await host.put(
    '/etc/pve/vzdump.cron',
    'PATH="/usr/sbin:/usr/bin:/sbin:/bin"\n\n0 2 * * 6           root vzdump 102 --mode snapshot --quiet 1 --storage nas\n',
  )
  await host.put('/etc/timezone', 'Etc/UTC\n')
  const ssh = host.ssh(() => NOW)
  const route = { host: 'pve', site: 'shop', sshAlias: 'pve', sudo: false, node: 'pve' }
  // The reader's own files stand in the folder, as those of the emulated programs do.
  const rooted = (program: string) => program.replaceAll(/'\/(etc|var)\//g, `'${host.dir}/$1/`)
  const reads = { run: (alias: string, request: Parameters<typeof ssh.run>[1]) => ssh.run(alias, { ...request, stdin: rooted(String(request.stdin)) }) }
  seen = await readVzdump(reads, route, { schedules: TRAPS, prunes: [] })
}, 60_000)
afterAll(async () => await host?.remove())

describe('before a plan of jobs is approved, it is said', () => {
  it.each(TRAPS)('that the schedule "%s" is not what it looks like, by the runs that the host itself foresees', (schedule) => {
    expect(said(wanted({ jobs: [{ ...JOB, schedule }] }), 'schedule_trap')).toHaveLength(1)
  })

  it('that two jobs write to one storage in one window, also when one of them is a line of cron', () => {
    const clashes = said(wanted(), 'same_window').join('\n')
    expect(clashes).toMatch(/jobs nightly .* and in-its-way .* write to nas in one window/)
    expect(clashes).toMatch(/jobs nightly .* and [0-9a-f]{40}:1 /)
    expect(clashes).not.toContain('of-a-pool')
  })

  it('that a guest has no agent, and which disks its backups leave out', () => {
    expect(said(wanted(), 'no_agent')).toEqual([expect.stringContaining('guest 101 (old)')])
    expect(said(wanted(), 'disk_left_out')).toEqual([
      expect.stringContaining('guest 100 (web) leave out scsi1'),
      expect.stringContaining('guest 102 (dns) leave out mp0'),
    ])
  })

  it('that a job keeps fewer than the proven copies that are wanted, by what its storage keeps', () => {
    expect(said(wanted(), 'too_few_kept')).toEqual(
      [expect.stringMatching(/^job [0-9a-f]{40}:1 .* 102 \(2\)/), expect.stringMatching(/^job nightly keeps at most 1 .* 100 \(2\) and 101 \(2\)/)].reverse(),
    )
  })

  it('that a job names a storage, node or pool that is not there; such a job is a step, or stays as it is', () => {
    expect(said(wanted(), 'job_without_storage')).toEqual([expect.stringContaining('job elsewhere writes to storage synology-nas-storage')])
    expect(said(wanted(), 'job_without_node')).toEqual([expect.stringContaining('job no-node runs on node pve9')])
    expect(stepsOf(wanted())).toEqual(expect.arrayContaining(['delete job elsewhere', 'delete job no-node']))
    expect(said(wanted({ jobs: [{ ...JOB, storage: 'gone' }] }), 'no_such_storage')).toEqual([expect.stringContaining('job nightly is left as it is')])
    expect(said(wanted({ jobs: [{ ...JOB, node: 'gone' }] }), 'no_such_node')).toEqual([expect.stringContaining('pve has no node gone')])
  })

  it('that the old cron file still runs, which is never changed', () => {
    expect(said(wanted(), 'legacy_cron')).toEqual([expect.stringContaining('1 line of the old /etc/pve/vzdump.cron')])
    expect(stepsOf(wanted()).filter((id) => /[0-9a-f]{40}/.test(id))).toEqual([])
  })

  it('which guests are in no job: not those of a list, of a pool, of a line of cron', () => {
    expect(said(wanted(), 'not_in_any_job')).toEqual([expect.stringContaining('guest 104 (nobody)')])
    // Where the plan removes what the file does not list, its guests will be in no job; a line of cron stays.
    const alone = said(wanted({ otherJobs: 'remove' }), 'not_in_any_job')
    expect(alone).toEqual([expect.stringContaining('guest 103 (pooled)'), expect.stringContaining('guest 104 (nobody)')])
  })
})
