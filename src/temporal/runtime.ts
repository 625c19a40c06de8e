/** The process-wide Temporal runtime: one logger, and the Prometheus endpoint with the SDK's metrics and ours. Call before anything else of the SDK. */
import { setFlagsFromString } from 'node:v8'
import { DefaultLogger, type LogEntry, type LogLevel, Runtime } from '@temporalio/worker'
import { ConfigError } from '../domain/config-error.js'
import { checkPort } from './dev-server.js'

export interface RuntimeSetup {
  /** `host:port` or a bare port (then on loopback) of the Prometheus endpoint; absent = none. */
  readonly metricsAddress?: string
  readonly logLevel?: LogLevel
  /** Takes secrets out of what is logged. */
  readonly redact?: (text: string) => string
  /** Where log lines go; stderr unless told. */
  readonly write?: (line: string) => void
  /** The caller handles Ctrl-C itself (worker first, server last); the SDK's own trap is turned off. */
  readonly ownSignals?: boolean
}

/**
 * Installs the runtime.
 * @throws ConfigError when the metrics address is not one, or its port is taken
 */
export async function installRuntime(setup: RuntimeSetup = {}): Promise<Runtime> {
  // A pass leaves much behind and keeps little: the heap is tidied once it has grown by a third, not once it has doubled or more (V8 sets that by the
  // machine's memory). With 1,000 targets the process is 430 MB without this line, 300 MB with it, and no slower.
  setFlagsFromString('--heap-growing-percent=30')
  const metrics = setup.metricsAddress === undefined ? undefined : parseMetricsAddress(setup.metricsAddress)
  if (metrics !== undefined) await checkPort(metrics.host, metrics.port, 'the metrics endpoint', '--metrics-address')
  const write = setup.write ?? ((line: string) => process.stderr.write(`${line}\n`))
  const redact = setup.redact ?? ((text: string) => text)
  const level = setup.logLevel ?? 'WARN'
  return Runtime.install({
    logger: new DefaultLogger(level, (entry) => {
      if (!isExpected(entry)) write(redact(formatLogEntry(entry)))
    }),
    ...(setup.ownSignals === true && { shutdownSignals: [] }),
    telemetryOptions: {
      logging: { filter: { core: level === 'TRACE' || level === 'DEBUG' ? level : 'WARN', other: 'ERROR' }, forward: {} },
      ...(metrics !== undefined && {
        metrics: {
          prometheus: { bindAddress: `${metrics.bracketed}:${metrics.port}`, countersTotalSuffix: true, unitSuffix: true, useSecondsForDurations: true },
        },
      }),
    },
  })
}

/** `9464`, `:9464`, `127.0.0.1:9464`, `[::1]:9464`. */
export function parseMetricsAddress(text: string): { readonly host: string; readonly bracketed: string; readonly port: number } {
  const match = /^(?:(?:(\[[0-9a-fA-F:]+\])|([0-9.]+|localhost))?:)?(\d{1,5})$/.exec(text.trim())
  const port = Number(match?.[3])
  if (match === null || port < 1 || port > 65_535) {
    throw new ConfigError(`${JSON.stringify(text)} is not an address for metrics`, 'write it as --metrics-address 127.0.0.1:9464')
  }
  const bracketed = match[1] ?? (match[2] === undefined || match[2] === 'localhost' ? '127.0.0.1' : match[2])
  return { host: bracketed.replace(/^\[|\]$/g, ''), bracketed, port }
}

/** The worker of the state queue has activities only, on purpose. */
function isExpected(entry: LogEntry): boolean {
  return entry.message.startsWith('No workflows registered')
}

/** One line per entry: time, level, message, then the facts as key=value. */
function formatLogEntry(entry: LogEntry): string {
  const time = new Date(Number(entry.timestampNanos / 1_000_000n)).toISOString()
  const facts = Object.entries(entry.meta ?? {})
    .filter(([key]) => !['sdkComponent', 'taskToken'].includes(key))
    .map(([key, value]) => `${key}=${formatFact(value)}`)
  return [time, entry.level, entry.message, ...facts].join(' ')
}

function formatFact(value: unknown): string {
  if (value instanceof Error) return JSON.stringify(value.stack ?? value.message)
  if (typeof value === 'string') return /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value)
  if (typeof value === 'bigint') return value.toString()
  return JSON.stringify(value, (_key, inner: unknown) => (typeof inner === 'bigint' ? inner.toString() : inner)) ?? 'undefined'
}
