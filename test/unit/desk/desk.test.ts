import { describe, expect, it } from 'vitest'
import { ack, adopt, refusalOfAck, refusalOfAdopt, refusalOfSilence, silence, unsilence } from '../../../src/domain/desk/orders.js'
import { receive } from '../../../src/domain/desk/receive.js'
import { keyOf } from '../../../src/domain/desk/report.js'
import { isSilencedBy } from '../../../src/domain/desk/silences.js'
import { CONTRACT, finding, HOUR_MS, PASS_MS, Story } from './story.js'

const A = finding('shop/target/vm-204')
const B = finding('shop/target/vm-205')
const HOME = finding('home/target/vm-101', { host: 'proxmox-home' })

/** A desk that has its adoption behind it. */
function running(): Story {
  const story = new Story().pass([])
  story.kinds()
  return story
}

describe('one incident', () => {
  it('is mailed once, however often and however differently it is found', () => {
    const story = running()
    for (let pass = 0; pass < 20; pass++) story.pass([{ ...A, message: `it is ${pass} h old`, reason: pass > 10 ? 'empty' : 'stale' }])
    expect(story.kinds()).toEqual(['problem'])
  })

  it('is repeated once a day, in the thread of its first mail', () => {
    const story = running().pass([A])
    const [problem] = story.mails.splice(0)
    for (let pass = 0; pass < 6 * 49; pass++) story.pass([A])
    const repeats = story.mails.filter(({ kind }) => kind === 'repeat')
    expect(repeats).toHaveLength(2)
    expect(repeats[1]?.mail.references[0]).toBe(problem?.mail.messageId)
    expect(repeats[1]?.mail.inReplyTo).toBe(repeats[0]?.mail.messageId)
    expect(new Set(story.mails.map(({ mail }) => mail.messageId)).size).toBe(story.mails.length)
  })

  it('ends with a mail that says how long it lasted', () => {
    const story = running().pass([A])
    story.kinds()
    story.pass([], { afterMs: 26 * HOUR_MS + 14 * 60_000 })
    const recovery = story.mails.find(({ kind }) => kind === 'recovery')
    expect(recovery?.mail.subject).toBe('Re: [nightshift test/shop] RECOVERED vm-204 after 26 h 14 m')
    expect(recovery?.mail.text).toContain('26 h 14 m, from 2026-02-12 08:20 UTC to 2026-02-13 10:34 UTC')
  })

  it('shares one mail and one thread with what the same pass opened on the same site, and none with the other site', () => {
    const story = running().pass([A, B, HOME])
    expect(story.subjects()).toEqual(['[nightshift test/shop] CRITICAL 2 problems: vm-204, vm-205', '[nightshift test/home] CRITICAL vm-101: stale'])
    story.mails.splice(0)
    story.pass([HOME])
    expect(story.subjects()).toEqual(['Re: [nightshift test/shop] RECOVERED 2 problems: vm-204, vm-205'])
  })

  it('closes as no longer watched when its subject left the runbooks', () => {
    const story = running().pass([A])
    story.kinds()
    story.pass([], { closed: [{ key: keyOf(A), why: 'not_watched', message: 'gone from inventory.yaml' }] })
    expect(story.subjects()).toEqual(['Re: [nightshift test/shop] CLOSED vm-204 after 10 m'])
    expect(story.mails[0]?.mail.text).toContain('NO LONGER WATCHED')
  })

  it('is listed in the summary only when its rule mails only what is worse', () => {
    const story = running().pass([{ ...A, severity: 'warning', reason: 'late' }])
    expect(story.kinds()).toEqual([])
    expect(story.decisions.at(-1)).toMatchObject({ decision: 'summary only', why: expect.stringContaining('rule 1') })
  })

  it('goes by the default where no rule names its condition', () => {
    const story = running().pass([finding('shop/storage/pve/tank', { condition: 'space', severity: 'warning', reason: 'nearly_full' })])
    expect(story.kinds()).toEqual(['problem'])
    expect(story.mails).toEqual([])
  })

  it('is not mailed while a change of ours is being applied to its host, and is afterwards', () => {
    const story = running().pass([A], { underChange: ['pve'] })
    expect(story.kinds()).toEqual([])
    expect(story.decisions.at(-1)).toMatchObject({ decision: 'under change' })
    story.pass([A])
    expect(story.kinds()).toEqual(['problem'])
  })

  it.each([
    ['coverage of that host', { condition: 'coverage' }, []],
    ['a failed job of that host', { condition: 'job-result' }, ['problem']],
    ['freshness of another host', { host: 'nas' }, ['problem']],
  ] as const)('while a change of ours is being applied: %s', (_what, change, kinds) => {
    expect(
      running()
        .pass([finding('shop/target/vm-207', change)], { underChange: ['pve'] })
        .kinds(),
    ).toEqual(kinds)
  })

  it('is neither repeated nor part of the first summary while a change of ours is being applied, and is told once afterwards', () => {
    const story = running().pass([A])
    story.kinds()
    for (let pass = 0; pass < 6 * 30; pass++) story.pass([A], { underChange: ['pve'] })
    expect(story.kinds().filter((kind) => kind !== 'digest')).toEqual([])
    expect(story.pass([A]).kinds()).toEqual(['repeat'])
    const first = new Story().pass([A, HOME], { underChange: ['pve'] })
    expect(first.subjects()).toEqual(['[nightshift test] found at adoption: 1 problem'])
    expect(first.pass([A, HOME]).subjects().at(-1)).toBe('[nightshift test/shop] CRITICAL vm-204: stale')
  })

  it('is told to recover even in the middle of a change', () => {
    const story = running().pass([A])
    story.kinds()
    story.pass([], { underChange: ['pve'] })
    expect(story.kinds()).toEqual(['recovery'])
  })
})

