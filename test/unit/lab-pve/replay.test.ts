/** The emulated Proxmox command line against recordings of the real one: every family has its bar. */
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

  it('answers every command of the second recording, mail notifications apart', { timeout: 180_000 }, async () => {
    const result = await replay(fixture('pve-cli-2.json'))
    const families = result.families.filter((family) => family.name !== 'notifications')
    expect(describeFailures({ ...result, families })).toEqual([])
    expect(families.reduce((sum, family) => sum + family.passed, 0)).toBe(219)
    expect(result.unknownMasks).toEqual([])
  })
})
