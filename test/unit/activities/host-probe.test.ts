/** Reading one host: failures of the way become observations, and the clock is measured whatever the script takes. */
import { expect, test } from 'vitest'
import { measureSkew, observeHost, type SshRunner } from '../../../src/activities/host-probe.js'
import type { HostProbePlan } from '../../../src/domain/observation.js'
import { readOk } from '../../../src/domain/observation.js'

const PLAN: HostProbePlan = {
  host: 'nas',
  site: 'home',
  kind: 'nas',
  sshAlias: 'nas-alias',
  sudo: true,
  deadlineMs: 60_000,
  producers: [],
  proxmox: null,
  directories: [{ id: 'd0', basePath: '/b', globs: ['*.gz'], vzdump: false }],
}
const now = () => new Date('2026-11-21T12:00:00Z')

const failing = (error: unknown): SshRunner => ({ run: () => Promise.reject(error) })
const sshError = (reason: string, more = {}) => Object.assign(new Error(`nas: ${reason}`), { reason, next: 'do this', ...more })

const answering = (stdoutText: string, stderrText = '', exitCode = 0): SshRunner => ({
  run: () => Promise.resolve({ exitCode, stdoutText, stderrText, stdout: new TextEncoder().encode(stdoutText), durationMs: 10, connectMs: 5 }),
})

test.each([
  ['connect_refused', 'connect_refused'],
  ['connect_timeout', 'connect_timeout'],
  ['name_unresolved', 'name_unresolved'],
  ['auth_denied', 'auth_denied'],
  ['host_key_mismatch', 'host_key_mismatch'],
  ['host_key_revoked', 'host_key_revoked'],
  ['connection_lost', 'connection_lost'],
  ['outcome_unknown', 'connection_lost'],
  ['output_too_large', 'output_too_large'],
  ['deadline', 'deadline'],
  ['signal', 'probe_failed'],
])('an SSH failure %s makes the observation %s, with the cause and what to do', async (reason, expected) => {
  const seen = await observeHost(failing(sshError(reason)), PLAN, { now })
  expect(seen.outcome).toEqual({ ok: false, reason: expected, message: `nas: ${reason}`, next: 'do this' })
  expect(seen).toMatchObject({ host: 'nas', complete: false, clock: { ok: false } })
})

test('a cancellation and a bug are thrown on, not turned into an observation', async () => {
  await expect(observeHost(failing(sshError('cancelled')), PLAN, { now })).rejects.toThrow('cancelled')
  await expect(observeHost(failing(new TypeError('a bug')), PLAN, { now })).rejects.toThrow('a bug')
})

test('an answer that is none is a failed probe with what the host said', async () => {
  const seen = await observeHost(answering('', 'sh: not found', 127), PLAN, { now })
  expect(seen.outcome).toMatchObject({ ok: false, reason: 'probe_failed', message: expect.stringContaining('exit code 127): sh: not found') })
})

test('the script goes in as standard input of one command, with the plan’s deadline and sudo', async () => {
  let asked: unknown
  const runner: SshRunner = {
    run(alias, request) {
      asked = { alias, ...request, stdin: typeof request.stdin }
      return Promise.reject(sshError('deadline'))
    },
  }
  await observeHost(runner, PLAN, { now })
  expect(asked).toMatchObject({ alias: 'nas-alias', argv: ['sh', '-s'], stdin: 'string', sudo: true, deadlineMs: 60_000, okExitCodes: 'any' })
})

const clock = (startSeconds: number, endSeconds: number, resolutionSeconds = 0) =>
  readOk({ startSeconds, endSeconds, resolutionSeconds, utcOffset: '+0000', zone: null })

test('skew is the middle of what is possible; a long script does not widen it', () => {
  // sent at 100, the host read 1100.1 and 1105.1, we received at 105.2: an hour is too much, a thousand seconds is it
  expect(measureSkew(clock(1100.1, 1105.1), 100, 105.2)).toMatchObject({ ok: true, value: { skewSeconds: 1000, uncertaintySeconds: 0.1 } })
})

test('a clock that tells whole seconds only is not called wrong by less than that', () => {
  const skew = measureSkew(clock(100, 100, 1), 100.4, 100.9)
  expect(skew.ok && Math.abs(skew.value.skewSeconds) <= skew.value.uncertaintySeconds).toBe(true)
})
