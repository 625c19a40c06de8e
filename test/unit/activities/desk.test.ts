/** What the worker does for the desk, on a real state folder, and what `nightshift alerts` reads of it. */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MockActivityEnvironment } from '@temporalio/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createDeskActivities, type DeskActivities } from '../../../src/activities/desk.js'
import { RunbookKeeper } from '../../../src/activities/runbook-keeper.js'
import { receive } from '../../../src/domain/desk/receive.js'
import type { DeskReport } from '../../../src/domain/desk/report.js'
import { snapshotOf } from '../../../src/domain/desk/snapshot.js'
import { type DeskState, newDesk } from '../../../src/domain/desk/state.js'
import type { Finding, StatusDocument } from '../../../src/domain/status.js'
import { openState, readTrustedKeys, type StateFolder, verifyChain } from '../../../src/state/index.js'
import { runInProcess } from '../cli/run-in-process.js'
import { makeKey } from '../receipts/receipt-fixture.js'
import { aStatus, aTarget } from '../state/status-fixture.js'

let root: string
let config: string
let dir: string
let folder: StateFolder
let activities: DeskActivities
/** The desk at the other end of the signal. */
let desk: DeskState
let reports: DeskReport[]
let isReachable: boolean

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'nightshift-desk-'))
  config = join(root, 'config')
  dir = join(root, 'state')
  cpSync(join(import.meta.dirname, '../../../runbooks'), config, { recursive: true })
  makeKey(join(config, 'keys', 'receipt_ed25519'))
  folder = await openState({ dir, estateId: 'ronny' })
  desk = newDesk('ronny')
  reports = []
  isReachable = true
  activities = createDeskActivities({
    runbooks: new RunbookKeeper(config),
    state: folder,
    redact: (text) => text.replaceAll('hunter2', '***'),
    version: '1',
    now: () => new Date('2026-02-12T08:20:30.000Z'),
    hostsUnderChange: async () => [],
    signalDesk: async (report) => {
      if (!isReachable) throw new Error('no desk')
      reports.push(report)
      desk = receive(desk, report, Date.parse(report.takenAt)).state
    },
  })
})

afterEach(() => {
  folder.close()
  rmSync(root, { recursive: true, force: true })
})

const target = aTarget({ state: 'STALE', reason: 'stale', severity: 'critical', message: 'the newest copy is 30 h old' })
const finding: Finding = {
  subject: `shop/target/${target.id}`,
  condition: 'freshness',
  severity: 'critical',
  reason: 'stale',
  message: target.message,
  next: 'look',
}

function publish(minute: number, over: Partial<StatusDocument> = {}): string {
  const passId = `pass-${minute}`
  const status = aStatus({ estate: 'ronny', passId, takenAt: `2026-02-12T08:${minute}:00.000Z`, ...over })
  folder.writePass({ status, memory: null, observationsDigest: '' })
  return passId
}

const word = (nowMs: number) => ({ snapshot: snapshotOf(desk, nowMs, { workflowId: 'desk/ronny', runId: 'run' }), decisions: [], evidence: [] })

/** What is open, but for the desk's own worry that nobody delivers here. */
const open = (): string[] => Object.values(desk.incidents).flatMap(({ scope, key }) => (scope === 'desk' ? [] : [key]))

