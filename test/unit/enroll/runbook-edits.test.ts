import { cp, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { editRunbooks } from '../../../src/activities/change-runbooks.js'
import { chooseJob } from '../../../src/domain/enroll/plan.js'
import { type Enrolled, editsFor } from '../../../src/domain/enroll/runbook-edits.js'
import { loadRunbooks } from '../../../src/runbooks/index.js'
import { packageRoot } from '../../../src/temporal/package-root.js'

let dir: string

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'nightshift-enroll-'))
  await cp(join(packageRoot(), 'runbooks'), dir, { recursive: true })
})
afterEach(() => rm(dir, { recursive: true, force: true }))

const DUMP = '/tank/backups/vzdump/dump'
const enrolled = (vmid: number, more: Partial<Enrolled> = {}): Enrolled => ({
  host: 'pve',
  job: 'backup-pve-daily',
  vmid,
  name: 'finance-stack',
  type: 'qemu',
  artifact: { path: `${DUMP}/vzdump-qemu-${vmid}-2026_11_21-02_00_04.vma.zst` },
  ...more,
})

async function write(about: Enrolled): Promise<readonly string[]> {
  const { effects, words } = editsFor(await loadRunbooks(dir), about)
  for (const effect of effects) await editRunbooks(dir, effect)
  return words
}

const read = (file: string) => readFile(join(dir, file), 'utf8')

describe('when the first scheduled artifact of a guest is proven', () => {
  it('its target is enabled, and nothing else of the file changes', async () => {
    await editRunbooks(dir, {
      kind: 'runbook',
      file: 'inventory',
      edits: [{ op: 'set', path: ['targets', { key: 'name', value: 'vm-211-finance-stack-primary' }, 'enabled'], value: false }],
    })
    const before = await read('inventory.yaml')
    const said = [
      'inventory.yaml: vm-211-finance-stack-primary is enabled',
      'estate.yaml: produced_by of vm-211-finance-stack-primary',
      'calendar.yaml: guest 211 in event vzdump-pve-daily',
    ]
    expect(await write(enrolled(211))).toEqual(said)
    const after = await read('inventory.yaml')
    const changed = after.split('\n').filter((line, index) => line !== before.split('\n')[index])
    expect(changed).toEqual(['    enabled: true'])
    // Its answer may have been lost: the receipt says the same then.
    expect(await write(enrolled(211))).toEqual(said)
    expect(await read('inventory.yaml')).toBe(after)
  })

  it('a guest without a target gets one, with its class, its producer, and its place in the event of the job', async () => {
    const words = await write(enrolled(220, { name: 'new box' }))
    expect(words).toEqual([
      'inventory.yaml: vm-220-new-box-primary is enabled',
      'estate.yaml: produced_by of vm-220-new-box-primary',
      'calendar.yaml: guest 220 in event vzdump-pve-daily',
    ])
    const set = await loadRunbooks(dir)
    expect(set.inventory.targets.find(({ id }) => id === 'vm-220-new-box-primary')).toMatchObject({
      enabled: true,
      host: 'pve',
      basePath: DUMP,
      glob: 'vzdump-qemu-220-*.vma.zst',
      classification: 'critical',
    })
    expect(set.estate.producedBy['vm-220-new-box-primary']).toEqual({ kind: 'vzdump', host: 'pve', vmid: 220 })
    expect(set.calendar.events.find(({ id }) => id === 'vzdump-pve-daily')?.guests).toContain(220)
    expect(set.warnings).toEqual((await loadRunbooks(join(packageRoot(), 'runbooks'))).warnings)
  })

  it('the event of another job is left alone', async () => {
    const before = await read('calendar.yaml')
    expect(await write(enrolled(220, { host: 'proxmox-home', job: 'no-such-job' }))).not.toContainEqual(expect.stringContaining('calendar'))
    expect(await read('calendar.yaml')).toBe(before)
  })
})

describe('the job that is meant', () => {
  it('is the one named, the one that lists all guests, or the only one; otherwise the jobs are named', async () => {
    const hosts = (await loadRunbooks(dir)).vzdump?.hosts ?? []
    const pve = hosts.find(({ host }) => host === 'pve')
    const home = hosts.find(({ host }) => host === 'proxmox-home')
    if (!pve || !home) throw new Error('the example has both hosts')
    expect(chooseJob(pve, [999], undefined).id).toBe('backup-pve-daily')
    expect(chooseJob(home, [105], undefined).id).toBe('backup-home-p2-weekly')
    expect(() => chooseJob(home, [100, 105], undefined)).toThrow(/say which job: vzdump.yaml has backup-home-p0-daily/)
    expect(() => chooseJob(home, [100], 'nope')).toThrow(/has no job nope for proxmox-home/)
    const byHand = { ...home, jobs: home.jobs.map((job) => ({ ...job, scheduled: false })) }
    expect(() => chooseJob(byHand, [100], 'backup-home-p0-daily')).toThrow(/runs by hand only/)
  })
})
