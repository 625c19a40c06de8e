/** The desk's workflow on a real server and real workers; only what mails and what touches the state folder is scripted. */
import { once } from 'node:events'
import type { WorkflowHandle } from '@temporalio/client'
import { ApplicationFailure, defineSearchAttributeKey, WorkflowExecutionAlreadyStartedError } from '@temporalio/common'
import type { TestWorkflowEnvironment } from '@temporalio/testing'
import { Worker, type WorkflowBundle } from '@temporalio/worker'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { DeliveredAnswer, OutgoingMail, SendResult, WebhookNotice } from '../../../src/domain/desk/delivery.js'
import type { DeskWord, KnownKey } from '../../../src/domain/desk/messages.js'
import type { DeskReport } from '../../../src/domain/desk/report.js'
import type { DeskSnapshot } from '../../../src/domain/desk/snapshot.js'
import type { OpenedMarks } from '../../../src/domain/relay/marks.js'
import type { MarkOrder } from '../../../src/domain/relay/watcher.js'
import { startTestTemporal } from '../../support/test-temporal.js'
import { finding, SENT, Story } from '../desk/story.js'

let env: TestWorkflowEnvironment
let workflowBundle: WorkflowBundle

beforeAll(async () => {
  ;({ env, bundle: workflowBundle } = await startTestTemporal())
}, 120_000)

afterAll(async () => {
  await env?.teardown()
})

/** The world around one desk: what was mailed, posted and written down, and what is to be answered. */
class World {
  readonly mails: OutgoingMail[] = []
  readonly notices: WebhookNotice[] = []
  readonly words: DeskWord[] = []
  readonly asked: KnownKey[][] = []
  answer: (mail: OutgoingMail) => SendResult | Error = () => SENT
  inMailbox: DeliveredAnswer['answer'] = 'cannot_tell'
  whole: DeskReport | undefined
  /** The mailbox answers when this does. */
  look: Promise<unknown> = Promise.resolve()
  /** The disk of the state folder. */
  isFull = false
  /** What the state folder says about marks for the watchers; no watcher unless told. */
  opened: OpenedMarks | undefined
  leave: (mark: MarkOrder) => Promise<string> = async () => 'written'
  readonly left: string[] = []
  readonly unmarked: unknown[] = []
  private stop: (() => Promise<void>) | undefined

  constructor(readonly estate: string) {}

  async start(): Promise<void> {
    const connection = env.nativeConnection
    const activities = {
      sendMail: async (mail: OutgoingMail) => {
        this.mails.push(mail)
        const answer = this.answer(mail)
        if (answer instanceof Error) throw answer
        return answer
      },
      wasDelivered: async (): Promise<DeliveredAnswer> => {
        await this.look
        return { answer: this.inMailbox, arrivedAt: '2026-02-12T08:00:05.000Z', mailbox: 'INBOX', why: null, latencyMs: 3 }
      },
      sendWebhook: async (notice: WebhookNotice) => {
        this.notices.push(notice)
        return { outcome: 'sent', status: 200, reply: 'ok', latencyMs: 2 }
      },
      publishDesk: async (word: DeskWord) => {
        if (this.isFull) throw ApplicationFailure.create({ message: 'writing /state/desk.json failed: ENOSPC', type: 'StateWriteFailed', nextRetryDelay: 10 })
        this.words.push(word)
        return this.opened === undefined ? {} : { marks: this.opened }
      },
      noteUnmarked: async ({ unmarked }: { unmarked: unknown }) => void this.unmarked.push(unmarked),
      readWhole: async ({ known }: { known: KnownKey[] }) => {
        this.asked.push(known)
        if (this.whole === undefined) throw new Error('nothing to read')
        return this.whole
      },
    }
    const workers = await Promise.all([
      Worker.create({
        connection,
        taskQueue: `nightshift-${this.estate}`,
        workflowBundle,
        stickyQueueScheduleToStartTimeout: 200,
        activities: {
          leaveMark: async (mark: MarkOrder) => {
            this.left.push(mark.passId)
            return this.leave(mark)
          },
        },
      }),
      Worker.create({ connection, taskQueue: `${this.estate}-state`, activities }),
    ])
    const running = Promise.all(workers.map((worker) => worker.run()))
    this.stop = async () => {
      for (const worker of workers) worker.shutdown()
      await running
    }
  }

