/** The one quoting function, through real login shells on a real sshd: what goes in as an argument array comes out as the same arguments. */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { quoteArgv, type SshPool } from '../../../src/ssh/index.js'
import { poolFor } from '../../support/ssh-pool.js'
import { startSshd, type TestSshd } from '../../support/sshd.js'

const shells = { bashful: '/bin/bash', dashing: '/bin/dash', busy: '/bin/busybox-sh' }
let sshd: TestSshd
let pool: SshPool

beforeAll(async () => {
  sshd = await startSshd({
    users: Object.entries(shells).map(([name, shell]) => ({ name, shell })),
    prepare: [
      'printf "#!/bin/busybox sh\\nexec /bin/busybox sh \\"\\$@\\"\\n" > /bin/busybox-sh; chmod 755 /bin/busybox-sh; echo /bin/busybox-sh >> /etc/shells',
    ],
  })
  pool = poolFor(sshd, Object.keys(shells))
})
afterAll(async () => {
  await pool.close()
  await sshd.stop()
})

/** The arguments as the program on the host received them. */
async function received(user: string, args: string[]): Promise<string[]> {
  const result = await pool.run(user, { argv: ['printf', '%s\\0', ...args], deadlineMs: 20_000 })
  return Buffer.from(result.stdout).toString('utf8').split('\0').slice(0, -1)
}

const HOSTILE = [
  '',
  ' ',
  "it's",
  '"double"',
  '$(touch /tmp/owned)',
  '`id`',
  '$HOME $PATH $$ $?',
  'a;b|c&d>e<f',
  '*?[a-z]{x,y}~',
  '-rf',
  '--',
  'new\nline',
  'tab\there\r',
  'back\\slash \\\\ \\n',
  "'\\''",
  '!history !!',
  '#comment',
  'ünïcödé 备份 💾',
  '\u2028\ufeff',
  '\x01\x1b[31m\x7f',
  '=cmd',
  '%s%n',
]

describe.each(Object.keys(shells))('through the login shell of %s', (user) => {
  it('hostile arguments arrive unchanged', async () => {
    expect(await received(user, HOSTILE)).toEqual(HOSTILE)
    expect(sshd.exec(['ls', '/tmp'])).not.toContain('owned')
  })

  it('any arguments arrive unchanged', async () => {
    const hostileChar = fc.constantFrom(
      "'",
      '"',
      '\\',
      '$',
      '`',
      '!',
      '\n',
      ' ',
      '*',
      '~',
      '#',
      '-',
      '=',
      ';',
      '&',
      '|',
      '(',
      ')',
      '{',
      '}',
      '<',
      '>',
      '%',
      '\t',
    )
    const argument = fc.oneof(
      fc.string({ unit: 'grapheme' }).map((text) => text.replaceAll('\0', '')),
      fc.string({ unit: hostileChar, maxLength: 12 }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(argument, { minLength: 1, maxLength: 20 }), async (args) => {
        expect(await received(user, args)).toEqual(args)
      }),
      { numRuns: 60 },
    )
  })
})

it('files with hostile names are made and found by exactly that name', async () => {
  const names = HOSTILE.filter((name) => name !== '' && !name.includes('/'))
  await pool.run('bashful', { argv: ['mkdir', '-p', '/tmp/names'], deadlineMs: 9000 })
  for (const name of names) await pool.run('bashful', { argv: ['touch', '--', `/tmp/names/${name}`], deadlineMs: 9000 })
  const found = await pool.run('bashful', { argv: ['find', '/tmp/names', '-type', 'f', '-printf', '%f\\0'], deadlineMs: 9000 })
  expect(found.stdoutText.split('\0').slice(0, -1).sort()).toEqual([...names].sort())
})

it('an argument with NUL is refused', () => {
  expect(() => quoteArgv(['echo', 'a\0b'])).toThrow(TypeError)
})
