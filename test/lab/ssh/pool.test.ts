/** One connection a host: shared, bounded, closed when idle, opened again after a loss. */
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { failureOf, poolFor, script, until } from '../../support/ssh-pool.js'
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

  it('refuses an empty command, NUL in an argument and a deadline that is no time', async () => {
    const pool = poolFor(sshd, ['root'])
    await expect(pool.run('root', { argv: [], deadlineMs: 1000 })).rejects.toThrow(TypeError)
    await expect(pool.run('root', { argv: ['echo', 'a\0b'], deadlineMs: 1000 })).rejects.toThrow(/NUL/)
    await expect(pool.run('root', { argv: ['true'], deadlineMs: Number.NaN })).rejects.toThrow(RangeError)
    await pool.close()
  })
})
