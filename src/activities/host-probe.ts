/**
 * Reads one host: one SSH connection, one command. What goes wrong on the way becomes an observation that says so.
 */
import { randomBytes } from 'node:crypto'
import type { ClockReading, HostObservation, HostProbePlan, HostReading, Reading } from '../domain/observation.js'
import { readOk, unreadHost } from '../domain/observation.js'
import { parseProbeOutput } from '../domain/probe/parse.js'
import { renderProbeScript } from '../domain/probe/script.js'
import { oneLine } from '../domain/probe/text.js'
import type { ConnectionReason } from '../domain/status.js'

/** The part of the SSH pool that the probe needs, bound to nothing else. */
export interface SshRunner {
  run(
    alias: string,
    request: {
      argv: readonly string[]
      stdin?: string
      sudo?: boolean
      deadlineMs: number
      maxOutputBytes?: number
      signal?: AbortSignal
      okExitCodes?: readonly number[] | 'any'
    },
  ): Promise<{ exitCode: number; stdoutText: string; stderrText: string; stdout: Uint8Array; durationMs: number; connectMs: number }>
}

/** More than any honest estate needs; 10 MB of garbage must not fill the worker. */
export const MOST_OUTPUT_BYTES = 6 * 1024 * 1024

/** What the transport's failure means for a host; anything else is a failed probe. */
const REASONS: Readonly<Record<string, ConnectionReason>> = {
  connect_refused: 'connect_refused',
  connect_timeout: 'connect_timeout',
  name_unresolved: 'name_unresolved',
  auth_denied: 'auth_denied',
  host_key_unknown: 'host_key_unknown',
  host_key_mismatch: 'host_key_mismatch',
  host_key_revoked: 'host_key_revoked',
  connection_lost: 'connection_lost',
  outcome_unknown: 'connection_lost',
  output_too_large: 'output_too_large',
  deadline: 'deadline',
  unsupported_ssh_config: 'unsupported_ssh_config',
  bad_ssh_key: 'bad_ssh_key',
}

/**
 * Reads a host as planned. Never rejects for what a host or the way to it does; only a cancellation is thrown on.
 * @param options.now the worker's clock
 */
export async function observeHost(ssh: SshRunner, plan: HostProbePlan, options: { now: () => Date; signal?: AbortSignal }): Promise<HostObservation> {
  const nonce = randomBytes(18).toString('hex')
  const started = options.now()
  try {
    const result = await ssh.run(plan.sshAlias, {
      argv: ['sh', '-s'],
      stdin: renderProbeScript(plan, nonce),
      sudo: plan.sudo,
      deadlineMs: plan.deadlineMs,
      maxOutputBytes: MOST_OUTPUT_BYTES,
      signal: options.signal,
      okExitCodes: 'any',
    })
    const finished = options.now()
    const at = { startedAt: started.toISOString(), finishedAt: finished.toISOString() }
    const reading = parseProbeOutput(plan, nonce, result.stdoutText)
    if (!reading.complete && !reading.hostname.ok) {
      const said = oneLine(result.stderrText)
      return unreadHost(
        plan.host,
        {
          reason: 'probe_failed',
          message: `the reading of ${plan.host} gave no answer (exit code ${result.exitCode})${said ? `: ${said}` : ''}`,
          next: `run \`nightshift doctor\`; the host needs a POSIX shell, stat, awk and timeout${plan.sudo ? ', and sudo without a password for this user' : ''}`,
        },
        at,
      )
    }
    const connectSeconds = result.connectMs / 1000
    return {
      schema: 'nightshift.observation/1',
      host: plan.host,
      outcome: { ok: true },
      ...at,
      connectMs: result.connectMs,
      remoteMs: Math.max(0, finished.getTime() - started.getTime() - result.connectMs),
      outputBytes: result.stdout.byteLength,
      ...reading,
      clock: measureSkew(reading.clock, started.getTime() / 1000 + connectSeconds, finished.getTime() / 1000),
    }
  } catch (error) {
    return failedObservation(plan, error, { startedAt: started.toISOString(), finishedAt: options.now().toISOString() })
  }
}

function failedObservation(plan: HostProbePlan, error: unknown, at: { startedAt: string; finishedAt: string }): HostObservation {
  const failure = error as { reason?: unknown; next?: unknown; message?: unknown; stderrTail?: unknown }
  const reason = typeof failure.reason === 'string' ? failure.reason : undefined
  if (reason === undefined || reason === 'cancelled') throw error
  const said = typeof failure.stderrTail === 'string' ? oneLine(failure.stderrTail) : ''
  const message = oneLine(String(failure.message ?? reason).split('\n')[0] ?? reason)
  return unreadHost(
    plan.host,
    {
      reason: REASONS[reason] ?? 'probe_failed',
      message: said && !message.includes(said) ? `${message}: ${said}` : message,
      next: typeof failure.next === 'string' ? oneLine(failure.next) : null,
    },
    at,
  )
}

/**
 * The host read its clock twice, at the start and at the end of the script, both between `sentSeconds` and `receivedSeconds` of
 * our clock: so its skew lies between (end - received) and (start - sent). The middle is the estimate, half the width its error
 * (the way of RFC 5905 §8). How long the script ran does not widen it.
 */
export function measureSkew(clock: HostReading['clock'], sentSeconds: number, receivedSeconds: number): Reading<ClockReading> {
  if (!clock.ok) return clock
  const { startSeconds, endSeconds, resolutionSeconds, utcOffset, zone } = clock.value
  const lowest = endSeconds - receivedSeconds
  const highest = startSeconds + resolutionSeconds - sentSeconds
  return readOk({
    epochSeconds: endSeconds,
    skewSeconds: Math.round(((lowest + highest) / 2) * 1000) / 1000,
    uncertaintySeconds: Math.round((Math.abs(highest - lowest) / 2) * 1000) / 1000,
    utcOffset,
    zone,
  })
}
