import { describe, expect, it } from 'vitest'
import { type MetricSample, retiredMetrics, statusMetrics } from '../../../src/domain/render/metrics.js'
import { aStatus } from '../state/status-fixture.js'
import { troubled } from './documents.js'

const find = (samples: readonly MetricSample[], name: string, labels: Record<string, string> = {}) =>
  samples.filter((sample) => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value))

describe('the metrics of a pass', () => {
  const samples = statusMetrics(troubled())

  it('follow Prometheus naming: prefix, base units, no duplicate series, finite values', () => {
    for (const sample of samples) {
      expect(sample.name).toMatch(/^nightshift_[a-z]+(_[a-z]+)*$/)
      expect(sample.help).toMatch(/\.$/)
      expect(Number.isFinite(sample.value)).toBe(true)
      for (const label of Object.keys(sample.labels)) expect(label).toMatch(/^[a-z]+$/)
    }
    expect(new Set(samples.map((sample) => JSON.stringify([sample.name, sample.labels]))).size).toBe(samples.length)
  })

  it('hold exactly one state per target and one verdict', () => {
    const ofTarget = find(samples, 'nightshift_target_state', { target: 'vm-212-mint-data-primary' })
    expect(ofTarget).toHaveLength(8)
    expect(ofTarget.filter((sample) => sample.value === 1).map((sample) => sample.labels.state)).toEqual(['STALE'])
    expect(
      find(samples, 'nightshift_verdict')
        .filter((sample) => sample.value === 1)
        .map((sample) => sample.labels.verdict),
    ).toEqual(['critical'])
  })

  it('give ages, limits, counts and the time of the pass in seconds', () => {
    expect(find(samples, 'nightshift_target_age_seconds', { target: 'vm-212-mint-data-primary' })[0]?.value).toBe(119_000)
    expect(find(samples, 'nightshift_target_limit_seconds', { target: 'vm-212-mint-data-primary' })[0]?.value).toBe(93_600)
    expect(find(samples, 'nightshift_last_pass_timestamp_seconds')[0]?.value).toBe(Date.UTC(2026, 1, 12, 8, 30) / 1000)
    expect(find(samples, 'nightshift_targets_expected')[0]?.value).toBe(5)
    expect(find(samples, 'nightshift_targets_seen')[0]?.value).toBe(3)
    expect(find(samples, 'nightshift_findings', { severity: 'warning' })[0]?.value).toBe(2)
    expect(find(samples, 'nightshift_host_up', { host: 'nas' })[0]?.value).toBe(0)
  })

  it('say nothing where nothing is known', () => {
    expect(find(samples, 'nightshift_target_age_seconds', { target: 'vm-100-primary' })).toEqual([])
  })

  it('retire the series that are gone with NaN, once', () => {
    const now = statusMetrics(aStatus())
    const retired = retiredMetrics(samples, now)
    expect(find(retired, 'nightshift_target_age_seconds', { target: 'vm-212-mint-data-primary' })[0]?.value).toBeNaN()
    expect(find(retired, 'nightshift_target_state', { target: 'vm-204-infra-core-primary' })).toEqual([])
    expect(retiredMetrics(retired, now)).toEqual([])
  })
})
