/** What becomes of a command on a real sshd: each outcome by its own cause, and nothing left running on the host. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type SshPool, SudoDeniedError } from '../../../src/ssh/index.js'
import { failureOf, poolFor, script, until } from '../../support/ssh-pool.js'
import { startSshd, type TestSshd } from '../../support/sshd.js'

let sshd: TestSshd
let pool: SshPool
const NOISE =
  'echo welcome to this host; echo "a motd on stderr" >&2; printf "no newline at the end"; alias ls=false; export LC_ALL=de_DE.UTF-8 LANG=tr_TR.UTF-8 PATH=/nowhere'
const users = ['root', 'ops', 'asks', 'noisy', 'tracing', 'early', 'locked']

beforeAll(async () => {
  sshd = await startSshd({
    users: [
      { name: 'ops', sudo: 'free' },
      { name: 'asks', sudo: 'asks' },
      { name: 'noisy', rc: NOISE, sudo: 'free' },
      { name: 'tracing', rc: 'set -xv' },
      { name: 'early', rc: 'echo "this host is closed" >&2; exit 3' },
      { name: 'locked', shell: '/usr/sbin/nologin' },
    ],
  })
  pool = poolFor(sshd, users)
})
afterAll(async () => {
  await pool.close()
  await sshd.stop()
})

const processes = (pattern: string): string => sshd.exec(['pgrep', '-af', pattern], { ok: false })
/** Fails unless no such process is left on the host (a killed one may need a moment on a busy machine). */
const gone = (pattern: string): Promise<void> => until(`no process \`${pattern}\` is left`, () => processes(pattern) === '')

describe('a command that ends by itself', () => {
  it('gives stdout, stderr, exit code and the time it took', async () => {
    const result = await pool.run('root', script('echo out; echo err >&2'))
    expect(result).toMatchObject({ exitCode: 0, stdoutText: 'out\n', stderrText: 'err\n' })
    expect(result.durationMs).toBeGreaterThan(result.connectMs)
  })

  it('is an error with exit code and the end of stderr when the code is not 0', async () => {
    const error = await failureOf(pool.run('root', script('echo some output; echo "zpool: no such pool" >&2; exit 42')))
    expect(error).toMatchObject({ reason: 'exit_code', exitCode: 42, host: 'root', stderrTail: 'zpool: no such pool' })
    expect(error.message.split('\n')[0]).toBe(`root (127.0.0.1:${sshd.port}): \`sh\` ended with exit code 42`)
  })

  it('is no error when the caller allows the code, or all', async () => {
    expect((await pool.run('root', script('exit 3', { okExitCodes: [0, 3] }))).exitCode).toBe(3)
    expect((await pool.run('root', script('exit 99', { okExitCodes: 'any' }))).exitCode).toBe(99)
    expect((await pool.run('root', script('exit 124', { okExitCodes: 'any' }))).exitCode).toBe(124)
  })

  it('says that a program is not there', async () => {
    const error = await failureOf(pool.run('root', { argv: ['no-such-program', 'x'], deadlineMs: 9000 }))
    expect(error).toMatchObject({ reason: 'exit_code', exitCode: 127 })
    expect(error.message).toContain('`no-such-program` was not found')
  })

  it('is an error with the name of the signal when a signal ended it', async () => {
    const error = await failureOf(pool.run('root', script('kill -SEGV $$', { okExitCodes: 'any' })))
    expect(error).toMatchObject({ reason: 'signal', signal: 'SIGSEGV' })
    expect(error.exitCode).toBeUndefined()
  })

  it('keeps every byte, also those that are no UTF-8', async () => {
    const every = Buffer.from(Array.from({ length: 256 }, (_, index) => index))
    const result = await pool.run('root', { argv: ['cat'], stdin: every, deadlineMs: 9000 })
    expect(Buffer.from(result.stdout).equals(every)).toBe(true)
    expect(result.stdoutText).toContain('\ufffd')
  })

  it('takes a megabyte on stdin and gives it back', async () => {
    const big = Buffer.alloc(1024 * 1024, 'nightshift ')
    const result = await pool.run('root', { argv: ['cat'], stdin: big, deadlineMs: 20_000 })
    expect(Buffer.from(result.stdout).equals(big)).toBe(true)
  })

  it('is no error of the transport when it does not read its stdin', async () => {
    const result = await pool.run('root', { argv: ['true'], stdin: Buffer.alloc(4 * 1024 * 1024), deadlineMs: 20_000 })
    expect(result.exitCode).toBe(0)
  })

  it('never shows stdin, arguments or what the caller redacts in an error', async () => {
    const error = await failureOf(
      pool.run('root', {
        argv: ['sh', '-c', 'cat >&2; exit 5', 'argument-s3cret'],
        stdin: 'token=stdin-s3cret and more',
        deadlineMs: 9000,
        redact: (text) => text.replace(/token=\S+/g, 'token=[redacted]'),
      }),
    )
    const everything = `${JSON.stringify(error)} ${error.message} ${error.stack} ${error.next} ${error.stderrTail}`
    expect(everything).not.toContain('s3cret')
    expect(error.stderrTail).toContain('token=[redacted] and more')
  })

  it('redacts a secret also where the end of stderr is cut', async () => {
    const redact = (text: string): string => text.replace(/token=\w+/g, 'token=[redacted]')
    const error = await failureOf(
      pool.run('root', script('printf "token=%s %s" "$(printf "%0100d" 0 | tr 0 s)" "$(printf "%02000d" 0 | tr 0 y)" >&2; exit 5', { redact })),
    )
    expect(error.stderrTail).toMatch(/y{2000}$/)
    expect(error.stderrTail).not.toContain('sss')
  })

  it('keeps only the last 2 KiB of stderr in the error, without control characters', async () => {
    const error = await failureOf(pool.run('root', script(`head -c 100000 /dev/zero | tr '\\0' x >&2; printf '\\033[31mlast\\033[0m \\001words' >&2; exit 1`)))
    expect(Buffer.byteLength(error.stderrTail ?? '')).toBeLessThanOrEqual(2100)
    expect(error.stderrTail).toMatch(/last \ufffdwords$/)
  })
})