describe('what cannot be looked at', () => {
  const blind = finding('shop/host/pve', { condition: 'blind', severity: 'unknown', reason: 'connect_timeout' })

  it('is mailed after its own limit, not at the first pass', () => {
    const story = running()
    const kinds: string[][] = []
    for (let pass = 0; pass < 5; pass++) kinds.push(story.pass([blind]).kinds())
    expect(kinds).toEqual([[], [], [], ['problem'], []])
  })

  it('is one mail for the host; its targets neither repeat nor recover, and are judged again on return', () => {
    const story = running().pass([A, B])
    story.kinds()
    const held = [A, B].map((each) => ({ key: keyOf(each), by: 'shop/host/pve', why: 'pve does not answer' }))
    for (let pass = 0; pass < 6 * 30; pass++) story.pass([blind], { held })
    const told = story.mails.splice(0).filter(({ kind }) => kind !== 'digest')
    expect(told.map(({ mail }) => mail.subject)).toEqual([
      '[nightshift test/shop] UNKNOWN pve: connect timeout',
      'Re: [nightshift test/shop] STILL UNKNOWN pve: connect timeout',
    ])
    expect(Object.keys(story.state.incidents)).toHaveLength(3)
    story.pass([B])
    expect(story.subjects().sort()).toEqual([
      expect.stringMatching(/^Re: \[nightshift test\/shop\] RECOVERED pve after/),
      expect.stringMatching(/^Re: \[nightshift test\/shop\] RECOVERED vm-204 after 30 h/),
      expect.stringMatching(/^Re: \[nightshift test\/shop\] STILL CRITICAL vm-205/),
    ])
  })
})

