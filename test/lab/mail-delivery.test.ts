/** The way of a mail against the lab's real Postfix and Dovecot: submitted with TLS and a login, read back over IMAP. */
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { LabHost } from '../../lab/host.js'
import { ACCOUNTS, IMAPS_PORT, MAIL_HOST, SMTPS_PORT, SUBMISSION_PORT } from '../../lab/mail/names.js'
import { findMessage, type MailboxAccess, reading, wasDelivered } from '../../src/activities/delivery/mailbox.js'
import { type SmtpAccess, SmtpSender } from '../../src/activities/delivery/smtp.js'
import type { OutgoingMail } from '../../src/domain/desk/delivery.js'
import { testLab } from '../support/lab.js'
import { CONTRACT, finding, Story } from '../unit/desk/story.js'

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

describe('names that want to be more than names', () => {
  const NAMES = [
    'a,b; c',
    'a\r\nBcc: personal@example.org\r\n\r\nhello',
    'x\rSubject: other',
    'he said "hi" \\ <b@example.org>',
    'Gr\u00f6\u00dfe \u2013 \u65e5\u672c',
    'x'.repeat(300),
    '\u65e5'.repeat(300),
    '\u{1f600}'.repeat(150),
    '=?utf-8?B?QmNjOiBldmlsQGV4YW1wbGUub3Jn?=',
    'a =?utf-8?Q?=0D=0ABcc:_evil?= b',
    '.',
    'From root Thu Feb 12 2026',
    'a\tb\u0000c\u202ed\u2028e',
    '%0d%0aBcc:%20evil',
  ]
  const told = (name: string): OutgoingMail => {
    const story = new Story()
    story.contract = { ...CONTRACT, sender: ALERTS, defaultRoute: { recipients: [RONNY], repeatHours: 24 }, rules: [] }
    const evil = finding(`shop/guest/pve/${name}`, { condition: 'coverage', reason: 'not_in_any_job', message: `${name}\n.\nFrom x`, next: name })
    const [entry] = story.pass([]).pass([evil]).mails
    if (entry === undefined) throw new Error('nothing was mailed')
    return { ...entry.mail, messageId: `<${randomUUID()}@nightshift.spine.ronny.works>`, date: new Date().toISOString() }
  }

  it('stay in their subject and text, to the one recipient: no header more, no line that is too long, every word as it was', async () => {
    await staged({ per_hour: 1000 })
    const mails = ['plain', ...NAMES].map(told)
    for (const each of mails) expect((await sender.send(smtp, each)).outcome).toBe('sent')
    const last = mails.at(-1)?.messageId ?? ''
    expect((await ask({ ...mail(), messageId: last }, 30)).answer).toBe('yes')
    const arrived = await reading(mailbox, async (client) => {
      const found = []
      for (const { messageId } of mails) {
        const { uid = 0 } = (await findMessage(client, ['INBOX'], messageId, new Date(Date.now() - 600_000))) ?? {}
        const lock = await client.getMailboxLock('INBOX', { readOnly: true })
        const message = await client.fetchOne(String(uid), { envelope: true, source: true }, { uid: true })
        const { content } = await client.download(String(uid), '1', { uid: true })
        found.push({ message: message || undefined, text: Buffer.concat((await content?.toArray()) ?? []).toString('utf8') })
        lock.release()
      }
      return found
    })
    const headersOf = (source: string) => [...(source.split('\r\n\r\n')[0] ?? '').matchAll(/^([^\s:]+):/gm)].map(([, name]) => name)
    const sources = arrived.map(({ message }) => message?.source?.toString('latin1') ?? '')
    for (const [index, { message, text }] of arrived.entries()) {
      const sent = mails[index]
      const envelope = message?.envelope
      expect(envelope?.subject, 'as a mail program shows it').toBe(sent?.subject.replaceAll('=?', '= ?'))
      expect([envelope?.to, envelope?.cc, envelope?.bcc].flatMap((list) => list?.map(({ address }) => address) ?? [])).toEqual([RONNY])
      expect(headersOf(sources[index] ?? ''), sent?.subject).toEqual(headersOf(sources[0] ?? ''))
      expect(text.replaceAll('\r\n', '\n')).toBe(sent?.text)
      expect(Math.max(...(sources[index] ?? '').split('\r\n').map((line) => line.length))).toBeLessThanOrEqual(998)
    }
    const { stdout } = await server.exec(['grep', '-rlF', '--exclude=dovecot*', '--', last, '/var/mail/lab'])
    expect(stdout.trim().split('\n'), 'one copy, for one').toHaveLength(1)
    await staged({})
  })
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
