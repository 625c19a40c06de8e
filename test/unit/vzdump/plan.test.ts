/** The plan of `vzdumpJobs`, from readings of a lab in its two states. */
import { describe, expect, test } from 'vitest'
import { planDigest, sealPlan } from '../../../src/domain/change/plan.js'
import { isTrue } from '../../../src/domain/vzdump/observation.js'
import { argvOf, codesOf, observation, plan, runbooks, step, stepsOf, undoOf, withEntry, withJob } from './world.js'

const [asFound, healthy] = await Promise.all([runbooks('as-found'), runbooks('healthy')])
const home = observation('home-as-found')
const shop = observation('shop-as-found')

describe('in the state healthy', () => {
  for (const name of ['home-healthy', 'shop-healthy'] as const) {
    test(`there is nothing to do or to start, and to say only what keep-last=2 risks (${name})`, () => {
      const planned = plan(observation(name), healthy)
      expect(planned).toMatchObject({ enrollments: [], draft: { steps: [] } })
      expect(codesOf(planned)).toEqual(['two_bad_nights'])
    })
  }
})

describe('home as found', () => {
  const planned = plan(home, asFound)

  test('is brought to two tiers that run, without the job on the missing storage and the job whose only guest is gone', () => {
    expect(stepsOf(planned)).toEqual([
      'set retention of storage synology-backups',
      'set job backup-home-p0-daily',
      'set job backup-home-p2-weekly',
      'delete job backup-home-p1-daily',
      'delete job backup-c1ff91b4-5175',
      'edit inventory.yaml',
      'edit calendar.yaml',
      'edit vzdump.yaml',
    ])
    expect(argvOf(planned, 'set job backup-home-p0-daily')).toEqual(['pvesh', 'set', '/cluster/backup/backup-home-p0-daily', '--vmid', '100', '--enabled', '1'])
    expect(undoOf(planned, 'set job backup-home-p0-daily')).toEqual([
      'pvesh',
      'set',
      '/cluster/backup/backup-home-p0-daily',
      '--vmid',
      '100,102',
      '--enabled',
      '0',
    ])
  })

  test('finds the dead job by what it backs up: under another name it is the same', () => {
    const renamed = { ...home, jobs: home.jobs.map((job) => (job.id === 'backup-home-p1-daily' ? { ...job, id: 'nightly-x' } : job)) }
    expect(stepsOf(plan(renamed, asFound))).toContain('delete job nightly-x')
    const alive = { ...home, guests: [...home.guests, { ...(home.guests[0] as (typeof home.guests)[0]), vmid: 103 }] }
    expect(stepsOf(plan(alive, asFound))).not.toContain('delete job backup-home-p1-daily')
  })

  test('asks: every change of a job and of retention is destructive', () => {
    for (const { id, destructive, host } of planned.draft.steps) if (host !== null) expect(destructive, id).not.toEqual([])
  })

  test('can put back a job that it removes, with all that the job had', () => {
    expect(undoOf(planned, 'delete job backup-c1ff91b4-5175')).toEqual([
      ...['pvesh', 'create', '/cluster/backup', '--id', 'backup-c1ff91b4-5175', '--all', '1', '--compress', 'zstd', '--enabled', '0', '--mode', 'snapshot'],
      ...['--notes-template', '{{guestname}}', '--schedule', '02:00', '--storage', 'synology-nas-storage'],
    ])
  })

  test('waits for the first artifact of each guest whose job begins to run', () => {
    expect(planned.enrollments).toEqual([
      { job: 'backup-home-p0-daily', guests: [100] },
      { job: 'backup-home-p2-weekly', guests: [105] },
    ])
  })

  test('marks what is gone in the files, and takes it out of lists: nothing of it is left for a second plan', () => {
    const inventory = step(planned, 'edit inventory.yaml')
    expect(inventory.diff.map(({ field }) => field)).toEqual([
      'home-vm-101-immich-primary.decommissioned',
      'home-vm-102-vaultwarden-primary.decommissioned',
      'home-lxc-103-download-primary.decommissioned',
    ])
    expect(inventory.diff[0]?.to).toEqual({ reason: 'guest 101 no longer on proxmox-home', date: '2026-11-21' })
    expect(step(planned, 'edit calendar.yaml').diff.map(({ field, to }) => [field, to])).toEqual([
      ['event vzdump-home-p0-daily.guests', [100]],
      ['event vzdump-home-p2-weekly.guests', [105]],
      ['vzdump-home-p1-daily.decommissioned', { reason: 'guest 103 no longer on proxmox-home', date: '2026-11-21' }],
    ])
    expect(step(planned, 'edit vzdump.yaml').diff.map(({ field, to }) => [field, to])).toEqual([
      ['job backup-home-p0-daily.guests', [100]],
      ['job backup-home-p2-weekly.guests', [105]],
      ['jobs.backup-home-p1-daily', null],
    ])
  })

  test('dates the end of a guest by the task index of the host, where that knows it', () => {
    const known = { ...home, destroyed: [{ vmid: 102, epochSeconds: 1_770_800_000 }] }
    const dates = step(plan(known, asFound), 'edit inventory.yaml').diff.map(({ to }) => (to as { date: string }).date)
    expect(dates).toEqual(['2026-11-21', '2026-02-11', '2026-11-21'])
  })
})

