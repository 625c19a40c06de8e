import { describe, expect, it } from 'vitest'
import { sendCanary } from '../../../src/domain/desk/canary.js'
import type { DeliveredAnswer, SendResult } from '../../../src/domain/desk/delivery.js'
import { foldOutbox } from '../../../src/domain/desk/fold.js'
import { nextNotice, nextSend, settleAsked, settleNotice, settleSend } from '../../../src/domain/desk/outbox.js'
import { tick } from '../../../src/domain/desk/review.js'
import { CONTRACT, finding, HOUR_MS, SENT, START_MS, Story } from './story.js'

const MINUTE_MS = 60_000
const TO = ['ops@spine.test', 'boss@spine.test', 'night@spine.test']
const contract = { ...CONTRACT, defaultRoute: { recipients: TO, repeatHours: 24 }, rules: [] }

/** A desk whose mails nobody has sent yet: one for each finding, each of a site of its own. */
function waiting(count: number, change: Partial<typeof CONTRACT> = {}): Story {
  const story = new Story()
  story.contract = { ...contract, ...change }
  story.take(story.report([]))
  for (let index = 0; index < count; index++) {
    story.nowMs += 1000
    story.take(story.report(Array.from({ length: index + 1 }, (_, each) => finding(`site${each}/target/t${each}`))))
  }
  return story
}

const answer = (
  outcome: SendResult['outcome'],
  stage: SendResult['stage'],
  code: number | null,
  perRecipient: SendResult['perRecipient'] = [],
): SendResult => ({
  ...SENT,
  outcome,
  stage,
  code,
  reply: `${code ?? ''} said the server`.trim(),
  perRecipient,
})
const each = (address: string, outcome: 'accepted' | 'refused' | 'deferred', code: number) => ({ address, outcome, code, reply: `${code} ${address}` })

/** One attempt with what is next. @returns what was sent to whom, or undefined when nothing is due */
function attempt(story: Story, result: SendResult): { name: string | undefined; to: readonly string[] } | undefined {
  const next = nextSend(story.state, story.nowMs)
  if (next.kind !== 'send') return undefined
  story.state = settleSend(story.state, next.entry.mail.messageId, next.deliverTo, result, story.nowMs)
  return { name: /t\d+/.exec(next.entry.mail.subject)?.[0], to: next.deliverTo }
}

const mailbox = (told: DeliveredAnswer['answer']): DeliveredAnswer => ({
  answer: told,
  arrivedAt: null,
  mailbox: 'INBOX',
  why: told === 'cannot_tell' ? 'login refused' : null,
  latencyMs: 1,
})

describe('the order of messages', () => {
  it.each([
    [421, 'connect'],
    [450, 'recipients'],
    [451, 'data'],
    [452, 'sender'],
  ] as const)('is kept after %i: the same message is tried again, later each time, and nothing overtakes it', (code, stage) => {
    const story = waiting(2)
    const waits: number[] = []
    for (let tries = 0; tries < 5; tries++) {
      expect(attempt(story, answer('deferred', stage, code))).toEqual({ name: 't0', to: TO })
      expect(attempt(story, SENT), 'nothing is sent meanwhile').toBeUndefined()
      const next = nextSend(story.state, story.nowMs)
      const untilMs = next.kind === 'wait' ? (next.untilMs ?? 0) : 0
      waits.push(Math.round((untilMs - story.nowMs) / MINUTE_MS))
      story.nowMs = untilMs
    }
    expect(waits).toEqual([1, 2, 5, 10, 15])
    expect([attempt(story, SENT)?.name, attempt(story, SENT)?.name]).toEqual(['t0', 't1'])
    expect(story.state.outbox).toEqual([])
  })

  it('holds back only the recipient that is not ready', () => {
    const story = waiting(2)
    const partial = answer('partial', 'data', 250, [each(TO[0] ?? '', 'accepted', 250), each(TO[1] ?? '', 'deferred', 451), each(TO[2] ?? '', 'accepted', 250)])
    expect(attempt(story, partial)?.name).toBe('t0')
    expect(attempt(story, SENT)).toEqual({ name: 't1', to: [TO[0], TO[2]] })
    expect(attempt(story, SENT)).toBeUndefined()
    story.nowMs += MINUTE_MS
    expect(attempt(story, SENT)).toEqual({ name: 't0', to: [TO[1]] })
    expect(attempt(story, SENT)).toEqual({ name: 't1', to: [TO[1]] })
    expect(story.state.outbox).toEqual([])
  })
})

