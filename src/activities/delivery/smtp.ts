/**
 * One attempt to hand one message to the mail server: SMTP submission over TLS, certificate always checked, each recipient's answer kept.
 * One connection is kept between messages, for at most ten of them: a default Stalwart takes no more (`452 4.4.5`).
 */
import { createTransport, type NodemailerError, type Transporter } from 'nodemailer'
import MailComposer from 'nodemailer/lib/mail-composer'
import pLimit from 'p-limit'
import type { OutgoingMail, RecipientOutcome, SendOutcome, SendResult, SendStage } from '../../domain/desk/delivery.js'
import { DELIVERY_DEADLINE_SECONDS } from '../../domain/desk/delivery.js'
import type { Redact } from '../../domain/redact.js'
import { briefly, CERTIFICATE_ERRORS } from './words.js'

/** A server as this attempt uses it: secrets resolved. */
export interface SmtpAccess {
  readonly server: string
  readonly port: number
  readonly security: 'tls' | 'starttls'
  /** PEM of the authority; undefined: the system's. */
  readonly authority: string | undefined
  readonly username: string
  readonly password: string
}

const MOST_MESSAGES_A_CONNECTION = 10
/** Shorter than any server waits: a connection that the server just closed is not tried. */
const IDLE_CLOSE_MS = 20_000
const STEP_TIMEOUT_MS = 15_000
const ANSWER_TIMEOUT_MS = 60_000

const SILENT = Object.fromEntries(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'log'].map((level) => [level, () => {}]))

/** Keeps the connection to one server; another access (a new password) begins a new one. */
export class SmtpSender {
  private transport: { readonly key: string; readonly sender: Transporter } | undefined
  private readonly oneAtATime = pLimit(1)
  /** True once the message in hand went out whole: from then on a lost answer means that nobody knows. */
  private isSent = false

  constructor(private readonly redact: Redact) {}

  /** Never throws for what the server or the way to it does. */
  send(access: SmtpAccess, mail: OutgoingMail, signal?: AbortSignal): Promise<SendResult> {
    return this.oneAtATime(() => this.attempt(access, mail, signal))
  }

  private async attempt(access: SmtpAccess, mail: OutgoingMail, signal: AbortSignal | undefined): Promise<SendResult> {
    const startedMs = performance.now()
    const server = `${access.server}:${access.port}`
    const raw = await composed(mail)
    this.isSent = false
    const result = (rest: Omit<SendResult, 'server' | 'latencyMs'>): SendResult => ({
      ...rest,
      server,
      latencyMs: Math.round(performance.now() - startedMs),
    })
    const deadline = AbortSignal.timeout(DELIVERY_DEADLINE_SECONDS.sendMail * 1000 - 5_000)
    try {
      const info = await this.sender(access).sendMail({
        envelope: { from: mail.from, to: [...mail.deliverTo] },
        raw,
        signal: signal === undefined ? deadline : AbortSignal.any([signal, deadline]),
      })
      const refusals: readonly NodemailerError[] = info.rejectedErrors ?? []
      const response = String(info.response ?? '')
      const perRecipient = mail.deliverTo.map((address) => this.recipientOf(address, refusals) ?? accepted(address, response, this.redact))
      const outcome = perRecipient.every((each) => each.outcome === 'accepted') ? 'sent' : 'partial'
      return result({ outcome, stage: 'done', perRecipient, code: codeOf(response), reply: briefly(response, this.redact) })
    } catch (error) {
      this.close()
      const failure = error as NodemailerError
      const { outcome, stage } = judge(failure, this.isSent)
      const reply = briefly(failure.response ?? failure.message, this.redact)
      const code = failure.responseCode || null
      const refusals: readonly NodemailerError[] = failure.rejectedErrors ?? []
      const all = outcome === 'refused' ? ('refused' as const) : ('deferred' as const)
      const perRecipient = mail.deliverTo.map((address) => this.recipientOf(address, refusals) ?? { address, outcome: all, code, reply })
      return result({ outcome, stage, perRecipient, code, reply })
    }
  }

  /** Connects and logs in, and sends nothing. @throws Error with the server's words, redacted */
  async tryLogin(access: SmtpAccess): Promise<void> {
    try {
      await this.sender(access).verify()
    } catch (error) {
      const { response, message } = error as NodemailerError
      throw new Error(briefly(response ?? message, this.redact), { cause: error })
    } finally {
      this.close()
    }
  }

  close(): void {
    this.transport?.sender.close()
    this.transport = undefined
  }

