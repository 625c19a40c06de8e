/** A healthy estate gets no false word, and nothing is green that was not looked at. */
import { expect, test } from 'vitest'
import { unreadHost } from '../../../src/domain/observation.js'
import { judge, NOW, targetOf, world, wrongOf } from './world.js'

test('in a healthy estate everything is OK and there is no finding, in the first pass and in later ones', () => {
  const w = world()
  for (let pass = 0; pass < 3; pass++) {
    w.now = NOW + pass * 600
    const status = judge(w)
    expect(wrongOf(status)).toEqual([])
    expect(status.findings).toEqual([])
    expect(status).toMatchObject({ verdict: 'ok', expected: 6, seen: 6, stale: false, schema: 'nightshift.status/1' })
  }
})

test('a healthy row says its artifact, its age, its limit and when the next one is due', () => {
  expect(targetOf(judge(world()), 'vm-204')).toMatchObject({
    state: 'OK',
    reason: 'ok',
    band: 'OK',
    artifact: { path: '/tank/backups/vzdump/dump/vzdump-qemu-204-2026_11_21-02_00_00.vma.zst', modifiedAt: '2026-11-21T07:05:00.000Z' },
    ageSeconds: 5 * 3600 - 300,
    limitSeconds: 26 * 3600,
    lastGood: { proof: 1 },
    inhibitedBy: null,
  })
})

test('a host that nobody read makes its targets unknown, not OK', () => {
  const w = world()
  w.hosts.delete('nas')
  const status = judge(w)
  expect(targetOf(status, 'app-gitea')).toMatchObject({ state: 'UNKNOWN', reason: 'not_looked_at', inhibitedBy: 'home/host/nas' })
  expect(status.seen).toBe(4)
})

test('guests, jobs and storages of a host that cannot be reached stay in the table, as unknown', () => {
  const w = world()
  judge(w)
  w.hosts.set(
    'pve',
    unreadHost('pve', { reason: 'connect_timeout', message: 'pve does not answer' }, { startedAt: '2026-11-21T11:59:00Z', finishedAt: '2026-11-21T12:00:00Z' }),
  )
  const status = judge(w)
  expect(wrongOf(status).filter((line) => line.startsWith('guest')).length).toBe(2)
  expect(wrongOf(status)).toContain('job backup-pve-daily: UNKNOWN connect_timeout')
  expect(wrongOf(status)).toContain('storage tank-backups: UNKNOWN connect_timeout')
})
