/** What is more than the server takes in an hour, or waits while it takes nothing: in fewer messages, and none of it is lost. */
import { describe, expect, it } from 'vitest'
import { foldNotices, foldOutbox } from '../../../src/domain/desk/fold.js'
import { nextSend } from '../../../src/domain/desk/outbox.js'
import { tick } from '../../../src/domain/desk/review.js'
import { CONTRACT, finding, HOUR_MS, Story } from './story.js'

const MINUTE_MS = 60_000
const each = (index: number) => finding(`site${index}/target/t${index}`)
const ME = CONTRACT.defaultRoute.recipients[0] ?? ''

/** A desk of a server that takes 25 an hour, its first summary behind it. */
function limited(): Story {
  const story = new Story()
  story.contract = { ...CONTRACT, limits: { mailsPerHour: 20, openPerSite: 500 } }
  return story.pass([])
}

/** A minute after the other: a report, and what may be sent is sent. @returns minutes that each finding waited until a mail named it */
function broken(story: Story, count: number, minutes: number): number[] {
  const waited: number[] = []
  const begun = new Map<number, number>()
  for (let minute = 0; minute < minutes; minute++) {
    story.nowMs += MINUTE_MS
    if (minute < count) begun.set(minute, story.nowMs)
    story.take(story.report(Array.from({ length: Math.min(minute + 1, count) }, (_, index) => each(index))))
    story.state = foldOutbox(story.state, story.nowMs)
    story.deliver()
    for (const { mail } of story.mails.splice(0)) {
      for (const [, index] of mail.text.matchAll(/^CRITICAL t(\d+)$/gm)) waited[Number(index)] ??= (story.nowMs - (begun.get(Number(index)) ?? 0)) / MINUTE_MS
    }
    const lately = (story.state.sent[ME] ?? []).filter((time) => time > story.nowMs - HOUR_MS)
    expect(lately.length, `sent within an hour, minute ${minute}`).toBeLessThanOrEqual(20)
  }
  return waited
}

describe('the limit of an hour', () => {
  it('is never passed, and nobody waits for it longer than twelve minutes: a problem a minute, for three hours', () => {
    const waited = broken(limited(), 180, 200)
    expect(waited.filter((minutes) => minutes === 0).length).toBeGreaterThan(15)
    expect(waited).toHaveLength(180)
    expect(Math.max(...waited)).toBeLessThanOrEqual(12)
  })

  it('is reached without a pause by a run of the desk that began before mails were spread', () => {
    const story = limited()
    for (let index = 0; index < 18; index++) {
      story.nowMs += 1000
      story.take(story.report(Array.from({ length: index + 1 }, (_, at) => each(at))))
      expect(nextSend(story.state, story.nowMs, false).kind, `message ${index}`).toBe('send')
      if (index < 15) story.deliver()
    }
    expect(nextSend(story.state, story.nowMs).kind).toBe('wait')
  })

  it('lets the daily summary keep no problem from being told: they go together, the problem in the subject', () => {
    const story = limited()
    broken(story, 15, 15)
    story.state = { ...story.state, digestDueAtMs: story.nowMs, sent: { [ME]: Array.from({ length: 15 }, () => story.nowMs - MINUTE_MS) } }
    story.state = tick(story.state, story.nowMs).state
    story.take(story.report(Array.from({ length: 16 }, (_, index) => each(index))))
    story.state = foldOutbox(story.state, story.nowMs)
    expect(nextSend(story.state, story.nowMs)).toEqual({ kind: 'wait', untilMs: story.nowMs + 11 * MINUTE_MS })
    story.nowMs += 11 * MINUTE_MS
    const [mail, ...others] = story.deliver().mails.splice(0)
    expect([mail?.mail.subject, others]).toEqual(['[nightshift test] 2 messages in one: CRITICAL t15: stale', []])
    expect(mail?.mail.text).toMatch(/^- .* daily summary: 15 broken.*\n- .* CRITICAL t15: stale\n/m)
  })
})

describe('what was folded', () => {
  it('has each problem before its end, and names what is still wrong in its subject; of what is over it says that', () => {
    const story = limited()
    story.state = { ...story.state, sent: { [ME]: Array.from({ length: 20 }, () => story.nowMs) } }
    const minutes = [[each(1)], [each(1), each(2)], [each(2)]]
    for (const findings of minutes) {
      story.nowMs += MINUTE_MS
      story.take(story.report(findings))
      story.state = foldOutbox(story.state, story.nowMs)
    }
    const [waiting] = story.state.outbox
    expect(waiting?.mail.subject).toBe('[nightshift test] 3 messages in one: CRITICAL t2: stale')
    expect(waiting?.severity).toBe('critical')
    expect(waiting?.mail.text.match(/^- .*$/gm)?.map((line) => line.slice(24))).toEqual(['CRITICAL t1: stale', 'CRITICAL t2: stale', 'RECOVERED t1 after 2 m'])
    story.nowMs += MINUTE_MS
    story.take(story.report([]))
    story.state = foldOutbox(story.state, story.nowMs)
    expect(story.state.outbox.map(({ mail }) => mail.subject)).toEqual(['[nightshift test] 4 messages in one: RECOVERED t2 after 2 m'])
  })

  it('and folded again, day after day: each message is still listed, in its order, and the whole stays small', () => {
    const story = limited()
    story.state = { ...story.state, shut: { untilMs: Number.MAX_SAFE_INTEGER, sinceMs: 0, attempts: 1, isRefusal: false, reply: '' } }
    for (let index = 0; index < 100; index++) {
      story.nowMs += 10 * MINUTE_MS
      story.take(story.report(Array.from({ length: index + 1 }, (_, at) => each(at))))
      story.state = foldOutbox(story.state, story.nowMs)
      expect(story.state.outbox.length).toBeLessThanOrEqual(31)
    }
    expect(JSON.stringify(story.state.outbox).length).toBeLessThan(150_000)
    const texts = story.state.outbox.map(({ mail }) => `${mail.subject}\n${mail.text}`).join('\n')
    const told = [...texts.matchAll(/^(?:- .{20} {2}|\[nightshift \S+\] )CRITICAL t(\d+): stale$/gm)].map(([, index]) => Number(index))
    expect(told).toEqual(Array.from({ length: 100 }, (_, index) => index))
  })

  it('of the second channel lists what each was about and fits what ntfy takes; what is no longer listed is counted', () => {
    const story = limited()
    const notice = (index: number) => ({ id: `n${index}`, title: `[nightshift test] no mail: ${index}`, text: 'x'.repeat(3000), severity: 'critical' as const })
    for (let index = 0; index < 100; index++) {
      const queued = { ...notice(index), queuedAtMs: story.nowMs, attempts: 0, nextAttemptAtMs: story.nowMs }
      story.state = foldNotices({ ...story.state, notices: [...story.state.notices, queued] })
    }
    const [first, ...rest] = story.state.notices
    expect(first?.title).toMatch(/^\[nightshift test\] \d+ messages in one$/)
    expect(first?.text.length).toBeLessThan(4000)
    const older = Number(/^\((\d+) older/.exec(first?.text ?? '')?.[1])
    expect(older + (first?.text.match(/^- /gm)?.length ?? 0) + rest.length).toBe(100)
  })
})
