import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { composed, type SmtpAccess, SmtpSender } from '../../../../src/activities/delivery/smtp.js'
import type { OutgoingMail } from '../../../../src/domain/desk/delivery.js'
import { type Answers, answer, makeCertificates, startSmtpServer, type TestCertificates, type TestSmtpServer } from '../../../support/smtp-server.js'

let certificates: TestCertificates
const servers: TestSmtpServer[] = []
const senders: SmtpSender[] = []

beforeAll(() => {
  certificates = makeCertificates()
})

afterEach(async () => {
  for (const sender of senders.splice(0)) sender.close()
  for (const server of servers.splice(0)) await server.close()
})

const MAIL: OutgoingMail = {
  messageId: '<incident-1.step-1@nightshift.example.org>',
  inReplyTo: null,
  references: [],
  from: 'alerts@example.org',
  to: ['ronny@example.org', 'second@example.org', 'third@example.org'],
  deliverTo: ['ronny@example.org', 'second@example.org', 'third@example.org'],
  subject: 'vm-204 hat seit Mittwoch keine Sicherung – zwei Nächte',
  text: 'Line one\n.a line that begins with a dot\nÜber alles\n',
  headers: { 'Auto-Submitted': 'auto-generated', 'X-Nightshift-Incident': 'ab12cd34' },
  date: '2026-02-12T08:30:00.000Z',
}

function access(port: number, change: Partial<SmtpAccess> = {}): SmtpAccess {
  return { server: '127.0.0.1', port, security: 'tls', authority: certificates.authority, username: 'alerts@example.org', password: 'right', ...change }
}

async function send(answers: Answers = {}, change: Partial<SmtpAccess> = {}, mail: OutgoingMail = MAIL, certificate = certificates.good) {
  const server = await startSmtpServer(certificate, answers)
  servers.push(server)
  const sender = new SmtpSender((text) => text)
  senders.push(sender)
  return { result: await sender.send(access(server.port, change), mail), server, sender }
}

const onRcpt = (code: number, text: string): Answers => ({ onRcptTo: (_address, _session, done) => done(answer(code, text)) })

describe('a message that is taken', () => {
  it('arrives whole, with our Message-ID, date and headers, and every recipient is told as accepted', async () => {
    const { result, server } = await send()
    expect(result).toMatchObject({ outcome: 'sent', stage: 'done', code: 250, server: `127.0.0.1:${server.port}` })
    expect(result.perRecipient.map((each) => each.outcome)).toEqual(['accepted', 'accepted', 'accepted'])
    const [received] = server.received
    expect(received?.from).toBe('alerts@example.org')
    expect(received?.text).toContain('Message-ID: <incident-1.step-1@nightshift.example.org>')
    expect(received?.text).toContain('Date: Thu, 12 Feb 2026 08:30:00 +0000')
    expect(received?.text).toContain('Auto-Submitted: auto-generated')
    expect(received?.text).toContain('\r\n.a line that begins with a dot')
  })

  it('has the same bytes in every attempt', async () => {
    expect(await composed(MAIL)).toEqual(await composed({ ...MAIL, deliverTo: ['ronny@example.org'] }))
  })

  it('goes over the connection of the one before, and over a new one after ten', async () => {
    const { server, sender } = await send()
    for (let number = 2; number <= 10; number += 1) await sender.send(access(server.port), MAIL)
    expect(server.connections()).toBe(1)
    expect((await sender.send(access(server.port), MAIL)).outcome).toBe('sent')
    expect(server.connections()).toBe(2)
    expect(server.received).toHaveLength(11)
  })

  it('goes over STARTTLS too', async () => {
    const { result } = await send({ secure: false }, { security: 'starttls' })
    expect(result.outcome).toBe('sent')
  })
})

describe('a server that refuses for now: deferred, with its code', () => {
  it.each([
    [450, '4.2.1 mailbox busy'],
    [451, '4.7.1 greylisted, try again later'],
    [452, '4.4.5 Rate limit exceeded, try again later.'],
  ])('%i at the recipients', async (code, text) => {
    const { result } = await send(onRcpt(code, text))
    expect(result).toMatchObject({ outcome: 'deferred', stage: 'recipients', code })
    expect(result.reply).toContain(text)
    expect(result.perRecipient).toHaveLength(3)
    expect(result.perRecipient.every((each) => each.outcome === 'deferred')).toBe(true)
  })

  it('421 at the recipients: the server ends the session', async () => {
    const { result } = await send(onRcpt(421, '4.3.2 shutting down'))
    expect(result).toMatchObject({ outcome: 'deferred', code: 421 })
  })

  it('451 at the end of the message', async () => {
    const { result, server } = await send({ afterData: answer(451, '4.3.0 try again') })
    expect(result).toMatchObject({ outcome: 'deferred', stage: 'data', code: 451 })
    expect(server.received).toHaveLength(0)
  })

  it('421 instead of a greeting', async () => {
    const { result } = await send({ onConnect: (_session, done) => done(answer(421, '4.7.0 too many connections')) })
    expect(result).toMatchObject({ outcome: 'deferred', stage: 'connect', code: 421 })
  })
})

