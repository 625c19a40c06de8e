/** What the worker does for the watchers, on a real state folder and the example's runbooks. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MockActivityEnvironment } from '@temporalio/testing'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { RunbookKeeper } from '../../../src/activities/runbook-keeper.js'
import { createWatcherSiteActivities, createWatcherStateActivities, openMarks } from '../../../src/activities/watcher.js'
import { type DeskSnapshot, snapshotOf } from '../../../src/domain/desk/snapshot.js'
import { newDesk } from '../../../src/domain/desk/state.js'
import { markFindings } from '../../../src/domain/relay/marks.js'
import type { MarkOrder } from '../../../src/domain/relay/watcher.js'
import type { StatusDocument } from '../../../src/domain/status.js'
import { openState, type StateFolder } from '../../../src/state/index.js'
import { aStatus } from '../state/status-fixture.js'

const TAKEN_AT = '2026-02-12T08:10:00.000Z'
const NOW = new Date('2026-02-12T08:20:05.000Z')

let root: string
let state: StateFolder
let runbooks: RunbookKeeper
/** What a host answers to the program that leaves a mark. */
let answer: { exitCode: number; stdoutText: string; stderrText: string }
let sent: string[]

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'nightshift-marks-'))
  cpSync(join(import.meta.dirname, '../../../runbooks'), join(root, 'config'), { recursive: true })
  state = await openState({ dir: join(root, 'state'), estateId: 'ronny' })
  runbooks = new RunbookKeeper(join(root, 'config'))
  answer = { exitCode: 0, stdoutText: 'written\n', stderrText: '' }
  sent = []
})
afterEach(() => {
  state.close()
  rmSync(root, { recursive: true, force: true })
})

const deps = () => ({
  runbooks,
  state,
  onStatus: () => {},
  version: '1',
  redact: (text: string) => text.replaceAll('hunter2', '***'),
  now: () => NOW,
  ssh: () => ({
    run: async (_alias: string, request: { stdin?: string }) => {
      sent.push(request.stdin ?? '')
      return { ...answer, stdout: Buffer.from(answer.stdoutText), durationMs: 1, connectMs: 0 }
    },
  }),
})

const open = async () => openMarks((await runbooks.current()).set, state, NOW)
const leave = (mark: MarkOrder) => new MockActivityEnvironment().run(createWatcherSiteActivities(deps()).leaveMark, mark) as Promise<string>

function publishPass(over: Partial<StatusDocument> = {}): void {
  const status = aStatus({ estate: 'ronny', passId: 'pass-2', takenAt: TAKEN_AT, periodSeconds: 600, findings: [], ...over })
  state.writePass({ status, memory: null, observationsDigest: '' })
}

function publishDesk(passId: string, oldestAt: string | null = null): void {
  const snapshot = snapshotOf(newDesk('ronny'), NOW.getTime(), { workflowId: 'desk/ronny', runId: 'run' })
  state.desk.putSnapshot({ ...snapshot, passId, outbox: { ...snapshot.outbox, oldestAt } } satisfies DeskSnapshot)
}

it('a mark may be left once the desk has taken the last pass', async () => {
  expect((await open()).withheld).toBe('no pass has been published yet')
  publishPass()
  publishDesk('pass-1')
  expect(await open()).toEqual({ marks: [], withheld: 'the alert desk has not taken the last pass', unmarked: [] })
  publishDesk('pass-2')
  expect(await open()).toMatchObject({
    withheld: null,
    unmarked: [],
    marks: [{ estate: 'ronny', passId: 'pass-2', takenAt: TAKEN_AT, route: { host: 'proxmox-home', site: 'home', node: 'pve' } }],
  })
})

it('none for a pass of long ago: nightshift was off, and has not looked yet', async () => {
  publishPass({ takenAt: '2026-02-12T08:00:04.000Z' })
  publishDesk('pass-2')
  expect((await open()).withheld).toBe('the last pass is that of 2026-02-12T08:00:04.000Z')
})

it('none on a host that the last pass could not read', async () => {
  const dark = {
    host: 'proxmox-home',
    node: null,
    site: 'home',
    state: 'UNKNOWN',
    severity: 'unknown',
    reason: 'connect_timeout',
    message: '',
    next: null,
    clockSkewSeconds: null,
  } as const
  publishPass({ hosts: [dark] })
  publishDesk('pass-2')
  expect(await open()).toMatchObject({ marks: [], withheld: null })
})

it('none when a mail has been waiting for half an hour', async () => {
  publishPass()
  publishDesk('pass-2', '2026-02-12T07:50:05.000Z')
  expect((await open()).withheld).toBe('a mail has been waiting to be sent since 2026-02-12T07:50:05.000Z')
  publishDesk('pass-2', '2026-02-12T07:50:06.000Z')
  expect((await open()).withheld).toBeNull()
})

it('a host says whether the mark is there, and why it is not', async () => {
  publishPass()
  publishDesk('pass-2')
  const [mark] = (await open()).marks
  if (mark === undefined) throw new Error('the example declares no watcher')
  expect(await leave(mark)).toBe('written')
  expect(sent[0]).toContain("pass='pass-2'")
  answer = { exitCode: 0, stdoutText: 'absent\n', stderrText: '' }
  expect(await leave(mark)).toBe('absent')
  answer = { exitCode: 1, stdoutText: '', stderrText: 'sh: cannot create mark.new: hunter2: No space left on device\n' }
  await expect(leave(mark)).rejects.toThrow('leaving a mark on proxmox-home ended with 1: sh: cannot create mark.new: ***: No space left on device')
})

it('what could not be left is a finding until it is, and none beside a host that cannot be read at all', async () => {
  const { set } = await runbooks.current()
  await createWatcherStateActivities(deps()).noteUnmarked({ unmarked: { 'proxmox-home': 'No space left on device' } })
  const found = () => markFindings({ hosts: [] }, set, state.marks.unmarked())
  expect(found()).toMatchObject([{ subject: 'home/delivery/watcher-proxmox-home', condition: 'delivery', severity: 'warning', reason: 'mark_not_left' }])
  const dark = {
    host: 'proxmox-home',
    node: null,
    site: 'home',
    state: 'UNKNOWN',
    severity: 'unknown',
    reason: 'connect_timeout',
    message: '',
    next: null,
    clockSkewSeconds: null,
  } as const
  expect(markFindings({ hosts: [dark] }, set, state.marks.unmarked())).toEqual([])
  expect(markFindings({ hosts: [{ ...dark, state: 'OK' }] }, set, state.marks.unmarked())).toHaveLength(1)
  await createWatcherStateActivities(deps()).noteUnmarked({ unmarked: {} })
  expect(found()).toEqual([])
})
