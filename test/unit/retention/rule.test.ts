/** The retention rule against a model of what must never happen: each property is one sentence of the promise. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Archive, type GuestArchives, isProven } from '../../../src/domain/retention/archive.js'
import { decide, guardedArchives, toProve } from '../../../src/domain/retention/rule.js'
import { archive, group, NOW } from './world.js'

const keep = (startedSeconds: number, more: Partial<Archive> = {}) =>
  archive({ startedSeconds, marks: [{ of: 'job nightly', options: { 'keep-last': 2 }, mark: 'keep' }], ...more })

/** One time in eight `odd`: were every doubt as likely as none, hardly ever would anything go. */
const seldom = <T, U>(odd: T, usual: U) => fc.oneof({ weight: 1, arbitrary: fc.constant(odd) }, { weight: 7, arbitrary: fc.constant(usual) })

const anyMark = fc.oneof(
  { weight: 12, arbitrary: fc.constant('remove' as const) },
  { weight: 3, arbitrary: fc.constantFrom('keep' as const, 'protected' as const, null) },
)

const anyArchive = (startedSeconds: number) =>
  fc
    .record({
      isProtected: seldom(true, false),
      hasStandardName: seldom(false, true),
      incomplete: seldom('no finished log', null),
      altered: seldom('another size', null),
      proofLevel: fc.constantFrom(0, 1, 2, 2, 2, 3, 4),
      isDamaged: seldom(true, false),
      marks: fc.array(fc.record({ of: fc.constantFrom('job a', 'job b'), options: fc.constant({ 'keep-last': 2 }), mark: anyMark }), { maxLength: 2 }),
    })
    .map((changes) => archive({ startedSeconds, ...changes }))

const anyGroup = fc
  .record({
    starts: fc.uniqueArray(fc.integer({ min: 1, max: 40 }), { maxLength: 9 }),
    provenCopies: fc.integer({ min: 0, max: 3 }),
    isRunning: fc.constantFrom(false, false, false, true, null),
    heldBack: seldom('guest is gone', null),
    guest: fc.constantFrom('present' as const, 'earlier' as const),
  })
  .chain(({ starts, ...rest }) => fc.tuple(...starts.map((start) => anyArchive(NOW - start * 86_400))).map((archives) => group(archives, rest)))

const removed = (of: GuestArchives) =>
  decide(of)
    .filter(({ removes }) => removes)
    .map((each) => each.archive)

/** The newest first, by the time in the name, written apart from the rule. */
const provenNewestFirst = (of: GuestArchives) => of.archives.filter(isProven).sort((a, b) => b.startedSeconds - a.startedSeconds)

describe('whatever is on a storage', () => {
  const property = (name: string, holds: (of: GuestArchives, goes: readonly Archive[]) => boolean) =>
    it(name, () => {
      fc.assert(
        fc.property(anyGroup, (of) => holds(of, removed(of))),
        { numRuns: 3000 },
      )
    })

  property('the newest proven archive never goes', (of, goes) => {
    const newest = provenNewestFirst(of)[0]
    return newest === undefined || !goes.includes(newest)
  })
  property('the newest K proven ones never go, whatever their age (I24)', (of, goes) => {
    return provenNewestFirst(of)
      .slice(0, of.provenCopies)
      .every((each) => !goes.includes(each))
  })
  property('nothing goes while fewer than K are proven', (of, goes) => goes.length === 0 || provenNewestFirst(of).length >= Math.max(1, of.provenCopies))
  property('at least K proven ones are left after anything went', (of, goes) => {
    return goes.length === 0 || of.archives.filter((each) => isProven(each) && !goes.includes(each)).length >= Math.max(1, of.provenCopies)
  })
  property('a protected one never goes', (_of, goes) => goes.every(({ isProtected }) => !isProtected))
  property('one that the host keeps under any options never goes, nor one that it was not asked about', (_of, goes) => {
    return goes.every(({ marks }) => marks.length > 0 && marks.every(({ mark }) => mark === 'remove'))
  })
  property('an unfinished one never goes', (_of, goes) => goes.every(({ incomplete }) => incomplete === null))
  property('one that is not the file on record never goes', (_of, goes) => goes.every(({ altered }) => altered === null))
  property('a renamed one never goes', (_of, goes) => goes.every(({ hasStandardName }) => hasStandardName))
  property('nothing goes while a backup runs, or nobody knows', (of, goes) => goes.length === 0 || of.isRunning === false)
  property('nothing goes of a guest whose archives are held back', (of, goes) => goes.length === 0 || of.heldBack === null)
  property('every archive is decided on, exactly once', (of) => {
    const decided = decide(of).map((each) => each.archive.volid)
    return decided.length === of.archives.length && new Set(decided).size === decided.length
  })
  property('reading what is asked for, and finding it whole, is all that is needed', (of, goes) => {
    const asked = toProve(of)
    const after = { ...of, archives: of.archives.map((each) => (asked.includes(each) ? { ...each, proofLevel: 2 } : each)) }
    return toProve(after).length === 0 && asked.length <= Math.max(1, of.provenCopies) && (goes.length === 0 || removed(after).length > 0 || asked.length > 0)
  })
  property('what was found damaged is not asked for again', (of) => {
    const first = toProve(of)[0]
    if (first === undefined) return true
    const after = { ...of, archives: of.archives.map((each) => (each === first ? { ...each, isDamaged: true, proofLevel: 0 } : each)) }
    return !toProve(after).some(({ volid }) => volid === first.volid)
  })
})

