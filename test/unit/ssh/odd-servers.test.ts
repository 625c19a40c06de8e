/** Servers that do what OpenSSH hardly ever does: played with the server half of ssh2, since a real sshd cannot be made to. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import ssh2, { type Connection, type Session } from 'ssh2'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { SshPool } from '../../../src/ssh/index.js'
import { failureOf } from '../../support/ssh-pool.js'

const keys = ssh2.utils.generateKeyPairSync('ed25519')
let folder: string
let pool: SshPool
let server: ssh2.Server
const connections = new Set<Connection>()

async function serve(onSession: (session: Session) => void): Promise<void> {
  server = new ssh2.Server({ hostKeys: [keys.private] }, (client) => {
    connections.add(client)
    client.on('error', () => undefined)
    client.on('authentication', (context) => context.accept())
    client.on('session', (accept) => onSession(accept()))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  writeFileSync(join(folder, 'key'), keys.private, { mode: 0o600 })
  writeFileSync(join(folder, 'known_hosts'), `[127.0.0.1]:${port} ${keys.public}\n`)
  writeFileSync(join(folder, 'ssh_config'), `Host odd\n  HostName 127.0.0.1\n  Port ${port}\n  User root\n  IdentityFile key\n`)
  pool = new SshPool({ configPath: join(folder, 'ssh_config'), knownHostsPaths: [join(folder, 'known_hosts')] })
}

const run = (deadlineMs: number) => failureOf(pool.run('odd', { argv: ['true'], deadlineMs, okExitCodes: 'any' }))

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nightshift-odd-'))
})
afterEach(async () => {
  await pool.close()
  for (const connection of connections) connection.end()
  connections.clear()
  await new Promise((resolve) => server.close(resolve))
  rmSync(folder, { recursive: true })
})

describe('a server', () => {
  it('that closes the channel without exit code or signal leaves the outcome unknown, never a success', async () => {
    await serve((session) => session.on('exec', (accept) => accept().end()))
    const error = await run(3000)
    expect(error.reason).toBe('outcome_unknown')
    expect(error.message).toMatch(/^odd \(127\.0\.0\.1:\d+\): the channel was closed without exit code or signal/)
  })

  it('that never answers the request is given up at the deadline', async () => {
    await serve((session) => session.on('exec', () => undefined))
    const began = performance.now()
    expect(['deadline', 'connection_lost']).toContain((await run(300)).reason)
    expect(performance.now() - began).toBeLessThan(3000)
  })

  it('that refuses to run commands says so', async () => {
    await serve((session) => session.on('exec', (_accept, reject) => reject()))
    const error = await run(3000)
    expect(error.reason).toBe('auth_denied')
    expect(error.message).toContain('sshd refused to run a command')
  })

  it('that drops the connection between the request and the answer: lost, not a success', async () => {
    await serve((session) =>
      session.on('exec', () => {
        for (const connection of connections) connection.end()
      }),
    )
    expect((await run(3000)).reason).toBe('connection_lost')
  })

  it('that answers exit code 0 without having run our script is not believed', async () => {
    await serve((session) =>
      session.on('exec', (accept) => {
        const channel = accept()
        channel.write('hello, this is a forced command\n')
        channel.exit(0)
        channel.end()
      }),
    )
    const error = await run(3000)
    expect(error.message).toContain('before the command began')
    expect(error.stderrTail).toBe('hello, this is a forced command')
  })
})
