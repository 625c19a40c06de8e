import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openState, readStatusFile, type StateFolder, StateLocked, StateOfAnotherEstate, StateUnusable, stateDirectory } from '../../../src/state/index.js'
import { aStatus } from './status-fixture.js'

const NOW = new Date('2026-02-12T08:31:00.000Z')
let root: string
let dir: string
const opened: StateFolder[] = []

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'nightshift-state-'))
  dir = join(root, 'state')
})

afterEach(() => {
  for (const state of opened.splice(0)) state.close()
  rmSync(root, { recursive: true, force: true })
})

async function open(over: { estateId?: string; keepPasses?: number; now?: () => Date } = {}): Promise<StateFolder> {
  const state = await openState({ dir, estateId: 'lab', now: () => NOW, ...over })
  opened.push(state)
  return state
}

describe('the state folder', () => {
  it('is found by NIGHTSHIFT_STATE, else in the XDG state folder under the id of the estate', () => {
    expect(stateDirectory('lab', { NIGHTSHIFT_STATE: '/srv/state', HOME: '/root' })).toBe('/srv/state')
    expect(stateDirectory('lab', { XDG_STATE_HOME: '/xdg', HOME: '/root' })).toBe('/xdg/nightshift/lab')
    expect(stateDirectory('lab', { XDG_STATE_HOME: 'not/absolute', HOME: '/root' })).toBe('/root/.local/state/nightshift/lab')
    expect(() => stateDirectory('../etc', { HOME: '/root' })).toThrow(RangeError)
  })

  it('is made with permissions for its owner only, also when it was there with wider ones', async () => {
    mkdirSync(dir, { mode: 0o755 })
    await open()
    expect(statSync(dir).mode & 0o777).toBe(0o700)
    expect(statSync(join(dir, 'estate.json')).mode & 0o077).toBe(0)
  })

  it('refuses the state of another estate and leaves it unlocked', async () => {
    ;(await open()).close()
    await expect(open({ estateId: 'ronny' })).rejects.toThrow(StateOfAnotherEstate)
    await expect(open({ estateId: 'ronny' })).rejects.toThrow(/belongs to estate "lab", not to "ronny"/)
    await open()
  })

  it('refuses a folder with files of somebody else, and writes nothing into it', async () => {
    mkdirSync(dir)
    writeFileSync(join(dir, 'thesis.tex'), 'x')
    await expect(open()).rejects.toThrow(/no state folder of nightshift: it holds thesis\.tex/)
    expect(existsSync(join(dir, 'lock.db'))).toBe(false)
  })

  it('refuses a mark that cannot be understood', async () => {
    mkdirSync(dir)
    writeFileSync(join(dir, 'estate.json'), '{"estate":')
    await expect(open()).rejects.toThrow(StateUnusable)
  })
})

describe('the lock', () => {
  it('lets a second opener in the same process go away with the holder’s process id and since when', async () => {
    await open()
    const refusal = await openState({ dir, estateId: 'lab' }).catch((error: unknown) => error)
    expect(refusal).toBeInstanceOf(StateLocked)
    expect(refusal).toMatchObject({ holderPid: process.pid, since: NOW.toISOString() })
  })

  it('is free again after close, and close may be repeated', async () => {
    const first = await open()
    first.close()
    first.close()
    await open()
  })

  it('is given back by the kernel when the holder is killed with SIGKILL', async () => {
    const holder = spawn(process.execPath, ['--input-type=module', '-e', HOLDER, dir], { stdio: ['ignore', 'pipe', 'inherit'] })
    await new Promise<void>((resolve) => holder.stdout.once('data', () => resolve()))
    const refusal = await openState({ dir, estateId: 'lab' }).catch((error: unknown) => error)
    expect(refusal).toBeInstanceOf(StateLocked)
    const ended = new Promise((resolve) => holder.once('exit', resolve))
    holder.kill('SIGKILL')
    await ended
    await open()
  })
})

/** Holds the same kernel lock as a worker does, without needing compiled sources. */
const HOLDER = `
import Database from ${JSON.stringify(import.meta.resolve('libsql'))}
import { mkdirSync } from 'node:fs'
mkdirSync(process.argv[1], { recursive: true })
const database = new Database(process.argv[1] + '/lock.db')
database.exec('BEGIN EXCLUSIVE')
console.log('held')
setInterval(() => database.open, 1000)
`

