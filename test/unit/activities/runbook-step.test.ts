/** One step of a plan on the runbook files: compare, edit, read back, as on a host. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MockActivityEnvironment } from '@temporalio/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type ChangeStateDeps, createChangeStateActivities, type StepAnswer, type StepRequest } from '../../../src/activities/change.js'
import type { PathPart } from '../../../src/domain/change/plan.js'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'nightshift-step-'))
  cpSync('runbooks', dir, { recursive: true })
})
afterEach(() => rmSync(dir, { recursive: true }))

const inventory = () => readFileSync(join(dir, 'inventory.yaml'), 'utf8')
const ENABLED: PathPart[] = ['targets', { key: 'name', value: 'app-gitea' }, 'enabled']
const GUESTS: PathPart[] = ['hosts', { key: 'host', value: 'pve' }, 'jobs', { key: 'id', value: 'backup-pve-daily' }, 'guests']

const SWITCH_OFF: StepRequest['step'] = {
  id: 'switch app-gitea off',
  before: [{ kind: 'runbook', file: 'inventory', path: ENABLED, value: true }],
  after: [{ kind: 'runbook', file: 'inventory', path: ENABLED, value: false }],
  effect: { kind: 'runbook', file: 'inventory', edits: [{ op: 'set', path: ENABLED, value: false }] },
}

function carryOut(step: StepRequest['step']): Promise<StepAnswer> {
  const { applyRunbookStep } = createChangeStateActivities({ configDir: dir } as ChangeStateDeps)
  return new MockActivityEnvironment().run(applyRunbookStep, { step })
}

describe('a step on the runbook files', () => {
  it('changes what it names and nothing else, and finds it when it is asked again', async () => {
    const before = inventory()
    expect(await carryOut(SWITCH_OFF)).toMatchObject({ outcome: 'applied', differences: [] })
    const after = inventory()
    expect(after.split('\n').filter((line, index) => line !== before.split('\n')[index])).toEqual(['    enabled: false'])
    expect(await carryOut(SWITCH_OFF)).toMatchObject({ outcome: 'already' })
    expect(inventory()).toBe(after)
  })

  it('is taken back by its undo, to the byte', async () => {
    const before = inventory()
    await carryOut(SWITCH_OFF)
    const undo = { ...SWITCH_OFF, before: SWITCH_OFF.after, after: SWITCH_OFF.before }
    expect(await carryOut({ ...undo, effect: { kind: 'runbook', file: 'inventory', edits: [{ op: 'set', path: ENABLED, value: true }] } })).toMatchObject({
      outcome: 'applied',
    })
    expect(inventory()).toBe(before)
  })

  it('does nothing when somebody edited the file since the plan, and names file, field, expected and found', async () => {
    const step: StepRequest['step'] = {
      id: 'take 215 out',
      before: [{ kind: 'runbook', file: 'vzdump', path: GUESTS, value: [200, 215], set: true }],
      after: [{ kind: 'runbook', file: 'vzdump', path: GUESTS, value: [200], set: true }],
      effect: { kind: 'runbook', file: 'vzdump', edits: [{ op: 'remove-from-list', path: GUESTS, values: [215] }] },
    }
    const before = readFileSync(join(dir, 'vzdump.yaml'), 'utf8')
    const answer = await carryOut(step)
    expect(answer).toMatchObject({
      outcome: 'moved',
      differences: [{ subject: join(dir, 'vzdump.yaml'), field: 'hosts.[host=pve].jobs.[id=backup-pve-daily].guests', expected: [200, 215] }],
    })
    expect(answer.differences[0]?.found).toContain(204)
    expect(readFileSync(join(dir, 'vzdump.yaml'), 'utf8')).toBe(before)
  })

  it('says that an edit which did not bring what it should has failed', async () => {
    const after = [{ kind: 'runbook' as const, file: 'inventory' as const, path: ['targets', { key: 'name', value: 'app-gitea' }, 'notes'], value: 'never' }]
    expect(await carryOut({ ...SWITCH_OFF, after })).toMatchObject({ outcome: 'failed', differences: [{ expected: 'never' }] })
  })

  it('adds to a list once, and leaves what is there', async () => {
    const add = (values: number[]): StepRequest['step'] => ({
      id: 'add',
      before: [],
      after: [],
      effect: { kind: 'runbook', file: 'vzdump', edits: [{ op: 'add-to-list', path: GUESTS, values }] },
    })
    const had = readFileSync(join(dir, 'vzdump.yaml'), 'utf8')
    await carryOut(add([204]))
    expect(readFileSync(join(dir, 'vzdump.yaml'), 'utf8')).toBe(had)
    await carryOut(add([216]))
    expect(readFileSync(join(dir, 'vzdump.yaml'), 'utf8')).toMatch(/guests: \[ ?200, .*215, 216 ?\]/)
  })

  it.each([
    ['broken files', 'InvalidRunbooks', SWITCH_OFF, () => writeFileSync(join(dir, 'inventory.yaml'), 'targets: [')],
    ['a step that is for a host', 'InvalidInput', { ...SWITCH_OFF, effect: { kind: 'command', argv: ['true'] } as const }, () => {}],
  ] as const)('refuses %s, and asks for no retry', async (_what, type, step, spoil) => {
    spoil()
    const before = inventory()
    await expect(carryOut(step)).rejects.toMatchObject({ name: 'ApplicationFailure', type, nonRetryable: true })
    expect(inventory()).toBe(before)
  })
})