describe('orders', () => {
  it('acknowledged: no repeats, but the recovery', () => {
    const story = running().pass([A])
    story.kinds()
    expect(refusalOfAck(story.state, { incident: 'nope', by: 'ronny', reason: 'x' })).toMatch(/no open incident/)
    story.state = ack(story.state, { incident: keyOf(A), by: 'ronny', reason: 'disk ordered' }, story.nowMs).state
    expect(refusalOfAck(story.state, { incident: keyOf(A), by: 'ronny', reason: 'x' })).toMatch(/acknowledged already, by ronny/)
    for (let pass = 0; pass < 6 * 30; pass++) story.pass([A])
    story.pass([])
    expect(story.kinds().filter((kind) => kind !== 'digest')).toEqual(['recovery'])
  })

  it('silenced: nothing until its end, which is announced with what is still wrong', () => {
    const story = running()
    const until = new Date(story.nowMs + 3 * HOUR_MS).toISOString()
    story.state = silence(story.state, { matching: 'shop/target/*', by: 'ronny', reason: 'moving house', until }, story.nowMs).state
    for (let pass = 0; pass < 17; pass++) story.pass([A, B])
    expect(story.kinds()).toEqual([])
    story.pass([A]).pass([A])
    expect(story.subjects()).toEqual(['[nightshift test] silence over: shop/target/*, 1 still wrong'])
    expect(story.mails[0]?.mail.text).toContain('moving house')
    story.kinds()
    expect(story.pass([]).kinds()).toEqual(['recovery'])
  })

  it('what was mailed before a silence recovers by mail inside of it', () => {
    const story = running().pass([A])
    story.kinds()
    const until = new Date(story.nowMs + 3 * HOUR_MS).toISOString()
    story.state = silence(story.state, { matching: A.subject, by: 'ronny', reason: 'r', until }, story.nowMs).state
    expect(story.pass([]).kinds()).toEqual(['recovery'])
  })

  it('a silence that is taken away lets what it held back out at the next look', () => {
    const story = running()
    const made = silence(story.state, { matching: A.subject, by: 'ronny', reason: 'r', until: new Date(story.nowMs + HOUR_MS).toISOString() }, story.nowMs)
    story.state = made.state
    expect(story.pass([A]).kinds()).toEqual([])
    story.state = unsilence(story.state, { silence: made.silence.id, by: 'ronny', reason: 'r' }, story.nowMs).state
    expect(story.wait(1000).kinds()).toEqual(['problem'])
  })

  it.each([
    ['an author', { matching: 'a', reason: 'r', until: '2026-02-12T10:00:00Z' }, /by is missing/],
    ['a reason', { matching: 'a', by: 'b', reason: ' ', until: '2026-02-12T10:00:00Z' }, /reason is missing/],
    ['an end', { matching: 'a', by: 'b', reason: 'r' }, /until is missing/],
    ['an end to come', { matching: 'a', by: 'b', reason: 'r', until: '2026-02-11T10:00:00Z' }, /is over already/],
    ['an end that is near', { matching: 'a', by: 'b', reason: 'r', until: '2027-02-11T10:00:00Z' }, /90 days/],
    ['something less than everything', { matching: '*/*', by: 'b', reason: 'r', until: '2026-02-12T10:00:00Z' }, /switched off/],
    ['texts on one line', { matching: 'a', by: 'b\r\nBcc: x@y', reason: 'r', until: '2026-02-12T10:00:00Z' }, /not on one line/],
  ])('a silence needs %s', (_what, order, why) => {
    const story = running()
    expect(refusalOfSilence(story.state, order, story.nowMs)).toMatch(why)
  })
})

describe('the decision in force', () => {
  const inForce = (story: Story, finding = A) => story.decisions.findLast(({ key }) => key === keyOf(finding))
  const given = (story: Story, step: { readonly state: Story['state']; readonly decisions: readonly Story['decisions'][number][] }) => {
    story.state = step.state
    story.decisions.push(...step.decisions)
  }

  it('is no silence any more once it was taken away, or came to its end', () => {
    for (const isTakenAway of [true, false]) {
      const story = running().pass([A])
      const made = silence(story.state, { matching: A.subject, by: 'ronny', reason: 'r', until: new Date(story.nowMs + HOUR_MS).toISOString() }, story.nowMs)
      given(story, made)
      expect(inForce(story)?.decision).toBe('silenced')
      if (isTakenAway) given(story, unsilence(story.state, { silence: made.silence.id, by: 'ada', reason: 'done' }, story.nowMs))
      // a change of ours holds back the mail that would say it
      else for (let pass = 0; pass < 7; pass++) story.pass([A], { underChange: ['pve'] })
      expect(inForce(story)).toMatchObject({ decision: 'silence over', why: isTakenAway ? 'taken away by ada: done' : 'that of ronny came to its end' })
    }
  })

  it('is not that of a silent host any more once the host is back', () => {
    const story = running().pass([A])
    story.pass([], { held: [{ key: keyOf(A), by: 'shop/host/pve', why: 'silent' }] })
    expect(inForce(story)?.decision).toBe('inhibited')
    story.pass([A])
    expect(inForce(story)?.decision).toBe('judged again')
    story.pass([], { held: [{ key: keyOf(A), by: 'shop/host/pve', why: 'silent' }] }).pass([])
    expect(story.decisions.slice(-2).map(({ decision }) => decision)).toEqual(['inhibited', 'recovered'])
  })

  it('is not flapping any more once it stays wrong', () => {
    const story = running()
    for (let pass = 0; pass < 7; pass++) story.pass(pass % 2 === 0 ? [A] : [])
    expect(story.decisions.map(({ decision }) => decision)).toContain('flapping')
    for (let pass = 0; pass < 6 * 12; pass++) story.pass([A])
    expect(inForce(story)?.decision).toBe('settled')
  })
})

