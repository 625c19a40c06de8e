/** Hours of the desk whose every attempt goes to a real SMTP server, or finds none: what it decides and what the server says meet as they do in a run. */
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { type SmtpAccess, SmtpSender } from '../../../src/activities/delivery/smtp.js'
import { foldOutbox } from '../../../src/domain/desk/fold.js'
import { nextSend, settleSend } from '../../../src/domain/desk/outbox.js'
import type { DeskFinding } from '../../../src/domain/desk/report.js'
import { tick } from '../../../src/domain/desk/review.js'
import { anyFreePort } from '../../../src/temporal/ports.js'
import { type Answers, answer, makeCertificates, startSmtpServer, type TestCertificates, type TestSmtpServer } from '../../support/smtp-server.js'
import { finding, PASS_MS, Story } from './story.js'

const A = finding('shop/target/vm-204')
const sender = new SmtpSender((text) => text)
let certificates: TestCertificates
let access: SmtpAccess
let server: TestSmtpServer | undefined
let subjects: string[]
let story: Story

beforeAll(() => {
  certificates = makeCertificates()
})
beforeEach(async () => {
  const port = await anyFreePort()
  access = { server: '127.0.0.1', port, security: 'tls', authority: certificates.authority, username: 'alerts@spine.test', password: 'right' }
  story = new Story()
  subjects = []
  await serve({})
  await pass([])
})
afterEach(() => serve(null))

/** @param answers null: nobody listens any more */
async function serve(answers: Answers | null): Promise<void> {
  subjects = received(/./)
  sender.close()
  await server?.close()
  server = answers === null ? undefined : await startSmtpServer(certificates.good, answers, access.port)
}

/** Subjects of everything that was ever taken, in order. */
function received(about: RegExp): string[] {
  const subjectOf = (text: string) => /^Subject: (.*(?:\r\n[ \t].*)*)/m.exec(text)?.[1]?.replace(/\r\n[ \t]+/g, ' ') ?? ''
  return [...subjects, ...(server?.received.map(({ text }) => subjectOf(text)) ?? [])].filter((subject) => about.test(subject))
}

/** A report, then each minute what the desk's run does: what is due is tried. */
async function pass(findings: readonly DeskFinding[]): Promise<void> {
  story.take(story.report(findings))
  for (const end = story.nowMs + PASS_MS; story.nowMs < end; story.nowMs += 60_000) {
    story.state = foldOutbox(tick(story.state, story.nowMs).state, story.nowMs)
    for (let next = nextSend(story.state, story.nowMs); next.kind === 'send'; next = nextSend(story.state, story.nowMs)) {
      const result = await sender.send(access, { ...next.entry.mail, deliverTo: next.deliverTo })
      story.state = settleSend(story.state, next.entry.mail.messageId, next.deliverTo, result, story.nowMs)
    }
  }
}
const notices = () => story.state.notices.map(({ title }) => title)

it.each([421, 450, 451, 452])('a server that answers %i for an hour: the message is there once afterwards', async (code) => {
  await serve({ onRcptTo: (_address, _session, done) => done(answer(code, 'not now')) })
  for (let each = 0; each < 6; each++) await pass([A])
  expect(received(/vm-204/)).toEqual([])
  await serve({})
  for (let each = 0; each < 3; each++) await pass([A])
  expect(received(/vm-204/)).toHaveLength(1)
})

it.each([530, 550, 552, 554])('a server that refuses with %i: the message goes by the second channel, once, and the end of it is mailed', async (code) => {
  await serve({ onRcptTo: (_address, _session, done) => done(answer(code, 'never')) })
  for (let each = 0; each < 6; each++) await pass([A])
  expect(notices().filter((title) => title.includes('vm-204'))).toHaveLength(1)
  expect(notices()).toContain('[nightshift test] no mail: recipient refused')
  await serve({})
  for (let each = 0; each < 3; each++) await pass([])
  expect(received(/RECOVERED/).length).toBeGreaterThan(0)
})

it('a wrong password (535): nothing is lost, it is tried once an hour, and the second channel says so at once', async () => {
  access = { ...access, password: 'wrong' }
  await pass([A])
  expect(notices()).toEqual(['[nightshift test] no mail: mail refused'])
  const tried = server?.connections() ?? 0
  for (let each = 0; each < 24; each++) await pass([A])
  expect((server?.connections() ?? 0) - tried).toBeLessThanOrEqual(4)
  access = { ...access, password: 'right' }
  for (let each = 0; each < 7; each++) await pass([A])
  expect(received(/vm-204/)).toHaveLength(1)
})
