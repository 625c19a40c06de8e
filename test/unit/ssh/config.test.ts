/** `ssh_config` as read by src/ssh/config.ts, compared where possible with what the real `ssh -G` says. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { loadSshConfig, parseSshConfig, resolveHost } from '../../../src/ssh/config.js'
import { SshError } from '../../../src/ssh/errors.js'

const folder = mkdtempSync(join(tmpdir(), 'nightshift-config-'))
afterAll(() => rmSync(folder, { recursive: true }))

const resolve = (text: string, alias: string) => resolveHost(parseSshConfig(text, '/etc/x/ssh_config'), alias)
const refusal = (text: string, alias: string): SshError => {
  try {
    resolve(text, alias)
  } catch (error) {
    if (error instanceof SshError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

const ESTATE = `
# the hosts of the shop
Host pve pve-alias
  HostName 192.168.12.4
  Port 2222
  IdentityFile "keys/first key"
  IdentityFile ~/.ssh/%n_%h

Host *.home !router.home
  User=ops
  HostName %h.example.net

Host nas	# the old one
  HostName "10.0.0.9"
  User backup
  UserKnownHostsFile known_nas /etc/known_two
  HostKeyAlias the-nas
  ConnectTimeout 4
  AddressFamily inet

Host *
  User root
  StrictHostKeyChecking yes
  ServerAliveInterval 30
  LogLevel ERROR
  Compression no
  SendEnv LANG LC_*
  IdentityFile ~/.ssh/everywhere
`

describe('an ssh_config', () => {
  it('gives address, port, user and the keys in the order of the file, relative paths from its own folder', () => {
    expect(resolve(ESTATE, 'pve')).toMatchObject({
      hostName: '192.168.12.4',
      port: 2222,
      user: 'root',
      identityFiles: ['/etc/x/keys/first key', join(homedir(), '.ssh/pve_192.168.12.4'), join(homedir(), '.ssh/everywhere')],
      knownHostsFiles: undefined,
    })
  })

  it('lets the first value win, and follows patterns with negation', () => {
    expect(resolve(ESTATE, 'media.home')).toMatchObject({ hostName: 'media.home.example.net', user: 'ops' })
    expect(resolve(ESTATE, 'router.home')).toMatchObject({ hostName: 'router.home', user: 'root' })
  })

  it('reads known_hosts files, alias of the host key, time limit and address family of one host', () => {
    expect(resolve(ESTATE, 'nas')).toMatchObject({
      hostName: '10.0.0.9',
      user: 'backup',
      knownHostsFiles: ['/etc/x/known_nas', '/etc/known_two'],
      hostKeyAlias: 'the-nas',
      connectTimeoutMs: 4000,
      keepaliveIntervalMs: 30_000,
      family: 4,
    })
  })

  it('does not let ServerAliveInterval 0 switch off the signs of life', () => {
    expect(resolve('Host nas\n  ServerAliveInterval 0\n', 'nas').keepaliveIntervalMs).toBeUndefined()
  })

  it('takes the name of a host that no block names as its address, and this user', () => {
    expect(resolve('', 'somewhere')).toMatchObject({ hostName: 'somewhere', port: 22, user: userInfo().username, identityFiles: [] })
  })

  it('says the same as `ssh -G` about address, port and user', () => {
    const path = join(folder, 'same')
    writeFileSync(path, ESTATE)
    for (const alias of ['pve', 'pve-alias', 'media.home', 'router.home', 'nas', 'other']) {
      const said = new Map(
        execFileSync('ssh', ['-G', '-F', path, alias])
          .toString()
          .split('\n')
          .map((line) => [line.split(' ')[0] ?? '', line.slice(line.indexOf(' ') + 1)]),
      )
      const ours = resolve(ESTATE, alias)
      expect([alias, ours.hostName, String(ours.port), ours.user]).toEqual([alias, said.get('hostname'), said.get('port'), said.get('user')])
    }
  })

  it.each([
    ['ProxyJump bastion', /jump hosts/],
    ['ProxyCommand ssh -W %h:%p bastion', /proxies/],
    ['CertificateFile ~/.ssh/cert.pub', /certificates/],
    ['IdentityAgent /run/agent', /agents/],
    ['HostKeyAlgorithms ssh-rsa', /algorithms/],
    ['ForwardAgent yes', /remove the line/],
    ['Include other_config', /put the lines/],
    ['UserKnownHostsFile /dev/null', /trust pve/],
    ['StrictHostKeyChecking no', /trust pve/],
    ['StrictHostKeyChecking accept-new', /trust pve/],
    ['SendEnv SECRET', /environment/],
    ['Port 70000', /number/],
    ['Port 22x', /number/],
    ['AddressFamily inet5', /line/],
    ['HostNam 10.0.0.1', /did you mean `hostname`/],
    ['IdentityFile ~other/key', /path/],
    ['IdentityFile %Z', /value/],
    ['User', /value/],
  ])('refuses `%s` with its place and what to do', (line, next) => {
    const error = refusal(`Host other\n  User x\n\nHost pve\n  HostName 10.0.0.1\n  ${line}\n`, 'pve')
    expect(error.reason).toBe('unsupported_ssh_config')
    expect(error.message).toMatch(/^\/etc\/x\/ssh_config:6: /)
    expect(error.next).toMatch(next)
  })

  it('leaves a host alone when the line that cannot be followed belongs to another', () => {
    expect(resolve('Host far\n  ProxyJump bastion\nHost near\n  HostName 10.0.0.1\n', 'near').hostName).toBe('10.0.0.1')
  })

  it('refuses a Match block for every host, because it may apply to any; `Match all` is followed', () => {
    expect(refusal('Host a\n  User x\nMatch exec "test -f /x"\n  User y\n', 'b').message).toContain('/etc/x/ssh_config:3: `Match exec')
    expect(resolve('Match all\n  User everywhere\n', 'a').user).toBe('everywhere')
  })

  it('passes over an unknown keyword only when the file itself says so', () => {
    expect(resolve('IgnoreUnknown UseKeychain,Other\nUseKeychain yes\n', 'a').hostName).toBe('a')
    expect(refusal('UseKeychain yes\n', 'a').message).toContain('not a keyword')
  })

  it('names the line of a text that cannot be read at all, and a file that is not there', () => {
    expect(refusal('Host a\n  User x\n  HostName "unclosed\n', 'a').message).toMatch(/ssh_config:3: /)
    expect(() => loadSshConfig(join(folder, 'absent'), 'pve')).toThrow(/absent: this ssh_config does not exist/)
  })

  it.each(['', '-oProxyCommand=x', 'a b', 'a\0b'])('refuses %j as the name of a host', (alias) => {
    expect(refusal('', alias).message).toContain('not a host name')
  })

  it('reads a file again when it changed', () => {
    const path = join(folder, 'changing')
    writeFileSync(path, 'Host a\n  Port 1001\n')
    expect(resolveHost(loadSshConfig(path, 'a'), 'a').port).toBe(1001)
    writeFileSync(path, 'Host a\n  Port 1002\n')
    expect(resolveHost(loadSshConfig(path, 'a'), 'a').port).toBe(1002)
  })
})
