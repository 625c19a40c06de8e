/** A network that swallows packets: sshd in a network namespace of its own, whose answers are thrown away. Nobody may wait for ever. */
import { execFileSync } from 'node:child_process'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { SshPool } from '../../../src/ssh/index.js'
import { blockFor, failureOf, poolFor, script, until } from '../../support/ssh-pool.js'
import { startSshd, type TestSshd } from '../../support/sshd.js'

const ip = (...args: string[]): string => execFileSync('ip', args, { stdio: ['ignore', 'pipe', 'pipe'] }).toString()
/** For tests of commands whose own deadline is a minute. */
const BEFORE_THE_DEADLINE_MS = 45_000
const tag = `ns${process.pid}`
/** A /30 of 198.18.0.0/15 (RFC 2544, never on the Internet), by process so that two runs do not meet. */
const base = `198.18.${process.pid % 256}.${(Math.floor(process.pid / 256) % 63) * 4}`
const near = base.replace(/\d+$/, (last) => String(Number(last) + 1))
const far = base.replace(/\d+$/, (last) => String(Number(last) + 2))

let sshd: TestSshd
let pool: SshPool

const swallow = (): string => ip('-n', tag, 'route', 'replace', 'blackhole', `${near}/32`)
const heal = (): string => ip('-n', tag, 'route', 'flush', 'type', 'blackhole')

beforeAll(async () => {
  ip('netns', 'add', tag)
  ip('link', 'add', `${tag}n`, 'type', 'veth', 'peer', 'name', `${tag}f`, 'netns', tag)
  ip('addr', 'add', `${near}/30`, 'dev', `${tag}n`)
  ip('link', 'set', `${tag}n`, 'up')
  ip('-n', tag, 'addr', 'add', `${far}/30`, 'dev', `${tag}f`)
  ip('-n', tag, 'link', 'set', `${tag}f`, 'up')
  ip('-n', tag, 'link', 'set', 'lo', 'up')
  sshd = await startSshd({ netns: tag, listen: { address: far, port: 22 } })
})
afterEach(async () => {
  heal()
  await pool.close()
})
afterAll(async () => {
  await sshd?.stop()
  ip('netns', 'del', tag)
})

describe('a host that is blackholed', () => {
  it('before the connection: timed out, within the time allowed for it', async () => {
    pool = poolFor(sshd, ['root'], { connectTimeoutMs: 700 })
    swallow()
    const error = await failureOf(pool.run('root', script('true')))
    expect(error.reason).toBe('connect_timeout')
    expect(error.message).toBe(`root (${far}:22): nothing answered within 0.7 s`)
  })

  it('in the middle of the output: lost, at the deadline and a small grace, not a slow program', async () => {
    pool = poolFor(sshd, ['root'])
    const run = failureOf(pool.run('root', script('while :; do echo line; sleep 0.05; done', { deadlineMs: 2000 })))
    await until('the program runs', () => sshd.exec(['pgrep', '-f', 'sh -s'], { ok: false }) !== '')
    swallow()
    const error = await run
    expect(error.reason).toBe('connection_lost')
    expect(error.message).toContain('stopped answering in the middle of the command, and the deadline of 2 s passed')
    await until('the host ended the program by itself', () => sshd.exec(['pgrep', '-f', 'sh -s'], { ok: false }) === '')
  })

  it(
    'during a long command: lost as soon as the signs of life are missing, long before the deadline',
    async () => {
      pool = poolFor(sshd, ['root'], { keepaliveIntervalMs: 200 })
      const run = failureOf(pool.run('root', script('sleep 30', { deadlineMs: 60_000 })))
      await until('the program runs', () => sshd.exec(['pgrep', '-f', 'sleep 30'], { ok: false }) !== '')
      swallow()
      const error = await run
      expect(error.reason).toBe('connection_lost')
      expect(error.message).toContain('the host stopped answering')
      sshd.exec(['pkill', '-f', 'sleep 30'])
    },
    BEFORE_THE_DEADLINE_MS,
  )

  it(
    'is noticed as soon as the ServerAliveInterval of its block in ssh_config allows',
    async () => {
      const configPath = sshd.sshConfig({ root: [...blockFor(sshd, 'root'), 'ServerAliveInterval 1'] }, 'ssh_config-alive')
      pool = new SshPool({ configPath, knownHostsPaths: [sshd.knownHosts()] })
      const run = failureOf(pool.run('root', script('sleep 30', { deadlineMs: 60_000 })))
      await until('the program runs', () => sshd.exec(['pgrep', '-f', 'sleep 30'], { ok: false }) !== '')
      swallow()
      expect((await run).reason).toBe('connection_lost')
      sshd.exec(['pkill', '-f', 'sleep 30'])
    },
    BEFORE_THE_DEADLINE_MS,
  )

  it('and comes back: the next run connects anew', async () => {
    pool = poolFor(sshd, ['root'])
    await pool.run('root', script('true'))
    swallow()
    expect((await failureOf(pool.run('root', script('echo unheard', { deadlineMs: 300 })))).reason).toBe('connection_lost')
    heal()
    const result = await pool.run('root', script('echo back'))
    expect([result.stdoutText, result.reusedConnection]).toEqual(['back\n', false])
  })

  it(
    'and whose run is cancelled: the caller gets his answer soon',
    async () => {
      pool = poolFor(sshd, ['root'])
      const cancel = new AbortController()
      const run = failureOf(pool.run('root', script('sleep 31', { deadlineMs: 60_000, signal: cancel.signal })))
      await until('the program runs', () => sshd.exec(['pgrep', '-f', 'sleep 31'], { ok: false }) !== '')
      swallow()
      cancel.abort()
      const error = await run
      expect(error.reason).toBe('cancelled')
      expect(error.message).toContain('not confirmed as stopped')
      sshd.exec(['pkill', '-f', 'sleep 31'])
    },
    BEFORE_THE_DEADLINE_MS,
  )
})