  async end(): Promise<void> {
    await this.stop?.()
    this.stop = undefined
  }

  tell(report: DeskReport, input: object = {}): Promise<WorkflowHandle> {
    return env.client.workflow.signalWithStart('alertDesk', {
      workflowId: `desk/${this.estate}`,
      taskQueue: `nightshift-${this.estate}`,
      args: [{ estate: this.estate, ...input }],
      signal: 'report',
      signalArgs: [report],
    })
  }

  get handle(): WorkflowHandle {
    return env.client.workflow.getHandle(`desk/${this.estate}`)
  }

  snapshot(): Promise<DeskSnapshot> {
    return this.handle.query<DeskSnapshot>('desk')
  }
}

async function withWorld(estate: string, work: (world: World, story: Story) => Promise<void>): Promise<void> {
  const world = new World(estate)
  const story = new Story()
  story.nowMs = Date.now()
  await world.start()
  try {
    await work(world, story)
  } finally {
    await world.handle.terminate('the test is over').catch(() => undefined)
    await world.end()
  }
}

/** Waits until it is so; fails with what it was last. */
const until = (look: () => unknown, expected: unknown): Promise<void> => expect.poll(look, { timeout: 20_000, interval: 50 }).toEqual(expected)

const A = finding('shop/target/vm-204')
const B = finding('shop/target/vm-205')

/** A later pass. */
function next(story: Story, findings: readonly (typeof A)[]): DeskReport {
  story.nowMs += 1_000
  return story.report(findings)
}

