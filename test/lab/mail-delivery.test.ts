/** The way of a mail against the lab's real Postfix and Dovecot: submitted with TLS and a login, read back over IMAP. */
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { LabHost } from '../../lab/host.js'
import { ACCOUNTS, IMAPS_PORT, MAIL_HOST, SMTPS_PORT, SUBMISSION_PORT } from '../../lab/mail/names.js'
import { type MailboxAccess, wasDelivered } from '../../src/activities/delivery/mailbox.js'
import { type SmtpAccess, SmtpSender } from '../../src/activities/delivery/smtp.js'
import type { OutgoingMail } from '../../src/domain/desk/delivery.js'
import { testLab } from '../support/lab.js'

const [ALERTS, RONNY, PERSONAL] = ACCOUNTS
const lab = await testLab('mail-delivery', { hosts: [MAIL_HOST] })
let server: LabHost
let smtp: SmtpAccess
let mailbox: MailboxAccess
const sender = new SmtpSender((text) => text)

beforeAll(async () => {
  const { config } = lab.paths
  server = lab.host(MAIL_HOST)
  const secret = (account: string) => readFileSync(join(config, 'secrets', account), 'utf8').trim()
  const authority = readFileSync(join(config, 'keys', 'mail-authority.crt'), 'utf8')
  smtp = { server: server.address, port: SMTPS_PORT, security: 'tls', authority, username: ALERTS, password: secret(ALERTS) }
  mailbox = { address: RONNY, server: server.address, port: IMAPS_PORT, username: RONNY, password: secret(RONNY), authority, folders: ['INBOX', 'Junk'] }
})

afterAll(async () => {
  sender.close()
  await staged({})
})

/** What the mail server answers on purpose; also forgets how much it took in the last hour. */
async function staged(settings: object): Promise<void> {
  await server.exec(['sh', '-c', 'cat > /etc/nightshift-lab/mail.json; rm -f /var/lib/nightshift-lab/mail/hour-* /var/lib/nightshift-lab/mail/answer-*'], {
    stdin: JSON.stringify(settings),
  })
}

function mail(change: Partial<OutgoingMail> = {}): OutgoingMail {
  const to = change.to ?? [RONNY]
  return {
    messageId: `<${randomUUID()}@nightshift.spine.ronny.works>`,
    inReplyTo: null,
    references: [],
    from: ALERTS,
    to,
    deliverTo: to,
    subject: 'Test of the way',
    text: 'Nothing is wrong.\n',
    headers: { 'Auto-Submitted': 'auto-generated' },
    date: new Date().toISOString(),
    ...change,
  }
}

const ask = (message: OutgoingMail, waitSeconds: number, access = mailbox) =>
  wasDelivered(access, { messageId: message.messageId, since: message.date, recipients: message.to, waitSeconds }, (text) => text)

it('a mail over 465 is in the mailbox, and is found there by its Message-ID', async () => {
  const message = mail()
  expect(await sender.send(smtp, message)).toMatchObject({ outcome: 'sent', code: 250 })
  expect(await ask(message, 30)).toMatchObject({ answer: 'yes', why: null })
})

it('and over 587 with STARTTLS', async () => {
  const message = mail()
  expect((await sender.send({ ...smtp, port: SUBMISSION_PORT, security: 'starttls' }, message)).outcome).toBe('sent')
  expect((await ask(message, 30)).answer).toBe('yes')
})

it('a mail that was never sent is not found, however many others arrived', async () => {
  expect(await ask(mail(), 1)).toMatchObject({ answer: 'no', arrivedAt: null })
})

describe('what a default Stalwart refuses', () => {
  it('a sender that is not the account, and the null sender: 501, for good', async () => {
    for (const from of ['other@spine.ronny.works', '']) {
      expect(await sender.send(smtp, mail({ from }))).toMatchObject({ outcome: 'refused', code: 501 })
    }
  })

  it('the 26th message of an hour to one recipient: 451, for now', async () => {
    await staged({ per_hour: 2 })
    for (const expected of ['sent', 'sent', 'deferred']) expect((await sender.send(smtp, mail())).outcome).toBe(expected)
    await staged({})
  })

  it('one of two recipients, full for now: partial', async () => {
    await staged({ answers: [{ recipient: 'personal', text: '452 4.2.2 mailbox full' }] })
    const result = await sender.send(smtp, mail({ to: [RONNY, PERSONAL] }))
    expect(result.outcome).toBe('partial')
    expect(result.perRecipient.map(({ outcome, code }) => [outcome, code])).toEqual([
      ['accepted', 250],
      ['deferred', 452],
    ])
    await staged({})
  })
})

describe('a mailbox that cannot tell says why', () => {
  it('wrong password', async () => {
    const answer = await ask(mail(), 1, { ...mailbox, password: 'wrong' })
    expect(answer).toMatchObject({ answer: 'cannot_tell' })
    expect(answer.why).toContain('refused the login')
  })

  it('not one of the recipients', async () => {
    expect(await ask(mail({ to: [PERSONAL] }), 1)).toMatchObject({ answer: 'cannot_tell' })
  })

  it('an authority that is not trusted', async () => {
    expect(await ask(mail(), 1, { ...mailbox, authority: undefined })).toMatchObject({ answer: 'cannot_tell' })
  })

  it('nobody listens', async () => {
    expect(await ask(mail(), 1, { ...mailbox, port: 994 })).toMatchObject({ answer: 'cannot_tell' })
  })
})
