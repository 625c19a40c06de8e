/** From what is seen on the hosts to what is mailed: the real judge, the real report, the real desk; only the hosts are made up. */
import { describe, expect, it } from 'vitest'
import { bounded, type MonitorReportInput, monitorReport, NOTHING_TOLD, nextTimeOfDay, type Told } from '../../../src/domain/desk/monitor-report.js'
import { nextSend, settleSend } from '../../../src/domain/desk/outbox.js'
import { receive } from '../../../src/domain/desk/receive.js'
import { firstUntaken, snapshotOf, withDeskMarks } from '../../../src/domain/desk/snapshot.js'
import { type ProofSeen, soonStaleOf } from '../../../src/domain/desk/soon-stale.js'
import { type DeskState, newDesk } from '../../../src/domain/desk/state.js'
import type { RunbookSet } from '../../../src/domain/estate.js'
import { unreadHost } from '../../../src/domain/observation.js'
import type { StatusDocument } from '../../../src/domain/status.js'
import { ageNewest, changeJob, GITEA, HOUR, judge, NOW, runbooks, type World, world } from '../judge/world.js'
import { aStatus, aTarget } from '../state/status-fixture.js'
import { SENT } from './story.js'

/** Pass after pass of one world. */
class Estate {
  readonly w: World = world()
  state: DeskState = newDesk('test')
  told: Told = NOTHING_TOLD
  receptions: string[] = []
  private passes = 0
  private readonly sent: string[] = []

  pass(afterSeconds = 600): this {
    this.w.now += afterSeconds
    const at = new Date(this.w.now * 1000).toISOString()
    for (const [name, seen] of this.w.hosts) if (seen.outcome.ok && seen.clock?.ok) this.w.hosts.set(name, { ...seen, startedAt: at, finishedAt: at })
    return this.take({ ...judge(this.w), passId: `p${++this.passes}` }, runbooks(this.w))
  }

  take(status: StatusDocument, set: RunbookSet, change: Partial<MonitorReportInput> = {}): this {
    const next = monitorReport({ status, runbooks: set, told: this.told, hostsUnderChange: [], proofs: [], isWhole: false, ...change })
    const step = receive(this.state, next.report, Date.parse(status.takenAt))
    this.state = step.state
    this.receptions.push(step.reception)
    this.told = next.told
    this.deliver(Date.parse(status.takenAt))
    return this
  }

  silence(host: string): void {
    const at = new Date(this.w.now * 1000).toISOString()
    this.w.hosts.set(host, unreadHost(host, { reason: 'connect_timeout', message: `${host} does not answer` }, { startedAt: at, finishedAt: at }))
  }

  /** Subjects of what was mailed since the last call. */
  mails(): string[] {
    return this.sent.splice(0)
  }

  private deliver(nowMs: number): void {
    for (;;) {
      const next = nextSend(this.state, nowMs)
      if (next.kind !== 'send') return
      this.sent.push(next.entry.mail.subject)
      this.state = settleSend(this.state, next.entry.mail.messageId, next.deliverTo, SENT, nowMs)
    }
  }
}

