import { describe, expect, it } from 'vitest'
import type { OpenEnrollment } from '../../../src/domain/enroll/open.js'
import { judgePass } from '../../../src/domain/judge/index.js'
import { readOk } from '../../../src/domain/observation.js'
import { changeFolder, changeProxmox, DUMP, HOUR, NOW, runbooks, type World, world } from './world.js'

const OPEN: OpenEnrollment = {
  host: 'pve',
  vmid: 205,
  job: 'backup-pve-daily',
  workflowId: 'enroll/pve/backup-pve-daily',
  expectedBySeconds: NOW + 19 * HOUR,
  overdueSinceSeconds: null,
  message: 'the next run of backup-pve-daily is due at 2026-11-22 02:00',
}

function judgeGuest(w: World, enrollments: readonly OpenEnrollment[]) {
  const { status } = judgePass({
    runbooks: runbooks(w),
    observations: [...w.hosts.values()],
    memory: w.memory,
    enrollments,
    now: new Date(w.now * 1000).toISOString(),
    pass: { passId: 'p', workflowId: 'w', runId: 'r' },
  })
  const target = status.targets.find(({ id }) => id === 'vm-205')
  return { target, guest: status.guests.find(({ vmid }) => vmid === 205), findings: status.findings.filter(({ subject }) => subject === 'shop/guest/pve/205') }
}

/** Its target is off, as it is until the first scheduled artifact is proven. */
function asleep(): World {
  const w = world()
  w.targets = w.targets.map((target) => (target.id === 'vm-205' ? { ...target, enabled: false } : target))
  return w
}

describe('a guest that a run waits for', () => {
  it('awaits its first artifact, with the due time, although archives made by hand lie there', () => {
    const { guest, findings } = judgeGuest(asleep(), [OPEN])
    expect(guest).toMatchObject({
      state: 'LATE',
      reason: 'awaiting_first_artifact',
      severity: 'warning',
      message: expect.stringContaining('due by 2026-11-22 02:00; the next run of backup-pve-daily is due'),
    })
    expect(findings).toHaveLength(1)
  })

  it('is overdue when the run says so, and also when the run has said nothing since the due time passed', () => {
    const overdue = { ...OPEN, overdueSinceSeconds: NOW - HOUR, message: 'the run due at 2026-11-21 02:00 was missed' }
    expect(judgeGuest(asleep(), [overdue])).toMatchObject({
      guest: { state: 'MISSING', reason: 'overdue', severity: 'critical', message: expect.stringContaining('goes on waiting') },
      findings: [{ reason: 'overdue' }],
    })
    expect(judgeGuest(asleep(), [{ ...OPEN, expectedBySeconds: NOW - HOUR }]).guest).toMatchObject({ reason: 'overdue' })
  })

  it('has a target that names the run; when no run is open any more, as after a Terminate, the monitor says which command waits again', () => {
    expect(judgeGuest(asleep(), [OPEN]).target).toMatchObject({
      state: 'DISABLED',
      message: expect.stringContaining('until its first scheduled backup is proven, which enroll/pve/backup-pve-daily waits for'),
      next: 'nightshift plan enroll/pve/backup-pve-daily',
    })
    const command = `nightshift run vzdumpEnrollment '{"host":"pve","guests":[205]}'`
    expect(judgeGuest(asleep(), []).target).toMatchObject({ state: 'DISABLED', severity: 'warning', next: expect.stringContaining(command) })
    const bare = asleep()
    changeFolder(bare, 'pve', DUMP, (files) => ({ files: files.filter(({ name }) => !name.includes('-205-')) }))
    changeProxmox(bare, 'pve', (seen) => ({ ...seen, tasks: readOk([]), taskLogs: readOk([]), jobStates: readOk([]) }))
    expect(judgeGuest(bare, []).guest).toMatchObject({ reason: 'awaiting_first_artifact', next: command })
  })

  it('is judged by its enabled target again, and by its archives when nobody waits', () => {
    expect(judgeGuest(world(), [OPEN]).guest).toMatchObject({ state: 'OK' })
    expect(judgeGuest(asleep(), []).guest).toMatchObject({ state: 'OK' })
    expect(judgeGuest(asleep(), [{ ...OPEN, host: 'proxmox-home' }]).guest).toMatchObject({ state: 'OK' })
  })
})