describe('refusals', () => {
  it.each([550, 552, 554])(
    'of the message (%i) send it by the second channel and open a delivery incident, which ends when the server takes one again',
    (code) => {
      const story = waiting(2)
      attempt(story, answer('refused', 'data', code))
      story.wait(1)
      expect(story.state.notices.map(({ title }) => title)).toEqual([
        '[nightshift test/site0] CRITICAL t0: stale',
        ...TO.map(() => '[nightshift test] no mail: recipient refused'),
      ])
      expect(story.state.outbox.map(({ mail }) => mail.subject).some((subject) => subject.includes('t0'))).toBe(false)
      story.nowMs += MINUTE_MS
      story.wait(1)
      expect(Object.values(story.state.incidents).filter(({ condition }) => condition === 'delivery')).toEqual([])
      expect(story.subjects().filter((subject) => subject.includes('is taken again'))).toHaveLength(3)
    },
  )

  it('of one of three recipients leave the other two served, once', () => {
    const story = waiting(1)
    attempt(story, answer('partial', 'data', 250, [each(TO[0] ?? '', 'accepted', 250), each(TO[1] ?? '', 'refused', 550), each(TO[2] ?? '', 'accepted', 250)]))
    expect(story.state.outbox).toEqual([])
    story.wait(1)
    expect(Object.keys(story.state.incidents)).toContain('test/delivery/boss@spine.test delivery')
    expect(story.state.notices).toHaveLength(2)
  })

  it('without a second channel keep the message, and let others pass it', () => {
    const story = waiting(2, { hasSecondChannel: false })
    attempt(story, answer('refused', 'recipients', 550))
    expect(attempt(story, SENT)?.name).toBe('t1')
    expect(story.state.outbox.map(({ isRefused }) => isRefused)).toEqual([true])
    story.nowMs += HOUR_MS
    expect(attempt(story, SENT)?.name).toBe('t0')
  })

  it.each([
    ['auth', 535, 60],
    ['auth', 530, 60],
    ['tls', null, 15],
    ['configuration', null, 15],
  ] as const)('of the whole way (%s %s) keep every message, try seldom, and say so at once by the second channel', (stage, code, minutes) => {
    const story = waiting(3)
    attempt(story, answer('refused', stage, code))
    story.wait(1)
    expect(story.state.notices.map(({ title }) => title)).toEqual(['[nightshift test] no mail: mail refused'])
    expect(story.state.outbox).toHaveLength(3)
    const next = nextSend(story.state, story.nowMs)
    expect(next).toMatchObject({ kind: 'wait' })
    expect(Math.round((((next.kind === 'wait' ? next.untilMs : null) ?? 0) - story.nowMs) / MINUTE_MS)).toBe(minutes)
  })
})

describe('a server that is gone for a day', () => {
  it('is one delivery incident; nothing is lost, and all of it comes in order in few messages', () => {
    const story = waiting(40)
    let tries = 0
    for (let gone = 0; gone < 24 * 60; gone += 5) {
      story.nowMs += 5 * MINUTE_MS
      if (attempt(story, answer('deferred', 'connect', null))) tries += 1
      const findings = Object.values(story.state.incidents).filter(({ scope }) => scope === 'monitor')
      story.take(story.report(findings))
      story.state = foldOutbox(story.state, story.nowMs)
      expect(story.state.outbox.length).toBeLessThanOrEqual(31)
    }
    expect(tries).toBeLessThan(110)
    expect(story.state.notices.filter(({ title }) => title.includes('mail unreachable'))).toHaveLength(1)
    story.nowMs += HOUR_MS
    story.deliver()
    const texts = story.mails.map(({ mail }) => `${mail.subject}\n${mail.text}`).join('\n')
    for (let index = 0; index < 40; index++) expect(texts, `t${index}`).toContain(`CRITICAL t${index}`)
    expect(texts.indexOf('CRITICAL t3:')).toBeLessThan(texts.indexOf('CRITICAL t30:'))
    expect(story.mails.length).toBeLessThan(35)
  })
})

