/** Which condition at which severity goes to whom: nothing goes nowhere, and the first rule that fits decides. */
import { describe, expect, it } from 'vitest'
import { contractOf, routeOf } from '../../../src/domain/desk/contract.js'
import type { AlertCondition } from '../../../src/domain/estate.js'
import type { Severity } from '../../../src/domain/status.js'
import { exampleTexts, load } from '../runbooks/example-texts.js'
import { CONTRACT } from './story.js'

const CONDITIONS: readonly AlertCondition[] = ['freshness', 'job-result', 'integrity', 'coverage', 'blind', 'space', 'config', 'clock', 'delivery', 'proof']
const SEVERITIES: readonly Severity[] = ['critical', 'unknown', 'warning', 'ok']
const example = contractOf(load(exampleTexts()).alerts)
const rule = (conditions: readonly AlertCondition[], severity: 'critical' | 'unknown' | 'warning', recipient: string) => ({
  conditions,
  severity,
  sender: 'alerts@spine.test',
  recipients: [recipient],
  repeatHours: 24,
})

describe.each(CONDITIONS)('%s', (condition) => {
  it.each(SEVERITIES)('that is %s goes to the default where no rule names it, and is mailed unless it is ok or only late', (severity) => {
    const contract = { ...CONTRACT, rules: [] }
    expect(routeOf(contract, { condition, severity, reason: 'some' })).toMatchObject({
      recipients: CONTRACT.defaultRoute.recipients,
      isMailed: severity !== 'ok',
      by: 'the default of alerts.yaml',
    })
    for (const reason of ['late', 'awaiting_first_artifact']) expect(routeOf(contract, { condition, severity, reason }).isMailed).toBe(false)
  })

  it('has somebody who is told in the example, at every severity, and critical is always mailed', () => {
    for (const severity of SEVERITIES) expect(routeOf(example, { condition, severity, reason: 'some' }).recipients).not.toEqual([])
    expect(routeOf(example, { condition, severity: 'critical', reason: 'some' }).isMailed).toBe(true)
  })
})

it('the first rule that fits the severity decides; below all of them it is listed only, and says by which rule', () => {
  const contract = { ...CONTRACT, rules: [rule(['blind'], 'unknown', 'a@x'), rule(['space'], 'critical', 'b@x'), rule(['space', 'blind'], 'warning', 'c@x')] }
  const to = (condition: AlertCondition, severity: Severity) => {
    const { recipients, isMailed, by } = routeOf(contract, { condition, severity, reason: 'some' })
    return [recipients[0], isMailed, by.slice(0, 6)]
  }
  expect(to('space', 'critical')).toEqual(['b@x', true, 'rule 2'])
  expect(to('space', 'warning')).toEqual(['c@x', true, 'rule 3'])
  expect(to('blind', 'critical')).toEqual(['a@x', true, 'rule 1'])
  expect(to('blind', 'warning')).toEqual(['c@x', true, 'rule 3'])
  expect(to('space', 'ok')).toEqual(['b@x', false, 'rule 2'])
})
