import { cpSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { RunbookKeeper } from '../../../src/activities/runbook-keeper.js'
import { RunbookErrors } from '../../../src/runbooks/index.js'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'nightshift-keeper-'))
  cpSync(join(import.meta.dirname, '..', '..', '..', 'runbooks'), dir, { recursive: true })
})
afterEach(() => rmSync(dir, { recursive: true }))

const path = () => join(dir, 'inventory.yaml')

describe('the runbooks in force', () => {
  it('follow every change of a file, also one that keeps size and modification time', async () => {
    const keeper = new RunbookKeeper(dir)
    const before = await keeper.refresh()
    const text = readFileSync(path(), 'utf8')
    writeFileSync(path(), text.replace('stale_after_hours: 192', 'stale_after_hours: 193'))
    utimesSync(path(), 1_000_000, 1_000_000)
    const after = await keeper.refresh()
    expect(after.set.digest).not.toBe(before.set.digest)
    expect(after.set.inventory.targets.find((target) => target.id === 'vm-200-docker-host-offsite')?.limitSeconds).toBe(193 * 3600)
  })

  it('stay as they were while a file is broken, say so, and follow again when it is mended', async () => {
    const keeper = new RunbookKeeper(dir, () => new Date('2026-02-12T08:30:00Z'))
    const good = await keeper.refresh()
    const text = readFileSync(path(), 'utf8')
    writeFileSync(path(), `${text}\ntargets: []\n`)
    const broken = await keeper.refresh()
    expect(broken.set.digest).toBe(good.set.digest)
    expect(broken.problem?.errors.join('\n')).toMatch(/inventory\.yaml:\d+:\d+/)
    expect(broken.problem?.inForceSince).toBe('2026-02-12T08:30:00.000Z')
    writeFileSync(path(), text)
    expect((await keeper.refresh()).problem).toBeUndefined()
  })

  it('stay as they were when a file is gone, or empty because an editor is just saving it', async () => {
    const keeper = new RunbookKeeper(dir)
    const good = await keeper.refresh()
    writeFileSync(path(), '')
    expect((await keeper.refresh()).problem?.errors.join('\n')).toContain('found an empty file')
    rmSync(path())
    const gone = await keeper.refresh()
    expect(gone.problem?.errors.join('\n')).toContain('found no such file')
    expect(gone.set.digest).toBe(good.set.digest)
  })

  it('do not exist at the start when a file is broken', async () => {
    writeFileSync(join(dir, 'estate.yaml'), 'id: 1\n')
    await expect(new RunbookKeeper(dir).refresh()).rejects.toThrow(RunbookErrors)
  })

  it.each(['vzdump.yaml', 'email-relay.yaml'])('take up %s when it comes later', async (file) => {
    const text = readFileSync(join(dir, file), 'utf8')
    rmSync(join(dir, file))
    const longAgo = Date.now() / 1000 - 60
    utimesSync(dir, longAgo, longAgo)
    const keeper = new RunbookKeeper(dir)
    const without = await keeper.refresh()
    writeFileSync(join(dir, file), text)
    expect((await keeper.refresh()).set.digest).not.toBe(without.set.digest)
  })
})