describe('an answer that is lost after DATA', () => {
  it('found in the mailbox: it was sent, and is not sent again', () => {
    const story = waiting(1)
    attempt(story, answer('unknown', 'data', null))
    const next = nextSend(story.state, story.nowMs)
    expect(next.kind).toBe('ask')
    story.state = settleAsked(story.state, next.kind === 'ask' ? next.entry.mail.messageId : '', mailbox('yes'), story.nowMs)
    expect([story.state.outbox, story.state.totals.mails, story.state.totals.duplicatesPossible]).toEqual([[], 1, 0])
  })

  it('found in the mailbox of one of three: the other two, of whom that tells nothing, are sent it once more, and one of them is refused', () => {
    const story = waiting(1)
    const id = story.state.outbox[0]?.mail.messageId ?? ''
    attempt(story, answer('unknown', 'data', null))
    story.state = settleAsked(story.state, id, { ...mailbox('yes'), address: 'Ops@spine.test' }, story.nowMs)
    const [ops, boss, night] = TO as [string, string, string]
    expect(attempt(story, answer('partial', 'done', 250, [each(boss, 'accepted', 250), each(night, 'refused', 550)]))).toEqual({
      name: 't0',
      to: [boss, night],
    })
    expect(story.state.outbox.filter(({ mail }) => mail.messageId === id)).toEqual([])
    expect([Object.keys(story.state.refusals), story.state.notices.map(({ title }) => title.includes('t0'))]).toEqual([[night], [true]])
    expect([story.state.totals.duplicatesPossible, story.state.sent[ops]?.length]).toEqual([1, 1])
  })

  it('not there: it is sent again at once, the same message, and later after a pause', () => {
    const story = waiting(1)
    const id = story.state.outbox[0]?.mail.messageId ?? ''
    for (const pauseMs of [0, MINUTE_MS, 2 * MINUTE_MS]) {
      attempt(story, answer('unknown', 'data', null))
      story.state = settleAsked(story.state, id, mailbox('no'), story.nowMs)
      story.nowMs += pauseMs
      const next = nextSend(story.state, story.nowMs)
      expect(next.kind === 'send' && next.entry.mail.messageId).toBe(id)
    }
  })

  it('nobody can tell: once more and never a third time, and that it may be double is counted', () => {
    const story = waiting(2)
    const id = story.state.outbox[0]?.mail.messageId ?? ''
    let sends = 0
    for (let step = 0; step < 40; step++) {
      const next = nextSend(story.state, story.nowMs)
      if (next.kind === 'send' && next.entry.mail.messageId === id) sends += 1
      if (next.kind === 'send')
        story.state = settleSend(
          story.state,
          next.entry.mail.messageId,
          next.deliverTo,
          next.entry.mail.messageId === id ? answer('unknown', 'data', null) : SENT,
          story.nowMs,
        )
      else if (next.kind === 'ask') story.state = settleAsked(story.state, next.entry.mail.messageId, mailbox('cannot_tell'), story.nowMs)
      else story.nowMs = next.untilMs ?? story.nowMs + HOUR_MS
    }
    expect([sends, story.state.totals.duplicatesPossible]).toEqual([2, 1])
    expect(story.state.outbox.filter(({ mail }) => mail.messageId !== id)).toEqual([])
  })
})

describe('a message of which nobody can ever tell', () => {
  const bothAnswersLost = (change: Partial<typeof CONTRACT> = {}): Story => {
    const story = waiting(1, change)
    for (let gone = 0; gone < 26 && story.state.outbox.length > 0; ) {
      const next = nextSend(story.state, story.nowMs)
      if (next.kind === 'send') attempt(story, answer('unknown', 'data', null))
      else if (next.kind === 'ask') story.state = settleAsked(story.state, next.entry.mail.messageId, mailbox('cannot_tell'), story.nowMs)
      else {
        story.nowMs = next.untilMs ?? story.nowMs
        gone = (story.nowMs - START_MS) / HOUR_MS
      }
    }
    const step = tick(story.state, story.nowMs)
    story.state = step.state
    return story
  }

  it('is given up after a day, goes by the second channel, and is an incident until mail is known to arrive again', () => {
    const story = bothAnswersLost()
    expect(story.state.outbox.filter(({ mail }) => mail.subject.includes('t0') && mail.inReplyTo === null && mail.references.length === 0)).toEqual([])
    expect(story.state.notices.map(({ title }) => title)).toEqual(
      expect.arrayContaining([expect.stringContaining('t0'), '[nightshift test] no mail: unconfirmed']),
    )
    expect(story.state.notices.find(({ title }) => title.includes('t0'))?.text).toContain('nobody can tell whether it arrived: login refused')
    expect(Object.values(story.state.incidents).map(({ subject, severity }) => [subject, severity])).toContainEqual(['test/delivery/unconfirmed', 'critical'])
    story.nowMs += 600_000
    story.take(story.report([]))
    story.deliver().wait(1000)
    expect(story.subjects().at(-1)).toMatch(/RECOVERED mail goes out again/)
    expect(story.mails.at(-1)?.mail.text).toContain('site0')
    expect(Object.keys(story.state.incidents)).toEqual([])
    expect(story.state.unconfirmed).toBeNull()
  })

  it('without a second channel stands in the list of incidents, and in the first mail that gets through', () => {
    const story = bothAnswersLost({ hasSecondChannel: false })
    const own = Object.values(story.state.incidents).find(({ subject }) => subject === 'test/delivery/unconfirmed')
    expect(own?.message).toMatch(/Sent twice and given up: .*t0/)
  })
})

