/** What options keep: against recordings of the real program, and against the emulator's own reading of it for archives at random. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { foresee, foreseenPruning } from '../../../src/domain/retention/foresee.js'
import { keepsAll, kept, mostKept, parseRetention } from '../../../src/domain/retention/keep.js'
import { packageRoot } from '../../../src/temporal/package-root.js'

interface Step {
  readonly argv: readonly string[]
  readonly rc: number
  readonly stdout: string
}

const root = packageRoot()

/** `pvesh get …/prunebackups --prune-backups …` of pve-storage 9.1.7, as recorded; the recordings were made with TZ=UTC. */
function recorded(): { options: string; rows: { ctime: number; mark: string; type: string; vmid?: number | string }[] }[] {
  return ['pve-cli.json', 'pve-cli-2.json'].flatMap((name) => {
    const file = JSON.parse(readFileSync(join(root, 'test/fixtures/pve', name), 'utf8')) as { sequences: { steps: Step[] }[] }
    return file.sequences
      .flatMap(({ steps }) => steps)
      .filter(({ argv, rc }) => argv[1] === 'get' && /\/prunebackups$/.test(argv[2] ?? '') && argv.includes('--prune-backups') && rc === 0)
      .map(({ argv, stdout }) => ({ options: argv[argv.indexOf('--prune-backups') + 1] ?? '', rows: JSON.parse(stdout) }))
  })
}

describe('what options keep', () => {
  const recordings = recorded()

  it('was recorded at all', () => expect(recordings.length).toBeGreaterThanOrEqual(3))

  it.each(recordings.map((each, index) => [`${index}: ${each.options}`, each] as const))('is what Proxmox said: %s', (_name, { options, rows }) => {
    const standard = rows.filter(({ mark }) => mark !== 'renamed')
    for (const guest of new Set(standard.map(({ type, vmid }) => `${type}/${vmid}`))) {
      const members = standard.filter(({ type, vmid }) => `${type}/${vmid}` === guest)
      const archives = members.map(({ ctime, mark }) => ({ startedSeconds: ctime, isProtected: mark === 'protected', mark }))
      expect(kept(archives, parseRetention(options), 'UTC').map(({ startedSeconds }) => startedSeconds)).toEqual(
        archives.filter(({ mark }) => mark !== 'remove').map(({ startedSeconds }) => startedSeconds),
      )
    }
  })

  it('is what the emulator keeps, for any archives and options, over changes of the clock', () => {
    const names = ['last', 'hourly', 'daily', 'weekly', 'monthly', 'yearly']
    // a year and a half around both changes of the clock in New York, in steps of 40 minutes
    const times = fc.uniqueArray(
      fc.integer({ min: 0, max: 20_000 }).map((step) => 1_761_000_000 + step * 2_400),
      { minLength: 1, maxLength: 30 },
    )
    const options = fc
      .array(fc.tuple(fc.constantFrom(...names), fc.integer({ min: 0, max: 4 })), { maxLength: 4 })
      .map((pairs) => Object.fromEntries(pairs.map(([name, count]) => [`keep-${name}`, count])))
    const cases = fc.sample(fc.tuple(times, options, fc.array(fc.boolean(), { minLength: 30, maxLength: 30 })), { numRuns: 400, seed: 7 })
    const asked = cases.map(([starts, keep, guard]) => ({
      keep,
      backups: starts.map((ctime, index) => ({ ctime, ...(guard[index] && index % 5 === 0 ? { mark: 'protected' } : {}) })),
    }))
    const program =
      'use lib shift; use JSON::PP; use LabPVE::Prune; my $q = decode_json(join "", <STDIN>); LabPVE::Prune::mark_group($_->{backups}, $_->{keep}) for @$q; print encode_json($q)'
    const answer = execFileSync('perl', ['-e', program, join(root, 'lab/pve/lib')], {
      input: JSON.stringify(asked),
      env: { ...process.env, TZ: 'America/New_York' },
      maxBuffer: 1e8,
    })
    const marked = JSON.parse(answer.toString('utf8')) as { backups: { ctime: number; mark: string }[] }[]
    cases.forEach(([, keep], index) => {
      const backups = marked[index]?.backups ?? []
      const archives = backups.map(({ ctime, mark }) => ({ startedSeconds: ctime, isProtected: mark === 'protected', mark }))
      const ours = kept(archives, keep, 'America/New_York').map(({ startedSeconds }) => startedSeconds)
      expect(ours, JSON.stringify(asked[index])).toEqual(archives.filter(({ mark }) => mark !== 'remove').map(({ startedSeconds }) => startedSeconds))
    })
  })

  it('is everything when no count is above zero', () => {
    expect(keepsAll(parseRetention('keep-all=1'))).toBe(true)
    expect(keepsAll(parseRetention('keep-last=0'))).toBe(true)
    expect(keepsAll(parseRetention('keep-last=2'))).toBe(false)
    expect(mostKept(parseRetention('keep-daily=7,keep-last=3'))).toBe(10)
    expect(mostKept(parseRetention('keep-all=1'))).toBeNull()
  })
})

describe('two bad nights (I17)', () => {
  const night = (day: number) => Date.parse(`2026-11-${day}T07:00:00Z`) / 1000
  const good = (day: number) => ({ startedSeconds: night(day), isProtected: false, isGood: true })
  const zone = 'America/New_York'
  const job = (vmid: number, options: string, archives = [good(19), good(20), good(21)]) => ({
    job: 'nightly',
    storage: 'tank',
    vmid,
    options: parseRetention(options),
    nextRuns: [night(22)],
    archives,
  })

  it('leave nothing good with keep-last=2, one with keep-last=3', () => {
    expect(foresee([good(20), good(21)], { 'keep-last': 2 }, [night(22)], zone).goodLeft).toEqual([2, 1, 0])
    expect(foresee([good(19), good(20), good(21)], { 'keep-last': 3 }, [night(22)], zone).goodLeft).toEqual([3, 2, 1])
  })

  it('are told once for each job, with its guests; not where something good is left, nor where nothing good is there anyway', () => {
    const warnings = foreseenPruning(
      [job(211, 'keep-last=2'), job(204, 'keep-last=2'), job(205, 'keep-last=3'), job(206, 'keep-all=1'), job(207, 'keep-last=2', [])],
      zone,
    )
    expect(warnings).toEqual([
      {
        code: 'two_bad_nights',
        message:
          'job nightly prunes tank by keep-last=2 right after each backup: two bad nights would leave no good archive of guests 204, 211; keep at least one more',
      },
    ])
  })

  it('do not matter to a protected archive, nor to one that a longer period keeps', () => {
    expect(foresee([{ ...good(21), isProtected: true }], { 'keep-last': 1 }, [night(22)], zone).goodLeft).toEqual([1, 1, 1])
    // of weeks 46, 47 and 47; the bad nights are the Sunday of week 47 and the Monday of week 48
    expect(foresee([good(14), good(20), good(21)], { 'keep-last': 1, 'keep-weekly': 2 }, [night(22), night(23)], zone).goodLeft).toEqual([3, 1, 1])
  })
})