describe('telling the desk', () => {
  it('sends only what changed, and again what the desk did not take', async () => {
    await activities.tellDesk({ passId: publish(10) })
    isReachable = false
    await expect(activities.tellDesk({ passId: publish(20, { targets: [target], findings: [finding] }) })).rejects.toThrow('no desk')
    isReachable = true
    await activities.tellDesk({ passId: publish(30, { targets: [target], findings: [finding] }) })
    await activities.tellDesk({ passId: publish(40, { targets: [target], findings: [finding] }) })
    await activities.tellDesk({ passId: publish(50) })
    expect(reports.map(({ changed, closed }) => [changed.length, closed.length])).toEqual([
      [0, 0],
      [1, 0],
      [0, 0],
      [0, 1],
    ])
    expect(desk.unsure).toEqual([])
    expect(open()).toEqual([])
  })

  it('leaves a pass that is not the published one to the one that is', async () => {
    const older = publish(10)
    publish(20)
    expect(await activities.tellDesk({ passId: older })).toMatchObject({ told: 'superseded' })
    expect(reports).toEqual([])
  })

  it('tells all to a desk that is new, though most was told before', async () => {
    await activities.tellDesk({ passId: publish(10, { targets: [target], findings: [finding] }) })
    desk = newDesk('ronny')
    await activities.tellDesk({ passId: publish(20, { targets: [target], findings: [finding] }) })
    expect(desk.unsure).toEqual(['monitor'])
    const whole = await activities.readWhole({ scope: 'monitor', known: [] })
    const step = receive(desk, whole, Date.parse(whole.takenAt), { isWhole: true })
    expect(Object.keys(step.state.incidents)).toEqual([`${finding.subject} freshness`])
    desk = step.state
    await activities.tellDesk({ passId: publish(30) })
    expect([desk.unsure, open()]).toEqual([[], []])
  })

  it('takes the findings of other runs the same way, without their secrets', async () => {
    const gate: Finding = {
      subject: 'shop/host/pve',
      condition: 'config',
      severity: 'warning',
      reason: 'other_route',
      message: 'relayhost has password hunter2',
      next: null,
    }
    const run = { scope: 'gates', takenAt: '2026-02-12T08:10:00.000Z', periodSeconds: 86_400 }
    await activities.tellFindings({ ...run, passId: 'g1', findings: [gate, { ...gate, reason: 'alias', message: 'and an alias' }] })
    expect(Object.values(desk.incidents)).toMatchObject([
      { subject: 'shop/host/pve', host: 'pve', site: 'shop', message: 'relayhost has password ***; and an alias' },
    ])
    await activities.tellFindings({ ...run, passId: 'g2', takenAt: '2026-02-13T08:10:00.000Z', findings: [] })
    expect([desk.unsure, open()]).toEqual([[], []])
  })
})

describe('another run that finds more than one signal holds', () => {
  it('sends the frame, and the desk is read all of it', async () => {
    const findings = Array.from({ length: 700 }, (_, index) => ({ ...finding, subject: `shop/guest/pve/${index}`, message: 'ä'.repeat(240) }))
    const told = await activities.tellFindings({ scope: 'gates', passId: 'g1', takenAt: '2026-02-12T08:10:00.000Z', periodSeconds: 86_400, findings })
    expect([told.changed, desk.unsure]).toEqual([0, ['gates']])
    const whole = await activities.readWhole({ scope: 'gates', known: [] })
    desk = receive(desk, whole, Date.parse(whole.takenAt), { isWhole: true }).state
    expect(open()).toHaveLength(700)
  })
})