describe('a pass', () => {
  it('is published with its memory, and both are there after a restart', async () => {
    const first = await open()
    expect(first.readMemory()).toBeUndefined()
    expect(readStatusFile(dir)).toBeUndefined()
    const status = aStatus()
    expect(first.writePass({ status, memory: { sizes: { a: [1, 2] } }, observationsDigest: 'd' })).toMatchObject({ written: true })
    first.close()
    const second = await open()
    expect(second.readMemory()).toEqual({ sizes: { a: [1, 2] } })
    expect(readStatusFile(dir)).toEqual(status)
    expect(second.passes()).toMatchObject([{ passId: 'pass-1', verdict: 'ok', observationsDigest: 'd' }])
  })

  it('that is older than the published one changes neither status nor memory', async () => {
    const state = await open()
    state.writePass({ status: aStatus({ passId: 'b', verdict: 'critical' }), memory: 'new', observationsDigest: '' })
    const older = aStatus({ passId: 'z', takenAt: '2026-02-12T08:29:59.999Z' })
    expect(state.writePass({ status: older, memory: 'old', observationsDigest: '' })).toEqual({
      written: false,
      reason: 'older_pass',
      newer: { passId: 'b', takenAt: '2026-02-12T08:30:00.000Z' },
    })
    expect(readStatusFile(dir)?.verdict).toBe('critical')
    expect(state.readMemory()).toBe('new')
  })

  it('of the same instant is ordered by its id, and the same pass may be written again', async () => {
    const state = await open()
    state.writePass({ status: aStatus({ passId: 'b' }), memory: 1, observationsDigest: '' })
    expect(state.writePass({ status: aStatus({ passId: 'a' }), memory: 2, observationsDigest: '' }).written).toBe(false)
    expect(state.writePass({ status: aStatus({ passId: 'b', verdict: 'warning' }), memory: 3, observationsDigest: '' }).written).toBe(true)
    expect(readStatusFile(dir)?.verdict).toBe('warning')
    expect(state.writePass({ status: aStatus({ passId: 'c' }), memory: 4, observationsDigest: '' }).written).toBe(true)
  })

  it('that was written with a clock an hour ahead does not freeze the status', async () => {
    const state = await open()
    state.writePass({ status: aStatus({ passId: 'ahead', takenAt: '2026-02-12T09:30:00.000Z' }), memory: 1, observationsDigest: '' })
    expect(state.writePass({ status: aStatus({ passId: 'right' }), memory: 2, observationsDigest: '' }).written).toBe(true)
    expect(readStatusFile(dir)?.passId).toBe('right')
    expect(state.passes().map((pass) => pass.passId)).toEqual(['right'])
  })

  it('of another estate is refused', async () => {
    const state = await open()
    expect(() => state.writePass({ status: aStatus({ estate: 'ronny' }), memory: 1, observationsDigest: '' })).toThrow(/estate "ronny"/)
  })

  it('whose status file was not written before a crash is published at the next open', async () => {
    const state = await open()
    state.writePass({ status: aStatus({ passId: 'p1' }), memory: 1, observationsDigest: '' })
    const before = readFileSync(join(dir, 'status.json'))
    state.writePass({ status: aStatus({ passId: 'p2', takenAt: '2026-02-12T08:30:30.000Z' }), memory: 2, observationsDigest: '' })
    state.close()
    writeFileSync(join(dir, 'status.json'), before) // as if the process had died right after the transaction
    writeFileSync(join(dir, 'status.json.123456'), 'half a fi')
    const again = await open()
    expect(readStatusFile(dir)?.passId).toBe('p2')
    expect(again.notices).toEqual([expect.stringContaining('p2 was decided but not published')])
    expect(existsSync(join(dir, 'status.json.123456'))).toBe(false)
  })

  it('after a damaged database is set aside begins with an empty memory and says so', async () => {
    const state = await open()
    state.writePass({ status: aStatus(), memory: 1, observationsDigest: '' })
    state.close()
    writeFileSync(join(dir, 'state.db'), 'this is no database at all, but it is long enough to be taken for one. '.repeat(100))
    for (const part of ['-wal', '-shm']) rmSync(join(dir, `state.db${part}`), { force: true })
    const again = await open()
    expect(again.readMemory()).toBeUndefined()
    expect(again.notices[0]).toMatch(/was damaged; it was set aside as .*state\.db\.damaged-2026-02-12T08-31-00-000Z/)
    expect(readStatusFile(dir)?.passId).toBe('pass-1')
  })
})

describe('observations', () => {
  it('come back as they were, by key, with the digest of their canonical form', async () => {
    const state = await open()
    const stored = state.putObservation('p1', 'pve', { b: [1, 'ü'], a: null })
    expect(state.putObservation('p1', 'nas', { big: 'x'.repeat(100_000) }).bytes).toBe(100_010)
    expect(state.putObservation('p1', 'pve', { a: null, b: [1, 'ü'] })).toEqual(stored)
    expect(state.getObservations('p1').map(({ key, digest }) => [key, digest.length])).toEqual([
      ['nas', 64],
      ['pve', 64],
    ])
    expect(state.getObservations('p1')[1]).toEqual({ key: 'pve', ...stored, value: { a: null, b: [1, 'ü'] } })
    expect(state.getObservations('p2')).toEqual([])
  })

  it('are kept for the last passes only; those of a pass that never ended go with them', async () => {
    let now = new Date('2026-02-12T08:00:00.000Z')
    const state = await open({ keepPasses: 2, now: () => now })
    state.putObservation('never-ended', 'pve', 1)
    for (const minute of [10, 20, 30, 40]) {
      now = new Date(`2026-02-12T08:${minute}:00.000Z`)
      state.putObservation(`p${minute}`, 'pve', minute)
      state.writePass({ status: aStatus({ passId: `p${minute}`, takenAt: now.toISOString() }), memory: 0, observationsDigest: '' })
    }
    expect(state.passes().map((pass) => pass.passId)).toEqual(['p40', 'p30'])
    expect(['never-ended', 'p10', 'p20', 'p30', 'p40'].map((pass) => state.getObservations(pass).length)).toEqual([0, 0, 0, 1, 1])
  })
})

describe('the status file', () => {
  it('that is no status document is refused with its path, not shown', async () => {
    mkdirSync(dir)
    for (const content of [
      '',
      '{"schema":"nightshift.status/1"',
      '{"schema":"nightshift.status/2"}',
      'null',
      '[]',
      JSON.stringify({ ...aStatus(), takenAt: 'yesterday' }),
    ]) {
      writeFileSync(join(dir, 'status.json'), content)
      expect(() => readStatusFile(dir), content).toThrow(/status\.json is not a status document/)
    }
  })
})
