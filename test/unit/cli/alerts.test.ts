import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readQueue } from '../../../src/cli/alerts.js'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'nightshift-queue-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function queue(text: string): ReturnType<typeof readQueue> {
  const path = join(folder, 'queue')
  writeFileSync(path, text)
  return readQueue(path)
}

describe('a queue of an earlier system', () => {
  it('is a JSON list or one alert a line; each becomes a line that people can read, and the oldest is known', () => {
    const entries = Array.from({ length: 147 }, (_, day) => ({
      at: `2026-01-${String(1 + (day % 28)).padStart(2, '0')}T07:15:00Z`,
      alert: 'stale: vm-204',
      age_h: 31.4,
    }))
    const found = queue(JSON.stringify(entries))
    expect([found.count, found.oldest, found.lines[0]]).toEqual([147, '2026-01-01T07:15:00Z', '2026-01-01T07:15:00Z  stale: vm-204  31.4'])
    expect(queue('2026-02-01 stale: vm-204\n\n2026-01-31 stale: vm-205\n')).toMatchObject({ count: 2, oldest: '2026-01-31' })
  })

  it('cannot carry lines or controls into the mail that lists it', () => {
    const [line = ''] = queue(JSON.stringify([{ alert: 'x\r\nBcc: evil@example.org\u001b[2J' }])).lines
    expect(line).not.toMatch(/[\r\n\u001b]/)
  })

  it('that holds nothing, or is not there, is refused', () => {
    expect(() => queue('[]')).toThrow(/holds no alert/)
    expect(() => readQueue(join(folder, 'none'))).toThrow(/cannot be read/)
  })
})
