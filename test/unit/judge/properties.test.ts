/** What must hold whatever was seen: never green unseen, order does not matter, older is never better, big estates are quick. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { emptyMemory, judgePass } from '../../../src/domain/judge/index.js'
import { readOk, unread, unreadHost } from '../../../src/domain/observation.js'
import type { State } from '../../../src/domain/status.js'
import { ageNewest, changeFolder, changeHost, DAY, GITEA, HOUR, judge, NOW, plainFile, runbooks, targetOf, world } from './world.js'

const HOSTS = ['pve', 'proxmox-home', 'nas', 'dev-tools']

test('a target whose host or folder was not read is never OK', () => {
  fc.assert(
    fc.property(fc.subarray(HOSTS), fc.subarray(HOSTS), fc.boolean(), (missing, broken, down) => {
      const w = world()
      for (const name of missing) {
        if (down)
          w.hosts.set(
            name,
            unreadHost(
              name,
              { reason: 'connection_lost', message: 'lost' },
              { startedAt: new Date(NOW * 1000).toISOString(), finishedAt: new Date(NOW * 1000).toISOString() },
            ),
          )
        else w.hosts.delete(name)
      }
      for (const name of broken)
        if (w.hosts.has(name))
          changeHost(w, name, (seen) => ({ ...seen, directories: seen.directories.map((entry) => ({ ...entry, reading: unread('truncated', 'cut off') })) }))
      const status = judge(w)
      for (const row of status.targets) if (missing.includes(row.host) || broken.includes(row.host)) expect(row.state).toBe('UNKNOWN')
      if (missing.length > 0) expect(status.verdict).not.toBe('ok')
      expect(status.seen).toBe(status.targets.filter(({ state }) => state !== 'UNKNOWN').length)
    }),
    { numRuns: 40 },
  )
})

test('the order of observations, targets, files and jobs changes nothing', () => {
  const w = world()
  changeFolder(w, 'nas', GITEA, () => ({ files: [] }))
  const shuffled = structuredClone({ ...w, hosts: [...w.hosts.entries()] })
  const straight = judge(w)
  fc.assert(
    fc.property(fc.shuffledSubarray(HOSTS, { minLength: HOSTS.length }), (order) => {
      const again = { ...structuredClone(shuffled), hosts: new Map(shuffled.hosts) }
      again.hosts = new Map(order.map((name) => [name, reversed(again.hosts.get(name))]))
      again.targets.reverse()
      expect(judge(again)).toEqual(straight)
    }),
    { numRuns: 20 },
  )
})

function reversed(seen: ReturnType<typeof world>['hosts'] extends Map<string, infer T> ? T | undefined : never) {
  if (!seen) throw new Error('no such host')
  return {
    ...seen,
    directories: seen.directories.map((entry) =>
      entry.reading.ok
        ? {
            ...entry,
            reading: readOk({ ...entry.reading.value, files: [...entry.reading.value.files].reverse(), logs: [...entry.reading.value.logs].reverse() }),
          }
        : entry,
    ),
    proxmox: seen.proxmox && { ...seen.proxmox, jobs: seen.proxmox.jobs.ok ? readOk([...seen.proxmox.jobs.value].reverse()) : seen.proxmox.jobs },
  }
}

test('the older the newest file, the worse or equal its state', () => {
  const rank: Partial<Record<State, number>> = { OK: 0, LATE: 1, STALE: 2 }
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 10 * DAY }), fc.integer({ min: 0, max: 10 * DAY }), (a, b) => {
      const [young, old] = [Math.min(a, b), Math.max(a, b)].map((age) => {
        const w = world()
        ageNewest(w, 'nas', GITEA, /gitea/, age)
        return rank[targetOf(judge(w), 'app-gitea').state]
      })
      expect(old).toBeGreaterThanOrEqual(young ?? Number.NaN)
    }),
    { numRuns: 60 },
  )
})

test('STALE exactly when the age in seconds is beyond the limit', () => {
  fc.assert(
    fc.property(fc.integer({ min: 25 * HOUR, max: 27 * HOUR }), (age) => {
      const w = world()
      ageNewest(w, 'nas', GITEA, /gitea/, age)
      expect(targetOf(judge(w), 'app-gitea').state === 'STALE').toBe(age > 26 * HOUR)
    }),
    { numRuns: 60 },
  )
})

test('the identity of findings never holds an age, a size or a count', () => {
  fc.assert(
    fc.property(fc.integer({ min: 27 * HOUR, max: 90 * DAY }), fc.integer({ min: 0, max: 5 }), (age, more) => {
      const w = world()
      changeFolder(w, 'nas', GITEA, () => ({
        files: [plainFile('newest.sql.gz', age, 50_000), ...Array.from({ length: more }, (_, i) => plainFile(`old${i}.sql.gz`, age + DAY, 50_000))],
      }))
      expect(judge(w).findings.map(({ subject, condition }) => `${subject} ${condition}`)).toEqual(['home/target/app-gitea freshness'])
    }),
    { numRuns: 30 },
  )
})

test('any JSON at all as memory is survived', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (memory) => {
      const w = world()
      w.memory = memory
      expect(judge(w).verdict).toBe('ok')
    }),
    { numRuns: 50 },
  )
})

test('1,000 targets on 50 hosts are judged in well under a second, and the memory stays small', () => {
  const w = world()
  const [template] = w.targets.filter(({ id }) => id === 'app-gitea')
  const nas = w.hosts.get('nas')
  if (!template || !nas) throw new Error('the world has no app-gitea')
  const set = runbooks(w)
  const hosts = Array.from({ length: 50 }, (_, i) => `h${i}`)
  const big = {
    ...set,
    estate: {
      ...set.estate,
      hosts: hosts.map((name) => ({ name, site: 'home', kind: 'nas' as const, sshAlias: name, sudo: false })),
      producedBy: Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`t${i}`, { kind: 'external' as const }])),
    },
    inventory: { ...set.inventory, targets: Array.from({ length: 1000 }, (_, i) => ({ ...template, id: `t${i}`, host: `h${i % 50}`, basePath: `/b/${i}` })) },
    calendar: { ...set.calendar, events: [] },
  }
  const observations = hosts.map((host, h) => ({
    ...nas,
    host,
    directories: big.inventory.targets
      .filter((_, i) => i % 50 === h)
      .map(({ basePath }, i) => ({ ...(nas.directories[0] as (typeof nas.directories)[0]), id: `d${i}`, basePath })),
  }))
  const input = {
    runbooks: big,
    observations,
    memory: emptyMemory(),
    now: new Date(NOW * 1000).toISOString(),
    pass: { passId: 'p', workflowId: 'w', runId: 'r' },
  }
  const started = performance.now()
  const { status, memory } = judgePass(input)
  expect(performance.now() - started).toBeLessThan(1000)
  expect(status).toMatchObject({ verdict: 'ok', expected: 1000, seen: 1000 })
  expect(JSON.stringify(memory).length).toBeLessThan(600_000)
})