describe('a pass, told to the desk', () => {
  it('adds up from pass to pass without ever having to read the whole', () => {
    const estate = new Estate().pass()
    const gitea = estate.w.hosts.get('nas')
    ageNewest(estate.w, 'nas', GITEA, /sql/, 107 * HOUR)
    for (let pass = 0; pass < 5; pass++) estate.pass()
    estate.silence('nas')
    for (let pass = 0; pass < 5; pass++) estate.pass()
    if (gitea) estate.w.hosts.set('nas', gitea)
    for (let pass = 0; pass < 5; pass++) estate.pass()
    expect(new Set(estate.receptions)).toEqual(new Set(['taken']))
  })

  it('Home Assistant’s kind of silence (I9): an old dump is one mail, and its return one more', () => {
    const estate = new Estate().pass()
    estate.mails()
    const before = estate.w.hosts.get('nas')
    ageNewest(estate.w, 'nas', GITEA, /sql/, 107 * HOUR)
    for (let pass = 0; pass < 10; pass++) estate.pass()
    expect(estate.mails()).toEqual(['[nightshift test/home] CRITICAL app-gitea: stale'])
    if (before) estate.w.hosts.set('nas', before)
    expect(estate.pass().mails()).toEqual([expect.stringMatching(/^Re: .* RECOVERED app-gitea after /)])
  })

  it('a host that goes silent (I6): what was wrong on it is held, is not called recovered, and is judged again when it is back', () => {
    const estate = new Estate().pass()
    const healthy = estate.w.hosts.get('nas')
    ageNewest(estate.w, 'nas', GITEA, /sql/, 107 * HOUR)
    const stale = estate.w.hosts.get('nas')
    estate.pass().mails()
    estate.silence('nas')
    for (let pass = 0; pass < 8; pass++) estate.pass()
    expect(estate.mails()).toEqual(['[nightshift test/home] UNKNOWN nas: connect timeout'])
    const gitea = Object.values(estate.state.incidents).find(({ subject }) => subject === 'home/target/app-gitea')
    expect(gitea?.held?.by).toBe('home/host/nas')
    if (stale) estate.w.hosts.set('nas', stale)
    expect(estate.pass().mails()).toEqual([expect.stringMatching(/RECOVERED nas after/)])
    if (healthy) estate.w.hosts.set('nas', healthy)
    expect(estate.pass().mails()).toEqual([expect.stringMatching(/RECOVERED app-gitea after/)])
  })

  it('a whole set read anew opens nothing twice and loses nothing', () => {
    const estate = new Estate().pass()
    ageNewest(estate.w, 'nas', GITEA, /sql/, 107 * HOUR)
    changeJob(estate.w, 'pve', 'backup-daily', { enabled: 0 } as never)
    estate.pass()
    const open = Object.keys(estate.state.incidents).sort()
    estate.mails()
    const known = Object.fromEntries(Object.values(estate.state.incidents).map(({ key, severity, reason }) => [key, { severity, reason, atMs: 0 }]))
    const status = { ...judge(estate.w), passId: 'again', takenAt: new Date((estate.w.now + 60) * 1000).toISOString() }
    const whole = monitorReport({
      status,
      runbooks: runbooks(estate.w),
      told: { findings: known, folded: {} },
      hostsUnderChange: [],
      proofs: [],
      isWhole: true,
    })
    const step = receive(estate.state, whole.report, Date.parse(status.takenAt), { isWhole: true })
    expect(Object.keys(step.state.incidents).sort()).toEqual(open)
    expect(step.state.outbox).toEqual([])
  })

  it('a target that left the inventory closes as no longer watched', () => {
    const estate = new Estate().pass()
    ageNewest(estate.w, 'nas', GITEA, /sql/, 107 * HOUR)
    estate.pass().mails()
    estate.w.targets = estate.w.targets.filter(({ id }) => id !== 'app-gitea')
    expect(estate.pass().mails()).toEqual([expect.stringMatching(/CLOSED app-gitea/)])
  })

  it('a job of a host that goes silent is held too, though the status does not show it any more', () => {
    const host = { host: 'pve', node: 'pve', site: 'shop', next: null, clockSkewSeconds: null }
    const answers = { ...host, state: 'OK' as const, reason: 'ok', severity: 'ok' as const, message: 'pve answered' }
    const silent = { ...host, state: 'UNKNOWN' as const, reason: 'connect_timeout', severity: 'unknown' as const, message: 'pve does not answer' }
    const job = {
      subject: 'shop/job/pve/nightly',
      condition: 'job-result',
      severity: 'critical',
      reason: 'job_failed',
      message: 'it failed',
      next: null,
    } as const
    const blind = { subject: 'shop/host/pve', condition: 'blind', severity: 'unknown', reason: 'connect_timeout', message: silent.message, next: null } as const
    const estate = new Estate()
    const set = runbooks(estate.w)
    const at = (minute: number) => ({ passId: `p${minute}`, takenAt: `2026-02-12T09:${minute}:00.000Z` })
    estate
      .take(aStatus({ ...at(10), hosts: [answers] }), set)
      .take(aStatus({ ...at(20), hosts: [answers], findings: [job] }), set)
      .mails()
    estate.take(aStatus({ ...at(30), hosts: [silent], findings: [blind] }), set)
    expect(estate.mails()).toEqual([])
    expect(estate.state.incidents['shop/job/pve/nightly job-result']?.held).toMatchObject({ by: 'shop/host/pve' })
  })

  it('what was stale and now has failed is not called recovered', () => {
    const stale = aTarget({ state: 'STALE', reason: 'stale', severity: 'critical', message: 'too old' })
    const failed = aTarget({ state: 'FAILED', reason: 'job_failed', severity: 'critical', message: 'the job failed' })
    const of = (row: typeof stale, condition: 'freshness' | 'job-result', minute: number) =>
      aStatus({
        passId: `p${minute}`,
        takenAt: `2026-02-12T08:${minute}:00.000Z`,
        targets: [row],
        findings: [{ subject: `shop/target/${row.id}`, condition, severity: 'critical', reason: row.reason, message: row.message, next: null }],
      })
    const estate = new Estate()
    const set = runbooks(estate.w)
    estate
      .take(aStatus({ passId: 'p0' }), set)
      .take(of(stale, 'freshness', 40), set)
      .mails()
    expect(estate.take(of(failed, 'job-result', 50), set).mails()).toEqual(['[nightshift lab/shop] CRITICAL vm-204-infra-core-primary: job failed'])
    expect(estate.take(aStatus({ passId: 'p60', takenAt: '2026-02-12T09:00:00.000Z' }), set).mails()).toEqual([
      expect.stringMatching(/RECOVERED vm-204-infra-core-primary/),
      expect.stringMatching(/RECOVERED vm-204-infra-core-primary/),
    ])
  })
})

