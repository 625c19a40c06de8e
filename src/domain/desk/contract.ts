/** The notification contract as the desk applies it: which condition at which severity goes to whom, and how often. */
import type { AlertCondition, AlertContract } from '../estate.js'
import type { Severity } from '../status.js'

/** What the desk needs of `alerts.yaml`: no server, no secret. */
export type DeskContract = Omit<AlertContract, 'mail' | 'secondChannel' | 'digestTime'> & { readonly hasSecondChannel: boolean }

export interface Route {
  readonly sender: string
  readonly recipients: readonly string[]
  readonly repeatHours: number
  /** False: not mailed by itself, only listed in the daily summary. */
  readonly isMailed: boolean
  /** For `nightshift alerts why`: `rule 2 of alerts.yaml`, `the default of alerts.yaml`. */
  readonly by: string
}

const RANK: Readonly<Record<Severity, number>> = { ok: 0, warning: 1, unknown: 2, critical: 3 }

/** Passed its time but broke no promise yet: told in the summary, never by a mail of its own. */
const NEVER_ALONE = ['late', 'awaiting_first_artifact']

export function contractOf(alerts: AlertContract): DeskContract {
  const { mail: _mail, secondChannel, digestTime: _digestTime, ...rest } = alerts
  return { ...rest, hasSecondChannel: secondChannel !== undefined }
}

/**
 * The first rule that names the condition at this severity or a lower one decides. Where rules name the condition, but only at higher severities, the first of them
 * lists it in the summary. A condition that no rule names goes by the default.
 */
export function routeOf(contract: DeskContract, finding: { readonly condition: AlertCondition; readonly severity: Severity; readonly reason: string }): Route {
  const rules = contract.rules
    .map((rule, index) => ({ rule, by: `rule ${index + 1} of alerts.yaml` }))
    .filter(({ rule }) => rule.conditions.includes(finding.condition))
  const fitting = rules.find(({ rule }) => RANK[finding.severity] >= RANK[rule.severity]) ?? rules[0]
  const mayBeAlone = !NEVER_ALONE.includes(finding.reason)
  if (fitting === undefined)
    return { ...contract.defaultRoute, sender: contract.sender, isMailed: mayBeAlone && finding.severity !== 'ok', by: 'the default of alerts.yaml' }
  const { sender, recipients, repeatHours, severity } = fitting.rule
  return { sender, recipients, repeatHours, isMailed: mayBeAlone && RANK[finding.severity] >= RANK[severity], by: fitting.by }
}
