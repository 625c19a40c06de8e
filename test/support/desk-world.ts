/**
 * The desk's real workflow and a real SMTP server that it mails to. Passes are made up by the test; what is mailed is what the server took, what is decided is what
 * was written down.
 */
import type { WorkflowHandle } from '@temporalio/client'
import type { TestWorkflowEnvironment } from '@temporalio/testing'
import { Worker, type WorkflowBundle } from '@temporalio/worker'
import { type SmtpAccess, SmtpSender } from '../../src/activities/delivery/smtp.js'
import type { DeliveredAnswer, OutgoingMail, WebhookNotice, WebhookResult } from '../../src/domain/desk/delivery.js'
import type { AlertDeskInput, DeskPublished, DeskWord, KnownKey } from '../../src/domain/desk/messages.js'
import type { DeskReport } from '../../src/domain/desk/report.js'
import type { DeskSnapshot } from '../../src/domain/desk/snapshot.js'
import type { Decision } from '../../src/domain/desk/state.js'
import { anyFreePort } from '../../src/temporal/ports.js'
import { type Answers, makeCertificates, startSmtpServer, type TestSmtpServer } from './smtp-server.js'

export interface Mail {
  readonly subject: string
  readonly messageId: string
  readonly inReplyTo: string | null
  /** `X-Nightshift-Incident`: the ids that it names. */
  readonly incidents: readonly string[]
  /** Of the whole message, as it came over the socket. */
  readonly bytes: number
  readonly text: string
}

export interface DeskTemporal {
  readonly env: TestWorkflowEnvironment
  readonly bundle: WorkflowBundle
}

let certificates: ReturnType<typeof makeCertificates> | undefined

export class DeskWorld {
  readonly notices: WebhookNotice[] = []
  readonly decisions: Decision[] = []
  /** Bytes of the largest message of a pass, of the largest word, and of the largest answer to a question for everything; most decisions of one word. */
  readonly largest = { report: 0, word: 0, decisions: 0, whole: 0 }
  words = 0
  /** What the state folder would say of everything that is wrong in a scope. */
  whole: (scope: string, known: readonly KnownKey[]) => DeskReport | Promise<DeskReport> = () => {
    throw new Error('nothing to read')
  }
  asked = 0
  private readonly before: Mail[] = []
  private server: TestSmtpServer | undefined
  private stopWorkers: (() => Promise<void>) | undefined
  private readonly sender = new SmtpSender((text) => text)

  private constructor(
    private readonly temporal: DeskTemporal,
    readonly estate: string,
    private readonly access: SmtpAccess,
  ) {}

  static async start(temporal: DeskTemporal, estate: string): Promise<DeskWorld> {
    certificates ??= makeCertificates()
    const { authority } = certificates
    const access = { server: '127.0.0.1', port: await anyFreePort(), security: 'tls', authority, username: 'alerts@spine.test', password: 'right' } as const
    const world = new DeskWorld(temporal, estate, access)
    await world.serve({})
    await world.work()
    return world
  }

  /** The mail server answers so from now on. @param answers null: nobody listens any more */
  async serve(answers: Answers | null): Promise<void> {
    this.sender.close()
    if (this.server !== undefined) this.before.push(...this.server.received.map(mailOf))
    await this.server?.close()
    this.server = answers === null || certificates === undefined ? undefined : await startSmtpServer(certificates.good, answers, this.access.port)
  }

  /** All that the server ever took, in order. */
  mails(about = /./): Mail[] {
    return [...this.before, ...(this.server?.received.map(mailOf) ?? [])].filter(({ subject }) => about.test(subject))
  }

  /** Starts workers: one for workflows, one for what touches mail and state. */
  async work(): Promise<void> {
    const { env, bundle } = this.temporal
    const activities = {
      sendMail: (mail: OutgoingMail) => this.sender.send(this.access, mail),
      wasDelivered: async (): Promise<DeliveredAnswer> => ({ answer: 'cannot_tell', arrivedAt: null, mailbox: 'none', why: 'no mailbox here', latencyMs: 0 }),
      sendWebhook: async (notice: WebhookNotice): Promise<WebhookResult> => {
        this.notices.push(notice)
        return { outcome: 'sent', status: 200, reply: 'ok', latencyMs: 0 }
      },
      publishDesk: (word: DeskWord) => this.publish(word),
      readWhole: async ({ scope, known }: { scope: string; known: readonly KnownKey[] }) => {
        this.asked += 1
        const report = await this.whole(scope, known)
        this.largest.whole = Math.max(this.largest.whole, bytesOf(report))
        return report
      },
    }
    const connection = env.nativeConnection
    const workers = await Promise.all([
      Worker.create({ connection, taskQueue: `nightshift-${this.estate}`, workflowBundle: bundle, stickyQueueScheduleToStartTimeout: 200 }),
      Worker.create({ connection, taskQueue: `${this.estate}-state`, activities }),
    ])
    const running = Promise.all(workers.map((worker) => worker.run()))
    this.stopWorkers = async () => {
      for (const worker of workers) worker.shutdown()
      await running
    }
  }

  async stopWork(): Promise<void> {
    await this.stopWorkers?.()
    this.stopWorkers = undefined
  }

  tell(report: DeskReport, input: Partial<AlertDeskInput> = {}): Promise<WorkflowHandle> {
    this.largest.report = Math.max(this.largest.report, bytesOf(report))
    return this.temporal.env.client.workflow.signalWithStart('alertDesk', {
      workflowId: `desk/${this.estate}`,
      taskQueue: `nightshift-${this.estate}`,
      args: [{ estate: this.estate, ...input }],
      signal: 'report',
      signalArgs: [report],
    })
  }

  get handle(): WorkflowHandle {
    return this.temporal.env.client.workflow.getHandle(`desk/${this.estate}`)
  }

  snapshot(): Promise<DeskSnapshot> {
    return this.handle.query<DeskSnapshot>('desk')
  }

  async end(): Promise<void> {
    await this.handle.terminate('the test is over').catch(() => undefined)
    await this.stopWork()
    await this.serve(null)
  }

  /** What the state folder does with a word. */
  keep: (word: DeskWord) => DeskPublished | Promise<DeskPublished> = () => ({})

  private async publish(word: DeskWord): Promise<DeskPublished> {
    this.words += 1
    this.largest.word = Math.max(this.largest.word, bytesOf(word))
    this.largest.decisions = Math.max(this.largest.decisions, word.decisions.length)
    this.decisions.push(...word.decisions)
    return await this.keep(word)
  }
}

function mailOf({ text }: { text: string }): Mail {
  const head = text.slice(0, text.indexOf('\r\n\r\n')).replace(/\r\n[ \t]+/g, ' ')
  const header = (name: string) => new RegExp(`^${name}: (.*)$`, 'im').exec(head)?.[1]?.trim() ?? null
  return {
    subject: header('Subject') ?? '',
    messageId: header('Message-ID') ?? '',
    inReplyTo: header('In-Reply-To'),
    incidents: header('X-Nightshift-Incident')?.split(',') ?? [],
    bytes: Buffer.byteLength(text),
    text,
  }
}

/** As it travels. */
export const bytesOf = (value: unknown): number => Buffer.byteLength(JSON.stringify(value))

/** Message-IDs that were taken more than once. */
export function doubles(mails: readonly Mail[]): string[] {
  const ids = mails.map(({ messageId }) => messageId)
  return ids.filter((id, index) => ids.indexOf(id) !== index)
}