describe('a server that refuses for good: refused, with its code', () => {
  it.each([
    [530, '5.7.0 Authentication required'],
    [550, '5.1.2 Relay not allowed.'],
    [552, '5.2.2 mailbox full'],
  ])('%i at the recipients', async (code, text) => {
    const { result } = await send(onRcpt(code, text))
    expect(result).toMatchObject({ outcome: 'refused', stage: 'recipients', code })
    expect(result.perRecipient.every((each) => each.outcome === 'refused' && each.code === code)).toBe(true)
  })

  it('501 for a sender that is not ours', async () => {
    const { result } = await send({ onMailFrom: (_address, _session, done) => done(answer(501, '5.5.4 You are not allowed to send from this address.')) })
    expect(result).toMatchObject({ outcome: 'refused', stage: 'sender', code: 501 })
  })

  it('535 for a wrong password, which is nowhere in the answer', async () => {
    const { result } = await send({}, { password: 'wrong-and-secret' })
    expect(result).toMatchObject({ outcome: 'refused', stage: 'auth', code: 535 })
    expect(JSON.stringify(result)).not.toContain('wrong-and-secret')
  })

  it('554 at the end of the message', async () => {
    const { result } = await send({ afterData: answer(554, '5.7.1 looks like spam') })
    expect(result).toMatchObject({ outcome: 'refused', stage: 'data', code: 554 })
  })
})

describe('TLS that is not what it should be is refused, and no password is sent', () => {
  it.each([
    ['an expired certificate', () => certificates.expired],
    ['a certificate of another name', () => certificates.forAnotherName],
  ])('%s', async (_name, certificate) => {
    let asked = false
    const onAuth: Answers['onAuth'] = (_auth, _session, done) => {
      asked = true
      done(null, { user: 'x' })
    }
    const { result } = await send({ onAuth }, {}, MAIL, certificate())
    expect(result).toMatchObject({ outcome: 'refused', stage: 'tls' })
    expect(asked).toBe(false)
  })

  it('an authority that nobody trusts', async () => {
    const { result } = await send({}, { authority: undefined })
    expect(result).toMatchObject({ outcome: 'refused', stage: 'tls' })
  })

  it('STARTTLS that somebody stripped', async () => {
    const { result } = await send({ secure: false, hideSTARTTLS: true, disabledCommands: ['STARTTLS'] }, { security: 'starttls' })
    expect(result).toMatchObject({ outcome: 'refused', stage: 'tls' })
  })
})

describe('a lost answer', () => {
  it('after the whole message is unknown: it may have been taken', async () => {
    const { result, server } = await send({ afterData: 'drop' })
    expect(server.received).toHaveLength(1)
    expect(result).toMatchObject({ outcome: 'unknown', stage: 'data', code: null })
  })

  it('before the message is deferred: it was not taken', async () => {
    const { result, server } = await send({ dropsAtSender: true })
    expect(result).toMatchObject({ outcome: 'deferred', code: null })
    expect(server.received).toHaveLength(0)
  })

  it('from a port where nobody listens is deferred', async () => {
    const { server, sender } = await send()
    await server.close()
    servers.splice(0)
    sender.close()
    expect(await sender.send(access(server.port), MAIL)).toMatchObject({ outcome: 'deferred', stage: 'connect', code: null })
  })
})

it('one of three recipients refused: partial, and each is told by itself', async () => {
  const { result, server } = await send({
    onRcptTo: (address, _session, done) => (address.address.startsWith('second') ? done(answer(550, '5.1.1 no such user')) : done()),
  })
  expect(result.outcome).toBe('partial')
  expect(result.perRecipient.map(({ address, outcome, code }) => [address, outcome, code])).toEqual([
    ['ronny@example.org', 'accepted', 250],
    ['second@example.org', 'refused', 550],
    ['third@example.org', 'accepted', 250],
  ])
  expect(server.received[0]?.to).toEqual(['ronny@example.org', 'third@example.org'])
})

it('an encoded word in a name is shown as it stands, not as what is encoded in it', async () => {
  const { server } = await send({}, {}, { ...MAIL, subject: 'vm =?utf-8?Q?=0D=0ABcc:_thief?= b', headers: { 'X-Nightshift-Subject': 'a =?utf-8?Q?b?= c' } })
  const [head = ''] = (server.received[0]?.text ?? '').split('\r\n\r\n')
  expect(head).not.toContain('=?utf-8?')
  expect(head).toMatch(/^Subject: vm = \?utf-8\?Q\?/m)
})

it('header values and a subject with line breaks cannot become headers of their own', async () => {
  const mail = { ...MAIL, subject: 'a\r\nBcc: thief@example.net', headers: { 'X-Nightshift-Target': 'vm\r\nBcc: thief@example.net' } }
  const { server } = await send({}, {}, mail)
  const [head = ''] = (server.received[0]?.text ?? '').split('\r\n\r\n')
  expect(head).not.toMatch(/^Bcc:/m)
})
