/** Putting a watcher in place, taking it away, and the gate over it, from what a host answers. (Against a real systemd: test/lab/watcher.test.ts.) */
import { describe, expect, it } from 'vitest'
import { sha256Hex } from '../../../src/domain/canonical.js'
import { sealPlan } from '../../../src/domain/change/plan.js'
import type { Answer, RelayObservation } from '../../../src/domain/relay/observation.js'
import { type WatcherFile, type WatcherOrder, watcherFiles, watchersOf } from '../../../src/domain/relay/watcher.js'
import { planWatcher, watcherGate, watcherQuestions } from '../../../src/domain/relay/watcher-plan.js'
import { exampleTexts, load } from '../runbooks/example-texts.js'

const [ORDER] = watchersOf(load(exampleTexts())) as [WatcherOrder]
const FOLDER = '/var/lib/nightshift-watcher-ronny'

const run = (out: string): Answer => ({ kind: 'run', exit: 0, out, err: '' })
const file = (there: WatcherFile | null): Answer => ({
  kind: 'file',
  text: there?.content ?? null,
  sha256: there === null ? null : sha256Hex(there.content),
  mode: there?.mode ?? null,
  error: null,
})

/** A host where nothing of the watcher is. */
function bare(answers: Record<string, Answer> = {}): RelayObservation {
  return {
    schema: 'nightshift.relay-observation/1',
    host: 'proxmox-home',
    node: 'pve',
    answers: {
      'watcher script': file(null),
      'watcher service': file(null),
      'watcher timer': file(null),
      'watcher ActiveState': run('inactive\n'),
      'watcher UnitFileState': run('\n'),
      'watcher NeedDaemonReload': run('no\n'),
      'watcher folder': run(''),
      'watcher state': run(''),
      'watcher programs': run('/usr/sbin/sendmail\n'),
      ...answers,
    },
  }
}

/** A host with the watcher as declared, running, and a mark of six minutes ago. */
function inPlace(answers: Record<string, Answer> = {}, order: WatcherOrder = ORDER): RelayObservation {
  const files = watcherFiles(order)
  return bare({
    'watcher script': file(files.script),
    'watcher service': file(files.service),
    'watcher timer': file(files.timer),
    'watcher ActiveState': run('active\n'),
    'watcher UnitFileState': run('enabled\n'),
    'watcher folder': run(`${FOLDER}\n`),
    'watcher state': run('mark 360\n'),
    ...answers,
  })
}

const ids = (steps: readonly { id: string }[]) => steps.map(({ id }) => id)
const planOf = (seen: RelayObservation, order: WatcherOrder | null = ORDER) => planWatcher(order, 'ronny', seen)

describe('the plan', () => {
  it('asks everything that it goes by', () => {
    expect(Object.keys(bare().answers).sort()).toEqual(
      watcherQuestions('ronny')
        .map(({ name }) => name)
        .sort(),
    )
  })

  it('of a bare host writes three files, starts the timer, and can take each step back', () => {
    const steps = planOf(bare())
    expect(ids(steps)).toEqual(["write the watcher's script", "write the watcher's service", "write the watcher's timer", 'start the watcher'])
    expect(steps.map(({ undo }) => 'effect' in undo && undo.effect.kind)).toEqual(['remove-file', 'remove-file', 'remove-file', 'command'])
    expect(steps.flatMap(({ destructive }) => destructive)).toEqual([])
    expect(steps[0]?.what).toBe(
      'Write the watcher of site shop to proxmox-home: it mails ronny@spine.ronny.works when nightshift has left no mark for 30 minutes',
    )
  })

  it('is empty where all is as declared', () => {
    expect(planOf(inPlace())).toEqual([])
  })

  it('writes the script alone when only what it says has changed, and would bring the old one back', () => {
    const [step, ...more] = planOf(inPlace({}, { ...ORDER, mailTo: 'old@spine.ronny.works' }))
    expect(more).toEqual([])
    expect(step?.id).toBe("write the watcher's script")
    expect(step?.undo).toHaveProperty('effect.content', expect.stringContaining('old@spine.ronny.works'))
  })

  it('starts a timer that somebody stopped, or that systemd has not read anew', () => {
    expect(ids(planOf(inPlace({ 'watcher ActiveState': run('inactive\n') })))).toEqual(['start the watcher'])
    expect(ids(planOf(inPlace({ 'watcher NeedDaemonReload': run('yes\n') })))).toEqual(['start the watcher'])
  })

  it('takes away what is not declared any more, as something that lessens protection', () => {
    const steps = planOf(inPlace(), null)
    expect(ids(steps)).toEqual([
      'stop the watcher',
      "remove the watcher's timer",
      "remove the watcher's service",
      "remove the watcher's script",
      "remove the watcher's folder",
    ])
    expect(steps[0]?.destructive).toEqual(['lessens protection'])
    expect(planOf(bare(), null)).toEqual([])
  })

  it('made twice has one digest', () => {
    const seal = () => sealPlan({ runbook: 'emailRelay', host: 'proxmox-home', title: '', steps: planOf(bare()), warnings: [], facts: {} }).digest
    expect(seal()).toBe(seal())
  })

  it('is not made from what could not be read', () => {
    expect(() => planOf(bare({ 'watcher script': { kind: 'file', text: null, sha256: null, mode: null, error: '/usr/local/sbin: EIO' } }))).toThrow('EIO')
  })
})

describe('the gate', () => {
  const said = (seen: RelayObservation, order = ORDER) => {
    const { state, reason } = watcherGate(order, seen)
    return `${state} ${reason}`
  }

  it('passes by a fresh mark beside a running watcher that is exactly the declared one', () => {
    expect(watcherGate(ORDER, inPlace())).toEqual({
      id: 'watcher/proxmox-home',
      state: 'passed',
      reason: 'ok',
      message: 'watches site shop; the last mark is 6 min old',
      next: null,
    })
  })

  it('fails with the place, or does not know', () => {
    const { script } = watcherFiles(ORDER)
    expect(said(bare())).toBe('failed not_in_place')
    expect(said(inPlace({ 'watcher script': file({ ...script, content: `${script.content}mail evil@example.org\n` }) }))).toBe('failed changed')
    expect(said(inPlace({ 'watcher UnitFileState': run('disabled\n') }))).toBe('failed not_running')
    expect(said(inPlace({ 'watcher programs': run('') }))).toBe('failed no_way')
    expect(said(inPlace({ 'watcher state': run('mark 1801\nsaid 60\n') }))).toBe('failed mark_old')
    expect(said(inPlace({ 'watcher state': run('mark 1800\n') }))).toBe('passed ok')
    expect(said(inPlace({ 'watcher state': run('') }))).toBe('unknown no_mark')
    expect(said(inPlace({ 'watcher ActiveState': { kind: 'run', exit: 124, out: '', err: '' } }))).toBe('unknown not_looked_at')
    const byWebhook = { ...ORDER, webhook: 'https://ntfy.example.org/x' }
    expect(said(inPlace({}, byWebhook), byWebhook)).toBe('failed no_way')
    expect(said(inPlace({ 'watcher programs': run('/usr/sbin/sendmail\n/usr/bin/wget\n') }, byWebhook), byWebhook)).toBe('passed ok')
  })
})