  private sender(access: SmtpAccess): Transporter {
    const key = JSON.stringify(access)
    if (this.transport?.key === key) return this.transport.sender
    this.close()
    const sender = createTransport({
      pool: true,
      maxConnections: 1,
      maxMessages: MOST_MESSAGES_A_CONNECTION,
      // What became of a message is this program's to judge; the library must not send it again by itself.
      maxRequeues: 0,
      idleTimeout: IDLE_CLOSE_MS,
      host: access.server,
      port: access.port,
      secure: access.security === 'tls',
      requireTLS: true,
      auth: { user: access.username, pass: access.password },
      tls: { ...(access.authority === undefined ? {} : { ca: access.authority }), rejectUnauthorized: true },
      connectionTimeout: STEP_TIMEOUT_MS,
      greetingTimeout: STEP_TIMEOUT_MS,
      dnsTimeout: STEP_TIMEOUT_MS,
      socketTimeout: ANSWER_TIMEOUT_MS,
      disableFileAccess: true,
      disableUrlAccess: true,
      // The library's one word for it that the last byte of a message went into the connection.
      logger: { ...SILENT, info: (entry?: { tnx?: string; outByteCount?: number }) => this.onLog(entry) },
    })
    sender.on('error', () => {})
    this.transport = { key, sender }
    return sender
  }

  private onLog(entry: { tnx?: string; outByteCount?: number } | undefined): void {
    if (entry?.tnx === 'message' && entry.outByteCount !== undefined) this.isSent = true
  }

  private recipientOf(address: string, refusals: readonly NodemailerError[]): RecipientOutcome | undefined {
    const refusal = refusals.find((each) => each.recipient === address)
    if (refusal === undefined) return undefined
    const code = refusal.responseCode || null
    return { address, outcome: code !== null && code >= 500 ? 'refused' : 'deferred', code, reply: briefly(refusal.response ?? refusal.message, this.redact) }
  }
}

/** The bytes of a message: the same in every attempt, because nothing in them comes from the attempt. */
export async function composed(mail: OutgoingMail): Promise<Buffer> {
  const headers = Object.entries(mail.headers).map(([key, value]) => ({ key, value: asItReads(value) }))
  const composer = new MailComposer({
    from: mail.from,
    to: [...mail.to],
    subject: asItReads(mail.subject),
    text: mail.text,
    messageId: mail.messageId,
    ...(mail.inReplyTo === null ? {} : { inReplyTo: mail.inReplyTo }),
    ...(mail.references.length === 0 ? {} : { references: [...mail.references] }),
    date: new Date(mail.date),
    headers,
    textEncoding: 'quoted-printable',
    disableFileAccess: true,
    disableUrlAccess: true,
  })
  return await composer.compile().build()
}

/** What looks like an encoded word (RFC 2047) is passed on by the library, and a mail program would show what is encoded in it: a name of a guest is no such word. */
const asItReads = (text: string): string => text.replaceAll('=?', '= ?')

function accepted(address: string, response: string, redact: Redact): RecipientOutcome {
  return { address, outcome: 'accepted', code: codeOf(response), reply: briefly(response, redact) }
}

function codeOf(response: string): number | null {
  const code = Number.parseInt(response, 10)
  return Number.isFinite(code) ? code : null
}

const STAGE_BY_COMMAND: readonly (readonly [RegExp, SendStage])[] = [
  [/^(CONN|EHLO|HELO|API)/, 'connect'],
  [/^STARTTLS/, 'tls'],
  [/^AUTH/, 'auth'],
  [/^MAIL FROM/, 'sender'],
  [/^RCPT TO/, 'recipients'],
  [/^DATA/, 'data'],
]

/** nodemailer's error as an outcome; `isSent`: every byte of the message was handed to the connection. */
function judge(error: NodemailerError, isSent: boolean): { outcome: Exclude<SendOutcome, 'sent' | 'partial'>; stage: SendStage } {
  const stage = stageOf(error, isSent)
  if (error.responseCode) return { outcome: error.responseCode >= 500 ? 'refused' : 'deferred', stage }
  if (stage === 'tls' || (error.code === 'EAUTH' && !isLost(error))) return { outcome: 'refused', stage }
  return { outcome: isSent ? 'unknown' : 'deferred', stage }
}

function stageOf(error: NodemailerError, isSent: boolean): SendStage {
  const original = String(error.originalCode ?? '')
  if (error.code === 'ETLS' || CERTIFICATE_ERRORS.has(original) || CERTIFICATE_ERRORS.has(String(error.code))) return 'tls'
  // A connection that dies in mid-message is reported as CONN by the library.
  if (isSent) return 'data'
  const command = String(error.command ?? '')
  return STAGE_BY_COMMAND.find(([pattern]) => pattern.test(command))?.[1] ?? (error.code === 'EAUTH' ? 'auth' : 'connect')
}

function isLost(error: NodemailerError): boolean {
  return error.originalCode !== undefined && /^(ECONN|ETIMEDOUT|EPIPE)/.test(String(error.originalCode))
}
