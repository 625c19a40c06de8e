/** `docs/runbook-files.md`: every example in it loads, its broken one fails as it says, and it speaks of every field. */
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { renderSchemas } from '../../../src/runbooks/generate-schemas.js'
import { formatProblem } from '../../../src/runbooks/index.js'
import { linesOf, load, problemsOf, type Texts } from './example-texts.js'

const PAGE = readFileSync('docs/runbook-files.md', 'utf8')

interface Block {
  readonly language: string
  readonly text: string
  readonly line: number
}

const BLOCKS: readonly Block[] = [...PAGE.matchAll(/^```([a-z ]+)\n([\s\S]*?)^```$/gm)].map((match) => ({
  language: match[1] ?? '',
  text: match[2] ?? '',
  line: PAGE.slice(0, match.index).split('\n').length,
}))

const EXAMPLES = BLOCKS.filter((block) => block.language === 'yaml')

function fileOf(block: Block): keyof Texts {
  const name = /^# (estate|inventory|calendar|alerts|vzdump|email-relay)\.yaml\n/.exec(block.text)?.[1]
  if (name === undefined) throw new Error(`the example in line ${block.line} does not say which file it is`)
  return (name === 'email-relay' ? 'emailRelay' : name) as keyof Texts
}

/** The smallest folder: the first example of each file. */
const SMALLEST = Object.fromEntries([...EXAMPLES].reverse().map((block) => [fileOf(block), block.text])) as Texts

describe('the page about runbook files', () => {
  test('has a smallest folder that loads without a warning', () => {
    expect(Object.keys(SMALLEST).sort()).toEqual(['alerts', 'calendar', 'emailRelay', 'estate', 'inventory', 'vzdump'])
    expect(load(SMALLEST).warnings).toEqual([])
  })

  for (const block of EXAMPLES) {
    test(`has an example of ${fileOf(block)}.yaml in line ${block.line} that loads without a warning`, () => {
      expect(load({ ...SMALLEST, [fileOf(block)]: block.text }).warnings.map(formatProblem)).toEqual([])
    })
  }

  test('shows what the loader really says about the broken example', () => {
    const broken = BLOCKS.filter((block) => block.language === 'yaml broken')
    const said = BLOCKS.filter((block) => block.language === 'text')
    expect(broken).toHaveLength(1)
    expect(said).toHaveLength(1)
    const [example] = broken
    if (example === undefined) return
    expect(`${linesOf(problemsOf({ ...SMALLEST, [fileOf(example)]: example.text })).join('\n')}\n`).toBe(said[0]?.text)
  })

  test('speaks of every field of every file', () => {
    const missing: string[] = []
    const visit = (node: unknown): void => {
      if (typeof node !== 'object' || node === null) return
      const { properties } = node as { properties?: Record<string, unknown> }
      for (const key of Object.keys(properties ?? {})) if (!new RegExp(`[\`{ ,]${key}[\`:, }]`).test(PAGE)) missing.push(key)
      for (const child of Object.values(node)) visit(child)
    }
    for (const text of renderSchemas().values()) visit(JSON.parse(text))
    expect(missing).toEqual([])
  })
})