it('a silence under which nothing is wrong is announced too when it is over', () => {
  const story = running()
  story.state = silence(story.state, { matching: 'shop/*', by: 'ronny', reason: 'r', until: new Date(story.nowMs + HOUR_MS).toISOString() }, story.nowMs).state
  for (let pass = 0; pass < 7; pass++) story.pass([])
  expect(story.subjects()).toEqual(['[nightshift test] silence over: shop/*, nothing is wrong there'])
})

it('what was acknowledged, recovered and came back is told anew', () => {
  const story = running().pass([A])
  story.state = ack(story.state, { incident: keyOf(A), by: 'ronny', reason: 'r' }, story.nowMs).state
  story.pass([]).pass([A])
  expect(story.kinds()).toEqual(['problem', 'recovery', 'problem'])
  for (let pass = 0; pass < 6 * 24; pass++) story.pass([A])
  expect(story.kinds().filter((kind) => kind !== 'digest')).toEqual(['repeat'])
})

describe('a pattern', () => {
  it.each([
    ['shop/target/*', true],
    ['*/vm-204', true],
    ['*target*204', true],
    ['shop/*/vm-204', true],
    ['shop/target/vm-204*', true],
    ['shop/target/vm-20', false],
    ['shop/target/vm-20*5', false],
    ['home/*', false],
    ['*target', false],
    ['shop/target/vm-204*4', false],
    ['shop/targe./*', false],
    [`${'*'.repeat(499)}x`, false],
  ])('%s', (matching, isFitting) => {
    expect(isSilencedBy({ id: '', key: keyOf(A), subject: A.subject }, { matching })).toBe(isFitting)
  })
})

describe('an adopted queue', () => {
  it('is listed in lines that are short and harmless, and its name can be copied into the command', () => {
    const order = { name: "ronny's queue", by: 'ronny', count: 2, lines: ['x'.repeat(100_000), 'a\r\nBcc: b@c'] }
    expect(refusalOfAdopt(running().state, { ...order, oldest: { no: 'text' } })).toMatch(/oldest is not a text/)
    const story = running()
    story.state = adopt(story.state, order, story.nowMs).state
    const { mail } = story.deliver().mails[0] ?? {}
    expect(mail?.text).toContain("nightshift alerts close-adopted 'ronny'\\''s queue' --as NAME")
    expect(mail?.text.length).toBeLessThan(1000)
    expect(mail?.text).not.toMatch(/^Bcc/m)
  })
})

describe('coming and going', () => {
  it('is told a few times, then once a day, and its end when it has settled', () => {
    const story = running()
    for (let pass = 0; pass < 144; pass++) story.pass(pass % 2 === 0 ? [A] : [])
    const kinds = story.kinds().filter((kind) => kind !== 'digest')
    expect(kinds.slice(0, 7)).toEqual(['problem', 'recovery', 'problem', 'recovery', 'problem', 'recovery', 'problem'])
    expect(kinds.length).toBeLessThanOrEqual(8)
    for (let pass = 0; pass < 6 * 13; pass++) story.pass([])
    expect(story.kinds().filter((kind) => kind === 'recovery')).toHaveLength(1)
    expect(story.state.incidents).toEqual({})
  })
})

describe('the first pass ever', () => {
  it('sends one summary of what it found, and each of these recovers like any other', () => {
    const story = new Story().pass([A, B, HOME, finding('shop/host/nas', { condition: 'blind', severity: 'unknown', reason: 'auth_denied' })])
    expect(story.subjects()).toEqual(['[nightshift test] found at adoption: 4 problems'])
    story.kinds()
    expect(story.pass([B, HOME]).kinds()).toEqual(['recovery'])
  })
})

