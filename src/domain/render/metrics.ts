/**
 * The few metrics that people alert on, as samples by Prometheus naming (base units, no unit in a label). Pure; the worker feeds them to its meter.
 *
 * Enumerations are state sets (one sample per possible value, 1 for the true one): `nightshift_target_state{state="STALE"} == 1` alerts, and no old series
 * is left standing when a state changes.
 */
import type { Severity, State, StatusDocument } from '../status.js'

export interface MetricSample {
  readonly name: string
  readonly help: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

const STATES: readonly State[] = ['OK', 'LATE', 'STALE', 'FAILED', 'MISSING', 'PARTIAL', 'UNKNOWN', 'DISABLED']
const SEVERITIES: readonly Severity[] = ['ok', 'warning', 'critical', 'unknown']

const HELP = {
  nightshift_verdict: 'Verdict of the last pass of the monitor: 1 for the one that holds.',
  nightshift_last_pass_timestamp_seconds: 'When the last published pass was taken, Unix time.',
  nightshift_pass_period_seconds: 'How often a pass is due.',
  nightshift_targets_expected: 'Enabled targets.',
  nightshift_targets_seen: 'Enabled targets that could be looked at in the last pass.',
  nightshift_target_state: 'State of a target: 1 for the one that holds.',
  nightshift_target_age_seconds: 'Age of the newest artifact of a target.',
  nightshift_target_limit_seconds: 'Age at which the freshness promise of a target is broken.',
  nightshift_host_up: 'Whether a host could be read in the last pass.',
  nightshift_findings: 'Findings of the last pass by severity.',
} as const

/** All samples of a pass. Values that are not known (the age of what is missing) have no sample. */
export function statusMetrics(document: StatusDocument): MetricSample[] {
  const estate = document.estate
  return [
    ...SEVERITIES.map((verdict) => sample('nightshift_verdict', { estate, verdict }, document.verdict === verdict ? 1 : 0)),
    sample('nightshift_last_pass_timestamp_seconds', { estate }, Date.parse(document.takenAt) / 1000),
    sample('nightshift_pass_period_seconds', { estate }, document.periodSeconds),
    sample('nightshift_targets_expected', { estate }, document.expected),
    sample('nightshift_targets_seen', { estate }, document.seen),
    ...document.targets.flatMap((target) => {
      const labels = { estate, site: target.site, host: target.host, target: target.id }
      return [
        ...STATES.map((state) => sample('nightshift_target_state', { ...labels, state }, target.state === state ? 1 : 0)),
        ...(target.ageSeconds === null ? [] : [sample('nightshift_target_age_seconds', labels, target.ageSeconds)]),
        sample('nightshift_target_limit_seconds', labels, target.limitSeconds),
      ]
    }),
    ...document.hosts.map((host) => sample('nightshift_host_up', { estate, site: host.site, host: host.host }, host.state === 'OK' ? 1 : 0)),
    ...SEVERITIES.map((severity) =>
      sample('nightshift_findings', { estate, severity }, document.findings.filter((finding) => finding.severity === severity).length),
    ),
  ]
}

/**
 * Series that `previous` had and `current` has not (a target that is gone, an age that is not known any more), with value NaN:
 * a meter keeps the last value of a gauge for ever, and an old age must not stand there as if it were true.
 */
export function retiredMetrics(previous: readonly MetricSample[], current: readonly MetricSample[]): MetricSample[] {
  const live = new Set(current.map(series))
  return previous.filter((each) => !Number.isNaN(each.value) && !live.has(series(each))).map((each) => ({ ...each, value: Number.NaN }))
}

function sample(name: keyof typeof HELP, labels: Readonly<Record<string, string>>, value: number): MetricSample {
  return { name, help: HELP[name], labels, value }
}

function series(each: MetricSample): string {
  return JSON.stringify([each.name, Object.entries(each.labels).sort(([a], [b]) => (a < b ? -1 : 1))])
}