describe('in words', () => {
  const day = 86_400
  const sentences = (of: GuestArchives) => decide(of).map(({ sentence }) => sentence)

  it('each archive has a sentence: what stays and why, what goes and by whose options', () => {
    const of = group([keep(NOW - day), keep(NOW - 2 * day), archive({ startedSeconds: NOW - 3 * day, sizeBytes: 3 * 1024 ** 3 })])
    expect(sentences(of)).toEqual([
      'stays: it is the newest proven one (level 2)',
      'stays: it is one of the 2 newest proven ones that are always left',
      'goes: the host would remove it by the options of job nightly (3.0 GB, begun 2027-01-12 08:00 UTC); 2 newer or proven copies stay',
    ])
  })

  it('says that the host would remove it, but too few are proven', () => {
    const of = group([keep(NOW - day), archive({ startedSeconds: NOW - 3 * day, proofLevel: 0 })])
    expect(sentences(of)[1]).toBe('stays: the host would remove it, but only 1 of 2 proven copies are there')
  })

  it('says of an archive of an earlier guest that it is one', () => {
    const of = group([keep(NOW - day), keep(NOW - 2 * day), archive({ startedSeconds: NOW - 3 * day, isOfEarlierGuest: true })])
    expect(sentences(of)[2]).toContain('of an EARLIER guest with this number')
  })

  it('keeps the last good ones when dumps stopped long ago, and all newer ones are bad (I24)', () => {
    const of = group([
      keep(NOW - day, { isDamaged: true, proofLevel: 0 }),
      keep(NOW - 2 * day, { isDamaged: true, proofLevel: 0 }),
      archive({ startedSeconds: NOW - 400 * day }),
      archive({ startedSeconds: NOW - 401 * day }),
      archive({ startedSeconds: NOW - 402 * day }),
    ])
    expect(guardedArchives(of).map(({ startedSeconds }) => (NOW - startedSeconds) / day)).toEqual([400, 401])
    expect(removed(of).map(({ startedSeconds }) => (NOW - startedSeconds) / day)).toEqual([402])
  })
})

describe('what has to be read first', () => {
  it('is the newest K, also when older ones are proven already', () => {
    const of = group([keep(NOW - 1, { proofLevel: 0 }), keep(NOW - 2), archive({ startedSeconds: NOW - 3 }), archive({ startedSeconds: NOW - 4 })])
    expect(toProve(of).map(({ startedSeconds }) => NOW - startedSeconds)).toEqual([1])
  })

  it('is nothing where the host would remove nothing', () => {
    expect(toProve(group([keep(NOW - 1, { proofLevel: 0 }), keep(NOW - 2, { proofLevel: 0 })]))).toEqual([])
  })

  it('is the next older one when the newest turned out damaged', () => {
    const of = group([keep(NOW - 1, { proofLevel: 0, isDamaged: true }), keep(NOW - 2), archive({ startedSeconds: NOW - 3, proofLevel: 1 })])
    expect(toProve(of).map(({ startedSeconds }) => NOW - startedSeconds)).toEqual([3])
  })
})
