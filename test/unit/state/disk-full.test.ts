import { execFileSync } from 'node:child_process'
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isDiskFull, openState, readStatusFile, readTrustedKeys, type StateFolder, StateWriteFailed, verifyChain } from '../../../src/state/index.js'
import { aBody, makeKey } from '../receipts/receipt-fixture.js'
import { aStatus, aTarget } from './status-fixture.js'

/** A real file system of 1.2 MB, room for what the test keeps; `fill` leaves no byte free on it. */
let root: string
let disk: string
let dir: string
let ballast: string
let state: StateFolder

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'nightshift-full-'))
  disk = join(root, 'disk')
  mkdirSync(disk)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1200k,mode=0700', 'nightshift-test', disk])
  dir = join(disk, 'state')
  ballast = join(disk, 'ballast')
  state = await openState({ dir, estateId: 'lab', now: () => new Date('2026-02-12T09:00:00.000Z') })
})

afterEach(() => {
  state.close()
  execFileSync('umount', ['--lazy', disk])
  rmSync(root, { recursive: true, force: true })
})

/** Fills the disk to the last byte that it takes, but leaves `pages` of 4 KiB. */
function fill(pages = 0): void {
  const fd = openSync(ballast, 'w')
  const page = Buffer.alloc(4096, 1)
  let written = 0
  try {
    for (;;) written += writeSync(fd, page)
  } catch (error) {
    if (!isDiskFull(error)) throw error
  } finally {
    closeSync(fd)
  }
  if (pages > 0) execFileSync('truncate', ['-s', String(written - pages * 4096), ballast])
}

const minute = (n: number) => `2026-02-12T08:${String(n).padStart(2, '0')}:00.000Z`
const big = (n: number) =>
  aStatus({ passId: `p${n}`, runId: `r${n}`, takenAt: minute(n), targets: Array.from({ length: 200 }, (_, index) => aTarget({ id: `t${index}-${n}` })) })

describe('a full disk', () => {
  it('while a pass is written leaves the old status and memory, says what is full, and the next pass heals', () => {
    state.writePass({ status: big(1), memory: 'one', observationsDigest: '' })
    fill()
    let failure: unknown
    try {
      state.writePass({ status: big(2), memory: 'two', observationsDigest: '' })
    } catch (error) {
      failure = error
    }
    expect(failure).toBeInstanceOf(StateWriteFailed)
    expect(failure).toMatchObject({
      message: expect.stringMatching(/could not be written to .*: no space is left on the device/),
      next: expect.stringContaining('free some space'),
    })
    expect(readStatusFile(dir)?.passId).toBe('p1')
    expect(state.readMemory()).toBe('one')
    rmSync(ballast)
    expect(state.writePass({ status: big(3), memory: 'three', observationsDigest: '' })).toMatchObject({ written: true })
    expect(readStatusFile(dir)?.passId).toBe('p3')
    expect(state.readMemory()).toBe('three')
  })

  it('at any number of free pages leaves status and memory of one pass each, whole, and mends at the next open', async () => {
    state.writePass({ status: big(1), memory: 1, observationsDigest: '' })
    const outcomes = new Set<string>()
    for (let pages = 0; pages <= 60; pages += 2) {
      const n = 2 + pages / 2
      fill(pages)
      try {
        state.writePass({ status: big(n), memory: n, observationsDigest: '' })
        outcomes.add('written')
      } catch (error) {
        expect(error).toBeInstanceOf(StateWriteFailed)
        expect(isDiskFull(error)).toBe(true)
        outcomes.add((error as StateWriteFailed).what)
      }
      const published = readStatusFile(dir)
      expect(published?.targets).toHaveLength(200)
      rmSync(ballast)
      const decided = state.passes()[0]?.passId
      expect(state.readMemory()).toBe(Number(decided?.slice(1)))
      state.close()
      state = await openState({ dir, estateId: 'lab', now: () => new Date('2026-02-12T09:00:00.000Z') })
      expect(readStatusFile(dir)?.passId).toBe(decided)
    }
    expect([...outcomes].sort()).toEqual(['the state of this pass', 'the status', 'written'])
  })

  it('while a receipt is written leaves a chain that verifies, and the next append heals', async () => {
    const key = makeKey(join(root, 'key'))
    const settings = { signingKeyPath: key, headMirrorPath: join(root, 'head.json') }
    const verify = () => verifyChain({ dir: join(dir, 'receipts'), estate: 'lab', trusted: readTrustedKeys(key), mirrorPath: settings.headMirrorPath })
    await state.appendReceipt(aBody('r1'), settings)
    let failures = 0
    for (let pages = 0; pages <= 12; pages++) {
      fill(pages)
      await state.appendReceipt(aBody(`r${pages + 2}`), settings).catch((error: unknown) => {
        expect(error).toBeInstanceOf(StateWriteFailed)
        failures += 1
      })
      expect(verify(), `${pages} pages free`).toMatchObject({ ok: true })
      rmSync(ballast)
      await state.appendReceipt(aBody(`r${pages + 2}`), settings)
      expect(verify()).toMatchObject({ ok: true, count: pages + 2 })
    }
    expect(failures).toBeGreaterThan(0)
    const mirror: unknown = JSON.parse(readFileSync(settings.headMirrorPath, 'utf8'))
    expect(mirror).toMatchObject({ number: 14 })
  })

  it('does not keep the state from being opened, and the full mirror disk from being told', async () => {
    const key = makeKey(join(root, 'key'))
    const mirrorOnDisk = { signingKeyPath: key, headMirrorPath: join(disk, 'head.json') }
    state.close()
    fill()
    state = await openState({ dir, estateId: 'lab' })
    rmSync(ballast)
    await state.appendReceipt(aBody('r1'), mirrorOnDisk)
    expect(JSON.parse(readFileSync(mirrorOnDisk.headMirrorPath, 'utf8'))).toMatchObject({ number: 1 })
  })
})
