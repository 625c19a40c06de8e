/** Hands the figures of a status to the Temporal runtime's metric meter, so that one Prometheus endpoint has the SDK's metrics and ours. */
import type { MetricGauge } from '@temporalio/common'
import type { Runtime } from '@temporalio/worker'
import { type MetricSample, retiredMetrics, statusMetrics } from '../domain/render/metrics.js'
import type { StatusDocument } from '../domain/status.js'

/** The publisher of one process. */
export class MetricsPublisher {
  readonly #gauges = new Map<string, MetricGauge>()
  #published: readonly MetricSample[] = []

  constructor(private readonly runtime: Runtime) {}

  /** Publishes all samples of a status, and takes back the series of things that are gone. */
  publish(status: StatusDocument): void {
    const samples = statusMetrics(status)
    for (const { name, help, labels, value } of [...retiredMetrics(this.#published, samples), ...samples]) this.#gauge(name, help).set(value, { ...labels })
    this.#published = samples
  }

  #gauge(name: string, help: string): MetricGauge {
    const known = this.#gauges.get(name)
    if (known !== undefined) return known
    const made = this.runtime.metricMeter.createGauge(name, 'float', '', help)
    this.#gauges.set(name, made)
    return made
  }
}