describe('reports', () => {
  it('that come twice or late change nothing; after a late one the whole is asked for, and it is known', () => {
    const story = running()
    const first = story.report([A])
    story.nowMs += PASS_MS
    const second = story.report([])
    expect(story.take(second)).toBe('taken')
    const before = story.state
    expect(story.take(second)).toBe('duplicate')
    expect(story.take(first)).toBe('older')
    expect({ ...story.state, totals: before.totals }).toEqual({ ...before, unsure: ['monitor'] })
    expect(story.take(second, true)).toBe('duplicate')
  })

  it('of a clock that was put back are read whole; a run that began before that was so drops them, as it did', () => {
    const story = running()
    story.take(story.report([A]))
    const first = { ...story.report([A, B]), takenAt: new Date(story.nowMs - HOUR_MS).toISOString() }
    expect(receive(story.state, first, story.nowMs, { isWhole: false, doubtsClocks: () => false })).toMatchObject({ reception: 'older', state: { unsure: [] } })
    expect(story.take(first)).toBe('older')
    expect(story.take(first, true)).toBe('taken')
    expect(story.deliver().subjects().at(-1)).toContain('CRITICAL vm-205')
  })

  it('of a clock that was an hour ahead do not shut the desk to those of the right time', () => {
    const story = running()
    const ahead = story.report([A])
    expect(story.take({ ...ahead, takenAt: new Date(story.nowMs + HOUR_MS).toISOString() })).toBe('taken')
    story.nowMs += PASS_MS
    expect(story.take(story.report([]))).toBe('taken')
    expect(story.deliver().kinds()).toEqual(['problem', 'recovery'])
  })

  it.each([1, -1])('when the clock of the desk itself jumps by %i h, and back a while later: nothing is said twice, nothing is lost', (hours) => {
    const story = running().pass([A])
    const passes = (count: number, ...findings: (typeof A)[]) => Array.from({ length: count }, () => story.pass(findings))
    story.nowMs += hours * HOUR_MS
    passes(3, A)
    story.nowMs -= hours * HOUR_MS
    passes(3, A, B)
    passes(1)
    expect(story.subjects()).toEqual([
      '[nightshift test/shop] CRITICAL vm-204: stale',
      '[nightshift test/shop] CRITICAL vm-205: stale',
      expect.stringMatching(/^Re: .*RECOVERED vm-204 after 1 h 10 m$/),
      expect.stringMatching(/^Re: .*RECOVERED vm-205 after 30 m$/),
    ])
    expect(story.state.incidents).toEqual({})
  })

  it('that do not add up make the desk ask for the whole, and then it is right', () => {
    const story = running().pass([A])
    story.kinds()
    const lost = story.report([A, B])
    story.nowMs += PASS_MS
    const next = { ...story.report([A, B, HOME]), changed: [HOME] }
    expect(lost.changed).toHaveLength(2)
    expect(story.take(next)).toBe('unsure')
    expect(story.state.unsure).toEqual(['monitor'])
    expect(story.take({ ...next, changed: [B, HOME] }, true)).toBe('taken')
    expect(story.state.unsure).toEqual([])
    story.deliver()
    expect(story.subjects().sort()).toEqual([
      'Re: [nightshift test/shop] RECOVERED vm-204 after 10 m',
      '[nightshift test/home] CRITICAL vm-101: stale',
      '[nightshift test/shop] CRITICAL vm-205: stale',
    ])
  })

  it('of another runbook leave the incidents of the monitor alone', () => {
    const story = running().pass([A])
    story.kinds()
    const gate = finding('shop/host/pve', { condition: 'config', severity: 'warning', reason: 'route_to_inbox' })
    story.pass([gate], { scope: 'gates' }).pass([], { scope: 'gates' })
    expect(story.kinds()).toEqual(['problem', 'recovery'])
    expect(Object.keys(story.state.incidents)).toEqual([keyOf(A)])
  })

  it('that stop coming are noticed by the desk itself', () => {
    const story = running().wait(40 * 60_000, 600_000)
    expect(story.subjects()).toEqual(['[nightshift test] UNKNOWN reports of monitor: no report'])
    story.kinds()
    expect(story.pass([]).kinds()).toEqual(['recovery'])
  })
})

describe('the daily summary', () => {
  it('comes on a green day too, once, and lists broken, unknown, silenced, soon stale in that order', () => {
    const story = running()
    for (let pass = 0; pass < 144; pass++) story.pass([])
    expect(story.subjects()).toEqual(['[nightshift test] daily summary: nothing is wrong'])
    story.kinds()
    const blind = finding('home/host/nas', { condition: 'blind', severity: 'unknown', reason: 'auth_denied' })
    story.state = silence(
      story.state,
      { matching: B.subject, by: 'ronny', reason: 'r', until: new Date(story.nowMs + 48 * HOUR_MS).toISOString() },
      story.nowMs,
    ).state
    const soonStale = [{ subject: 'shop/target/vm-206', message: 'vm-206: its newest proof is 29 d old' }]
    for (let pass = 0; pass < 144; pass++) story.pass([A, B, blind], { soonStale })
    const digest = story.mails.find(({ kind }) => kind === 'digest')
    expect(digest?.mail.subject).toBe('[nightshift test] daily summary: 1 broken, 1 unknown, 1 silenced (1 critical)')
    const places = ['Broken (1)', 'Unknown (1)', 'Silenced (1)', 'Soon stale (1)\n- vm-206: its newest proof'].map(
      (title) => digest?.mail.text.indexOf(title) ?? -1,
    )
    expect(places).toEqual([...places].sort((a, b) => a - b))
    expect(places[0]).toBeGreaterThanOrEqual(0)
  })
})

