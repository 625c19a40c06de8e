/** Every way in which a host cannot be reached, is not the right one, or does not let us in: each by its own reason and words. */
import { execFileSync } from 'node:child_process'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type SshError, SshPool } from '../../../src/ssh/index.js'
import { blockFor, failureOf, poolFor, script } from '../../support/ssh-pool.js'
import { freePort, startSshd, type TestSshd } from '../../support/sshd.js'

let sshd: TestSshd
const servers: Server[] = []
const sockets: Socket[] = []

beforeAll(async () => {
  sshd = await startSshd({ users: [{ name: 'ops' }], sshdConfig: ['Match User nobody-may', 'AllowUsers none', 'Match all'] })
})
afterAll(async () => {
  for (const socket of sockets) socket.destroy()
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  await sshd.stop()
})

/** The error of one run with these lines of ssh_config and known_hosts. */
async function errorWith(block: string[], knownHosts?: string[], options: { connectTimeoutMs?: number; deadlineMs?: number } = {}): Promise<SshError> {
  const pool = new SshPool({
    configPath: sshd.sshConfig({ target: block }, 'ssh_config-one'),
    knownHostsPaths: [sshd.knownHosts(knownHosts, 'known_hosts-one')],
    connectTimeoutMs: options.connectTimeoutMs ?? 3000,
  })
  try {
    return await failureOf(pool.run('target', script('true', { deadlineMs: options.deadlineMs ?? 15_000 })))
  } finally {
    await pool.close()
  }
}

async function listener(onConnection: (socket: Socket) => void): Promise<number> {
  const port = await freePort()
  const server = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => undefined)
    onConnection(socket)
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return port
}

const firstLine = (error: SshError): string => error.message.split('\n')[0] ?? ''