describe('the desk', () => {
  it('mails what a pass opened and what it ended, in one thread, and drops what comes twice or late', async () => {
    await withWorld('once', async (world, story) => {
      const first = next(story, [])
      await world.tell(first)
      const opened = next(story, [A])
      await world.tell(opened)
      await until(() => world.mails.length, 1)
      await world.tell(opened)
      await world.tell(first)
      await world.tell(next(story, []))
      await until(() => world.mails.length, 2)
      const [problem, recovery] = world.mails
      expect(problem?.subject).toBe('[nightshift test/shop] CRITICAL vm-204: stale')
      expect(recovery?.subject).toMatch(/^Re: .*RECOVERED vm-204/)
      expect(recovery?.inReplyTo).toBe(problem?.messageId)
      // The second mail is taken before the desk knows that it was.
      await until(async () => {
        const { totals, outbox, incidents } = await world.snapshot()
        return [totals.reports, totals.dropped, outbox.depth, incidents.length]
      }, [3, 2, 0, 0])
      await until(() => world.words.flatMap(({ decisions }) => decisions.map(({ decision }) => decision)), ['mailed', 'recovered'])
      const description = await world.handle.describe()
      expect(description.typedSearchAttributes.get(defineSearchAttributeKey('NightshiftRunbook', 'KEYWORD'))).toBe('alertDesk')
    })
  })

  it('keeps what it was told while no worker was there, and sends it in order when one is back', async () => {
    await withWorld('away', async (world, story) => {
      await world.tell(next(story, []))
      await world.tell(next(story, [A]))
      await until(() => world.mails.length, 1)
      await world.end()
      await world.tell(next(story, [A, B]))
      await world.tell(next(story, []))
      await world.start()
      await until(() => world.mails.length, 4)
      expect(world.mails.map(({ subject }) => subject.replace(/ after.*| \d+ s$/, ''))).toEqual([
        '[nightshift test/shop] CRITICAL vm-204: stale',
        '[nightshift test/shop] CRITICAL vm-205: stale',
        'Re: [nightshift test/shop] RECOVERED vm-204',
        'Re: [nightshift test/shop] RECOVERED vm-205',
      ])
      expect(new Set(world.mails.map(({ messageId }) => messageId)).size).toBe(4)
    })
  })

  it('looks into the mailbox before it sends again what may have arrived', async () => {
    await withWorld('unsure', async (world, story) => {
      world.inMailbox = 'yes'
      world.answer = () => new Error('the worker lost the connection')
      await world.tell(next(story, []))
      await world.tell(next(story, [A]))
      await until(async () => (await world.snapshot()).outbox.lastReply, 'found in INBOX')
      expect(world.mails).toHaveLength(1)
      expect((await world.snapshot()).outbox.depth).toBe(0)
    })
  })

  it('goes on mailing while the state folder is full, says so, and writes down all of it later, also after a change to a new run', async () => {
    await withWorld('full', async (world, story) => {
      await world.tell(next(story, []), { continueAfterEvents: 50 })
      await until(() => world.words.length > 0, true)
      world.isFull = true
      const names = Array.from({ length: 6 }, (_, index) => finding(`shop/target/vm-${index}`))
      for (let count = 1; count <= names.length; count++) {
        await world.tell(next(story, names.slice(0, count)))
        await until(() => world.mails.filter(({ subject }) => subject.includes(`vm-${count - 1}:`)).length, 1)
      }
      await until(() => world.mails.filter(({ subject }) => subject.includes('CRITICAL record')).length, 1)
      expect(world.mails.find(({ subject }) => subject.includes('CRITICAL record'))?.text).toContain('ENOSPC')
      await until(async () => (await world.handle.describe()).runId !== (await firstRun('full')), true)
      world.isFull = false
      const written = () =>
        world.words.flatMap(({ decisions }) => decisions.filter(({ decision }) => decision === 'mailed').map(({ key }) => key.split(' ')[0]))
      await expect.poll(written, { timeout: 80_000, interval: 200 }).toEqual(expect.arrayContaining(names.map(({ subject }) => subject)))
      await until(() => world.mails.filter(({ subject }) => /RECOVERED.*record/.test(subject)).length, 1)
    })
  }, 120_000)

  it('sends by the second channel what the server refuses, and says that it refuses', async () => {
    await withWorld('refused', async (world, story) => {
      world.answer = ({ deliverTo }) => ({
        ...SENT,
        outcome: 'refused',
        stage: 'recipients',
        code: 550,
        reply: '5.1.1 no such user',
        perRecipient: deliverTo.map((address) => ({ address, outcome: 'refused', code: 550, reply: '5.1.1 no such user' })),
      })
      await world.tell(next(story, []))
      await world.tell(next(story, [A]))
      await until(() => world.notices.length, 2)
      expect(world.notices.map(({ title }) => title)).toEqual(['[nightshift test/shop] CRITICAL vm-204: stale', '[nightshift test] no mail: recipient refused'])
      expect(world.notices[0]?.text).toContain('nightshift alerts show')
      expect((await world.snapshot()).incidents.map(({ subject }) => subject).sort()).toEqual(['shop/target/vm-204', 'test/delivery/ops@spine.test'])
    })
  })

  it('reads the whole when what it knows does not agree with what it is told', async () => {
    await withWorld('lost', async (world, story) => {
      await world.tell(next(story, []))
      next(story, [A])
      const later = next(story, [A, B])
      world.whole = later
      await world.tell({ ...later, changed: [B] })
      await until(() => world.mails.length, 1)
      expect(world.mails[0]?.subject).toBe('[nightshift test/shop] CRITICAL 2 problems: vm-204, vm-205')
      expect(world.asked).toEqual([[]])
    })
  })
})

async function firstRun(estate: string): Promise<string> {
  const runs = []
  for await (const { runId, startTime } of env.client.workflow.list({ query: `WorkflowId = "desk/${estate}"` })) runs.push({ runId, startTime })
  return runs.sort((a, b) => a.startTime.getTime() - b.startTime.getTime())[0]?.runId ?? ''
}

