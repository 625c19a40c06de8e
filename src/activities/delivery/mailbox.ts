/**
 * Did a message arrive? Read from the recipient's mailbox over IMAP. Newest messages first, by envelope: header searches are not to be relied on
 * (Stalwart indexes few headers, and later).
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { ImapFlow } from 'imapflow'
import type { DeliveredAnswer, DeliveredQuestion } from '../../domain/desk/delivery.js'
import { DELIVERY_DEADLINE_SECONDS } from '../../domain/desk/delivery.js'
import type { Redact } from '../../domain/redact.js'
import type { ReadMail } from '../../domain/relay/proof.js'
import { briefly } from './words.js'

/** A mailbox as it is read now: secrets resolved. */
export interface MailboxAccess {
  readonly address: string
  readonly server: string
  readonly port: number
  readonly username: string
  readonly password: string
  readonly authority: string | undefined
  readonly folders: readonly string[]
}

/** A message that was found. */
export interface FoundMessage {
  readonly folder: string
  readonly uid: number
  /** INTERNALDATE: when the server filed it. */
  readonly arrivedAt: string
}

const LOOK_AGAIN_MS = 3_000
/** A mail that was handed over is there within a second, mostly: the first looks follow each other sooner. */
const LOOK_AGAIN_FIRST_MS = 400
const PAGE = 100
/** Clocks of worker and server may differ, and the date of a message may be an attempt older. */
const CLOCK_SLACK_MS = 10 * 60_000
const CONNECT_TIMEOUT_MS = 15_000
const ANSWER_TIMEOUT_MS = 60_000

/** Never throws for what the server does: `cannot_tell` says why. */
export async function wasDelivered(access: MailboxAccess, question: DeliveredQuestion, redact: Redact, signal?: AbortSignal): Promise<DeliveredAnswer> {
  const startedMs = performance.now()
  const mailbox = `${access.address}, ${access.folders.join(' and ')} on ${access.server}:${access.port}`
  const answer = (rest: Omit<DeliveredAnswer, 'mailbox' | 'latencyMs'>): DeliveredAnswer => ({
    ...rest,
    mailbox,
    address: access.address,
    latencyMs: Math.round(performance.now() - startedMs),
  })
  if (!question.recipients.some((recipient) => recipient.toLowerCase() === access.address.toLowerCase())) {
    return answer({ answer: 'cannot_tell', arrivedAt: null, why: `the mailbox of ${access.address} is none of the message's recipients` })
  }
  const endMs = Math.min(question.waitSeconds, DELIVERY_DEADLINE_SECONDS.wasDelivered - 20) * 1000
  try {
    return await reading(access, async (client) => {
      for (;;) {
        const found = await findMessage(client, access.folders, question.messageId, new Date(Date.parse(question.since) - CLOCK_SLACK_MS))
        if (found !== undefined) return answer({ answer: 'yes', arrivedAt: found.arrivedAt, why: null })
        if (performance.now() - startedMs + LOOK_AGAIN_MS > endMs) return answer({ answer: 'no', arrivedAt: null, why: null })
        await delay(LOOK_AGAIN_MS, undefined, { signal })
      }
    })
  } catch (error) {
    if (signal?.aborted) throw error
    return answer({ answer: 'cannot_tell', arrivedAt: null, why: briefly(imapCause(error), redact) })
  }
}

/** Opens the mailbox for reading and closes it whatever happens. */
export async function reading<T>(access: MailboxAccess, work: (client: ImapFlow) => Promise<T>): Promise<T> {
  // Loaded with the first mailbox that is read: a fifth of what a worker loads is this.
  const { ImapFlow } = await import('imapflow')
  const client = new ImapFlow({
    host: access.server,
    port: access.port,
    secure: true,
    tls: { ...(access.authority === undefined ? {} : { ca: access.authority }), rejectUnauthorized: true },
    auth: { user: access.username, pass: access.password },
    logger: false,
    connectionTimeout: CONNECT_TIMEOUT_MS,
    greetingTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: ANSWER_TIMEOUT_MS,
  })
  client.on('error', () => {})
  try {
    await client.connect()
    return await work(client)
  } finally {
    client.close()
  }
}

/** Logs in and counts the messages of each folder, of those that are there. @throws Error with the cause in words, redacted */
export async function countMessages(access: MailboxAccess, redact: Redact): Promise<{ folder: string; messages: number }[]> {
  try {
    return await reading(access, async (client) => {
      const there = (await client.list()).map(({ path }) => path)
      const counts: { folder: string; messages: number }[] = []
      for (const folder of access.folders.filter((name) => there.includes(name))) {
        const status = await client.status(folder, { messages: true })
        counts.push({ folder, messages: status ? (status.messages ?? 0) : 0 })
      }
      return counts
    })
  } catch (error) {
    throw new Error(briefly(imapCause(error), redact), { cause: error })
  }
}

