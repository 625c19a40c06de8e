/** The parser: whatever arrives, it never throws, and nothing that was cut off passes for read. */
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { HostProbePlan, HostReading, Reading } from '../../../src/domain/observation.js'
import { matchesGlob } from '../../../src/domain/probe/glob.js'
import { parseProbeOutput } from '../../../src/domain/probe/parse.js'
import { parseDirectory } from '../../../src/domain/probe/parse-directory.js'
import { NONCE, planFor, type TemporaryHost, temporaryHost } from './real-output.js'

let host: TemporaryHost
let plan: HostProbePlan
let output: string

beforeAll(() => {
  host = temporaryHost()
  for (let i = 0; i < 5; i++) host.write(`apps/f${i}.gz`, 'x', i * 3600)
  host.write('dump/vzdump-qemu-204-2026_11_21-02_00_00.vma.zst', 'x')
  host.write('dump/vzdump-qemu-204-2026_11_21-02_00_00.log', 'x INFO: Finished Backup of VM 204 (00:01:00)\n')
  host.write('etc/pve/nodes/pve1/qemu-server/204.conf', 'name: a\n')
  host.write('etc/pve/storage.cfg', 'dir: backup\n\tpath /mnt/backup\n\tcontent backup\n')
  host.write('etc/pve/user.cfg', 'user:root@pam:1:0:::::\n')
  host.program(
    'pvesh',
    `case $2 in /cluster/backup) echo '[{"id":"a","schedule":"02:00","enabled":1,"vmid":"204"}]';; *schedule-analyze) echo '[{"timestamp":1795309200}]';; *) echo '[]';; esac`,
  )
  host.program('ssh', 'exit 0')
  plan = planFor(host, {
    kind: 'proxmox',
    directories: [
      { id: 'd0', basePath: 'apps', globs: ['*.gz'], vzdump: false },
      { id: 'd1', basePath: 'dump', globs: ['vzdump-qemu-204-*'], vzdump: true },
    ],
    producers: [
      { id: 'p0', kind: 'cron', match: 'x' },
      { id: 'p1', kind: 'transfer', match: 'x', destination: 'nas' },
    ],
    proxmox: { node: 'pve1' },
  })
  output = host.run(plan).stdout
})
afterAll(() => host.remove())

/** Every reading of it with its path, as far as it is read. */
function readings(value: unknown, path = ''): Map<string, Reading<unknown>> {
  const found = new Map<string, Reading<unknown>>()
  if (typeof value !== 'object' || value === null) return found
  if ('ok' in value && typeof value.ok === 'boolean' && ('value' in value || 'why' in value)) found.set(path, value as Reading<unknown>)
  for (const [key, entry] of Object.entries(value)) for (const [deep, reading] of readings(entry, `${path}.${key}`)) found.set(deep, reading)
  return found
}

test('the whole output is read whole', () => {
  const whole = parseProbeOutput(plan, NONCE, output)
  expect(whole.complete).toBe(true)
  const pieces = readings(whole)
  expect(pieces.size).toBeGreaterThan(15)
  // creations need a task index, which this host has not
  expect([...pieces].filter(([, reading]) => !reading.ok).map(([path]) => path)).toEqual(['.proxmox.creations'])
})

test('cut at every single point, the output is never complete, and what is read of it is read as in the whole', () => {
  const whole = readings(parseProbeOutput(plan, NONCE, output))
  const end = output.trimEnd().length
  for (let cut = 0; cut < end; cut++) {
    const part = parseProbeOutput(plan, NONCE, output.slice(0, cut))
    expect(part.complete).toBe(false)
    for (const [path, reading] of readings(part)) if (reading.ok) expect({ cut, path, reading }).toEqual({ cut, path, reading: whole.get(path) })
  }
})

test('any text at all gives a reading, and no reading of garbage is complete', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (garbage) => {
      const reading: HostReading = parseProbeOutput(plan, NONCE, garbage)
      expect(reading.complete).toBe(false)
      expect(reading.directories.every(({ reading: seen }) => !seen.ok)).toBe(true)
    }),
  )
})

test('bytes changed anywhere in a real output never make the parser throw', () => {
  fc.assert(
    fc.property(fc.nat(), fc.string({ maxLength: 12 }), fc.nat(20), (at, text, removed) => {
      const place = at % output.length
      parseProbeOutput(plan, NONCE, output.slice(0, place) + text + output.slice(place + removed))
    }),
    { numRuns: 500 },
  )
})

test('a listing that stops early, or holds a line that is none, is unread although its frame is whole', () => {
  const whole = 'state present\nspace 10 5 /\nf0 1795239600 3 81a4 ./a.gz\nend'
  expect(parseDirectory(whole)).toMatchObject({ ok: true, value: { files: [{ name: 'a.gz' }] } })
  expect(parseDirectory(whole.replace('\nend', ''))).toMatchObject({ ok: false, code: 'truncated' })
  expect(parseDirectory(whole.replace('3 81a4', 'x'))).toMatchObject({ ok: false, code: 'unparseable' })
  expect(parseDirectory('dropped 7\nstate present\nend')).toMatchObject({ ok: false, code: 'truncated' })
  expect(parseDirectory('')).toMatchObject({ ok: false })
})

test('patterns match as the shell expands them', () => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ['vzdump-qemu-204-*.vma.zst', 'vzdump-qemu-204-2026_11_21-02_00_00.vma.zst', true],
    ['vzdump-qemu-20-*.vma.zst', 'vzdump-qemu-204-2026_11_21-02_00_00.vma.zst', false],
    ['*/manifest.txt', '2026/manifest.txt', true],
    ['*', '.hidden', false],
    ['*', 'a/b', false],
    ['.*', '.hidden', true],
    ['?[0-9]', 'a7', true],
    ['[!a]*', 'abc', false],
    ['[[:digit:]]', '5', true],
    ['a.b', 'axb', false],
    ['[', '[', true],
    ['a\\*', 'a*', true],
    ['(x|y)+$', '(x|y)+$', true],
  ]
  for (const [glob, name, matches] of cases) expect([glob, name, matchesGlob(glob, name)]).toEqual([glob, name, matches])
})