describe('a storm', () => {
  const statusOf = (count: number, minute: number, over = 0): StatusDocument =>
    aStatus({
      passId: `storm-${minute}`,
      takenAt: `2026-02-12T09:${String(minute).padStart(2, '0')}:00.000Z`,
      findings: Array.from({ length: count - over }, (_, each) => each + over).map((index) => ({
        subject: `shop/job/pve/job-${index}`,
        condition: 'job-result',
        severity: 'critical',
        reason: 'job_failed',
        message: `job ${index} failed, with a text of some length that says why it did`,
        next: null,
      })),
    })

  it('of 600 findings at one site is 500 incidents and one for the rest, in one mail, and passes with one more', () => {
    const estate = new Estate()
    const set = runbooks(estate.w)
    estate.take(statusOf(0, 0), set).mails()
    estate.take(statusOf(600, 10), set)
    expect(Object.keys(estate.state.incidents)).toHaveLength(501)
    expect(estate.mails()).toEqual([expect.stringMatching(/^\[nightshift lab\/shop\] CRITICAL 501 problems: /)])
    expect(estate.state.outbox).toEqual([])
    estate.take(statusOf(550, 20), set)
    expect(estate.mails()).toEqual([])
    // half of those that were told are over: what was folded stays folded, and opens no mail
    estate.take(statusOf(550, 25, 250), set)
    expect(estate.mails()).toEqual([expect.stringMatching(/^Re: .*CLOSED \d+ problems/)])
    expect(estate.take(statusOf(0, 30), set).mails()).toEqual([expect.stringMatching(/CLOSED \d+ problems/)])
    expect(estate.state.incidents).toEqual({})
    expect(new Set(estate.receptions)).toEqual(new Set(['taken']))
    expect(JSON.stringify(estate.state).length).toBeLessThan(50_000)
  })

  it('is never a message too big for a signal: the frame goes, and the desk reads the rest', () => {
    const estate = new Estate()
    const { report } = monitorReport({
      status: statusOf(600, 0),
      runbooks: runbooks(estate.w),
      told: NOTHING_TOLD,
      hostsUnderChange: [],
      proofs: [],
      isWhole: true,
    })
    expect(JSON.stringify(report).length).toBeLessThan(512 * 1024)
    const big = { ...report, changed: report.changed.map((each) => ({ ...each, message: 'x'.repeat(600) })) }
    expect(JSON.stringify(bounded(big)).length).toBeLessThan(10_000)
    expect(receive(estate.state, bounded(big), NOW * 1000).reception).toBe('unsure')
    const wide = { ...report, changed: report.changed.slice(0, 300).map((each) => ({ ...each, message: '漢'.repeat(240) })) }
    expect(JSON.stringify(wide).length).toBeLessThan(256 * 1024)
    expect(bounded(wide).changed).toEqual([])
  })
})

