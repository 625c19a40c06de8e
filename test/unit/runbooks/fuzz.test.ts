/**
 * The example with random damage: whatever a file holds, the loader either loads it or throws RunbookErrors with real places,
 * in bounded time, and no text that it lets through holds a control character.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { RunbookErrors, type RunbookFileName } from '../../../src/runbooks/index.js'
import { exampleTexts, load } from './example-texts.js'

const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/

/** Pieces that mean something to YAML, shells, mail headers or calendar files, beside random text. */
const piece = fc.oneof(
  fc.constantFrom(
    '\0',
    '\r',
    '\t',
    '\u202e',
    '\u0085',
    '"\\0"',
    '"\\u202e"',
    "'",
    '"',
    '`id`',
    '$(id)',
    ';',
    '\n',
    '\r\n',
    ': ',
    '- ',
    '? ',
    '---\n',
    '...\n',
    '%YAML 1.1\n',
    '&a ',
    '*a',
    '<<: ',
    '!!js/function ',
    '!!binary ',
    '{',
    '}',
    '[',
    ']',
    '|\n',
    '>\n',
    '# ',
    '.inf',
    '.nan',
    '-1',
    '1e999',
    '99999999999999999999',
    '0x1F',
    '0o17',
    '~',
    'null',
    'yes',
    'true',
    '[]',
    '{}',
    '__proto__: 1\n',
    '../',
    '/**/',
    '2026-02-30',
    '\ud800',
    '\ufeff',
  ),
  fc.string({ unit: 'binary', maxLength: 6 }),
)

const edit = fc.record({
  file: fc.constantFrom<RunbookFileName>('estate', 'inventory', 'calendar', 'alerts', 'vzdump', 'emailRelay'),
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  remove: fc.nat({ max: 30 }),
  insert: piece,
})

function damaged(edits: readonly { file: RunbookFileName; at: number; remove: number; insert: string }[]): Record<RunbookFileName, string> {
  const texts = exampleTexts()
  for (const { file, at, remove, insert } of edits) {
    const text = texts[file]
    const offset = Math.floor(at * text.length)
    texts[file] = text.slice(0, offset) + insert + text.slice(offset + remove)
  }
  return texts
}

function stringsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, child]) => [key, ...stringsIn(child)])
}

test('damaged files load clean or are refused with places, and never anything else', () => {
  let loaded = 0
  let refused = 0
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
      const texts = damaged(edits)
      const start = performance.now()
      try {
        const set = load(texts)
        loaded += 1
        for (const text of stringsIn(set)) expect(text).not.toMatch(CONTROL)
        for (const target of set.inventory.targets) {
          expect(target.limitSeconds).toBeGreaterThan(0)
          expect(Number.isFinite(target.limitSeconds)).toBe(true)
          expect(target.basePath).toMatch(/^\//)
          expect(`${target.basePath}/${target.glob}`.split('/')).not.toContain('..')
        }
      } catch (error) {
        if (!(error instanceof RunbookErrors)) throw error
        refused += 1
        for (const problem of error.problems) {
          const lines = texts[problem.file.replace('.yaml', '').replace('email-relay', 'emailRelay') as RunbookFileName].split('\n')
          expect(problem.line).toBeGreaterThanOrEqual(1)
          expect(problem.line).toBeLessThanOrEqual(lines.length)
          expect(problem.column).toBeGreaterThanOrEqual(1)
          expect(problem.column).toBeLessThanOrEqual((lines[problem.line - 1]?.length ?? 0) + 1)
          expect(JSON.stringify([problem.found, problem.allowed, problem.hint])).not.toMatch(CONTROL)
          expect(`${problem.path}${problem.found}${problem.allowed}${problem.hint ?? ''}`).not.toMatch(/[\r\n]/)
        }
      }
      expect(performance.now() - start).toBeLessThan(5_000)
    }),
    { numRuns: 250 },
  )
  // Damage that is always, or never, noticed would prove nothing.
  expect(loaded).toBeGreaterThan(0)
  expect(refused).toBeGreaterThan(50)
}, 120_000)