/** Looks through the folders, newest message first, back to `since`. */
export async function findMessage(client: ImapFlow, folders: readonly string[], messageId: string, since: Date): Promise<FoundMessage | undefined> {
  for (const folder of folders) {
    const lock = await client.getMailboxLock(folder, { readOnly: true })
    try {
      // Without this the server may still show the folder as it was when it was opened.
      await client.noop()
      const found = await findIn(client, folder, messageId, since)
      if (found !== undefined) return found
    } finally {
      lock.release()
    }
  }
  return undefined
}

async function findIn(client: ImapFlow, folder: string, messageId: string, since: Date): Promise<FoundMessage | undefined> {
  let last = client.mailbox === false ? 0 : client.mailbox.exists
  while (last > 0) {
    const first = Math.max(1, last - PAGE + 1)
    const page = await client.fetchAll(`${first}:${last}`, { uid: true, envelope: true, internalDate: true })
    const found = page.find((message) => message.envelope?.messageId === messageId)
    if (found !== undefined) return { folder, uid: found.uid, arrivedAt: new Date(found.internalDate ?? 0).toISOString() }
    if (page.some((message) => new Date(message.internalDate ?? 0) < since)) return undefined
    last = first - 1
  }
  return undefined
}

/** Where each folder ended: what arrives later has a number from here on, as long as the folder is the same one. */
export interface MailboxMark {
  readonly folder: string
  readonly uidNext: number
  /** Text, because it may be bigger than a number of JSON. */
  readonly uidValidity: string
}

/** @throws Error in words when the mailbox cannot be read */
export async function markMailbox(access: MailboxAccess): Promise<MailboxMark[]> {
  return await inWords(
    reading(access, async (client) => {
      const marks: MailboxMark[] = []
      for (const folder of access.folders) {
        const status = await client.status(folder, { uidNext: true, uidValidity: true })
        if (status === false || status.uidNext === undefined) throw new Error(`there is no folder ${folder}`)
        marks.push({ folder, uidNext: status.uidNext, uidValidity: String(status.uidValidity) })
      }
      return marks
    }),
  )
}

/**
 * The first message from these marks on that `isIt` knows, with its way; looks again until it is there or the time is over. Searching is left to us: not every server
 * indexes what arrived a moment ago.
 * @throws Error in words when the mailbox cannot be read, or a folder was made anew since it was marked
 */
export async function readBack(
  access: MailboxAccess,
  marks: readonly MailboxMark[],
  isIt: (mail: ReadMail) => boolean,
  waitSeconds: number,
  signal?: AbortSignal,
): Promise<ReadMail | null> {
  const endMs = performance.now() + waitSeconds * 1000
  return await inWords(
    reading(access, async (client) => {
      for (let pauseMs = LOOK_AGAIN_FIRST_MS; ; pauseMs = Math.min(LOOK_AGAIN_MS, pauseMs * 2)) {
        for (const mark of marks) {
          const found = (await newMails(client, mark)).find(isIt)
          if (found !== undefined) return found
        }
        if (performance.now() + pauseMs > endMs) return null
        await delay(pauseMs, undefined, { signal })
      }
    }),
  )
}

const SHOWN_HEADERS = ['received', 'return-path', 'message-id', 'subject', 'from']

async function newMails(client: ImapFlow, { folder, uidNext, uidValidity }: MailboxMark): Promise<ReadMail[]> {
  const lock = await client.getMailboxLock(folder, { readOnly: true })
  try {
    await client.noop()
    if (client.mailbox !== false && String(client.mailbox.uidValidity) !== uidValidity) throw new Error(`${folder} was made anew since it was looked at`)
    const messages = await client.fetchAll(`${uidNext}:*`, { uid: true, internalDate: true, headers: SHOWN_HEADERS }, { uid: true })
    // `N:*` gives the last message also when its number is below N.
    return messages
      .filter(({ uid }) => uid >= uidNext)
      .map(({ uid, internalDate, headers }) => {
        const of = headersOf(headers?.toString('utf8') ?? '')
        const returnPath = of('return-path')[0]
        return {
          folder,
          uid,
          arrivedAt: new Date(internalDate ?? 0).toISOString(),
          messageId: of('message-id')[0] ?? '',
          subject: of('subject')[0] ?? '',
          from: of('from')[0] ?? '',
          returnPath: returnPath === undefined ? null : returnPath.replace(/^<|>$/g, ''),
          received: of('received'),
        }
      })
  } finally {
    lock.release()
  }
}

/** Values of a header by its name, unfolded, in their order. */
function headersOf(text: string): (name: string) => string[] {
  const lines = text.replace(/\r?\n[ \t]+/g, ' ').split(/\r?\n/)
  return (name) => lines.filter((line) => line.toLowerCase().startsWith(`${name}:`)).map((line) => line.slice(name.length + 1).trim())
}

async function inWords<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    throw new Error(imapCause(error), { cause: error })
  }
}

function imapCause(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { authenticationFailed, responseText, code } = error as Error & { authenticationFailed?: boolean; responseText?: string; code?: string }
  if (authenticationFailed) return `the mailbox refused the login: ${responseText ?? error.message}`
  return `the mailbox could not be read: ${responseText ?? error.message}${code === undefined || error.message.includes(code) ? '' : ` (${code})`}`
}
