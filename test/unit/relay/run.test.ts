/**
 * emailRelay from its plan to its end under skipped time: what the host, its log and the mailbox answer is emulated, in lines of real Postfix. What the answers
 * are made of is read by the code that reads them in a real run.
 */
import type { TestWorkflowEnvironment } from '@temporalio/testing'
import { Worker, type WorkflowBundle } from '@temporalio/worker'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sealPlan } from '../../../src/domain/change/plan.js'
import { deliveriesIn, type ReadMail, routeOfMail } from '../../../src/domain/relay/proof.js'
import type { LogReading } from '../../../src/domain/relay/run.js'
import type { EmailRelayResult } from '../../../src/workflows/email-relay.js'
import { serverNow, startSkippingWorkflows } from '../../support/time-skipping.js'
import { RUNBOOK } from './world.js'

let env: TestWorkflowEnvironment
let workflowBundle: WorkflowBundle

beforeAll(async () => {
  ;({ env, bundle: workflowBundle } = await startSkippingWorkflows())
}, 120_000)
afterAll(async () => await env?.teardown())

const DAY_MS = 86_400_000
const FQDN = 'pve.home.lan'
const RELAY = `mail.spine.ronny.works[10.212.47.21]:465`
const POLICY = { approvers: ['ronny'], needed: 1, mayApproveOwn: true, timeoutHours: 72, preApproveHarmless: true, signature: 'optional' }
const STEP = { id: 'set postfix', what: 'Set Postfix', host: 'pve', effect: { kind: 'command', argv: ['postconf', '-e'] }, destructive: [] } as const
const PLAN = sealPlan({
  ...{ runbook: 'emailRelay', host: 'pve', title: 'Let all mail of pve go through the relay', warnings: [], facts: {} },
  steps: [{ ...STEP, before: [], after: [], undo: { effect: { kind: 'command', argv: ['postconf', '-X'] } }, diff: [], removes: [] }],
})

const sentLine = (to: string, relay: string) => `to=<${to}>, relay=${relay}, delay=0.1, delays=0/0/0/0, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as AA)`
const OURS = sentLine('ronny@spine.ronny.works', RELAY)
const RECEIVED = [
  `from ${FQDN} (unknown [10.212.47.12]) (using TLSv1.3) (Authenticated sender: alerts@spine.ronny.works) by mail.spine.ronny.works (Postfix) with ESMTPSA id 9811D9F200A; now`,
  `by ${FQDN} (Postfix, from userid 0) id 7A56D9F007E; now`,
]
const mailOf = (subject: string, received = RECEIVED): ReadMail => ({
  ...{ folder: 'INBOX', uid: 4, arrivedAt: '2026-11-21T14:05:36.000Z', messageId: `<${subject}@x>`, subject, from: 'root', received },
  returnPath: 'alerts@spine.ronny.works',
})

interface Staged {
  /** Lines of smtp that the mail log has from so many days after the start on. */
  readonly log?: readonly (readonly [days: number, line: string])[]
  /** Mails that are in the mailbox from so many days on, in the order in which the run looks for them. */
  readonly mails?: readonly (readonly [days: number, mail: ReadMail])[]
  readonly watch?: { readonly until: 'time' | 'events'; readonly days: number; readonly everyMinutes: number }
  readonly packagesAfterDays?: number
  readonly nextJobDays?: number
}

const TEST = mailOf('nightshift: test of the way of mail')
const NOTIFICATION = mailOf('Test notification')
const JOB = mailOf('vzdump backup status (pve.home.lan): backup successful')
const DAY = { until: 'time', days: 1, everyMinutes: 60 } as const
const WEEK = { until: 'time', days: 7, everyMinutes: 60 } as const

