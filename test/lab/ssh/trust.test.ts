/** `nightshift trust`: what a real sshd shows, and what is written into known_hosts, read back by the real ssh-keygen and ssh. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { recordHostKey, type SshError, SshPool, scanHostKeys } from '../../../src/ssh/index.js'
import { blockFor, failureOf, script } from '../../support/ssh-pool.js'
import { startSshd, type TestSshd } from '../../support/sshd.js'

let sshd: TestSshd
let configPath: string
beforeAll(async () => {
  sshd = await startSshd({ users: [{ name: 'ops' }] })
  configPath = sshd.sshConfig({ target: blockFor(sshd, 'root') })
})
afterAll(() => sshd.stop())

const name = () => `[127.0.0.1]:${sshd.port}`
const keyOf = (type: string): string => sshd.hostKeys[type] ?? ''
const scan = (path: string) => scanHostKeys('target', { configPath, knownHostsPaths: [path] })
const edOf = (found: Awaited<ReturnType<typeof scan>>) => {
  const key = found.keys.find((candidate) => candidate.type === 'ssh-ed25519')
  if (key === undefined) throw new Error('no ed25519 key shown')
  return key
}
const foreignKey = (): string => {
  const path = join(sshd.folder, 'foreign')
  if (!existsSync(path)) execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', path])
  return readFileSync(`${path}.pub`, 'utf8').trim()
}
const failure = (run: Promise<unknown>): Promise<SshError> => failureOf(run)

describe('a scan', () => {
  it('shows the keys of every type with the fingerprints of ssh-keygen -lf, and logs in nowhere', async () => {
    const before = sshd.log().length
    const found = await scan(join(sshd.folder, 'absent'))
    expect(found.keys.map((key) => key.type)).toEqual(['ssh-ed25519', 'ecdsa-sha2-nistp256', 'ssh-rsa'])
    for (const [index, kind] of ['ed25519', 'ecdsa', 'rsa'].entries()) {
      const real = execFileSync('ssh-keygen', ['-lf', join(sshd.folder, `ssh_host_${kind}_key.pub`)])
        .toString()
        .split(' ')[1]
      expect(found.keys[index]?.fingerprint).toBe(real)
    }
    expect(found).toMatchObject({ host: '127.0.0.1', port: sshd.port, name: name(), state: 'unknown' })
    expect(sshd.log().slice(before)).not.toContain('Accepted')
  })

  it('shows only the keys that the host has', async () => {
    const one = await startSshd({ sshdConfig: ['HostKeyAlgorithms ssh-ed25519'] })
    onTestFinished(() => one.stop())
    const found = await scanHostKeys('target', { configPath: one.sshConfig({ target: blockFor(one, 'root') }), knownHostsPaths: [join(one.folder, 'absent')] })
    expect(found.keys.map((key) => key.type)).toEqual(['ssh-ed25519'])
  })

  it('says what is recorded: the same, another, a revoked one', async () => {
    expect((await scan(sshd.knownHosts([`${name()} ${keyOf('ssh-ed25519')}`], 'same'))).state).toBe('same')
    const other = await scan(sshd.knownHosts([`${name()} ${foreignKey()}`], 'other'))
    expect(other.state).toBe('mismatch')
    expect(edOf(other)).toMatchObject({ state: 'mismatch', recorded: [{ line: 1, path: join(sshd.folder, 'other') }] })
    expect((await scan(sshd.knownHosts([`@revoked * ${keyOf('ssh-ed25519')}`], 'revoked'))).state).toBe('revoked')
  })

  it('of a host that is down says why', async () => {
    const found = failure(
      scanHostKeys('gone', { configPath: sshd.sshConfig({ gone: ['HostName 127.0.0.1', 'Port 1'] }, 'gone'), knownHostsPaths: ['/nonexistent'] }),
    )
    expect((await found).reason).toBe('connect_refused')
  })
})

describe('a recording', () => {
  it('makes a known_hosts that lets us and the real ssh in', async () => {
    const path = join(sshd.folder, 'fresh')
    const found = await scan(path)
    await recordHostKey(found, { fingerprints: found.keys.map((key) => key.fingerprint) })
    expect(statSync(path).mode & 0o777).toBe(0o600)
    const pool = new SshPool({ configPath, knownHostsPaths: [path] })
    expect((await pool.run('target', script('echo in'))).stdoutText).toBe('in\n')
    await pool.close()
    const plain = ['-F', '/dev/null', '-o', `UserKnownHostsFile=${path}`, '-o', 'StrictHostKeyChecking=yes', '-o', 'BatchMode=yes', '-i', sshd.keyPath]
    expect(execFileSync('ssh', [...plain, '-p', String(sshd.port), 'root@127.0.0.1', 'echo in'], { stdio: ['ignore', 'pipe', 'ignore'] }).toString()).toBe(
      'in\n',
    )
    expect((await scan(path)).state).toBe('same')
  })

  it('keeps every other line, comments, bytes that are no UTF-8, and the mode of the file', async () => {
    const path = join(sshd.folder, 'kept')
    const old = Buffer.concat([Buffer.from(`# our hosts \n\nother ${foreignKey()} comm`), Buffer.from([0xe9, 0xff]), Buffer.from('ent')])
    writeFileSync(path, old, { mode: 0o644 })
    const found = await scan(path)
    await recordHostKey(found, { fingerprints: [edOf(found).fingerprint] })
    const now = readFileSync(path)
    expect(now.subarray(0, old.length).equals(old)).toBe(true)
    expect(now.subarray(old.length).toString()).toBe(`\n${name()} ${keyOf('ssh-ed25519')}\n`)
    expect(statSync(path).mode & 0o777).toBe(0o644)
  })

  it('writes nothing when the key is recorded already', async () => {
    const path = sshd.knownHosts([`${name()} ${keyOf('ssh-ed25519')}`], 'already')
    const before = statSync(path).mtimeMs
    const found = await scan(path)
    expect(await recordHostKey(found, { fingerprints: [edOf(found).fingerprint] })).toEqual({ path, added: [], removed: [] })
    expect(statSync(path).mtimeMs).toBe(before)
  })

  it('never takes the place of another key unless it is told to', async () => {
    const path = sshd.knownHosts(['# first', `${name()} ${foreignKey()}`, 'last line'], 'replace')
    const found = await scan(path)
    const fingerprints = [edOf(found).fingerprint]
    expect((await failure(recordHostKey(found, { fingerprints }))).reason).toBe('host_key_mismatch')
    expect(readFileSync(path, 'utf8')).toContain(foreignKey())
    const result = await recordHostKey(found, { fingerprints, replace: true })
    expect(result.removed).toEqual([`${name()} ${foreignKey()}`])
    expect(readFileSync(path, 'utf8')).toBe(`# first\nlast line\n${name()} ${keyOf('ssh-ed25519')}\n`)
  })

  it('takes only this host out of a line that names others too, and finds a hashed line', async () => {
    const listed = sshd.knownHosts([`nas,${name()},10.0.0.9 ${foreignKey()}`], 'listed')
    const found = await scan(listed)
    await recordHostKey(found, { fingerprints: [edOf(found).fingerprint], replace: true })
    expect(readFileSync(listed, 'utf8')).toBe(`nas,10.0.0.9 ${foreignKey()}\n${name()} ${keyOf('ssh-ed25519')}\n`)

    const hashed = sshd.knownHosts([`${name()} ${foreignKey()}`], 'hashed')
    execFileSync('ssh-keygen', ['-q', '-H', '-f', hashed], { stdio: 'ignore' })
    const again = await scan(hashed)
    expect(again.state).toBe('mismatch')
    await recordHostKey(again, { fingerprints: [edOf(again).fingerprint], replace: true })
    expect(readFileSync(hashed, 'utf8')).toBe(`${name()} ${keyOf('ssh-ed25519')}\n`)
  })

  it.each([
    ['a fingerprint that the host did not show', [], 'SHA256:AAAA', /did not show/],
    ['a revoked key', ['@revoked * ED'], undefined, /revoked/],
    ['a line with a pattern', ['*.example,[127.0.0.*]:PORT FOREIGN'], undefined, /pattern/],
  ])('refuses %s, and writes nothing', async (what, lines, fingerprint, message) => {
    const text = lines.map((line) => line.replace('ED', keyOf('ssh-ed25519')).replace('PORT', String(sshd.port)).replace('FOREIGN', foreignKey()))
    const path = sshd.knownHosts(text, `refused-${what.replace(/ /g, '-')}`)
    const before = readFileSync(path)
    const found = await scan(path)
    const error = await failure(recordHostKey(found, { fingerprints: [fingerprint ?? edOf(found).fingerprint], replace: true }))
    expect(error.message).toMatch(message)
    expect(error.message).toContain('nothing was written')
    expect(readFileSync(path).equals(before)).toBe(true)
  })

  it('refuses when the file was changed by somebody else meanwhile', async () => {
    const path = sshd.knownHosts(['# one'], 'meanwhile')
    const found = await scan(path)
    writeFileSync(path, '# two\n')
    expect((await failure(recordHostKey(found, { fingerprints: [edOf(found).fingerprint] }))).message).toContain('was changed by somebody else')
    expect(readFileSync(path, 'utf8')).toBe('# two\n')
  })
})
