/** The example in `runbooks/`: it loads, says what the estate is, and its editors' schemas are those of the loader. */
import { readFileSync } from 'node:fs'
import { Ajv } from 'ajv'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { renderSchemas } from '../../../src/runbooks/generate-schemas.js'
import { loadRunbooks } from '../../../src/runbooks/index.js'

const FILES = ['estate', 'inventory', 'calendar', 'alerts', 'vzdump', 'email-relay'] as const

describe('the example runbooks', () => {
  test('load without a warning: 34 targets, 28 enabled, on 7 hosts', async () => {
    const set = await loadRunbooks('runbooks')
    expect(set.warnings).toEqual([])
    const enabled = set.inventory.targets.filter((target) => target.enabled)
    expect(set.inventory.targets).toHaveLength(34)
    expect(enabled).toHaveLength(28)
    expect(new Set(enabled.map((target) => target.host))).toEqual(
      new Set(['pve', 'proxmox-home', 'nas', 'communications-stack', 'automation-stack', 'download-stack', 'streaming-stack']),
    )
  })

  test('name a producer for every target', async () => {
    const { estate, inventory } = await loadRunbooks('runbooks')
    expect(Object.keys(estate.producedBy).sort()).toEqual(inventory.targets.map((target) => target.id).sort())
  })

  test("keep a target's own limit above its classification's, in seconds", async () => {
    const { inventory } = await loadRunbooks('runbooks')
    const limit = (id: string) => inventory.targets.find((target) => target.id === id)?.limitSeconds
    expect(limit('vm-205-observability-primary')).toBe(26 * 3600)
    expect(limit('vm-200-docker-host-offsite')).toBe(192 * 3600)
    expect(limit('app-media-config-download-stack')).toBe(30 * 3600)
  })

  test('know that the node of proxmox-home is called pve', async () => {
    const { estate } = await loadRunbooks('runbooks')
    expect(estate.hosts.filter((host) => host.kind === 'proxmox').map((host) => [host.name, host.node])).toEqual([
      ['pve', 'pve'],
      ['proxmox-home', 'pve'],
    ])
  })

  test('have a weekday for every weekly event and a day for every monthly one', async () => {
    const { calendar } = await loadRunbooks('runbooks')
    expect(calendar.events.find((event) => event.freq === 'WEEKLY')?.byDay).toEqual(['SU'])
    expect(calendar.events.find((event) => event.freq === 'MONTHLY')?.byMonthDay).toEqual([15])
  })

  test('say in which line of the file a target stands', async () => {
    const { inventory } = await loadRunbooks('runbooks')
    const target = inventory.targets[3]
    const line = Number(target?.place.split(':')[1])
    expect(readFileSync('runbooks/inventory.yaml', 'utf8').split('\n')[line - 1]).toContain(`name: ${target?.id}`)
  })
})

describe('the JSON schemas', () => {
  for (const name of FILES) {
    test(`schemas/${name}.schema.json is what the loader checks by (else: npm run build && node dist/src/runbooks/generate-schemas.js)`, () => {
      expect(readFileSync(`schemas/${name}.schema.json`, 'utf8')).toBe(renderSchemas().get(`${name}.schema.json`))
    })

    test(`accept runbooks/${name}.yaml, which names its schema in the first line`, () => {
      const text = readFileSync(`runbooks/${name}.yaml`, 'utf8')
      expect(text.split('\n')[0]).toBe(`# yaml-language-server: $schema=../schemas/${name}.schema.json`)
      const validate = new Ajv({ strict: false, allErrors: true }).compile(JSON.parse(renderSchemas().get(`${name}.schema.json`) ?? ''))
      expect(validate(parse(text)), JSON.stringify(validate.errors)).toBe(true)
    })
  }

  test('describe every field', () => {
    const bare: string[] = []
    const visit = (node: unknown, path: string): void => {
      if (typeof node !== 'object' || node === null) return
      const { properties } = node as { properties?: Record<string, { description?: string }> }
      for (const [key, child] of Object.entries(properties ?? {})) if (child.description === undefined) bare.push(`${path}.${key}`)
      for (const [key, child] of Object.entries(node)) visit(child, `${path}.${key}`)
    }
    for (const [name, text] of renderSchemas()) visit(JSON.parse(text), name)
    expect(bare).toEqual([])
  })

  test('refuse what the loader refuses of a file of ours: an unknown key', () => {
    const validate = new Ajv({ strict: false }).compile(JSON.parse(renderSchemas().get('estate.schema.json') ?? ''))
    expect(validate({ ...parse(readFileSync('runbooks/estate.yaml', 'utf8')), timezon: 'UTC' })).toBe(false)
  })
})