describe('retention that is lowered', () => {
  const planned = plan(observation('home-as-found-archives'), asFound)

  test('lists what the host itself says will go, by name and size', () => {
    const change = step(planned, 'set retention of storage synology-backups')
    expect(change.destructive).toEqual(['lets a later run delete data'])
    expect(change.removes.map(({ volid, vmid, sizeBytes }) => [volid, vmid, sizeBytes])).toEqual([
      ['synology-backups:backup/vzdump-qemu-100-2026_11_16-03_00_02.vma.zst', 100, 11e9],
      ['synology-backups:backup/vzdump-qemu-100-2026_11_17-03_00_02.vma.zst', 100, 11e9],
    ])
    expect(change.what).toContain('removes 2 archives (20.5 GB) of guest 100')
  })

  test('is set, and taken back, on condition that nobody wrote the file of storages meanwhile', () => {
    for (const argv of [argvOf, undoOf].map((of) => of(planned, 'set retention of storage synology-backups')))
      expect(argv.slice(-2)).toEqual(['--digest', '{{sha1:/etc/pve/storage.cfg}}'])
  })

  test('is said of a job that begins to prune as well', () => {
    const change = step(planned, 'set job backup-home-p0-daily')
    expect(change.destructive).toEqual(['lets a later run delete data', 'lessens protection'])
    expect(change.removes).toHaveLength(2)
  })

  test('counts as destructive when the host cannot say what it removes', () => {
    const seen = observation('home-as-found-archives')
    const raised = {
      ...seen,
      storages: seen.storages.map((storage) => (storage.id === 'synology-backups' ? { ...storage, retention: 'keep-last=1' } : storage)),
      prunes: seen.prunes.map((prune) => ({ ...prune, removes: { ok: false as const, why: 'storage is not online' } })),
    }
    const change = step(plan(raised, asFound), 'set retention of storage synology-backups')
    expect(change.destructive).toEqual(['lets a later run delete data'])
    expect(change.what).toContain('could not be asked: storage is not online')
  })

  test('leaves the archives of guests that are gone, and asks for a decision with an end', () => {
    expect(codesOf(planned)).toContain('leftover_undecided')
    expect(planned.draft.facts.leftovers).toMatchObject([{ guest: 102, archives: 2, bytes: 8_310_000_000, newest: '2026-02-02T13:53:32.000Z' }])
    const decided = (keepUntil: string) => withEntry(asFound, 'proxmox-home', () => ({ leftovers: [{ guest: 102, keepUntil, reason: 'books' }] }))
    const seen = observation('home-as-found-archives')
    expect(codesOf(plan(seen, decided('2026-11-21')))).not.toContain('leftover_decision_over')
    expect(codesOf(plan(seen, decided('2026-11-21')))).not.toContain('leftover_undecided')
    expect(codesOf(plan(seen, decided('2026-11-20')))).toContain('leftover_decision_over')
  })
})

