/** A mask hides what it names and nothing else: a replay that masks too much proves nothing. */
import { describe, expect, it } from 'vitest'
import { type MaskContext, Masks } from '../../../lab/replay/masks.js'

const context: MaskContext = { argv: ['pvesh', 'get', '/nodes/pve1/tasks'], known: 'BC:24:11:00:00:01', from: 1795238000, to: 1795239000, utcOffsetSeconds: 0 }

describe('masks of a recording', () => {
  it('hides nothing without masks, but the orders that the real program leaves to chance', () => {
    const none = new Masks([])
    expect(none.stdout('{"endtime":1}', context)).not.toBe(none.stdout('{"endtime":2}', context))
    expect(none.stdout('[{"id":"a"},{"id":"b"}]', context)).not.toBe(none.stdout('[{"id":"b"},{"id":"a"}]', context))
    expect(none.stdout('INFO: starting new backup job: vzdump 1 --a 1 --b 2\n', context)).toBe(
      none.stdout('INFO: starting new backup job: vzdump 1 --b 2 --a 1\n', context),
    )
  })

  it('hides a named key and keeps the others', () => {
    const masks = new Masks(['endtime'])
    expect(masks.stdout('{"endtime":1,"status":"OK"}', context)).toBe(masks.stdout('{"endtime":2,"status":"OK"}', context))
    expect(masks.stdout('{"endtime":1,"status":"OK"}', context)).not.toBe(masks.stdout('{"endtime":1,"status":"job errors"}', context))
  })

  it('hides dates of the recording itself, not those of its fixture', () => {
    const masks = new Masks(['UPIDs and dates in stdout'])
    expect(masks.stdout('at 2026-11-21 05:20:00\n', context)).toBe(masks.stdout('at 2026-11-21 05:21:00\n', context))
    expect(masks.stdout('vzdump-qemu-100-2026_11_15-02_00_04.vma', context)).not.toBe(masks.stdout('vzdump-qemu-100-2026_11_16-02_00_04.vma', context))
  })

  it('keeps a MAC address that the fixture names', () => {
    const masks = new Masks(['generated UUIDs and MACs'])
    expect(masks.stdout('BC:24:11:AA:AA:AA', context)).toBe(masks.stdout('BC:24:11:BB:BB:BB', context))
    expect(masks.stdout('BC:24:11:00:00:01', context)).not.toBe(masks.stdout('BC:24:11:BB:BB:BB', context))
  })

  it('names a mask that it does not know', () => {
    expect(new Masks(['phase of the moon']).unknown).toEqual(['phase of the moon'])
  })
})