describe('what the desk says', () => {
  const alerts = (...args: string[]) => runInProcess(['alerts', ...args, '--config', config], { NIGHTSHIFT_STATE: dir })

  it('is listed, shown and explained by the command line, for then and for now', async () => {
    publish(10)
    await activities.tellDesk({ passId: 'pass-10' })
    publish(20, { targets: [target], findings: [finding] })
    const status = folder.readStatus()
    const told = await activities.tellDesk({ passId: status?.passId ?? '' })
    expect(told.changed).toBe(1)
    const report = reports.at(-1)
    const decided = receive(receive(newDesk('ronny'), reports[0] as DeskReport, 0).state, report as DeskReport, Date.parse('2026-02-12T08:20:00Z'))
    await activities.publishDesk({ ...word(Date.parse('2026-02-12T08:20:00Z')), decisions: decided.decisions })
    await activities.publishDesk({ ...word(Date.parse('2026-02-12T08:20:00Z')), decisions: decided.decisions })

    const list = await alerts('list')
    expect(list).toMatchObject({ exitCode: 0, stderr: '' })
    expect(list.stdout).toMatch(/^[0-9a-f]{8} {2}CRITICAL {2}shop\/target\/vm-204-infra-core-primary {2}the newest copy is 30 h old$/m)
    const { incidents } = JSON.parse((await alerts('list', '--json')).stdout) as { incidents: { id: string }[] }
    expect((await alerts('show', incidents[0]?.id ?? '')).stdout).toContain('MAILED')
    expect(await alerts('show', 'ffffffff')).toMatchObject({ exitCode: 64, stderr: expect.stringContaining('no open incident ffffffff') })
    const why = JSON.parse((await alerts('why', 'vm-204', '--json')).stdout) as { inForce: { decision: string }[]; before: unknown[] }
    expect([why.inForce.map(({ decision }) => decision), why.before]).toEqual([['mailed'], []])
    expect((await alerts('why', 'vm-204', '--at', '2026-02-12T09:00:00Z')).stdout).toMatch(
      /MAILED .*vm-204[\s\S]*→ to .*, by (rule \d+|the default) of alerts\.yaml/,
    )
    const { stdout } = await alerts('why', incidents[0]?.id ?? '', '--at', '2026-02-12T09:00:00Z')
    expect(stdout, 'by the id that stands in the mail').toContain('vm-204')
    expect((await alerts('why', 'vm-204', '--at', 'Tuesday')).exitCode).toBe(64)
    expect(await alerts('why', 'vm-204', '--at', '2999-01-01T00:00:00Z')).toMatchObject({ exitCode: 64, stderr: expect.stringContaining('still to come') })
  })

  describe('of what was not wrong', () => {
    /** A pass that the desk took, with nothing found but what is given. */
    async function pass(day: number, minute: number, findings: Finding[] = [], over: Partial<StatusDocument> = {}): Promise<void> {
      const takenAt = `2026-02-${day}T08:${minute}:00.000Z`
      folder.writePass({ status: aStatus({ estate: 'ronny', passId: takenAt, takenAt, findings, ...over }), memory: null, observationsDigest: '' })
      await activities.tellDesk({ passId: takenAt })
      const { decisions } = receive(newDesk('ronny'), reports.at(-1) as DeskReport, Date.parse(takenAt))
      await activities.publishDesk({ ...word(Date.parse(takenAt)), decisions })
    }
    const why = (...args: string[]) => alerts('why', ...args)

    it('says so only of a time at which passes were taken; before the record began and in its gaps nobody knows', async () => {
      for (const minute of [10, 20, 30]) await pass(12, minute)
      for (const minute of [10, 20]) await pass(13, minute)
      expect(await why('vm-204', '--at', '2026-02-12T08:25:00Z')).toMatchObject({
        exitCode: 0,
        stdout: expect.stringMatching(/^Nothing about vm-204 was wrong at .*: passes were taken from 2026-02-12 08:10 UTC to 2026-02-12 08:30 UTC/),
      })
      for (const [at, cause] of [
        ['2026-02-12T08:09:00Z', /^Nobody knows about vm-204 .*: the record of passes begins at 2026-02-12 08:10 UTC\.$/m],
        ['2026-02-12T20:00:00Z', /no pass was taken at that time: the last one before at 2026-02-12 08:30 UTC, the next one at 2026-02-13 08:10 UTC/],
      ] as const) {
        expect(await why('vm-204', '--at', at)).toMatchObject({ exitCode: 3, stdout: expect.stringMatching(cause) })
        expect(JSON.parse((await why('vm-204', '--at', at, '--json')).stdout)).toMatchObject({ answer: 'unknown', heard: null, inForce: [] })
      }
      expect((await why('vm-204')).exitCode, 'months after the last pass').toBe(3)
    })

    it('a name that nothing has is refused, and the nearest one offered', async () => {
      await pass(12, 10)
      expect(await why('vm-204-infra-core-primry', '--at', '2026-02-12T08:10:00Z')).toMatchObject({
        exitCode: 64,
        stdout: '',
        stderr: expect.stringMatching(/nothing called vm-204-infra-core-primry is watched[\s\S]*did you mean vm-204-infra-core-primary\?/),
      })
      expect(await why('vm-999')).toMatchObject({ exitCode: 64, stderr: expect.stringContaining('nightshift status --all') })
    })

    it('a guest is found by its name, and one behind a silent host is not called well', async () => {
      const guest = { site: 'shop', host: 'pve', node: 'pve', vmid: 205, name: 'observability', type: 'qemu' as const, state: 'OK' as const, reason: 'ok' }
      const guests = [{ ...guest, severity: 'ok' as const, message: 'fine', next: null, jobs: [] }]
      const uncovered: Finding = { ...finding, subject: 'shop/guest/pve/205', condition: 'coverage', reason: 'not_in_any_job', message: 'in no job' }
      const silent: Finding = { ...finding, subject: 'shop/host/pve', condition: 'blind', severity: 'unknown', reason: 'connect_timeout', message: 'no answer' }
      await pass(12, 10, [uncovered], { guests })
      expect((await why('observability', '--at', '2026-02-12T08:10:00Z')).stdout).toMatch(/MAILED .*shop\/guest\/pve\/205 coverage/)
      await pass(12, 20, [silent], { guests })
      const { stdout, exitCode } = await why('vm-204', '--at', '2026-02-12T08:20:30Z')
      expect([exitCode, stdout]).toEqual([0, expect.stringMatching(/Hidden by what could not be looked at:\n.* shop\/host\/pve blind/)])
    })

    it('is not said before the first pass', async () => {
      expect(await why('vm-204')).toMatchObject({ exitCode: 78, stderr: expect.stringContaining('nothing was ever watched') })
    })
  })

  it('leaves a receipt for what a person decided, once', async () => {
    publish(10)
    const evidence = [
      {
        id: 'close-adopted/comms',
        what: 'close-adopted' as const,
        by: 'ronny',
        reason: 'all looked at',
        facts: { name: 'comms', count: 147, oldest: null },
        at: '2026-02-12T08:20:00.000Z',
      },
    ]
    await activities.publishDesk({ ...word(0), evidence })
    await activities.publishDesk({ ...word(0), evidence })
    const key = join(config, 'keys', 'receipt_ed25519')
    const verdict = verifyChain({ dir: join(dir, 'receipts'), estate: 'ronny', trusted: readTrustedKeys(key), mirrorPath: join(config, 'receipt-head.json') })
    expect(verdict).toMatchObject({ ok: true, count: 1 })
  })

  it('is written down also when the chain of receipts was cut: the desk does not stand still over it', async () => {
    publish(10)
    writeFileSync(
      join(config, 'receipt-head.json'),
      `${JSON.stringify({ schema: 'nightshift.receipt-head/1', estate: 'ronny', number: 7, sha256: '0'.repeat(64) })}\n`,
    )
    const evidence = [{ id: 'canary/1', what: 'canary' as const, by: 'schedule', reason: 'arrived', facts: {}, at: '2026-02-12T08:20:00.000Z' }]
    await new MockActivityEnvironment().run(activities.publishDesk, { ...word(0), evidence })
    expect(folder.desk.snapshot()).toMatchObject({ schema: 'nightshift.desk/1' })
  })

  it('is not there before the first pass, and that is said', async () => {
    expect(await alerts('list')).toMatchObject({ exitCode: 78, stderr: expect.stringContaining('has not said anything yet') })
    expect(await alerts('silence', 'x', '--as', 'r', '--reason', 'r')).toMatchObject({ exitCode: 64, stderr: expect.stringContaining('needs an end') })
  })
})