describe('marks for the watchers', () => {
  const route = { host: 'proxmox-home', site: 'home', sshAlias: 'proxmox-home', sudo: false, node: 'pve' }
  const opened = (passId: string, more: Partial<OpenedMarks> = {}): OpenedMarks => ({
    marks: [{ route, estate: 'e', passId, takenAt: '2026-02-12T08:20:00.000Z' }],
    withheld: null,
    unmarked: [],
    ...more,
  })

  it('are left once for each pass that the desk took, and not while they are withheld', async () => {
    await withWorld('marks', async (world, story) => {
      world.opened = opened('pass-1')
      await world.tell(next(story, []))
      await until(() => world.left, ['pass-1'])
      world.opened = opened('pass-2')
      await world.tell(next(story, [A]))
      // The mail is another word about the same pass.
      await until(() => world.words.length > 2 && world.mails.length, 1)
      expect(world.left).toEqual(['pass-1', 'pass-2'])

      const words = world.words.length
      world.opened = opened('pass-3', { marks: [], withheld: 'a mail has been waiting to be sent since 08:00' })
      await world.tell(next(story, [A]))
      await until(() => world.words.length > words, true)
      // Allowed again, by the same pass: a mail went out at last.
      world.opened = opened('pass-3')
      const [row] = (await world.snapshot()).incidents
      await world.handle.executeUpdate('ack', { args: [{ incident: row?.id, by: 'ronny', reason: 'seen' }] })
      await until(() => world.left, ['pass-1', 'pass-2', 'pass-3'])
      expect(world.unmarked).toEqual([])
    })
  })

  it('that cannot be left are noted with the cause until one can, and hold up no mail', async () => {
    await withWorld('unmarked', async (world, story) => {
      const hanging = new AbortController()
      world.leave = async () => {
        if (!hanging.signal.aborted) await once(hanging.signal, 'abort')
        throw ApplicationFailure.nonRetryable('No space left on device', 'HostUnread')
      }
      world.opened = opened('pass-1')
      await world.tell(next(story, []))
      await until(() => world.left.length, 1)
      await world.tell(next(story, [A]))
      await until(() => world.mails.length, 1)
      hanging.abort()
      await until(() => world.unmarked.at(0), { 'proxmox-home': 'No space left on device' })
      world.leave = async () => 'written'
      world.opened = opened('pass-3', { unmarked: ['proxmox-home'] })
      await world.tell(next(story, [A]))
      await until(() => world.unmarked.at(-1), {})
    })
  })
})