/** @returns how it ended, what was asked of the host in this order, and how long it took by the server's clock */
async function run(name: string, { log = [[0, OURS]], mails = [], watch = WEEK, packagesAfterDays, nextJobDays = 0.1 }: Staged) {
  const begun = (await serverNow(env)).getTime()
  const days = async () => ((await serverNow(env)).getTime() - begun) / DAY_MS
  const asked: string[] = []
  const route = { host: 'pve', site: 'shop', sshAlias: 'pve', sudo: false, node: 'pve', taskQueue: `nightshift-${name}` }
  const host = { host: 'pve', mode: 'relay', oldQueue: 'keep', place: '' }
  const opened = { route, policy: POLICY, runbookDigest: 'd'.repeat(64), host, relay: RUNBOOK.relay, watch, estate: name, today: '2026-11-21' }
  const gate = { id: 'mail-route/pve', state: 'passed', reason: 'ok', message: 'pve', next: null }
  const nextJobSeconds = Math.floor((begun + nextJobDays * DAY_MS) / 1000)
  const home = {
    openRelay: async () => opened,
    unfinishedApply: async () => null,
    planRelaySteps: async () => ({ plan: PLAN, verdicts: [], gate, jobs: ['nightly'], nextJobSeconds, fqdn: FQDN }),
    gateOfRelay: async () => gate,
    markRelayMailbox: async () => [],
    readRelayMail: async ({ messageId, subject, waitSeconds }: { messageId: string | null; subject: string | null; waitSeconds: number }) => {
      const now = await days()
      const wanted = messageId !== null ? TEST.subject : (subject ?? '')
      const found = mails.find(
        ([from, mail]) => from <= now && mail.subject.toLowerCase().includes(wanted.toLowerCase()) && (messageId !== null || mail !== TEST),
      )
      if (found === undefined && waitSeconds > 0) await env.sleep(waitSeconds * 1000)
      return found === undefined ? null : { mail: found[1], route: routeOfMail(found[1], RUNBOOK.relay, FQDN) }
    },
    beginApply: async () => {},
    recordStep: async () => {},
    endApply: async () => {},
    writeRunReceipt: async () => ({ number: 1, sha256: 'x' }),
  }
  const site = {
    observeRelay: async () => 'packed',
    applyStep: async ({ step }: { step: { effect: { argv: string[] } } }) => {
      asked.push(step.effect.argv.join(' '))
      return { outcome: 'applied', differences: [], said: '', exitCode: 0, attempt: 1 }
    },
    sendToRoot: async () => void asked.push('mail to root'),
    sendNotificationTest: async () => void asked.push('test'),
    removeTests: async () => void asked.push('remove tests'),
    tidyRelay: async () => void asked.push('tidy'),
    // The cursor is the day until which the log was read.
    readMailLog: async ({ cursor }: { cursor: string | null }): Promise<LogReading> => {
      const now = await days()
      const lines = cursor === null ? [] : log.filter(([from]) => from >= Number(cursor) && from < now)
      const text = lines.map(([from, line]) => `${(begun + from * DAY_MS) / 1000} pve postfix/smtp[815]: 7A56D9F007E: ${line}`).join('\n')
      const changed = packagesAfterDays !== undefined && now >= packagesAfterDays
      return {
        ...{ cursor: String(cursor === null ? 0 : now), deliveries: deliveriesIn(text), waiting: 0 },
        packagesChangedSeconds: changed ? 2 : 1,
        packagesSaid: changed ? '2026-11-25 01:12:09 status installed nightshift-lab-event:all 1' : null,
      }
    },
  }
  const workers = await Promise.all([
    Worker.create({ connection: env.nativeConnection, taskQueue: `nightshift-${name}`, workflowBundle, activities: site }),
    Worker.create({ connection: env.nativeConnection, taskQueue: `${name}-state`, activities: home }),
  ])
  const running = workers.map((worker) => worker.run())
  try {
    const handle = await env.client.workflow.start('emailRelay', {
      workflowId: name,
      taskQueue: `nightshift-${name}`,
      args: [{ host: 'pve', requestedBy: 'ronny' }],
    })
    const result = (await handle.result()) as EmailRelayResult
    const { events } = await handle.fetchHistory()
    // The server's time goes on when nothing waits any more.
    const { closeTime } = await handle.describe()
    return { result, asked, lasted: ((closeTime?.getTime() ?? 0) - begun) / DAY_MS, events: events?.length ?? 0, begun }
  } finally {
    for (const worker of workers) worker.shutdown()
    await Promise.all(running)
  }
}

const ARRIVED = [
  [0, TEST],
  [0, NOTIFICATION],
] as const

