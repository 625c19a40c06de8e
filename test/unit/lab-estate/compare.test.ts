/** The judge of the judge: it must see a wrong word, a missing row, and anything that turned wrong beside the case. */
import { expect, test } from 'vitest'
import { CASES, isIncident } from '../../../lab/estate/cases/index.js'
import type { HurtCase } from '../../../lab/estate/cases/types.js'
import { compareGates, compareRepeated, compareWithExpected } from '../../../lab/estate/compare.js'
import type { GateResult } from '../../../src/domain/gates.js'
import type { Finding, GuestStatus, StatusDocument, TargetStatus } from '../../../src/domain/status.js'

function target(id: string, change: Partial<TargetStatus> = {}): TargetStatus {
  return {
    id,
    site: 'home',
    host: 'nas',
    enabled: true,
    classification: 'critical',
    state: 'OK',
    reason: 'ok',
    severity: 'ok',
    band: 'OK',
    since: '2026-11-21T08:00:00.000Z',
    message: 'fresh',
    next: null,
    artifact: null,
    ageSeconds: 60,
    limitSeconds: 93_600,
    dueAt: null,
    lastGood: null,
    inhibitedBy: null,
    silencedUntil: null,
    ...change,
  }
}

function status(change: Partial<StatusDocument> = {}): StatusDocument {
  return {
    schema: 'nightshift.status/1',
    estate: 'lab',
    takenAt: '2026-11-21T09:00:00.000Z',
    passId: 'p',
    workflowId: 'w',
    runId: 'r',
    rulesDigest: 'd',
    periodSeconds: 600,
    stale: false,
    verdict: 'ok',
    expected: 2,
    seen: 2,
    targets: [target('a'), target('b')],
    guests: [],
    jobs: [],
    storages: [],
    hosts: [],
    findings: [],
    ...change,
  }
}

const STALE = { state: 'STALE', reason: 'stale', severity: 'critical', message: 'a.gz is 26 h 00 m 01 s old' } as const
const CASE: Pick<HurtCase, 'expect' | 'verdict'> = {
  expect: [{ kind: 'target', ids: ['a'], state: 'STALE', reason: 'stale', severity: 'critical', messageIncludes: ['26 h'] }],
  verdict: 'critical',
}
const hurtStatus = (change: Partial<StatusDocument> = {}) => status({ targets: [target('a', STALE), target('b')], verdict: 'critical', ...change })

test('what is as expected leaves nothing to say', () => {
  expect(compareWithExpected(CASE, status(), hurtStatus())).toEqual([])
})

test.each([
  ['another reason', { reason: 'no_matches' }, /reason is no_matches, expected stale/],
  ['another state', { state: 'OK' }, /state is OK, expected STALE/],
  ['a sentence without the cause', { message: 'something is wrong' }, /does not say "26 h"/],
] as const)('%s is told', (_name, change, problem) => {
  const got = status({ targets: [target('a', { ...STALE, ...change }), target('b')], verdict: 'critical' })
  expect(compareWithExpected(CASE, status(), got).join('\n')).toMatch(problem)
})

test('a row that turned wrong beside the case is told', () => {
  const got = hurtStatus({ targets: [target('a', STALE), target('b', { state: 'UNKNOWN', reason: 'deadline', severity: 'unknown' })] })
  expect(compareWithExpected(CASE, status(), got)).toEqual([expect.stringMatching(/^target b changed although nothing was done to it/)])
})

test('a new finding about something else is told, one about the expected row is the same news', () => {
  const finding = (subject: string): Finding => ({ subject, condition: 'freshness', severity: 'critical', reason: 'stale', message: 'm', next: null })
  expect(compareWithExpected(CASE, status(), hurtStatus({ findings: [finding('home/target/a')] }))).toEqual([])
  expect(compareWithExpected(CASE, status(), hurtStatus({ findings: [finding('home/target/b')] }))).toEqual([
    expect.stringMatching(/^finding home\/target\/b changed/),
  ])
})