describe('orders to the desk', () => {
  it('by update are refused with the reason or obeyed; by signal the refusal is shown', async () => {
    await withWorld('orders', async (world, story) => {
      await world.tell(next(story, []))
      await world.tell(next(story, [A]))
      await until(() => world.mails.length, 1)
      const order = { matching: A.subject, by: 'ronny', reason: 'disk ordered', until: '2020-01-01T00:00:00Z' }
      await expect(world.handle.executeUpdate('silence', { args: [order] })).rejects.toHaveProperty('cause.message', expect.stringContaining('is over already'))
      const inAnHour = new Date(Date.now() + 3_600_000).toISOString()
      await expect(world.handle.executeUpdate('silence', { args: [{ ...order, until: inAnHour }] })).resolves.toContain('until')
      const [row] = (await world.snapshot()).incidents
      expect(row?.silencedUntil).toBe(inAnHour)
      await expect(world.handle.executeUpdate('ack', { args: [{ incident: row?.id, by: 'ronny', reason: 'seen' }] })).resolves.toContain(A.subject)
      await world.handle.signal('ack', { incident: row?.id, by: 'ronny', reason: 'again' })
      await until(async () => (await world.snapshot()).refused.map(({ why }) => why), [`incident ${row?.id} is acknowledged already, by ronny`])
    })
  })

  it('what is no report or no order, sent by hand to the wrong signal, is shown as refused and breaks nothing', async () => {
    await withWorld('byhand', async (world, story) => {
      const first = next(story, [])
      await world.tell(first)
      const bad = [
        undefined,
        'text',
        { hello: 'world' },
        { ...first, passId: 'x1', takenAt: 'tomorrow' },
        { ...first, passId: 'x2', changed: [{ ...A, since: 'long ago' }] },
        { ...first, passId: 'x3', changed: [{ ...A, lastGood: { path: '/a', at: '' } }] },
        { ...first, passId: 'x4', contract: { ...first.contract, sender: 'a@b\r\nBcc: c@d' } },
      ]
      for (const each of bad) await (each === undefined ? world.handle.signal('report') : world.handle.signal('report', each))
      for (const name of ['ack', 'silence', 'unsilence', 'adopt', 'closeAdopted'])
        for (const each of [null, 'text', { incident: 1, by: {} }]) await world.handle.signal(name, each)
      const silence = { matching: `${'a*'.repeat(200)}b`, by: 'ronny', reason: 'many stars', until: new Date(Date.now() + 3_600_000).toISOString() }
      await world.handle.executeUpdate('silence', { args: [silence] })
      const long = finding(`shop/target/${'a'.repeat(300)}`)
      await world.tell(next(story, [A, long]))
      await until(async () => (await world.snapshot()).incidents.map(({ subject }) => subject).sort(), [long.subject, A.subject].sort())
      const { refused } = await world.snapshot()
      expect(refused).toHaveLength(20)
      expect(refused.slice(0, 5).map(({ order, why }) => `${order}: ${why}`)).toEqual([
        expect.stringMatching(/^report: it is no report: scope:/),
        expect.stringMatching(/^report: it is no report: takenAt: an instant/),
        expect.stringMatching(/^report: it is no report: changed\.0\.since/),
        expect.stringMatching(/^report: it is no report: changed\.0\.lastGood\.at/),
        expect.stringMatching(/^report: it is no report: contract\.sender: one bare mail address/),
      ])
    })
  })

  it('adopt a queue of an earlier system: listed once, closed by decision, with evidence', async () => {
    await withWorld('queue', async (world, story) => {
      await world.tell(next(story, []))
      const adopt = { name: 'comms', by: 'ronny', count: 147, oldest: '2025-11-01', lines: ['stale: vm-204', 'x\r\nBcc: y@z'] }
      await world.handle.executeUpdate('adopt', { args: [adopt] })
      await until(() => world.mails.length, 1)
      expect(world.mails[0]?.subject).toBe('[nightshift test] 147 alerts of comms were never sent')
      expect(world.mails[0]?.text).toContain('and 145 more')
      await expect(world.handle.executeUpdate('adopt', { args: [adopt] })).rejects.toHaveProperty('cause.message', 'the queue comms is adopted already')
      await world.handle.executeUpdate('closeAdopted', { args: [{ name: 'comms', by: 'ronny', reason: 'all looked at' }] })
      await until(
        () => world.words.flatMap(({ evidence }) => evidence.map(({ what, by, facts }) => [what, by, facts.count])),
        [['close-adopted', 'ronny', 147]],
      )
      expect((await world.snapshot()).adopted).toEqual([])
    })
  })

  it('canary: is sent, looked for, and its way is measured', async () => {
    await withWorld('canary', async (world, story) => {
      world.inMailbox = 'yes'
      await world.tell(next(story, []))
      await until(async () => (await world.snapshot()).passId, 'pass-1')
      await world.handle.executeUpdate('canary', { args: [] })
      await until(async () => (await world.snapshot()).canary?.state, 'arrived')
      await until(
        () => world.words.flatMap(({ evidence }) => evidence.map(({ what, reason }) => `${what} ${reason}`)).sort(),
        ['canary arrived', 'second-channel taken'],
      )
      expect((await world.snapshot()).secondChannel).toMatchObject({ state: 'taken', detail: 'ok' })
      world.inMailbox = 'no'
      await world.handle.signal('canary')
      await until(
        () => world.notices.map(({ title }) => title).sort(),
        ['[nightshift test] no mail: canary lost', ...Array(2).fill('[nightshift test] test of the second channel')],
      )
    })
  })

  it('what happens while the mailbox is looked through for the canary is not forgotten', async () => {
    await withWorld('meanwhile', async (world, story) => {
      world.inMailbox = 'yes'
      let answer: (value?: unknown) => void = () => {}
      world.look = new Promise((resolve) => {
        answer = resolve
      })
      await world.tell(next(story, []))
      await until(async () => (await world.snapshot()).passId, 'pass-1')
      await world.handle.executeUpdate('canary', { args: [] })
      await until(async () => (await world.snapshot()).canary?.sentAtMs === null, false)
      await world.tell(next(story, [A]))
      await until(() => world.mails.length, 2)
      answer()
      await until(async () => (await world.snapshot()).canary?.state, 'arrived')
      expect((await world.snapshot()).incidents.map(({ subject }) => subject)).toEqual([A.subject])
    })
  })

  it('there is one desk for an estate', async () => {
    await withWorld('single', async (world, story) => {
      await world.tell(next(story, []))
      const again = env.client.workflow.start('alertDesk', { workflowId: 'desk/single', taskQueue: 'nightshift-single', args: [{ estate: 'single' }] })
      await expect(again).rejects.toThrow(WorkflowExecutionAlreadyStartedError)
    })
  })
})
