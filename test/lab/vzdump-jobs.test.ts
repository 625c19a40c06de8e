/** vzdumpJobs end to end, from the estate as it was found: real sshd, the emulated Proxmox, the compiled program, answers by a person. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { LabHost } from '../../lab/host.js'
import type { StatusDocument } from '../../src/domain/status.js'
import { loadRunbooks } from '../../src/runbooks/index.js'
import type { VzdumpJobsResult } from '../../src/workflows/vzdump-jobs.js'
import { testLab } from '../support/lab.js'
import { nightshift } from '../support/nightshift.js'
import { answer, type RunningPlace, startPlace, type TestPlace, waitingPlan } from '../support/place.js'

const HOME = 'proxmox-home'
const P0 = 'backup-home-p0-daily'
const P2 = 'backup-home-p2-weekly'

const lab = await testLab('vzdump-jobs', { hosts: ['pve', HOME], state: 'as-found' })
const home = lab.host(HOME)
let running: RunningPlace
let place: TestPlace

beforeAll(async () => {
  running = await startPlace(lab)
  place = running.place
})
afterAll(async () => await running?.stop())

type Row = Record<string, unknown> & { id: string }

const pvesh = async (host: LabHost, ...argv: string[]) => (await host.exec(['pvesh', ...argv])).stdout
const jobsOf = async (host: LabHost) => JSON.parse(await pvesh(host, 'get', '/cluster/backup', '--output-format', 'json')) as Row[]
const jobOf = async (host: LabHost, id: string) => (await jobsOf(host)).find((job) => job.id === id)
const textOf = (file: string) => readFile(join(place.config, file), 'utf8')

const start = (host: string, more: object = {}) =>
  running.client.workflow.start('vzdumpJobs', {
    workflowId: `jobs/${host}`,
    taskQueue: `nightshift-${lab.name}`,
    args: [{ host, requestedBy: 'ronny', ...more }],
  })

/** One host after the other, one estate: what a test leaves is what the next one finds. */
describe('vzdumpJobs', () => {
  it('audits without changing anything, and leaves a baseline', async () => {
    const files = await Promise.all(['vzdump.yaml', 'inventory.yaml', 'calendar.yaml'].map(textOf))
    const run = await nightshift(place, ['run', 'vzdumpJobs', JSON.stringify({ host: HOME, mode: 'audit' }), '--json'])
    expect(run.exitCode, run.stderr).toBe(0)
    const { result } = JSON.parse(run.stdout) as { result: VzdumpJobsResult }
    expect(result).toMatchObject({ state: 'done', message: 'audit, nothing was changed: 8 steps would change that' })
    const shown = await nightshift(place, ['receipts', 'show', String(result.receipt?.number), '--json'])
    expect(shown.stdout).toContain('"guestsOut"')
    expect(shown.stdout).toContain('backup-c1ff91b4-5175')
    expect(await jobsOf(home)).toHaveLength(4)
    expect(await Promise.all(['vzdump.yaml', 'inventory.yaml', 'calendar.yaml'].map(textOf))).toEqual(files)
  })

  it("stops at somebody else's edit of a field that is ours, and asks anew", async () => {
    const handle = await start(HOME)
    const asked = await waitingPlan(handle)
    await pvesh(home, 'set', `/cluster/backup/${P0}`, '--schedule', '05:00')
    await answer(handle, 'approve', asked.digest)
    const again = await waitingPlan(handle, asked.digest)
    expect(again.notes.join(' ')).toContain('is void')
    expect(again.plans[0]?.steps.find(({ id }) => id === `set job ${P0}`)?.diff).toContainEqual({ field: 'schedule', from: '05:00', to: '03:00' })
    await answer(handle, 'reject', again.digest)
    expect(await handle.result()).toMatchObject({ state: 'rejected' })
    expect(await jobOf(home, P0)).toMatchObject({ schedule: '05:00', enabled: 0, vmid: '100,102' })
    expect(await jobsOf(home)).toHaveLength(4)
    await pvesh(home, 'set', `/cluster/backup/${P0}`, '--schedule', '03:00')
  })

  it('adds no guest to a job itself: nine enrollments are begun, and 215 stays a finding', async () => {
    const pve = lab.host('pve')
    const result = (await (await start('pve')).result()) as VzdumpJobsResult
    const guests = [205, 206, 207, 209, 210, 211, 212, 213, 214]
    expect(result).toMatchObject({ state: 'already_so', proof: { enrollments: [{ workflowId: 'enroll/pve/backup-pve-daily', guests, state: 'started' }] } })
    expect(result.warnings).toMatchObject([{ code: 'two_bad_nights' }, { code: 'not_in_any_job', message: expect.stringContaining('guest 215') }])
    expect((await jobOf(pve, 'backup-pve-daily'))?.vmid).toBe('200,202,203,204')
    expect((await running.client.workflow.getHandle('enroll/pve/backup-pve-daily').describe()).type).toBe('vzdumpEnrollment')
  })

  it('brings home to two tiers that run, leaves alone what is not ours, cleans up what is gone, waits for first artifacts, and the monitor sees it', async () => {
    const before = await jobsOf(home)
    const handle = await start(HOME)
    const asked = await waitingPlan(handle)
    expect(asked.plans[0]?.steps.map(({ id }) => id)).toEqual([
      'set retention of storage synology-backups',
      `set job ${P0}`,
      `set job ${P2}`,
      'delete job backup-home-p1-daily',
      'delete job backup-c1ff91b4-5175',
      'edit inventory.yaml',
      'edit calendar.yaml',
      'edit vzdump.yaml',
    ])
    const withoutClock = (rows: Row[]) => rows.map(({ 'next-run': _, ...row }) => row)
    expect(withoutClock(await jobsOf(home))).toEqual(withoutClock(before))

    // Somebody's edit of fields that are not ours voids no approval.
    await pvesh(home, 'set', `/cluster/backup/${P0}`, '--comment', 'ask Ana first', '--bwlimit', '4000')
    await answer(handle, 'approve', asked.digest)
    const result = (await handle.result()) as VzdumpJobsResult
    expect(result, result.message).toMatchObject({ state: 'done', planDigest: asked.digest, proof: { remaining: [] } })
    expect(result.steps.map(({ outcome }) => outcome)).toEqual(Array(8).fill('applied'))

    expect((await jobsOf(home)).map(({ id, enabled, vmid, comment }) => ({ id, enabled, vmid, comment }))).toEqual([
      { id: P0, enabled: 1, vmid: '100', comment: 'ask Ana first' },
      { id: P2, enabled: 1, vmid: '105', comment: 'P2' },
    ])
    expect(await jobOf(home, P0)).toMatchObject({ bwlimit: 4000 })
    expect(await pvesh(home, 'get', '/storage/synology-backups', '--output-format', 'json')).toContain('"prune-backups":"keep-last=3"')

    const set = await loadRunbooks(place.config)
    const entry = set.vzdump?.hosts.find(({ host }) => host === HOME)
    expect(entry?.jobs.map(({ id, guests }) => [id, guests])).toEqual([
      [P0, [100]],
      [P2, [105]],
    ])
    const gone = set.inventory.targets.filter(({ decommissioned }) => decommissioned !== undefined).map(({ id }) => id)
    expect(gone).toEqual(['home-vm-101-immich-primary', 'home-vm-102-vaultwarden-primary', 'home-lxc-103-download-primary'])
    expect(set.calendar.events.find(({ id }) => id === 'vzdump-home-p1-daily')?.decommissioned?.reason).toContain('103')
    expect(await textOf('vzdump.yaml')).toContain('# Home Assistant')

    for (const job of [P0, P2]) {
      const { status, type } = await running.client.workflow.getHandle(`enroll/${HOME}/${job}`).describe()
      expect([type, status.name]).toEqual(['vzdumpEnrollment', 'RUNNING'])
    }

    const pass = await nightshift(place, ['run', 'backupMonitor', '{}', '--wait', '120s', '--json'])
    expect(pass.exitCode, pass.stderr).toBe(0)
    const status = JSON.parse((await nightshift(place, ['status', '--json'])).stdout) as StatusDocument
    expect(status.jobs.filter(({ host }) => host === HOME).map(({ id }) => id)).toEqual([P0, P2])
    expect(status.findings.filter(({ reason }) => reason === 'vanished_guest')).toEqual([])
    expect(status.guests.find(({ host, vmid }) => host === HOME && vmid === 100)?.reason).not.toBe('not_in_any_job')

    expect(await (await start(HOME)).result()).toMatchObject({ state: 'already_so' })
    expect((await nightshift(place, ['receipts', 'verify'])).exitCode).toBe(0)
  })
})