describe('a user with start-up files of his own', () => {
  it('changes nothing in the output, the PATH or the locale', async () => {
    const result = await pool.run('noisy', script('printf "%s " "$LC_ALL"; command -v sshd; ls -d /etc'))
    expect(result.stdoutText).toBe('C.UTF-8 /usr/sbin/sshd\n/etc\n')
    expect(result.stderrText).toBe('')
  })

  it('changes nothing for sudo either', async () => {
    const result = await pool.run('noisy', script('id -u; echo "$LC_ALL"', { sudo: true }))
    expect([result.stdoutText, result.stderrText]).toEqual(['0\nC.UTF-8\n', ''])
  })

  it('does not get the marker printed by a shell that echoes its commands', async () => {
    const result = await pool.run('tracing', { argv: ['echo', 'x'], deadlineMs: 9000 })
    expect([result.stdoutText, result.stderrText]).toEqual(['x\n', ''])
  })

  it('is told apart from the command when the shell ends before it', async () => {
    const error = await failureOf(pool.run('early', { argv: ['true'], deadlineMs: 9000, okExitCodes: 'any' }))
    expect(error).toMatchObject({ reason: 'exit_code', exitCode: 3, stderrTail: 'this host is closed' })
    expect(error.message).toContain('the login shell of early ended with exit code 3 before the command began')
  })

  it('is an error when the account has no shell', async () => {
    const error = await failureOf(pool.run('locked', { argv: ['true'], deadlineMs: 9000, okExitCodes: 'any' }))
    expect(error.message).toContain('before the command began')
    expect(error.stderrTail).toContain('not available')
  })
})

describe('sudo', () => {
  it('runs the command as root for a user who is not', async () => {
    expect((await pool.run('ops', script('id -u'))).stdoutText).not.toBe('0\n')
    expect((await pool.run('ops', script('id -u', { sudo: true }))).stdoutText).toBe('0\n')
  })

  it('is left out for root', async () => {
    expect((await pool.run('root', script('printenv SUDO_USER || echo none', { sudo: true }))).stdoutText).toBe('none\n')
  })

  it('that asks for a password is its own error with the line that helps', async () => {
    const error = await failureOf(pool.run('asks', script('id -u', { sudo: true, okExitCodes: 'any' })))
    expect(error).toBeInstanceOf(SudoDeniedError)
    expect(error.reason).toBe('auth_denied')
    expect(error.message).toContain('sudo does not let asks run commands without a password')
    expect(error.next).toContain('NOPASSWD: /bin/sh')
  })

  it('works with exactly the sudoers line that the error recommends', async () => {
    const error = await failureOf(pool.run('asks', script('id -u', { sudo: true })))
    const command = /as root: (.*)$/.exec(error.next)?.[1] ?? ''
    sshd.exec(['sh', '-c', command])
    expect((await pool.run('asks', script('id -u', { sudo: true }))).stdoutText).toBe('0\n')
  })

  it('passes signal and exit code on', async () => {
    expect(await failureOf(pool.run('ops', script('exit 7', { sudo: true })))).toMatchObject({ reason: 'exit_code', exitCode: 7 })
    expect(await failureOf(pool.run('ops', script('kill -KILL $$', { sudo: true })))).toMatchObject({ reason: 'signal', signal: 'SIGKILL' })
  })
})