describe('seven days without another route', { timeout: 120_000 }, () => {
  it('are waited for, look by look, with a history that stays small; what an undo would need goes only then', async () => {
    const { result, asked, lasted, events } = await run('relay-week', { mails: [...ARRIVED, [0.5, JOB]] })
    expect(result, result.message).toMatchObject({ state: 'done', gate: { state: 'passed' }, proof: { job: { subject: JOB.subject } } })
    const { watched } = result.proof as { watched: { looks: number } }
    expect(watched.looks).toBeGreaterThanOrEqual(168)
    expect(watched.looks).toBeLessThan(175)
    expect(lasted).toBeGreaterThanOrEqual(7)
    expect(lasted).toBeLessThan(7.1)
    expect(events).toBeLessThan(3000)
    expect(asked).toEqual(['postconf -e', 'mail to root', 'test', 'tidy'])
  })

  it('end on the fourth with the first mail that went another way: by which, when, and everything is taken back', async () => {
    const log = [
      [0, OURS],
      [3.5, sentLine('me@gmail.example', 'gmail-smtp-in.l.google.com[142.250.27.27]:25')],
    ] as const
    const { result, asked, lasted, begun } = await run('relay-stray', { log, mails: [...ARRIVED, [0.5, JOB]] })
    expect(result.state).toBe('rolled_back')
    const when = new Date(begun + 3.5 * DAY_MS).toISOString()
    expect(result.message).toContain(`a mail for me@gmail.example went another way, at ${when}: smtp to gmail-smtp-in.l.google.com[142.250.27.27]:25`)
    expect(lasted).toBeGreaterThan(3.5)
    expect(lasted).toBeLessThan(3.6)
    expect(asked.slice(3)).toEqual(['postconf -X'])
  })

  it('are not enough where no job has run: one that is due later is waited for, and one that tells nobody is no proof', async () => {
    const late = await run('relay-monthly', { watch: DAY, mails: [...ARRIVED, [5.2, JOB]], nextJobDays: 5 })
    expect(late.result.state, late.result.message).toBe('done')
    expect(late.lasted).toBeGreaterThan(5)
    const silent = await run('relay-silent', { watch: DAY, mails: ARRIVED, nextJobDays: 0.5 })
    expect(silent.result).toMatchObject({ state: 'rolled_back', message: expect.stringContaining('no notification of a scheduled job (nightly) came until ') })
    expect(silent.lasted).toBeLessThan(2)
  })

  it('are cut short by the events that were asked for, which the proof names', async () => {
    const { result, lasted } = await run('relay-events', {
      ...{ watch: { until: 'events', days: 7, everyMinutes: 60 }, packagesAfterDays: 2, mails: [...ARRIVED, [1, JOB]] },
    })
    expect(result.proof).toMatchObject({
      job: { subject: JOB.subject, protocol: 'ESMTPSA' },
      watched: { packages: { said: '2026-11-25 01:12:09 status installed nightshift-lab-event:all 1' } },
    })
    expect(lasted).toBeLessThan(2.1)
  })
})

describe('takes everything back, and its test mails out of the queue, when', { timeout: 120_000 }, () => {
  const deferred = (relay: string, said: string) =>
    `to=<ronny@spine.ronny.works>, relay=${relay}, delay=0.1, delays=0/0/0/0, dsn=4.0.0, status=deferred (${said})`
  const REFUSED = `connect to ${RELAY}: Connection refused`
  const ANOTHER_WAY = ['from pve.home.lan by mx.gmail.example with ESMTPS id 1; now', ...RECEIVED.slice(1)]
  it.each<[string, Staged, RegExp]>([
    [
      'the port is closed',
      { log: [[0, deferred('none', REFUSED)]] },
      /the mail to root is not in the mailbox after 5 minutes; the host says deferred: connect to .*Connection refused/,
    ],
    [
      'the certificate is of an authority that the host does not trust',
      { log: [[0, deferred(RELAY, 'Server certificate not trusted')]] },
      /the mail to root cannot arrive: deferred: Server certificate not trusted/,
    ],
    [
      'the server takes it, and it never is in the mailbox',
      {},
      /the mail to root is not in the mailbox after 5 minutes; the host says sent: 250 2\.0\.0 Ok: queued as AA/,
    ],
    [
      'the test of the notification target comes by another way',
      {
        mails: [
          [0, TEST],
          [0, mailOf('Test notification', ANOTHER_WAY)],
        ],
      },
      /the test of the notification target arrived by another way: no Received line of mail\.spine\.ronny\.works/,
    ],
  ])('%s', async (title, staged, message) => {
    const { result, asked } = await run(`relay-${title.replace(/\W+/g, '-').slice(0, 16)}`, staged)
    expect(result.message).toMatch(message)
    expect(result).toMatchObject({ state: 'rolled_back', steps: [{ outcome: 'undone' }] })
    expect(asked.slice(-2)).toEqual(['remove tests', 'postconf -X'])
    expect(asked).not.toContain('tidy')
  })
})
