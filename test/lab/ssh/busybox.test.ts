/** A host without GNU coreutils: BusyBox for shell, timeout, sleep, grep and kill. The deadline must end programs there too. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { SshPool } from '../../../src/ssh/index.js'
import { failureOf, poolFor, script, until } from '../../support/ssh-pool.js'
import { startSshd, type TestSshd } from '../../support/sshd.js'

let sshd: TestSshd
let pool: SshPool

beforeAll(async () => {
  sshd = await startSshd({
    users: [{ name: 'ops', sudo: 'free' }],
    // `sh` last: the script itself needs one.
    prepare: [
      'for p in timeout sleep grep kill setsid printf cat head ls sh; do ln -sf /bin/busybox /usr/bin/$p; done',
      'test "$(readlink -f /bin/sh)" = "$(readlink -f /bin/busybox)"',
    ],
  })
  pool = poolFor(sshd, ['root', 'ops'])
})
afterAll(async () => {
  await pool.close()
  await sshd.stop()
})

const processes = (pattern: string): string => sshd.exec(['pgrep', '-af', pattern], { ok: false })
/** Fails unless no such process is left on the host (a killed one may need a moment on a busy machine). */
const gone = (pattern: string): Promise<void> => until(`no process \`${pattern}\` is left`, () => processes(pattern) === '')

it('gives output, exit code and stdin as elsewhere', async () => {
  expect(await pool.run('root', script('echo out; echo err >&2; exit 3', { okExitCodes: [3] }))).toMatchObject({
    exitCode: 3,
    stdoutText: 'out\n',
    stderrText: 'err\n',
  })
  expect((await pool.run('root', { argv: ['echo', 'a builtin is not used'], deadlineMs: 9000 })).stdoutText).toBe('a builtin is not used\n')
  expect((await pool.run('root', { argv: ['timeout'], deadlineMs: 9000, okExitCodes: 'any' })).stderrText).toContain('BusyBox')
})

describe.each([
  ['as root', 'root', false],
  ['by sudo', 'ops', true],
] as const)('a command that has to be stopped, %s', (_how, user, sudo) => {
  it('ends at its deadline, and nothing of it is left', async () => {
    const error = await failureOf(pool.run(user, script(`trap '' TERM; sleep 9761 & while :; do sleep 1; done`, { sudo, deadlineMs: 1500 })))
    expect(error.reason).toBe('deadline')
    await gone('sleep 9761')
  })

  it('is ended by the host itself when nobody is there to end it', async () => {
    const run = failureOf(pool.run(user, script(`trap '' TERM; sleep 9762 & while :; do sleep 1; done`, { sudo, deadlineMs: 2500 })))
    await until('the program runs', () => processes('sleep 9762') !== '')
    sshd.exec(['pkill', '-KILL', '-f', 'sshd: .*@notty'])
    expect((await run).reason).toBe('connection_lost')
    await gone('sleep 9762')
  })

  it('ends when it is cancelled, and nothing of it is left', async () => {
    const cancel = new AbortController()
    const run = failureOf(pool.run(user, script('sleep 9763', { sudo, deadlineMs: 60_000, signal: cancel.signal })))
    await until('the program runs', () => processes('sleep 9763') !== '')
    cancel.abort()
    expect((await run).reason).toBe('cancelled')
    await gone('sleep 9763')
  })
})

it('leaves no watchdog behind when a command has ended', async () => {
  await pool.run('root', script('true', { deadlineMs: 60_000 }))
  await until('the watchdog is gone', () => processes('NIGHTSHIFT_RUN') === '')
})