describe('the limit of the server', () => {
  it('is kept for each recipient and hour by folding: all is said, in its order', () => {
    const story = waiting(25, { limits: { mailsPerHour: 6, openPerSite: 500 } })
    for (let second = 0; second < 2 * 3600; second += 30) {
      story.nowMs += 30_000
      story.state = foldOutbox(story.state, story.nowMs)
      story.deliver()
    }
    const times = story.mails.map(({ mail }) => mail)
    expect(times.length).toBeLessThanOrEqual(12)
    for (const address of TO)
      expect(Math.max(0, (story.state.sent[address] ?? []).filter((time) => time > story.nowMs - HOUR_MS).length)).toBeLessThanOrEqual(6)
    const texts = story.mails.map(({ mail }) => `${mail.subject}\n${mail.text}`).join('\n')
    for (let index = 0; index < 25; index++) expect(texts, `t${index}`).toContain(`CRITICAL t${index}`)
    expect(story.mails.some(({ kind }) => kind === 'folded')).toBe(true)
  })
})

describe('the second channel', () => {
  it('is tried again until it has taken the notice, with the same id', () => {
    const story = waiting(1)
    attempt(story, answer('refused', 'data', 554))
    const { id } = story.state.notices[0] ?? { id: '' }
    const lost = { outcome: 'unknown', status: null, reply: 'timed out', latencyMs: 1 } as const
    story.state = settleNotice(story.state, id, lost, story.nowMs)
    expect(nextNotice(story.state, story.nowMs)).toMatchObject({ kind: 'send', notice: { id } })
    story.state = settleNotice(story.state, id, lost, story.nowMs)
    expect(nextNotice(story.state, story.nowMs)).toMatchObject({ kind: 'wait', untilMs: story.nowMs + 2 * MINUTE_MS })
    story.nowMs += 2 * MINUTE_MS
    expect(nextNotice(story.state, story.nowMs)).toMatchObject({ kind: 'send', notice: { id } })
    story.state = settleNotice(story.state, id, { outcome: 'sent', status: 200, reply: 'ok', latencyMs: 1 }, story.nowMs)
    expect(story.state.notices).toEqual([])
  })

  const webhook = (outcome: 'sent' | 'refused' | 'deferred', reply: string) => ({ outcome, status: outcome === 'sent' ? 200 : 403, reply, latencyMs: 1 })
  /** The desk after the weekly canary, and what its test of the second channel is called. */
  function tested(change: Partial<typeof CONTRACT> = {}): { story: Story; id: string } {
    const story = waiting(0, change)
    story.state = sendCanary(story.state, story.nowMs).state
    return { story, id: story.state.notices[0]?.id ?? '' }
  }

  it('is tested with every canary by a notice of its own, and what came of it is kept', () => {
    const { story, id } = tested()
    expect(story.state.notices.map(({ title }) => title)).toEqual(['[nightshift test] test of the second channel'])
    expect(story.state.secondChannel).toMatchObject({ state: 'waiting', settledAtMs: null })
    story.state = settleNotice(story.state, id, webhook('sent', 'ok'), story.nowMs)
    expect(story.state.secondChannel).toMatchObject({ state: 'taken', settledAtMs: story.nowMs, detail: 'ok' })
    story.deliver().wait(20 * MINUTE_MS)
    expect(Object.values(story.state.incidents)).toEqual([])
  })

  it('is not tested where there is none', () => {
    expect(tested({ hasSecondChannel: false }).story.state.secondChannel).toBeUndefined()
  })

  it('that refuses its test is told by mail, repeated a day later, and its recovery too', () => {
    const { story, id } = tested()
    story.state = settleNotice(story.state, id, webhook('refused', '403 Forbidden'), story.nowMs)
    story.wait(1)
    expect(story.subjects().filter((subject) => subject.includes('second'))).toEqual(['[nightshift test] CRITICAL second-channel: second channel failed'])
    expect(story.mails.at(-1)?.mail.text).toContain('403 Forbidden')
    for (let hour = 0; hour < 25; hour++) {
      story.take(story.report([]))
      story.wait(HOUR_MS)
    }
    expect(story.subjects().filter((subject) => subject.includes('STILL CRITICAL second-channel'))).toHaveLength(1)
    story.state = settleNotice(story.state, id, webhook('sent', 'ok'), story.nowMs)
    story.wait(1)
    expect(
      story
        .subjects()
        .filter((subject) => subject.includes('second-channel'))
        .at(-1),
    ).toMatch(/^Re: \[nightshift test\] RECOVERED second-channel after 25 h/)
    expect(story.state.notices.filter(({ title }) => title.includes('second-channel'))).toEqual([])
  })

  it('that nobody answers for a quarter of an hour is told too, not before', () => {
    const { story, id } = tested()
    story.state = settleNotice(story.state, id, webhook('deferred', 'HTTP 503'), story.nowMs)
    story.wait(14 * MINUTE_MS)
    expect(story.subjects().filter((subject) => subject.includes('second-channel'))).toEqual([])
    story.wait(MINUTE_MS)
    expect(story.subjects().filter((subject) => subject.includes('second-channel'))).toHaveLength(1)
  })
})
