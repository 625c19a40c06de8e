import { describe, expect, it } from 'vitest'
import { makeRedact, redactDeep } from '../../../src/domain/redact.js'

const redact = makeRedact()

describe('what looks like a credential never gets through', () => {
  it.each([
    ['password=hunter2-and-more', 'hunter2'],
    ['DB_PASSWORD: "s3cr3t with spaces"', 's3cr3t'],
    ["passphrase='open sesame'", 'sesame'],
    ['{"api_key":"abcd1234","ok":1}', 'abcd1234'],
    ['curl --token tok-99887766 https://x', 'tok-99887766'],
    ['Authorization: Bearer abc.def-ghi', 'abc.def-ghi'],
    ['postgres://app:pa55w0rd@db:5432/x', 'pa55w0rd'],
    ['password: env:hunter2-and-more', 'hunter2'],
    ['PVEAPIToken=root@pam!mon=aaaa-bbbb', 'aaaa-bbbb'],
    ['-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n-----END OPENSSH PRIVATE KEY-----', 'b3BlbnNza'],
    ['-----BEGIN RSA PRIVATE KEY-----\nMIIEcut-off-in-the-middle', 'MIIEcut'],
    ['key eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln', 'eyJzdWIi'],
  ])('%s', (text, secret) => {
    expect(redact(text)).not.toContain(secret)
  })

  it('takes out the known values of this estate wherever they stand, and names them', () => {
    const known = makeRedact([{ name: 'smtp password', value: 'correct horse battery' }])
    expect(known('535 bad login: correct horse battery (try again)')).toBe('535 bad login: [redacted smtp password] (try again)')
  })

  it('goes into nested results and leaves keys, numbers and structure alone', () => {
    expect(redactDeep({ a: ['token=abcdef', 1, null], 'password=x': true }, redact)).toEqual({ a: ['token=[redacted]', 1, null], 'password=x': true })
  })
})

describe('what is no credential stays readable', () => {
  it.each([
    'host key SHA256:abcDEF0123 is not the one in known_hosts',
    'relay.example:465 nightshift:{{secret:env:MAIL_PASSWORD}}',
    'password: file:/etc/nightshift/mail.secret',
    '{"password":"env:MAIL_PASSWORD"}',
    'monitor pass 7 of 9: ok',
    'vzdump-qemu-204-2026_02_12-02_00_04.vma.zst is 26 h 0 min 1 s old',
    'UPID:pve:0000C36E:0015B001:6AFFD55C:vzdump::root@pam:',
    'ssh: connect to host 10.1.2.3 port 22: Connection refused',
    'ERROR: Backup of VM 103 failed - Permission denied',
  ])('%s', (text) => {
    expect(redact(text)).toBe(text)
  })
})