describe('texts', () => {
  it('cannot carry headers, lines or controls of a guest’s name into a mail', () => {
    const evil = finding('shop/guest/pve/205\r\nBcc: evil@example.org', {
      condition: 'coverage',
      message: 'x\r\nSubject: owned\n\u001b[2J\u202e',
      reason: 'a\r\nX-Evil: 1',
    })
    const { mail } = running().pass([evil]).mails[0] ?? {}
    for (const text of [mail?.subject, ...Object.values(mail?.headers ?? {}), mail?.messageId]) expect(text).not.toMatch(/[\r\n\u0000-\u001f\u202e]/)
    expect(mail?.text.split('\n').filter((line) => /^(Bcc|Subject|X-Evil):/.test(line))).toEqual([])
    expect(mail?.text).not.toMatch(/[\r\u001b\u202e]/)
  })

  it('leave room in the subject for what is wrong, however long a name is, and cut no character in half', () => {
    for (const name of ['x'.repeat(300), '\u{1f600}'.repeat(150), '\u65e5\u672c'.repeat(150)]) {
      const { mail } = running().pass([finding(`shop/guest/pve/${name}`, { condition: 'coverage', reason: 'not_in_any_job' })]).mails[0] ?? {}
      expect(mail?.subject).toMatch(/…: not in any job$/)
      expect(mail?.subject).not.toMatch(/\p{Surrogate}/u)
      expect(mail?.text).not.toMatch(/\p{Surrogate}|\\ud/u)
    }
  })

  it('keep a command on one line, so that it can be copied', () => {
    const command = "ssh pve 'pvesh get /nodes/pve/tasks --typefilter vzdump --limit 5 | grep '\\''vm 204'\\'''"
    const { mail } = running().pass([finding('shop/target/vm-204', { next: `look at the job's last run: ${command}; then run it again` })]).mails[0] ?? {}
    expect(mail?.text.split('\n').find((line) => line.includes('ssh'))).toContain(command)
  })

  it('name the thing once, where its own words begin with it', () => {
    const named = finding('shop/target/vm-204', { message: 'vm-204: the newest copy is 30 h old' })
    const story = running().pass([named])
    expect(story.mails[0]?.mail.text).toContain('CRITICAL vm-204\nWhat: the newest copy is 30 h old\n')
    expect(story.mails[0]?.mail.text, 'that there is nothing to go back to has to be said').toContain('Last good: none is known\n')
    for (let pass = 0; pass < 144; pass++) story.pass([named])
    expect(story.mails.find(({ kind }) => kind === 'digest')?.mail.text).toMatch(/^Broken \(1\)\n- vm-204: the newest copy is 30 h old \(/)
  })

  it('fit any screen: what is said is one line, which the reader’s program breaks', () => {
    const long = finding('shop/target/vm-204', { message: 'word '.repeat(45).trim(), next: 'look '.repeat(30).trim() })
    const { mail } = running().pass([long]).mails[0] ?? {}
    expect(mail?.text).toContain(`\nWhat: ${long.message}\n`)
    expect(mail?.text).toContain(`\nDo: ${long.next}\n`)
    expect(mail?.headers['Auto-Submitted']).toBe('auto-generated')
  })

  it('say what, since, last good, cause, what to do and the command', () => {
    const told = finding('shop/target/vm-204', { lastGood: { path: '/tank/a.vma.zst', at: '2026-02-11T02:00:00.000Z' }, since: '2026-02-12T04:00:00.000Z' })
    const text = running().pass([told]).mails[0]?.mail.text ?? ''
    expect(text).toMatch(
      /CRITICAL vm-204\nWhat: .*\nCause: stale \(freshness\)\nSince: 2026-02-12 04:00 UTC, 4 h 20 m ago\nLast good: \/tank\/a\.vma\.zst, of 2026-02-11 02:00 UTC\nDo: look at it\nMore: nightshift alerts show [0-9a-f]{8}\n/,
    )
    expect(CONTRACT.sender).toBe('alerts@spine.test')
  })
})