describe.each([
  ['as root', 'root', false],
  ['by sudo', 'ops', true],
] as const)('a command that has to be stopped, %s', (_how, user, sudo) => {
  const stubborn = (tag: string): string =>
    `trap '' TERM HUP; (trap '' TERM HUP; exec sleep 987${tag}) & setsid sleep 986${tag} & echo started; while :; do sleep 0.2; done`

  it('ends at its deadline, and nothing of it is left on the host', async () => {
    const error = await failureOf(pool.run(user, script(stubborn('1'), { sudo, deadlineMs: 1500 })))
    expect(error.reason).toBe('deadline')
    expect(error.message).toContain('`sh` did not end within 1.5 s and was stopped')
    await gone('sleep 98[67]1')
  })

  it('ends when it is cancelled, and nothing of it is left on the host', async () => {
    const cancel = new AbortController()
    const run = failureOf(pool.run(user, script(stubborn('2'), { sudo, deadlineMs: 60_000, signal: cancel.signal })))
    await until('the program runs', () => processes('sleep 9862') !== '')
    cancel.abort()
    expect((await run).reason).toBe('cancelled')
    await gone('sleep 98[67]2')
  })

  it('ends when it prints too much, with bounded memory, and nothing of it is left', async () => {
    const before = process.memoryUsage().rss
    const error = await failureOf(pool.run(user, script('exec cat /dev/zero', { sudo, deadlineMs: 60_000, maxOutputBytes: 100_000 })))
    expect(error.reason).toBe('output_too_large')
    expect(error.message).toContain('wrote more than 100000 bytes')
    expect(process.memoryUsage().rss - before).toBeLessThan(150 * 1024 * 1024)
    await gone('cat /dev/zero')
  })

  it('is stopped by its own host when a child holds the channel open after its end', async () => {
    const error = await failureOf(pool.run(user, script('sleep 9853 & echo done', { sudo, deadlineMs: 1500 })))
    expect(error.reason).toBe('deadline')
    await gone('sleep 9853')
  })
})

it('10 MB of output fit when they are allowed, and are refused when not', async () => {
  const request = { argv: ['head', '-c', '10000000', '/dev/zero'], deadlineMs: 30_000 }
  expect((await pool.run('root', { ...request, maxOutputBytes: 10_000_000 })).stdout.length).toBe(10_000_000)
  expect((await failureOf(pool.run('root', { ...request, maxOutputBytes: 9_999_999 }))).reason).toBe('output_too_large')
})

it('a run that is cancelled before it begins never begins', async () => {
  const error = await failureOf(pool.run('root', script('touch /tmp/began', { signal: AbortSignal.abort() })))
  expect(error.reason).toBe('cancelled')
  expect(sshd.exec(['ls', '/tmp'])).not.toContain('began')
})

describe('a connection that is lost while a command runs', () => {
  it.each([
    ['root', false],
    ['ops', true],
  ])('leaves nothing running on the host beyond the deadline of the command (%s)', async (user, sudo) => {
    const run = failureOf(pool.run(user, script("trap '' TERM; sleep 9842 & while :; do sleep 0.2; done", { sudo, deadlineMs: 2000 })))
    await until('the program runs', () => processes('sleep 9842') !== '')
    sshd.exec(['pkill', '-KILL', '-f', 'sshd: .*@notty'])
    expect((await run).reason).toBe('connection_lost')
    await gone('sleep 9842')
  })

  it('is `connection_lost`, never a success, and the next run connects anew', async () => {
    const run = failureOf(pool.run('root', script('echo half; sleep 9841', { okExitCodes: 'any', deadlineMs: 30_000 })))
    await until('the program runs', () => processes('sleep 9841') !== '')
    sshd.exec(['pkill', '-KILL', '-f', 'sshd: root@notty'])
    const error = await run
    expect(error.reason).toBe('connection_lost')
    expect(error.message).toContain('the connection was lost while the command ran')
    expect(error.next).toContain('not known')
    expect((await pool.run('root', script('echo again'))).reusedConnection).toBe(false)
    sshd.exec(['pkill', '-KILL', '-f', 'sleep 9841'], { ok: false })
  })
})
