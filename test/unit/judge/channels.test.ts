/** A mail server that is a guest of a host cannot tell that this host is down: status and doctor name what is lost with it. */
import { describe, expect, it } from 'vitest'
import { checkChannels } from '../../../src/cli/doctor/channels.js'
import type { AlertContract, RunbookSet } from '../../../src/domain/estate.js'
import { judgePass } from '../../../src/domain/judge/index.js'
import { unreadHost } from '../../../src/domain/observation.js'
import type { StatusDocument } from '../../../src/domain/status.js'
import { runbooks, world, wrongOf } from './world.js'

const MAILBOX = { address: 'x@b.test', server: 'mail.b.test', host: 'dev-tools', port: 993, username: 'x', password: 'env:P', folders: ['INBOX'] }
/** Mail and mailbox on guest 205 of pve. */
const MAIL = { server: 'mail.b.test', host: 'dev-tools', port: 465, security: 'tls', username: 'a', password: 'env:P', mailbox: MAILBOX } as const

function setWith(change: Partial<AlertContract>): RunbookSet {
  const set = runbooks(world())
  return { ...set, alerts: { ...set.alerts, mail: MAIL, ...change } }
}

function pass(change: Partial<AlertContract>, silent: readonly string[] = []): StatusDocument {
  const w = world()
  const at = new Date(w.now * 1000).toISOString()
  for (const host of silent) {
    w.hosts.set(host, unreadHost(host, { reason: 'connect_timeout', message: `${host} does not answer` }, { startedAt: at, finishedAt: at }))
  }
  return judgePass({
    runbooks: setWith(change),
    observations: [...w.hosts.values()],
    memory: undefined,
    now: at,
    pass: { passId: 'p', workflowId: 'w', runId: 'r' },
  }).status
}

const of = (status: StatusDocument, condition: string) => status.findings.filter((finding) => finding.condition === condition)
const doctor = (change: Partial<AlertContract>) =>
  checkChannels(setWith(change), new Date(world().now * 1000)).map(({ name, result, message }) => [name, result, message])

describe('alerts that go by a guest of the host that they are about', () => {
  it('are a finding about that host, which names mail and mailbox, and about no other', () => {
    const status = pass({})
    expect(of(status, 'delivery')).toMatchObject([
      { subject: 'shop/host/pve', severity: 'warning', reason: 'channel_on_reported_host', next: expect.stringContaining('mail.waiver') },
    ])
    const [{ message = '' } = {}] = of(status, 'delivery')
    for (const words of ['mail by mail.b.test', 'the mailbox of x@b.test', 'dev-tools, guest 205 of pve', 'nobody is told']) expect(message).toContain(words)
    expect(status.verdict).toBe('warning')
    expect(doctor({})).toEqual([['host pve', 'warn', expect.stringContaining('mailbox of x@b.test (dev-tools, guest 205 of pve) are lost with it')]])
  })

  it('are no finding while that is accepted, and one again when the day is over', () => {
    const waiver = { reason: 'the watcher at home tells', until: '2026-11-21' }
    expect(wrongOf(pass({ mail: { ...MAIL, waiver } }))).toEqual([])
    expect(doctor({ mail: { ...MAIL, waiver } })).toEqual([['host pve', 'ok', expect.stringContaining('accepted until 2026-11-21: the watcher')]])
    const ended = { ...waiver, until: '2026-11-20' }
    expect(of(pass({ mail: { ...MAIL, waiver: ended } }), 'delivery')).toMatchObject([{ message: expect.stringContaining('accepted until 2026-11-20') }])
    expect(doctor({ mail: { ...MAIL, waiver: ended } })).toMatchObject([['host pve', 'warn', expect.anything()]])
  })

  it('are no finding where the second channel stands elsewhere, and one where it falls with the same host', () => {
    const second = (host: string) => ({ secondChannel: { url: 'https://ntfy.example.org/x', host } })
    expect(of(pass(second('elsewhere')), 'delivery')).toEqual([])
    expect(of(pass(second('nas')), 'delivery')).toEqual([])
    expect(doctor(second('nas'))).toMatchObject([
      ['host pve', 'ok', expect.stringContaining('another channel is not')],
      ['host nas', 'ok', expect.stringContaining('the second channel (nas) is lost with it')],
    ])
    expect(of(pass(second('dev-tools')), 'delivery')).toMatchObject([{ message: expect.stringContaining('the second channel') }])
  })

  it('are named in the finding about the host when it is down, and in the one about the guest', () => {
    const [down] = of(pass({}, ['pve']), 'blind')
    expect(down).toMatchObject({ subject: 'shop/host/pve', message: expect.stringContaining('mail and mailbox stand on it (dev-tools, guest 205 of pve)') })
    const [guest] = of(pass({}, ['dev-tools']), 'blind')
    expect(guest).toMatchObject({ subject: 'shop/host/dev-tools', message: expect.stringContaining('mail and mailbox stand on it') })
    expect(
      of(pass({}, ['nas']), 'blind')
        .map(({ message }) => message)
        .join(),
    ).not.toContain('mail')
  })
})

describe('the doctor', () => {
  it('says that nobody said where a channel stands, and that there is none', () => {
    const { host: _host, mailbox: _mailbox, ...unsaid } = MAIL
    expect(doctor({ mail: unsaid })).toEqual([['mail', 'warn', 'nobody said on which host mail by mail.b.test stands']])
    const { mail: _mail, ...none } = setWith({}).alerts
    expect(checkChannels({ ...setWith({}), alerts: none }, new Date())).toMatchObject([{ result: 'warn', message: expect.stringContaining('no mail server') }])
  })

  it('is content when no channel stands on a host of the estate', () => {
    expect(doctor({ mail: { ...MAIL, host: 'elsewhere', mailbox: { ...MAILBOX, host: 'elsewhere' } } })).toEqual([
      ['channels', 'ok', 'no channel stands on a host that it reports about'],
    ])
  })
})
