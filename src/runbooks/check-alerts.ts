/** What no single value of `alerts.yaml` can show: what is there twice, a rule that another one always comes before, a token that would travel in the clear. */
import type { RunbookProblem } from './problems.js'
import type { YamlSource } from './yaml-source.js'
import type { Path } from './yaml-values.js'

/** The lower the first severity that a rule mails, the more it takes (`src/domain/desk/contract.ts`). */
const RANK: Readonly<Record<string, number>> = { warning: 1, unknown: 2, critical: 3 }

export function checkAlerts(source: YamlSource): { problems: RunbookProblem[]; warnings: RunbookProblem[] } {
  const rules = listAt(source, ['rules'])
  const problems = [
    ...twice(source, ['default', 'recipients'], 'each recipient once'),
    ...rules.flatMap((_rule, index) => [
      ...twice(source, ['rules', index, 'recipients'], 'each recipient once'),
      ...twice(source, ['rules', index, 'conditions'], 'each condition once'),
      ...neverDecides(source, index),
    ]),
    ...tokenInTheClear(source),
  ]
  return { problems, warnings: [] }
}

function listAt(source: YamlSource, path: Path): readonly unknown[] {
  const value: unknown = source.at(path)
  return Array.isArray(value) ? value : []
}

function twice(source: YamlSource, path: Path, allowed: string): RunbookProblem[] {
  const plain = listAt(source, path).map((value) => (typeof value === 'string' ? value.toLowerCase() : value))
  return plain.flatMap((value, index) =>
    plain.indexOf(value) === index ? [] : [source.problem([...path, index], { allowed, hint: 'it is in the list already' })],
  )
}

/** A condition that an earlier rule takes at the same severity or a lower one never comes to this rule. */
function neverDecides(source: YamlSource, index: number): RunbookProblem[] {
  const rank = RANK[String(source.at(['rules', index, 'severity']))]
  if (rank === undefined) return []
  return listAt(source, ['rules', index, 'conditions']).flatMap((condition, at) => {
    const before = listAt(source, ['rules']).findIndex((_rule, other) => {
      const otherRank = RANK[String(source.at(['rules', other, 'severity']))]
      return other < index && otherRank !== undefined && otherRank <= rank && listAt(source, ['rules', other, 'conditions']).includes(condition)
    })
    if (before === -1) return []
    const { line } = source.place(['rules', before])
    const allowed = 'a condition that no earlier rule takes at this severity or a lower one'
    return [
      source.problem(['rules', index, 'conditions', at], { allowed, hint: `the rule of line ${line} decides first: put this one before it, or take it away` }),
    ]
  })
}

function tokenInTheClear(source: YamlSource): RunbookProblem[] {
  const url: unknown = source.at(['second_channel', 'url'])
  if (typeof url !== 'string' || !url.startsWith('http://') || source.at(['second_channel', 'token']) === undefined) return []
  return [source.problem(['second_channel', 'token'], { found: 'a token for an address http://…', allowed: 'a token only with https://…', of: 'key' })]
}
