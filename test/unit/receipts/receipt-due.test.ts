import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { StatusDocument } from '../../../src/domain/status.js'
import { leaveForOwner, openState, parseReceipt, receiptDue, receiptPath, type StateFolder } from '../../../src/state/index.js'
import { monitorReceipt, verdictsDigest } from '../../../src/state/receipts/receipt.js'
import { troubled } from '../render/documents.js'
import { aStatus, aTarget } from '../state/status-fixture.js'
import { aBody, makeKey } from './receipt-fixture.js'

const at = (takenAt: string, over: Partial<StatusDocument> = {}) => aStatus({ takenAt, ...over })
const last = (status: StatusDocument) => ({ verdict: status.verdict, verdictsDigest: verdictsDigest(status), takenAt: status.takenAt })

describe('a receipt of a pass', () => {
  it('is due for the first pass', () => {
    expect(receiptDue(null, aStatus())).toBe('first')
  })

  it('is not due while nothing but ages, messages and times changes', () => {
    const before = aStatus()
    const after = at('2026-02-12T08:40:00.000Z', { targets: [aTarget({ ageSeconds: 19_200, message: 'other words', state: 'OK' })] })
    expect(receiptDue(last(before), after)).toBeNull()
  })

  it('is due when the verdict changes, or that of one target while the whole stays as bad as it was', () => {
    const before = aStatus({ verdict: 'critical', targets: [aTarget({ id: 'a', severity: 'critical' }), aTarget({ id: 'b' })] })
    expect(receiptDue(last(before), { ...before, verdict: 'ok' })).toBe('verdict_changed')
    const other = aStatus({ verdict: 'critical', targets: [aTarget({ id: 'a', severity: 'critical' }), aTarget({ id: 'b', severity: 'warning' })] })
    expect(receiptDue(last(before), other)).toBe('verdict_changed')
  })

  it('is due once a day, counted from the last receipt', () => {
    const before = last(at('2026-02-12T08:30:00.000Z'))
    expect(receiptDue(before, at('2026-02-13T08:29:59.999Z'))).toBeNull()
    expect(receiptDue(before, at('2026-02-13T08:30:00.000Z'))).toBe('daily')
  })

  it('does not wait for a clock that was days ahead', () => {
    expect(receiptDue(last(at('2027-02-12T08:30:00.000Z')), at('2026-02-12T08:30:00.000Z'))).toBe('daily')
  })
})

describe('what a receipt says', () => {
  const body = monitorReceipt({ status: troubled(), observationsDigest: 'o', why: 'first', previousVerdict: null, version: '0.1.0' })

  it('is verdict, counts, digests and findings by reason', () => {
    expect(body.outcome).toMatchObject({ verdict: 'critical', counts: { targets: { ok: 2, warning: 1, critical: 2, unknown: 1 } } })
    expect(body.outcome.findings).toContainEqual({ subject: 'home/host/nas', condition: 'blind', severity: 'unknown', reason: 'connect_timeout' })
    expect(body.observed).toMatchObject({ expected: 5, seen: 3, observationsDigest: 'o' })
    expect(body.requestedBy).toBe('operator')
    const scheduled = monitorReceipt({
      status: aStatus({ workflowId: 'monitor/lab-2026-02-12T08:30:00Z' }),
      observationsDigest: 'o',
      why: 'daily',
      previousVerdict: 'ok',
      version: '0.1.0',
    })
    expect(scheduled.requestedBy).toBe('schedule')
  })

  it('holds no text that a host said', () => {
    const status = troubled()
    for (const list of [status.targets, status.guests, status.jobs, status.storages, status.hosts, status.findings]) {
      for (const entry of list) Object.assign(entry, { message: 'password=hunter2-canary', next: 'hunter2-canary' })
    }
    expect(JSON.stringify(monitorReceipt({ status, observationsDigest: 'o', why: 'first', previousVerdict: null, version: '0' }))).not.toContain('hunter2')
  })
})

describe('receipts after passes', () => {
  let root: string
  let state: StateFolder
  const settings = () => ({ signingKeyPath: join(root, 'key'), headMirrorPath: join(root, 'head.json') })
  const receipts = () => readdirSync(join(root, 'state', 'receipts')).filter((name) => name.endsWith('.json'))
  const pass = (status: StatusDocument) => state.receiptForPass({ status, observationsDigest: 'o', settings: settings(), version: '0.1.0' })

  beforeEach(async () => {
    root = mkdtempSync(join(tmpdir(), 'nightshift-due-'))
    makeKey(join(root, 'key'))
    state = await openState({ dir: join(root, 'state'), estateId: 'lab' })
  })

  afterEach(() => {
    state.close()
    rmSync(root, { recursive: true, force: true })
  })

  it('are one for many equal passes and one for each change; a repeated pass finds its own', async () => {
    expect(await pass(at('2026-02-12T08:30:00.000Z', { runId: 'r1' }))).toMatchObject({ number: 1 })
    expect(await pass(at('2026-02-12T08:30:00.000Z', { runId: 'r1' }))).toMatchObject({ number: 1 })
    expect(await pass(at('2026-02-12T08:40:00.000Z', { runId: 'r2' }))).toBeNull()
    expect(await pass(at('2026-02-12T08:50:00.000Z', { runId: 'r3', verdict: 'critical' }))).toMatchObject({ number: 2 })
    expect(await pass(at('2026-02-12T09:00:00.000Z', { runId: 'r4', verdict: 'critical' }))).toBeNull()
    expect(await pass(at('2026-02-12T09:10:00.000Z', { runId: 'r5' }))).toMatchObject({ number: 3 })
    const outcome = parseReceipt(readFileSync(receiptPath(join(root, 'state', 'receipts'), 3), 'utf8'))?.outcome
    expect(outcome).toMatchObject({ why: 'verdict_changed', verdict: 'ok', previousVerdict: 'critical' })
    state.close()
    state = await openState({ dir: join(root, 'state'), estateId: 'lab' })
    expect(await pass(at('2026-02-12T09:20:00.000Z', { runId: 'r6' }))).toBeNull()
    expect(await pass(at('2026-02-13T09:10:00.000Z', { runId: 'r7' }))).toMatchObject({ number: 4 })
    expect(receipts()).toHaveLength(4)
  })

  it('take up what other commands left for the owner, once, and set aside what is no receipt', async () => {
    const pending = join(root, 'state', 'receipts-pending')
    const left = aBody('6b0c', { kind: 'trust' })
    leaveForOwner(pending, left)
    writeFileSync(join(pending, 'evil.json'), '{"kind":"trust"}')
    await pass(at('2026-02-12T08:30:00.000Z'))
    expect(receipts()).toHaveLength(2)
    expect(parseReceipt(readFileSync(receiptPath(join(root, 'state', 'receipts'), 1), 'utf8'))).toMatchObject({ kind: 'trust', run: { runId: '6b0c' } })
    expect(readdirSync(pending)).toEqual(['evil.json.rejected'])
    leaveForOwner(pending, left) // as if the owner had died between appending and taking it away
    await pass(at('2026-02-12T08:40:00.000Z'))
    expect(receipts()).toHaveLength(2)
    expect(readdirSync(pending)).toEqual(['evil.json.rejected'])
  })
})