describe('the shop as found', () => {
  test('changes no job: nine guests join by enrollment, 208 does not exist, and 215 stays a finding', () => {
    const planned = plan(shop, asFound)
    expect(stepsOf(planned)).toEqual([])
    expect(planned.enrollments).toEqual([{ job: 'backup-pve-daily', guests: [205, 206, 207, 209, 210, 211, 212, 213, 214] }])
    expect(planned.draft.warnings).toEqual([
      { code: 'two_bad_nights', message: expect.stringContaining('keep-last=2') },
      { code: 'not_in_any_job', message: expect.stringContaining('guest 215 (surveillance-stack)') },
    ])
  })

  test('makes a job that is missing with its guests, and waits for each of them', () => {
    const planned = plan(withJob(shop, 'backup-pve-daily', null), asFound)
    expect(argvOf(planned, 'create job backup-pve-daily')).toEqual([
      ...['pvesh', 'create', '/cluster/backup', '--id', 'backup-pve-daily', '--vmid', '200,202,203,204,205,206,207,209,210,211,212,213,214'],
      ...['--schedule', '02:00', '--enabled', '1', '--storage', 'tank-backups', '--comment', 'shop: every guest, nightly'],
      ...['--compress', 'zstd', '--mode', 'snapshot', '--notes-template', '{{guestname}}'],
    ])
    expect(undoOf(planned, 'create job backup-pve-daily')).toEqual(['pvesh', 'delete', '/cluster/backup/backup-pve-daily'])
    expect(planned.enrollments[0]?.guests).toHaveLength(13)
  })

  test('leaves out a guest that is still to come, and says so', () => {
    const set = withEntry(asFound, 'pve', ({ jobs }) => ({ jobs: jobs.map((job) => ({ ...job, guests: [...job.guests, 208] })) }))
    const planned = plan(shop, set)
    expect(planned.enrollments[0]?.guests).not.toContain(208)
    expect(codesOf(planned)).toContain('no_such_guest')
    expect(planned.draft.facts.gone).toEqual([])
  })
})

describe('whose a field is', () => {
  const ID = 'backup-home-p0-daily'
  const seen = observation('home-healthy')

  test('fields that are not ours stay: neither compared nor set', () => {
    const edited = withJob(seen, ID, { comment: 'hands off', 'notes-template': 'x', bwlimit: 5000, fleecing: { enabled: 1, storage: 'local' } })
    expect(stepsOf(plan(edited, healthy))).toEqual([])
    const moved = plan(withJob(edited, ID, { schedule: '05:00' }), healthy)
    expect(argvOf(moved, `set job ${ID}`)).toEqual(['pvesh', 'set', `/cluster/backup/${ID}`, '--schedule', '03:00'])
    const [check] = step(moved, `set job ${ID}`).before
    expect(check?.kind === 'row' && Object.keys(check.fields ?? {})).not.toContain('comment')
  })

  test('a field of ours that somebody set is unset again, and comes back by the undo', () => {
    const planned = plan(withJob(seen, ID, { mailto: 'me@example.org', mailnotification: 'failure' }), healthy)
    expect(argvOf(planned, `set job ${ID}`)).toEqual(['pvesh', 'set', `/cluster/backup/${ID}`, '--delete', 'mailnotification,mailto'])
    expect(undoOf(planned, `set job ${ID}`)).toEqual(['pvesh', 'set', `/cluster/backup/${ID}`, '--mailnotification', 'failure', '--mailto', 'me@example.org'])
  })

  test('retention of a job that says nothing of it is a change: it would override the storage', () => {
    const planned = plan(withJob(observation('shop-healthy'), 'backup-pve-daily', { 'prune-backups': { 'keep-last': '1' } }), healthy)
    expect(argvOf(planned, 'set job backup-pve-daily').slice(3)).toEqual(['--delete', 'prune-backups'])
    expect(step(planned, 'set job backup-pve-daily').destructive).toEqual([])
  })

  test('what means the same is the same: defaults, order of lists, ways to write numbers', () => {
    const same = withJob(observation('shop-healthy'), 'backup-pve-daily', {
      vmid: '215;214,213 212,211,210,209,207,206,205,204,203,202,0200',
      'notification-mode': 'auto',
      'repeat-missed': 0,
      mailnotification: 'always',
      enabled: '1',
    })
    expect(stepsOf(plan(same, healthy))).toEqual([])
  })

  test('a job for all guests becomes one with a list; what it covered loses nothing without saying so', () => {
    const all = withJob(observation('shop-healthy'), 'backup-pve-daily', { all: 1, vmid: null, exclude: '200' })
    const { vmid: _, ...row } = all.jobs[0] as Record<string, never>
    const planned = plan({ ...all, jobs: [row] }, healthy)
    expect(argvOf(planned, 'set job backup-pve-daily')).toEqual(expect.arrayContaining(['--vmid']))
    expect(argvOf(planned, 'set job backup-pve-daily')).not.toContain('--delete')
    expect(undoOf(planned, 'set job backup-pve-daily').slice(3)).toEqual(['--all', '1', '--exclude', '200'])
    expect(planned.enrollments).toEqual([{ job: 'backup-pve-daily', guests: [200] }])
  })
})