describe('the marks in the status', () => {
  const at = Date.parse('2026-02-12T08:30:00.000Z')
  const run = { workflowId: 'desk/lab', runId: 'r' }

  it('say until when a target is silenced and how the outbox stands, and change no verdict', () => {
    const silences = [{ id: 's', matching: 'shop/target/vm-*', by: 'ronny', reason: 'r', fromMs: at, untilMs: at + HOUR * 1000 }]
    const marked = withDeskMarks(aStatus(), snapshotOf({ ...newDesk('lab'), silences }, at, run))
    expect(marked.targets[0]?.silencedUntil).toBe('2026-02-12T09:30:00.000Z')
    expect(marked.desk?.outbox.depth).toBe(0)
    expect(marked.verdict).toBe('ok')
    expect(withDeskMarks(aStatus(), undefined)).toEqual(aStatus())
  })

  it('tell of a desk that has gone silent, and of mail that does not go out (I10)', () => {
    const old = { ...snapshotOf(newDesk('lab'), at - 50 * 60_000, run), passTakenAt: '2026-02-12T07:40:00.000Z' }
    const untaken = firstUntaken(
      ['2026-02-12T07:40:00.000Z', '2026-02-12T07:50:00.000Z', '2026-02-12T08:00:00.000Z'].map((takenAt) => ({ takenAt })),
      old,
    )
    expect(untaken).toBe('2026-02-12T07:50:00.000Z')
    expect(withDeskMarks(aStatus(), old).findings, 'nightshift itself was down, and this is its first pass').toEqual([])
    expect(withDeskMarks(aStatus(), old, untaken)).toMatchObject({ verdict: 'critical', findings: [{ reason: 'desk_silent', condition: 'delivery' }] })
    const stuck = { ...snapshotOf(newDesk('lab'), at, run) }
    const outbox = { ...stuck.outbox, depth: 147, oldestAt: '2026-02-10T00:00:00.000Z' }
    expect(withDeskMarks(aStatus(), { ...stuck, outbox })).toMatchObject({
      findings: [{ reason: 'outbox_late', message: expect.stringContaining('147 messages wait') }],
    })
  })
})

describe('what is soon stale', () => {
  const proof = (vmid: number, daysAgo: number, change: Partial<ProofSeen> = {}): ProofSeen => ({
    site: 'shop',
    volid: `tank-backups:backup/vzdump-qemu-${vmid}-2026_10_20-02_00_00.vma.zst`,
    level: 2,
    provenAt: new Date((NOW - daysAgo * 24 * HOUR) * 1000).toISOString(),
    ...change,
  })
  const messages = (...proofs: ProofSeen[]) => soonStaleOf(judge(world()), runbooks(world()), proofs).map(({ message }) => message)

  it('lists a guest whose newest proof is near its limit or beyond it, by how much its loss would hurt (31, 92, 366 days)', () => {
    expect(messages(proof(204, 23), proof(205, 23))).toEqual([])
    expect(messages(proof(204, 25), proof(205, 25))).toEqual([
      'vm-204: its newest proof is 25 d old, too old in 6 d 0 h; nightshift verify-artifact proves a newer archive',
    ])
    expect(messages(proof(204, 32))).toEqual([expect.stringContaining('32 d old, the limit is 31 days')])
    expect(messages(proof(205, 86))).toEqual([expect.stringMatching(/^vm-205: .*too old in 6 d/)])
  })

  it('counts the newest proof that read every byte, of the same site and the same guest', () => {
    expect(messages(proof(204, 25), proof(204, 3))).toEqual([])
    expect(messages(proof(204, 25), proof(204, 3, { level: 1 }))).toHaveLength(1)
    expect(messages(proof(204, 25), proof(204, 3, { site: 'home' }))).toHaveLength(1)
    expect(messages(proof(204, 25), proof(20, 3), proof(2040, 3))).toHaveLength(1)
    expect(messages(), 'what was never proven does not grow old').toEqual([])
  })

  it('has the copies that are about to pass their limit beside them, the nearest first', () => {
    const w = world()
    ageNewest(w, 'nas', GITEA, /sql/, 25 * HOUR)
    const found = soonStaleOf(judge(w), runbooks(w), [proof(204, 25)])
    expect(found.map(({ subject }) => subject)).toEqual(['home/target/app-gitea', 'shop/target/vm-204'])
    expect(found[0]?.message).toBe('app-gitea: stale in 60 minutes unless a new copy comes')
  })
})

describe('the daily summary', () => {
  it.each([
    ['2026-02-12T12:29:59Z', '2026-02-12T12:30:00.000Z'],
    ['2026-02-12T12:30:00Z', '2026-02-13T12:30:00.000Z'],
    ['2026-03-07T13:00:00Z', '2026-03-08T11:30:00.000Z'],
    ['2026-10-31T12:00:00Z', '2026-11-01T12:30:00.000Z'],
  ])('is due at 07:30 in New York, also when the clocks change (%s)', (now, due) => {
    expect(new Date(nextTimeOfDay(Date.parse(now) / 1000, '07:30', 'America/New_York') * 1000).toISOString()).toBe(due)
  })
})