test('one incident for one cause: more findings than that are told, also where each is about an expected row', () => {
  const finding = (condition: 'freshness' | 'blind'): Finding => ({
    subject: 'home/target/a',
    condition,
    severity: 'critical',
    reason: 'stale',
    message: 'm',
    next: null,
  })
  expect(compareWithExpected({ ...CASE, newFindings: 1 }, status(), hurtStatus({ findings: [finding('freshness')] }))).toEqual([])
  expect(compareWithExpected({ ...CASE, newFindings: 1 }, status(), hurtStatus({ findings: [finding('freshness'), finding('blind')] }))).toEqual([
    '2 new findings, expected 1: home/target/a stale, home/target/a stale',
  ])
})

test('gates: what was expected and not said, and one that changed beside the case, are told', () => {
  const gate = (id: string, change: Partial<GateResult> = {}): GateResult => ({ id, state: 'passed', reason: 'ok', message: 'fine', next: null, ...change })
  const failed = gate('mail-route/pve', { state: 'failed', reason: 'users_leads_elsewhere', message: 'pve: user root@pam: email, found x@y' })
  const before = [gate('mail-route/pve'), gate('watcher/pve')]
  const expected = [{ id: 'mail-route/pve', state: 'failed', messageIncludes: ['root@pam'] }] as const
  expect(compareGates(expected, before, [failed, gate('watcher/pve')])).toEqual([])
  expect(compareGates(expected, before, before)).toEqual(['gate mail-route/pve: expected failed, saying "root@pam"; it passed ok: fine'])
  expect(compareGates([], before, [failed])).toEqual([
    'gate mail-route/pve changed: before passed ok: fine; now failed users_leads_elsewhere: pve: user root@pam: email, found x@y',
    'gate watcher/pve changed: before passed ok: fine; now was not looked at',
  ])
})

test('a missing row and a wrong verdict are told', () => {
  const got = status({ targets: [target('a', STALE)], verdict: 'warning' })
  expect(compareWithExpected(CASE, status(), got)).toEqual(['target b is no longer in the status', 'verdict is warning, expected critical'])
})

test('an expected row that is not there is told', () => {
  const guest: Pick<HurtCase, 'expect' | 'verdict'> = { expect: [{ kind: 'guest', ids: ['216'], host: 'pve', state: 'MISSING' }], verdict: 'ok' }
  expect(compareWithExpected(guest, status(), status())).toEqual(['expected guest 216, the status has no such row'])
  const elsewhere = { vmid: 216, host: 'proxmox-home', state: 'MISSING' } as unknown as GuestStatus
  expect(compareWithExpected(guest, status({ guests: [elsewhere] }), status({ guests: [elsewhere] }))).toEqual([
    'expected guest 216, the status has no such row',
  ])
})

test('two passes over one fault may differ in age and nothing else', () => {
  expect(compareRepeated(hurtStatus(), hurtStatus({ targets: [target('a', { ...STALE, ageSeconds: 99_999, message: 'older' }), target('b')] }))).toEqual([])
  const moved = hurtStatus({ targets: [target('a', { ...STALE, since: '2026-11-21T09:30:00.000Z' }), target('b')] })
  expect(compareRepeated(hurtStatus(), moved)).toEqual([expect.stringMatching(/^target a: since moved/)])
})

test('every incident that can be staged now has a case, and every case says what it expects', () => {
  const names = CASES.map((one) => one.name)
  expect(new Set(names).size).toBe(names.length)
  expect(names.filter((name) => isIncident({ name }))).toEqual([
    'I1',
    'I2',
    'I3',
    'I4',
    'I5',
    'I6',
    'I7',
    'I8',
    'I9',
    'I10',
    'I11',
    'I12',
    'I13',
    'I14',
    'I15',
    'I19',
    'I22',
  ])
  for (const one of CASES.filter(isIncident))
    expect(one.expect.some((expectation) => !expectation.optional) || (one.gates ?? []).length > 0, one.name).toBe(true)
})
