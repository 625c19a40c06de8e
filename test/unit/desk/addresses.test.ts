/** alerts.yaml is mended while something is open: what waits and what follows goes to those whom it names now. */
import { describe, expect, it } from 'vitest'
import type { SendResult } from '../../../src/domain/desk/delivery.js'
import { nextSend, settleSend } from '../../../src/domain/desk/outbox.js'
import { CONTRACT, finding, SENT, Story } from './story.js'

const A = finding('shop/target/vm-204')
const TYPO = 'op@spine.test'
const [OPS = ''] = CONTRACT.defaultRoute.recipients
const to = (...recipients: string[]) => ({ ...CONTRACT, defaultRoute: { recipients, repeatHours: 24 }, rules: [], hasSecondChannel: false })
const refusing = (address: string): SendResult => ({
  ...SENT,
  outcome: 'partial',
  perRecipient: [{ address, outcome: 'refused', code: 550, reply: '550 no such user' }],
})

/** Everything due is tried; who is misspelt is refused. */
function deliver(story: Story): string[][] {
  const went: string[][] = []
  for (let next = nextSend(story.state, story.nowMs); next.kind === 'send'; next = nextSend(story.state, story.nowMs)) {
    const others = next.deliverTo.filter((address) => address !== TYPO)
    const rows = others.map((address) => ({ address, outcome: 'accepted' as const, code: 250, reply: 'ok' }))
    const result = next.deliverTo.includes(TYPO)
      ? { ...refusing(TYPO), outcome: others.length > 0 ? ('partial' as const) : ('refused' as const), stage: 'recipients' as const }
      : SENT
    went.push([/(vm-\d+|alerts\.yaml|canary)/.exec(next.entry.mail.subject)?.[0] ?? next.entry.mail.subject, ...next.deliverTo])
    story.state = settleSend(
      story.state,
      next.entry.mail.messageId,
      next.deliverTo,
      { ...result, perRecipient: [...result.perRecipient, ...rows] },
      story.nowMs,
    )
  }
  return went
}

function tell(story: Story, findings: (typeof A)[]): string[][] {
  story.nowMs += 600_000
  story.take(story.report(findings))
  return deliver(story)
}

describe('a misspelt recipient', () => {
  it('keeps nothing back once it is mended: the alert goes to the right one, and the incident about it ends', () => {
    const story = new Story()
    story.contract = to(TYPO)
    tell(story, [])
    expect(tell(story, [A])).toEqual([['vm-204', TYPO]])
    tell(story, [A])
    expect(Object.keys(story.state.incidents)).toContain(`test/delivery/${TYPO} delivery`)
    story.contract = to(OPS)
    expect(tell(story, [A])).toEqual([
      ['vm-204', OPS],
      ['alerts.yaml', OPS],
    ])
    expect(Object.keys(story.state.incidents)).toEqual(['shop/target/vm-204 freshness'])
    expect(story.state.outbox).toEqual([])
    expect(tell(story, []), 'its end too').toEqual([['vm-204', OPS]])
  })

  it('beside one who has it already gets nobody a second copy', () => {
    const story = new Story()
    story.contract = to(OPS, TYPO)
    tell(story, [])
    expect(tell(story, [A])).toEqual([['vm-204', OPS, TYPO]])
    expect(story.state.outbox).toHaveLength(1)
    story.contract = to(OPS)
    expect(tell(story, [A]).filter(([about]) => about === 'vm-204')).toEqual([])
    expect(story.state.outbox).toEqual([])
  })
})

it('another sender is used for what waits and what follows: the server takes only the one who logs in', () => {
  const story = new Story()
  story.contract = to(OPS)
  story.pass([])
  story.nowMs += 600_000
  story.take(story.report([A]))
  story.contract = { ...to(OPS), sender: 'desk@spine.test' }
  story.pass([A]).pass([])
  expect(story.mails.filter(({ mail }) => mail.subject.includes('vm-204')).map(({ mail }) => mail.from)).toEqual(['desk@spine.test', 'desk@spine.test'])
})

it('a delivery incident that nobody could be told of is told once a second channel is named', () => {
  const story = new Story()
  story.contract = to(TYPO)
  tell(story, [])
  tell(story, [A])
  tell(story, [A])
  expect(story.state.notices).toEqual([])
  story.contract = { ...to(TYPO), hasSecondChannel: true }
  tell(story, [A])
  expect(story.state.notices.map(({ title }) => title)).toContain('[nightshift test] no mail: recipient refused')
})