describe('less protection', () => {
  const ID = 'backup-home-p0-daily'
  const seen = observation('home-healthy')
  const wanting = (change: object) =>
    plan(
      seen,
      withEntry(healthy, 'proxmox-home', ({ jobs }) => ({ jobs: jobs.map((job) => (job.id === ID ? { ...job, ...change } : job)) })),
    )

  test.each([
    ['a job that is to run by hand only', { scheduled: false }, ['--enabled', '0']],
    ['a job that runs more rarely', { schedule: 'sun 04:00' }, ['--schedule', 'sun 04:00']],
  ])('%s is destructive', (_, change, argv) => {
    const planned = wanting(change)
    expect(argvOf(planned, `set job ${ID}`).slice(3)).toEqual(argv)
    expect(step(planned, `set job ${ID}`).destructive).toContain('lessens protection')
    expect(planned.enrollments).toEqual([])
  })

  test('a guest that still exists and leaves a job is destructive', () => {
    const more = withJob(seen, ID, { vmid: '100,105' })
    const planned = plan(more, healthy)
    expect(step(planned, `set job ${ID}`)).toMatchObject({ destructive: ['lessens protection'], what: expect.stringContaining('stop backing up 105') })
  })

  test('a job that nobody listed is told of, and removed only where the file says so', () => {
    const extra = withJob(seen, 'by-somebody', { type: 'vzdump', vmid: '100', schedule: '05:00', storage: 'synology-backups', enabled: 1 })
    expect(codesOf(plan(extra, healthy))).toContain('other_job')
    expect(stepsOf(plan(extra, healthy))).toEqual([])
    const planned = plan(
      extra,
      withEntry(healthy, 'proxmox-home', () => ({ otherJobs: 'remove' })),
    )
    expect(step(planned, 'delete job by-somebody').destructive).toEqual(['lessens protection'])
  })
})

describe('the digest', () => {
  test('is the same for the same plan, whatever the clock, sizes, sentences and the order of lists', () => {
    const first = sealPlan(plan(home, asFound).draft)
    const later = {
      ...home,
      epochSeconds: home.epochSeconds + 86_400,
      jobs: home.jobs.map((job) => ({ ...job, 'next-run': Number(job['next-run']) + 86_400 })),
    }
    expect(sealPlan(plan(later, asFound).draft).digest).toBe(first.digest)
    const turned = withJob(home, 'backup-home-p0-daily', { comment: 'another' })
    expect(planDigest(plan(turned, asFound).draft)).toBe(first.digest)
  })

  test('changes with any field that is ours', () => {
    const first = planDigest(plan(home, asFound).draft)
    expect(planDigest(plan(withJob(home, 'backup-home-p0-daily', { mode: 'stop' }), asFound).draft)).not.toBe(first)
    expect(planDigest(plan(withJob(home, 'backup-home-p1-daily', { comment: 'mine' }), asFound).draft)).not.toBe(first)
  })
})

test('booleans are read in all ways in which pvesh prints them', () => {
  expect([1, '1', true, 0, '0', '', null, undefined].map(isTrue)).toEqual([true, true, true, false, false, false, false, false])
})
