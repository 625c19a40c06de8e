/** Texts made to hurt: the loader answers each with RunbookErrors, soon. */
import { describe, expect, test } from 'vitest'
import { linesOf, problemsOf, smallTexts } from './example-texts.js'

/** Processor time, which other programs on the machine do not lengthen. Generous; what it guards against takes minutes, or for ever. */
const SOON_MS = 5_000

function soon<T>(work: () => T): T {
  const before = process.cpuUsage()
  const result = work()
  const { user, system } = process.cpuUsage(before)
  expect((user + system) / 1000).toBeLessThan(SOON_MS)
  return result
}

function bomb(levels: number): string {
  const lines = ['b0: &b0 [x, x, x, x, x, x, x, x, x]']
  for (let level = 1; level <= levels; level += 1) {
    const uses = Array.from({ length: 9 }, () => `*b${level - 1}`).join(', ')
    lines.push(`b${level}: &b${level} [${uses}]`)
  }
  return `${lines.join('\n')}\n`
}

const small = smallTexts().inventory
const MIB = 1024 * 1024

const TEXTS: readonly [title: string, text: string, expected: RegExp][] = [
  ['an anchor bomb of 9^9 values', small + bomb(8), /aliases that stand for more values, allowed at most 100000 values/],
  ['more aliases than anybody needs', `${small}a: &a 1\nb: [${'*a, '.repeat(101)}]\n`, /more aliases, allowed at most 100 aliases/],
  ['brackets without an end', `a: ${'['.repeat(MIB - 10)}`, /nested very deeply/],
  ['brackets in brackets', `a: ${'['.repeat(60)}${']'.repeat(60)}`, /nested more deeply, allowed at most 40 levels/],
  ['lists in lists by dashes', '- '.repeat(40_000), /nested/],
  ['mappings in mappings by indentation', Array.from({ length: 1000 }, (_, level) => `${' '.repeat(level)}a:`).join('\n'), /nested/],
  ['complex keys in complex keys', '? '.repeat(40_000), /nested/],
  ['a hundred thousand keys in one mapping', Array.from({ length: 100_000 }, (_, index) => `k${index}: 1`).join('\n'), /very many parts/],
  ['half a million values', `x: [${'1,'.repeat(500_000)}]`, /very many parts/],
  ['nothing but quotes', '"'.repeat(MIB - 1), /very many parts/],
  ['nothing but commas', `{${','.repeat(MIB - 2)}`, /very many parts/],
  ['nothing but anchors', '&a '.repeat(300_000), /very many parts/],
  ['nothing but tags', '!a '.repeat(300_000), /very many parts/],
  ['nothing but directives', '%a\n'.repeat(300_000), /very many parts/],
  ['nothing but documents', '---\n'.repeat(200_000), /very many parts/],
  ['nothing but NUL', '\0'.repeat(MIB - 1), /U\+0000/],
  ['one endless key', `? ${'x'.repeat(MIB - 20)}\n: 1`, /targets/],
]

describe('the loader is not hurt by', () => {
  for (const [title, inventory, expected] of TEXTS) {
    test(title, () => {
      const lines = soon(() => linesOf(problemsOf({ ...smallTexts(), inventory })))
      expect(lines.join('\n')).toMatch(expected)
      expect(lines.length).toBeLessThan(50)
      for (const line of lines) expect(line).not.toMatch(/[\0-\x1f\x7f]/)
      for (const line of lines) expect(line.length).toBeLessThan(2_000)
    })
  }

  test('thousands of slips at once: each is listed, in bounded time', () => {
    const rows = Array.from({ length: 2_000 }, (_, index) => `  - { name: t${index}, enabled: yes, kind: file_globb, host: pve, base_path: x, glob: "../*" }`)
    const lines = soon(() => linesOf(problemsOf({ ...smallTexts(), inventory: `targets:\n${rows.join('\n')}\n` })))
    expect(lines.length).toBeGreaterThanOrEqual(8_000)
  })

  test('thousands of targets whose host and producer nobody knows', () => {
    const names = Array.from({ length: 3_000 }, (_, index) => `target-${index}`)
    const inventory = `targets:\n${names.map((name) => `  - { name: ${name}, kind: file_glob, host: pvee, base_path: /x, glob: "*" }`).join('\n')}\n`
    const estate = `${smallTexts().estate}${names.map((name) => `  ${name}x: { external: x }`).join('\n')}\n`
    expect(soon(() => problemsOf({ ...smallTexts(), estate, inventory })).length).toBeGreaterThanOrEqual(3_000)
  })

  test('a thousand good targets', () => {
    const names = Array.from({ length: 1_000 }, (_, index) => `target-${index}`)
    const inventory = `targets:\n${names.map((name) => `  - { name: ${name}, kind: file_glob, host: pve, base_path: /x, glob: "*" }`).join('\n')}\n`
    const estate = `${smallTexts().estate.replace('vm-204', 'target-0')}${names
      .slice(1)
      .map((name) => `  ${name}: { external: x }`)
      .join('\n')}\n`
    expect(linesOf(problemsOf({ ...smallTexts(), estate, inventory }))).toEqual([])
  })
})
