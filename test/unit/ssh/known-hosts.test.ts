/** `known_hosts` with keys and hashed files made by the real `ssh-keygen`, and compared with its `-F` and `-lf`. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { entriesFor, fingerprintOf, knownHostsName, parseKnownHosts, verifyHostKey } from '../../../src/ssh/known-hosts.js'
import { matchesPattern } from '../../../src/ssh/patterns.js'

const folder = mkdtempSync(join(tmpdir(), 'nightshift-known-hosts-'))
const keys: Record<string, { line: string; blob: Buffer; fingerprint: string }> = {}

beforeAll(() => {
  for (const [name, type] of [
    ['ed1', 'ed25519'],
    ['ed2', 'ed25519'],
    ['rsa', 'rsa'],
    ['ec', 'ecdsa'],
  ] as const) {
    const path = join(folder, name)
    execFileSync('ssh-keygen', ['-q', '-t', type, '-N', '', '-C', '', '-f', path])
    const line = readFileSync(`${path}.pub`, 'utf8').trim()
    const fingerprint =
      execFileSync('ssh-keygen', ['-lf', `${path}.pub`])
        .toString()
        .split(' ')[1] ?? ''
    keys[name] = { line, blob: Buffer.from(line.split(' ')[1] ?? '', 'base64'), fingerprint }
  }
})
afterAll(() => rmSync(folder, { recursive: true }))

const key = (name: string) => {
  const found = keys[name]
  if (found === undefined) throw new Error(name)
  return found
}
const judge = (text: string, host: string, port: number, shown: string) => {
  const name = knownHostsName(host, port)
  return verifyHostKey(entriesFor(parseKnownHosts(text, 'KH'), name, host), key(shown).blob).state
}

describe('known_hosts', () => {
  it('prints fingerprints as ssh-keygen -lf does', () => {
    for (const { blob, fingerprint } of Object.values(keys)) expect(fingerprintOf(blob)).toBe(fingerprint)
  })

  it('knows a host by name, by a list of names, by port, whatever the case of the letters', () => {
    const text = `# comment\n\npve,192.168.1.5 ${key('ed1').line} a comment\n[nas]:2222 ${key('ed2').line}\n`
    expect(judge(text, 'pve', 22, 'ed1')).toBe('ok')
    expect(judge(text, 'PVE', 22, 'ed1')).toBe('ok')
    expect(judge(text, '192.168.1.5', 22, 'ed1')).toBe('ok')
    expect(judge(text, 'pve', 2222, 'ed1')).toBe('unknown')
    expect(judge(text, 'nas', 2222, 'ed2')).toBe('ok')
    expect(judge(text, 'nas', 22, 'ed2')).toBe('unknown')
  })

  it('follows patterns, and a negated one refuses the whole line', () => {
    const text = `*.home,!router.home ${key('ed1').line}\n`
    expect(judge(text, 'media.home', 22, 'ed1')).toBe('ok')
    expect(judge(text, 'router.home', 22, 'ed1')).toBe('unknown')
    expect(judge(text, 'home', 22, 'ed1')).toBe('unknown')
  })

  it('finds the names that ssh-keygen -H has hashed, as ssh-keygen -F does', () => {
    const path = join(folder, 'hashed')
    writeFileSync(path, `pve ${key('ed1').line}\n192.168.1.5 ${key('rsa').line}\n[nas.example]:2222 ${key('ed2').line}\n`)
    execFileSync('ssh-keygen', ['-q', '-H', '-f', path], { stdio: 'ignore' })
    const text = readFileSync(path, 'utf8')
    expect(text).not.toContain('pve')
    expect(judge(text, 'pve', 22, 'ed1')).toBe('ok')
    expect(judge(text, '192.168.1.5', 22, 'rsa')).toBe('ok')
    expect(judge(text, 'nas.example', 2222, 'ed2')).toBe('ok')
    expect(judge(text, 'nas.example', 22, 'ed2')).toBe('unknown')
    expect(execFileSync('ssh-keygen', ['-F', '[nas.example]:2222', '-f', path]).toString()).toContain('ssh-ed25519')
  })

  it('takes any of several stored keys, and calls every other one a mismatch, also one of a type that is not stored', () => {
    const text = `pve ${key('ed1').line}\npve ${key('rsa').line}\n`
    expect(judge(text, 'pve', 22, 'ed1')).toBe('ok')
    expect(judge(text, 'pve', 22, 'rsa')).toBe('ok')
    expect(judge(text, 'pve', 22, 'ed2')).toBe('mismatch')
    expect(judge(text, 'pve', 22, 'ec')).toBe('mismatch')
  })

  it('lets @revoked win over a line that trusts the same key, wherever they stand', () => {
    const revoked = `@revoked * ${key('ed1').line}\n`
    expect(judge(`pve ${key('ed1').line}\n${revoked}`, 'pve', 22, 'ed1')).toBe('revoked')
    expect(judge(`${revoked}pve ${key('ed2').line}\n`, 'pve', 22, 'ed2')).toBe('ok')
    expect(judge(revoked, 'pve', 22, 'ed2')).toBe('unknown')
  })

  it.each([
    ['@cert-authority *.home KEY', /KH:2: .*certificates are not supported/],
    ['@trusted *.home KEY', /KH:2: the marker @trusted is not known/],
    ['media.home ssh-ed25519 AAAA', /KH:2: the key is not a ssh-ed25519 key/],
    ['media.home ssh-rsa KEYBLOB', /KH:2: the key is not a ssh-rsa key/],
    ['media.home ssh-ed25519', /KH:2: the line has no key/],
    ['@revoked media.home ssh-ed25519 !!!', /KH:2: the key is not/],
  ])('refuses `%s` with file and line for the hosts that it names, and for no other', (line, message) => {
    const text = `other ${key('ed1').line}\n${line.replace('KEYBLOB', key('ed1').line.split(' ')[1] ?? '').replace('KEY', key('ed1').line)}\n`
    expect(() => judge(text, 'media.home', 22, 'ed1')).toThrow(message)
    expect(judge(text, 'other', 22, 'ed1')).toBe('ok')
  })

  it('reads files with Windows line ends and tabs', () => {
    expect(judge(`pve\t${key('ed1').line}\r\n`, 'pve', 22, 'ed1')).toBe('ok')
  })

  it('trusts nothing by an arbitrary text that holds no line for the host', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const entries = parseKnownHosts(text, 'KH')
        expect(verifyHostKey(entries, key('ed1').blob).state).not.toBe('ok')
      }),
    )
  })
})

describe('a pattern', () => {
  it('matches what the same regular expression matches', () => {
    const asExpression: Record<string, string> = { '*': '.*', '?': '.', '.': '\\.' }
    const piece = fc.constantFrom('a', 'b', '.', '*', '?')
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), fc.array(fc.constantFrom('a', 'b', '.'), { maxLength: 8 }), (pattern, text) => {
        const expression = new RegExp(`^${pattern.map((part) => asExpression[part] ?? part).join('')}$`)
        expect(matchesPattern(pattern.join(''), text.join(''))).toBe(expression.test(text.join('')))
      }),
      { numRuns: 2000 },
    )
  })
})