describe('a host that cannot be reached', () => {
  it('refused: nothing listens on the port', async () => {
    const port = await freePort()
    const error = await errorWith(['HostName 127.0.0.1', `Port ${port}`, 'User root', `IdentityFile ${sshd.keyPath}`])
    expect(error.reason).toBe('connect_refused')
    expect(firstLine(error)).toBe(`target (127.0.0.1:${port}): connection refused: the machine answers, but nothing listens on this port`)
  })

  it('name unresolved', async () => {
    const error = await errorWith(['HostName no-such-host.invalid', 'User root', `IdentityFile ${sshd.keyPath}`])
    expect(error.reason).toBe('name_unresolved')
    expect(firstLine(error)).toMatch(/^target \(no-such-host\.invalid:22\): the name no-such-host\.invalid /)
  })

  it('timed out: something accepts the connection and says nothing', async () => {
    const port = await listener(() => undefined)
    const error = await errorWith(['HostName 127.0.0.1', `Port ${port}`, 'User root', `IdentityFile ${sshd.keyPath}`], undefined, { connectTimeoutMs: 400 })
    expect(error.reason).toBe('connect_timeout')
    expect(firstLine(error)).toContain('the port is open, but no SSH server spoke within 0.4 s')
  })

  it('timed out: the deadline of the run is shorter than the time allowed for connecting', async () => {
    const port = await listener(() => undefined)
    const error = await errorWith(['HostName 127.0.0.1', `Port ${port}`, 'User root', `IdentityFile ${sshd.keyPath}`], undefined, { deadlineMs: 300 })
    expect(error.reason).toBe('connect_timeout')
    expect(firstLine(error)).toContain('not connected within the deadline of 0.3 s')
  })

  it('refused: what listens there is no SSH server, or closes at once', async () => {
    const web = await listener((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
    const closing = await listener((socket) => socket.end())
    for (const port of [web, closing]) {
      const error = await errorWith(['HostName 127.0.0.1', `Port ${port}`, 'User root', `IdentityFile ${sshd.keyPath}`])
      expect([error.reason, firstLine(error)]).toEqual(['connect_refused', expect.stringMatching(/not an SSH server/)])
    }
  })
})

describe('a host key', () => {
  const place = () => `[127.0.0.1]:${sshd.port}`
  const foreign = (): string => {
    const path = join(sshd.folder, 'foreign')
    execFileSync('sh', ['-c', `test -e ${path} || ssh-keygen -q -t ed25519 -N '' -C '' -f ${path}`])
    return readFileSync(`${path}.pub`, 'utf8').trim()
  }

  it('that nobody recorded is refused, with the fingerprint and the command that records it', async () => {
    const error = await errorWith(blockFor(sshd, 'root'), [`other ${sshd.hostKeys['ssh-ed25519']}`])
    expect(error.reason).toBe('host_key_unknown')
    const real = execFileSync('ssh-keygen', ['-lf', join(sshd.folder, 'ssh_host_ed25519_key.pub')])
      .toString()
      .split(' ')[1]
    expect(firstLine(error)).toContain(`target (127.0.0.1:${sshd.port}): its host key ssh-ed25519 ${real} is not known`)
    expect(error.next).toContain('nightshift trust target')
  })

  it('is not trusted on a host without known_hosts at all', async () => {
    const pool = new SshPool({ configPath: sshd.sshConfig({ target: blockFor(sshd, 'root') }, 'c'), knownHostsPaths: [join(sshd.folder, 'absent')] })
    expect((await failureOf(pool.run('target', script('true')))).reason).toBe('host_key_unknown')
    await pool.close()
  })

  it('that is not the recorded one is refused, with both fingerprints and the line of the file', async () => {
    const error = await errorWith(blockFor(sshd, 'root'), ['# a comment', `${place()} ${foreign()}`])
    expect(error.reason).toBe('host_key_mismatch')
    expect(error.message).toMatch(/it shows ssh-ed25519 SHA256:\S+, recorded is ssh-ed25519 SHA256:\S+ \(.*known_hosts-one:2\)/)
    expect(error.next).toContain('nightshift trust target')
  })

  it('that is revoked is refused, also when another line trusts it', async () => {
    const key = sshd.hostKeys['ssh-ed25519']
    const error = await errorWith(blockFor(sshd, 'root'), [`${place()} ${key}`, `@revoked * ${key}`])
    expect(error.reason).toBe('host_key_revoked')
    expect(error.message).toContain('known_hosts-one:2')
  })

  it.each(['ssh-ed25519', 'ecdsa-sha2-nistp256', 'ssh-rsa'])('of type %s alone is enough: the server is asked for the type that is recorded', async (type) => {
    const pool = new SshPool({
      configPath: sshd.sshConfig({ target: blockFor(sshd, 'root') }, 'c'),
      knownHostsPaths: [sshd.knownHosts([`${place()} ${sshd.hostKeys[type]}`], 'one-type')],
    })
    expect((await pool.run('target', script('echo in'))).stdoutText).toBe('in\n')
    await pool.close()
  })

  it('is looked up under HostKeyAlias, and in the file that the host names', async () => {
    const own = sshd.knownHosts([`the-alias ${sshd.hostKeys['ssh-ed25519']}`], 'own_known_hosts')
    const configPath = sshd.sshConfig({ target: [...blockFor(sshd, 'root'), 'HostKeyAlias the-alias', `UserKnownHostsFile ${own}`] }, 'c')
    const pool = new SshPool({ configPath, knownHostsPaths: ['/nonexistent'] })
    expect((await pool.run('target', script('echo in'))).stdoutText).toBe('in\n')
    await pool.close()
  })

  it('that is revoked while a connection is open ends the use of that connection', async () => {
    const key = sshd.hostKeys['ssh-ed25519']
    const pool = new SshPool({
      configPath: sshd.sshConfig({ target: blockFor(sshd, 'root') }, 'c'),
      knownHostsPaths: [sshd.knownHosts([`${place()} ${key}`], 'changing')],
    })
    await pool.run('target', script('true'))
    sshd.knownHosts([`${place()} ${key}`, `@revoked * ${key}`], 'changing')
    expect((await failureOf(pool.run('target', script('true')))).reason).toBe('host_key_revoked')
    await pool.close()
  })
})

describe('a login', () => {
  it('with a key that the host does not know is denied, with the key tried and the line to add', async () => {
    const path = join(sshd.folder, 'stranger')
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', path])
    const error = await errorWith(['HostName 127.0.0.1', `Port ${sshd.port}`, 'User ops', `IdentityFile ${path}`, 'IdentityFile /nonexistent/key'])
    expect(error.reason).toBe('auth_denied')
    expect(firstLine(error)).toContain(`target (127.0.0.1:${sshd.port}): login as ops was refused; tried ${path}`)
    expect(error.message).toContain('/nonexistent/key')
    expect(error.next).toContain(readFileSync(`${path}.pub`, 'utf8').split(' ').slice(0, 2).join(' '))
  })

  it('as a user that does not exist is denied', async () => {
    expect((await errorWith(blockFor(sshd, 'nobody-here'))).reason).toBe('auth_denied')
  })

  it('tries every key in order, and succeeds with the second', async () => {
    const path = join(sshd.folder, 'first-key')
    execFileSync('ssh-keygen', ['-q', '-t', 'ecdsa', '-N', '', '-f', path])
    const block = ['HostName 127.0.0.1', `Port ${sshd.port}`, 'User ops', `IdentityFile ${path}`, `IdentityFile ${sshd.keyPath}`]
    const pool = new SshPool({ configPath: sshd.sshConfig({ target: block }, 'c'), knownHostsPaths: [sshd.knownHosts()] })
    expect((await pool.run('target', script('id -un'))).stdoutText).toBe('ops\n')
    await pool.close()
  })

  it.each(['rsa', 'ecdsa', 'ed25519'])('works with a key of type %s', async (type) => {
    const path = join(sshd.folder, `login-${type}`)
    execFileSync('ssh-keygen', ['-q', '-t', type, '-N', '', '-f', path])
    sshd.exec(['sh', '-c', 'cat >> /home/ops/.ssh/authorized_keys'], { input: readFileSync(`${path}.pub`, 'utf8') })
    const block = ['HostName 127.0.0.1', `Port ${sshd.port}`, 'User ops', `IdentityFile ${path}`]
    const pool = new SshPool({ configPath: sshd.sshConfig({ target: block }, 'c'), knownHostsPaths: [sshd.knownHosts()] })
    expect((await pool.run('target', script('id -un'))).stdoutText).toBe('ops\n')
    await pool.close()
  })
})

describe('a private key', () => {
  const withKey = (path: string) => errorWith(['HostName 127.0.0.1', `Port ${sshd.port}`, 'User ops', `IdentityFile ${path}`])

  it.each([
    ['has a passphrase', (path: string) => execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', 'secret', '-f', path]), /has a passphrase/],
    ['is an encrypted PEM', (path: string) => execFileSync('ssh-keygen', ['-q', '-t', 'rsa', '-m', 'PEM', '-N', 'secret', '-f', path]), /has a passphrase/],
    ['is no key', (path: string) => writeFileSync(path, 'not a key\n', { mode: 0o600 }), /not a private key/],
    ['is a public key', (path: string) => writeFileSync(path, readFileSync(`${sshd.keyPath}.pub`), { mode: 0o600 }), /public key/],
    [
      'is readable for others',
      (path: string) => {
        execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', path])
        chmodSync(path, 0o644)
      },
      /mode 0644/,
    ],
    ['is not there', () => undefined, /does not exist/],
  ])('that %s is refused before anything is sent', async (name, make, message) => {
    const path = join(sshd.folder, `key-${name.replace(/ /g, '-')}`)
    make(path)
    const error = await withKey(path)
    expect(error.reason).toBe('bad_ssh_key')
    expect(error.message).toContain(path)
    expect(error.message).toMatch(message)
  })
})

it('a jump host is refused, not passed over', async () => {
  const error = await errorWith([...blockFor(sshd, 'root'), 'ProxyJump bastion'])
  expect(error.reason).toBe('unsupported_ssh_config')
  expect(error.message).toMatch(/ssh_config-one:6: `ProxyJump bastion` is not supported/)
})

it('a line for a certificate authority is refused, not passed over', async () => {
  const error = await errorWith(blockFor(sshd, 'root'), [
    `@cert-authority * ${sshd.hostKeys['ssh-ed25519']}`,
    `[127.0.0.1]:${sshd.port} ${sshd.hostKeys['ssh-ed25519']}`,
  ])
  expect(error.reason).toBe('unsupported_ssh_config')
  expect(error.message).toMatch(/known_hosts-one:1: .*not supported/)
})

it('sshd that has no session to give says so', async () => {
  const closed = await startSshd({ sshdConfig: ['MaxSessions 0'] })
  onTestFinished(() => closed.stop())
  const pool = poolFor(closed, ['root'])
  const error = await failureOf(pool.run('root', script('true')))
  expect(error.message).toContain('sshd opens no session')
  await pool.close()
})
