/** The emulated Proxmox command line against recordings of the real one: every family has its bar. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { replay } from '../../../lab/replay.js'

const fixture = (name: string): string => fileURLToPath(new URL(`../../fixtures/pve/${name}`, import.meta.url))

function describeFailures(result: Awaited<ReturnType<typeof replay>>): string[] {
  return result.families.flatMap((family) =>
    family.failures.map((failure) => `${failure.sequence} #${failure.step}: ${failure.argv.join(' ')} (${failure.differences.map((d) => d.what).join(', ')})`),
  )
}

describe('recordings of the Proxmox command line', () => {
  it('answers every command of the first recording as it was recorded', { timeout: 120_000 }, async () => {
    const result = await replay(fixture('pve-cli.json'))
    expect(describeFailures(result)).toEqual([])
    expect(result.passed).toBe(90)
    expect(result.unknownMasks).toEqual([])
  })

  it('answers every command of the second recording as it was recorded', { timeout: 180_000 }, async () => {
    const result = await replay(fixture('pve-cli-2.json'))
    expect(describeFailures(result)).toEqual([])
    expect(result.passed).toBe(260)
    expect(result.unknownMasks).toEqual([])
  })

  it('sees one wrong word in stdout, one wrong line in a file, and a file that should not have changed', async () => {
    const recording = JSON.parse(await readFile(fixture('pve-cli.json'), 'utf8')) as {
      sequences: { name: string; steps: { argv: string[]; stdout: string; files_changed?: Record<string, string> }[] }[]
    }
    const jobs = recording.sequences
      .filter((sequence) => sequence.name === 'jobs: update')
      .map((sequence) => ({ ...sequence, steps: sequence.steps.slice(0, 5) }))
    const steps = jobs[0]?.steps ?? []
    const [refused, changed, read] = steps
    if (!refused || !changed?.files_changed || !read) throw new Error('the recording has no such sequence any more')
    refused.stdout = 'something\n'
    changed.files_changed = { '/etc/pve/jobs.cfg': (changed.files_changed['/etc/pve/jobs.cfg'] ?? '').replace('now on', 'now off') }
    read.stdout = read.stdout.replace('"mode":"stop"', '"mode":"snapshot"')
    const dir = await mkdtemp(path.join(tmpdir(), 'nightshift-recording-'))
    try {
      await writeFile(path.join(dir, 'wrong.json'), JSON.stringify({ ...recording, sequences: jobs }))
      const result = await replay(path.join(dir, 'wrong.json'))
      expect([result.passed, result.failed]).toEqual([2, 3])
      expect(result.families[0]?.failures.map((failure) => failure.differences.map((d) => d.what))).toEqual([
        ['stdout'],
        ['file /etc/pve/jobs.cfg', 'file /var/lib/pve-manager/jobs/vzdump-weekly-offsite.json'],
        ['stdout'],
      ])
    } finally {
      await rm(dir, { recursive: true })
    }
  })
})
