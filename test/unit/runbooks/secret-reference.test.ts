/** References to secrets: written in files, resolved late, and never repeated in an error. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { isSecretKey, parseSecretReference, resolveSecret } from '../../../src/runbooks/index.js'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nightshift-secret-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

function putSecret(name: string, content: string, mode = 0o600): void {
  writeFileSync(join(folder, name), content)
  chmodSync(join(folder, name), mode)
}

describe('a secret reference', () => {
  test('names a variable, a file beside the runbooks, in the home folder, or anywhere', () => {
    expect(parseSecretReference('env:SMTP_PASSWORD', '/cfg')).toEqual({ kind: 'env', name: 'SMTP_PASSWORD' })
    expect(parseSecretReference('file:secrets/smtp', '/cfg')).toEqual({ kind: 'file', path: '/cfg/secrets/smtp' })
    expect(parseSecretReference('file:~/smtp', '/cfg')).toEqual({ kind: 'file', path: join(homedir(), 'smtp') })
    expect(parseSecretReference('file:/run/secrets/smtp', '/cfg')).toEqual({ kind: 'file', path: '/run/secrets/smtp' })
  })

  test('that is none is refused without being repeated: it may be the secret', () => {
    for (const text of ['hunter2', 'env:', 'env:A B', 'file:', 'file:a\0b', 'ENV:X']) {
      expect(() => parseSecretReference(text, '/cfg'), text).toThrow(/write env:NAME or file:PATH/)
      if (text === 'hunter2') expect(() => parseSecretReference(text, '/cfg')).not.toThrow(/hunter2/)
    }
  })

  test('gives the secret without the line end of its file', async () => {
    putSecret('smtp', 'hunter2\n')
    expect(await resolveSecret('file:smtp', folder)).toBe('hunter2')
    expect(await resolveSecret('env:SMTP', folder, { SMTP: 'hunter3' })).toBe('hunter3')
  })

  test('says what is wrong and what to do, never what was found', async () => {
    putSecret('open', 'hunter2', 0o644)
    putSecret('empty', '\n')
    await expect(resolveSecret('file:open', folder)).rejects.toThrow(`the secret file:open may be read by other users: run: chmod 600 ${join(folder, 'open')}`)
    await expect(resolveSecret('file:empty', folder)).rejects.toThrow('the secret file:empty is empty')
    await expect(resolveSecret('file:nowhere', folder)).rejects.toThrow('the secret file:nowhere cannot be read (ENOENT)')
    await expect(resolveSecret('file:.', folder)).rejects.toThrow('the secret file:. is no file')
    await expect(resolveSecret('env:SMTP', folder, {})).rejects.toThrow('the secret env:SMTP is not set: set the environment variable SMTP for the worker')
  })
})

test('keys that hold secrets are known by their names', () => {
  for (const key of ['password', 'smtp_password', 'client-secret', 'api_token', 'apikey', 'api_key', 'passphrase', 'PASSWORD'])
    expect(isSecretKey(key), key).toBe(true)
  for (const key of ['password_file', 'secretary', 'tokens', 'secrets', 'signing_key', 'keyboard']) expect(isSecretKey(key), key).toBe(false)
})
