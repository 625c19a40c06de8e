/** One connection a host: shared, bounded, closed when idle, opened again after a loss. */
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { SshPool } from '../../../src/ssh/index.js'
import { blockFor, failureOf, poolFor, script, until } from '../../support/ssh-pool.js'
import { startSshd, type TestSshd } from '../../support/sshd.js'

let sshd: TestSshd
beforeAll(async () => {
  sshd = await startSshd({ users: [{ name: 'ops' }] })
})
afterAll(() => sshd.stop())

const logins = (of: TestSshd): number => of.log().split('Accepted publickey').length - 1
const sessions = (of: TestSshd): number =>
  of.exec(['pgrep', '-fc', 'sshd: .*@notty'], { ok: false }).trim() === '0' ? 0 : Number(of.exec(['pgrep', '-fc', 'sshd: .*@notty'], { ok: false }))

describe('a pool', () => {
  it('runs 20 commands side by side over one connection, at most 8 at once', async () => {
    const pool = poolFor(sshd, ['root'])
    const before = logins(sshd)
    const atOnce = 'mkdir -p /tmp/now; : > /tmp/now/$$; ls /tmp/now | wc -l; sleep 0.1; rm /tmp/now/$$'
    const results = await Promise.all(Array.from({ length: 20 }, () => pool.run('root', script(atOnce))))
    const counts = results.map((result) => Number(result.stdoutText))
    expect(Math.max(...counts)).toBeLessThanOrEqual(8)
    expect(Math.max(...counts)).toBeGreaterThan(1)
    expect(logins(sshd) - before).toBe(1)
    await pool.close()
  })

  it('uses the open connection for the next command, and says so', async () => {
    const pool = poolFor(sshd, ['root'])
    const first = await pool.run('root', script('true'))
    const second = await pool.run('root', script('true'))
    expect([first.reusedConnection, second.reusedConnection]).toEqual([false, true])
    expect(first.connectMs).toBeGreaterThan(0)
    expect(second.connectMs).toBe(0)
    await pool.close()
  })

  it('gets along with a server that allows fewer sessions than we would use', async () => {
    const narrow = await startSshd({ sshdConfig: ['MaxSessions 2'] })
    onTestFinished(() => narrow.stop())
    const pool = poolFor(narrow, ['root'])
    const results = await Promise.all(Array.from({ length: 20 }, (_, index) => pool.run('root', script(`sleep 0.02; echo ${index}`))))
    expect(results.map((result) => result.stdoutText)).toEqual(Array.from({ length: 20 }, (_, index) => `${index}\n`))
    expect(logins(narrow)).toBe(1)
    await pool.close()
  })

  it('stops a command at its deadline also where the server allows one session', async () => {
    const single = await startSshd({ sshdConfig: ['MaxSessions 1'] })
    onTestFinished(() => single.stop())
    const pool = poolFor(single, ['root'])
    const cancel = new AbortController()
    const run = failureOf(pool.run('root', script('exec sleep 9771', { deadlineMs: 60_000, signal: cancel.signal })))
    await until('the program runs', () => single.exec(['pgrep', '-f', 'sleep 9771'], { ok: false }) !== '')
    cancel.abort()
    expect((await run).reason).toBe('cancelled')
    expect(single.exec(['pgrep', '-f', 'sleep 9771'], { ok: false })).toBe('')
    await pool.close()
  })

  it('ends a run that waits for a channel until its deadline, and goes on', async () => {
    const pool = poolFor(sshd, ['root'], { maxChannelsPerConnection: 1 })
    const long = pool.run('root', script('sleep 0.8; echo long'))
    const error = await failureOf(pool.run('root', script('echo never', { deadlineMs: 200 })))
    expect(error.reason).toBe('deadline')
    expect(error.message).toContain('under way on this host')
    expect((await long).stdoutText).toBe('long\n')
    expect((await pool.run('root', script('echo next'))).stdoutText).toBe('next\n')
    await pool.close()
  })

  it('closes an idle connection, and opens a new one when it is needed', async () => {
    const pool = poolFor(sshd, ['ops'], { idleCloseMs: 100 })
    await pool.run('ops', script('true'))
    await until('the session ended', () => sessions(sshd) === 0)
    expect((await pool.run('ops', script('true'))).reusedConnection).toBe(false)
    await pool.close()
  })

  it('connects anew after sshd was restarted', async () => {
    const restarted = await startSshd()
    onTestFinished(() => restarted.stop())
    const pool = poolFor(restarted, ['root'])
    await pool.run('root', script('true'))
    await restarted.restart()
    const result = await pool.run('root', script('echo again'))
    expect([result.stdoutText, result.reusedConnection]).toEqual(['again\n', false])
    await pool.close()
  })

  it('opens one connection when many commands come at once to a closed one, and tells all of them why it fails', async () => {
    const pool = poolFor(sshd, ['nobody-here'])
    const errors = await Promise.all(Array.from({ length: 12 }, () => failureOf(pool.run('nobody-here', script('true')))))
    expect(new Set(errors.map((error) => error.reason))).toEqual(new Set(['auth_denied']))
    await pool.close()
  })

  it('leaves no session on the host when it is closed, and takes no more commands', async () => {
    const pool = poolFor(sshd, ['root'])
    await pool.run('root', script('true'))
    await pool.close()
    await until('the session ended', () => sessions(sshd) === 0)
    expect((await failureOf(pool.run('root', script('true')))).reason).toBe('cancelled')
  })

  it('ends the runs that are under way when it is closed', async () => {
    const pool = poolFor(sshd, ['root'])
    const run = failureOf(pool.run('root', script('sleep 5', { deadlineMs: 6000 })))
    await until('the program runs', () => sshd.exec(['pgrep', '-f', 'sleep 5'], { ok: false }) !== '')
    await pool.close()
    expect(['connection_lost', 'cancelled']).toContain((await run).reason)
  })

  it('follows a changed configuration: new runs go to the new place, those under way end on the old one', async () => {
    const other = await startSshd({ prepare: ['echo other > /etc/which'] })
    onTestFinished(() => other.stop())
    const configPath = sshd.sshConfig({ moving: blockFor(sshd, 'root') }, 'moving')
    const knownHosts = [sshd, other].flatMap((one) => Object.values(one.hostKeys).map((key) => `[127.0.0.1]:${one.port} ${key}`))
    const pool = new SshPool({ configPath, knownHostsPaths: [sshd.knownHosts(knownHosts, 'both')] })
    const underWay = pool.run('moving', script('sleep 0.5; cat /etc/which || echo old', { okExitCodes: 'any' }))
    await until('the program runs', () => sshd.exec(['pgrep', '-f', 'sleep 0.5'], { ok: false }) !== '')
    sshd.sshConfig({ moving: [`HostName ${other.host}`, `Port ${other.port}`, 'User root', `IdentityFile ${other.keyPath}`] }, 'moving')
    expect((await pool.run('moving', script('cat /etc/which'))).stdoutText).toBe('other\n')
    expect((await underWay).stdoutText).toBe('old\n')
    await until('the old session ended', () => sessions(sshd) === 0)
    await pool.close()
  })

  it('refuses arguments that are too long for a command line, and takes the same by stdin', async () => {
    const pool = poolFor(sshd, ['root'])
    await expect(pool.run('root', { argv: ['echo', 'x'.repeat(130_000)], deadlineMs: 5000 })).rejects.toThrow(/send data by stdin/)
    expect((await pool.run('root', { argv: ['echo', 'x'.repeat(100_000)], deadlineMs: 5000 })).stdout.length).toBe(100_001)
    await pool.close()
  })

  it('redacts what a run ends with by the hook of the pool, unless the run has one of its own', async () => {
    const pool = poolFor(sshd, ['root'], { redact: (text) => text.replaceAll('hush', '***') })
    const failing = script('echo hush >&2; exit 1')
    expect((await failureOf(pool.run('root', failing))).message).toMatch(/\*\*\*$/)
    expect((await failureOf(pool.run('root', { ...failing, redact: undefined }))).stderrTail).toBe('***')
    expect((await failureOf(pool.run('root', { ...failing, redact: () => 'own' }))).stderrTail).toBe('own')
    await pool.close()
  })

  it('refuses an empty command, NUL in an argument and a deadline that is no time', async () => {
    const pool = poolFor(sshd, ['root'])
    await expect(pool.run('root', { argv: [], deadlineMs: 1000 })).rejects.toThrow(TypeError)
    await expect(pool.run('root', { argv: ['echo', 'a\0b'], deadlineMs: 1000 })).rejects.toThrow(/NUL/)
    await expect(pool.run('root', { argv: ['true'], deadlineMs: Number.NaN })).rejects.toThrow(RangeError)
    await pool.close()
  })
})
