/** The doctor's look at the mail server, against a real SMTP server of the test; the mailbox is tried in the lab. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { checkMail } from '../../../src/cli/doctor/mail.js'
import type { MailServer, RunbookSet } from '../../../src/domain/estate.js'
import { makeCertificates, startSmtpServer, type TestCertificates, type TestSmtpServer } from '../../support/smtp-server.js'
import { runbooks, world } from '../judge/world.js'

let folder: string
let certificates: TestCertificates
let server: TestSmtpServer

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'nightshift-doctor-mail-'))
  certificates = makeCertificates()
  writeFileSync(join(folder, 'ca.pem'), certificates.authority)
  writeFileSync(join(folder, 'other.pem'), makeCertificates().authority)
  writeFileSync(join(folder, 'right'), 'right\n', { mode: 0o600 })
  writeFileSync(join(folder, 'wrong'), 'wrong-password\n', { mode: 0o600 })
  server = await startSmtpServer(certificates.good, {})
})

afterAll(async () => {
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})

function setWith(change: Partial<MailServer>): RunbookSet {
  const set = runbooks(world())
  const mail = {
    server: '127.0.0.1',
    port: server.port,
    security: 'tls',
    caPath: join(folder, 'ca.pem'),
    username: 'alerts@example.org',
    password: `file:${join(folder, 'right')}`,
  } as const
  return { ...set, alerts: { ...set.alerts, mail: { ...mail, ...change } } }
}
const submission = async (change: Partial<MailServer> = {}) => (await checkMail(setWith(change), folder))[0]

describe('the doctor on the mail server', () => {
  it('logs in, sends nothing, and says that no mailbox is named', async () => {
    expect(await submission()).toMatchObject({ name: 'mail server', result: 'ok', message: expect.stringContaining('takes the login of alerts@example.org') })
    expect(server.received).toEqual([])
    expect((await checkMail(setWith({}), folder))[1]).toMatchObject({ name: 'mailbox', result: 'warn', next: expect.stringContaining('mail.mailbox') })
  })

  it.each<[string, () => Partial<MailServer>, RegExp]>([
    ['a wrong password', () => ({ password: `file:${join(folder, 'wrong')}` }), /535|authentication|Invalid/i],
    ['a password that is not there', () => ({ password: `file:${join(folder, 'none')}` }), /none/],
    ['a certificate of nobody that is known', () => ({ caPath: join(folder, 'other.pem') }), /certificate/i],
    ['a server that is not there', () => ({ port: 1 }), /ECONNREFUSED|refused/],
  ])('fails for %s, with the cause, what to mend, and no secret', async (_what, change, cause) => {
    const check = await submission(change())
    expect(check).toMatchObject({ result: 'fail', message: expect.stringMatching(cause), next: expect.stringMatching(/alerts\.yaml|exists/) })
    expect(JSON.stringify(check)).not.toContain('wrong-password')
  })

  it('fails for a mailbox that cannot be read, with where it is', async () => {
    const mailbox = { address: 'r@example.org', server: '127.0.0.1', port: 1, username: 'r', password: `file:${join(folder, 'right')}`, folders: ['INBOX'] }
    expect((await checkMail(setWith({ mailbox }), folder))[1]).toMatchObject({
      result: 'fail',
      message: expect.stringContaining('could not be read'),
      next: expect.stringContaining('127.0.0.1:1, r'),
    })
  })

  it('has nothing to look at where no mail server is named', async () => {
    const { mail: _mail, ...alerts } = setWith({}).alerts
    expect(await checkMail({ ...setWith({}), alerts }, folder)).toEqual([])
  })
})
