/** The second channel: one POST that ntfy understands. Redirects are not followed: a token must not travel on. */
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { DELIVERY_DEADLINE_SECONDS, type WebhookNotice, type WebhookResult } from '../../domain/desk/delivery.js'
import type { Redact } from '../../domain/redact.js'
import type { Severity } from '../../domain/status.js'
import { briefly, CERTIFICATE_ERRORS } from './words.js'

export interface WebhookAccess {
  readonly url: string
  readonly token: string | undefined
  readonly authority: string | undefined
}

/** ntfy: 5 is the loudest, 3 the usual. */
const PRIORITY: Readonly<Record<Severity, number>> = { critical: 5, unknown: 4, warning: 3, ok: 3 }
const MOST_ANSWER_BYTES = 10_000
/** ntfy makes an attachment of what is longer than 4096 bytes, and refuses it where it keeps none (`message-size-limit`). */
const MOST_BODY_BYTES = 4_000
const CUT = '\n(cut; nightshift alerts list has all)\n'

/** Never throws for what the receiver does. */
export async function sendWebhook(access: WebhookAccess, notice: WebhookNotice, redact: Redact, signal?: AbortSignal): Promise<WebhookResult> {
  const startedMs = performance.now()
  const result = (outcome: WebhookResult['outcome'], status: number | null, reply: string): WebhookResult => ({
    outcome,
    status,
    reply: briefly(reply, redact),
    latencyMs: Math.round(performance.now() - startedMs),
  })
  const sent = { whole: false }
  try {
    const { status, text } = await post(access, notice, sent, signal)
    if (status >= 200 && status < 300) return result('sent', status, text)
    // Too many requests and the server's own trouble pass; anything else says that the request itself is wrong.
    return result(status === 429 || status >= 500 ? 'deferred' : 'refused', status, text || `HTTP ${status}`)
  } catch (error) {
    if (signal?.aborted) throw error
    const { code = '', message } = error as NodeJS.ErrnoException
    if (CERTIFICATE_ERRORS.has(code)) return result('refused', null, message)
    return result(sent.whole ? 'unknown' : 'deferred', null, message)
  }
}

function post(access: WebhookAccess, notice: WebhookNotice, sent: { whole: boolean }, signal?: AbortSignal): Promise<{ status: number; text: string }> {
  const url = new URL(access.url)
  const body = fitting(notice.text)
  const deadline = AbortSignal.timeout(DELIVERY_DEADLINE_SECONDS.sendWebhook * 1000 - 5_000)
  return new Promise((resolve, reject) => {
    const request = (url.protocol === 'https:' ? httpsRequest : httpRequest)(
      url,
      {
        method: 'POST',
        headers: {
          'Content-Type': 'text/plain; charset=utf-8',
          'Content-Length': body.length,
          Title: encodedWord(notice.title),
          Priority: String(PRIORITY[notice.severity]),
          Tags: notice.severity,
          'X-Nightshift-Id': notice.id,
          'X-Sequence-ID': sequenceId(notice.id),
          ...(access.token === undefined ? {} : { Authorization: `Bearer ${access.token}` }),
        },
        ...(access.authority === undefined ? {} : { ca: access.authority }),
        signal: signal === undefined ? deadline : AbortSignal.any([signal, deadline]),
      },
      (response) => {
        const chunks: Buffer[] = []
        let bytes = 0
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length
          if (bytes <= MOST_ANSWER_BYTES) chunks.push(chunk)
        })
        response.once('error', reject)
        response.once('end', () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }))
      },
    )
    request.once('finish', () => {
      sent.whole = true
    })
    request.once('error', reject)
    request.end(body)
  })
}

/** ntfy from 2.16 on shows messages of one sequence as one: a notice that was sent twice replaces itself. It takes `[-_A-Za-z0-9]{1,64}` only. */
const sequenceId = (id: string): string => id.replace(/[^-_A-Za-z0-9]/g, '-').slice(0, 64)

function fitting(text: string): Buffer {
  const body = Buffer.from(text)
  if (body.length <= MOST_BODY_BYTES) return body
  const whole = new TextDecoder().decode(body.subarray(0, MOST_BODY_BYTES - CUT.length), { stream: true })
  return Buffer.from(`${whole}${CUT}`)
}

/** A header holds ASCII; ntfy decodes RFC 2047. */
function encodedWord(text: string): string {
  const line = text.replace(/[\r\n\t]+/g, ' ')
  return /^[\x20-\x7e]*$/.test(line) && !line.includes('=?') ? line : `=?UTF-8?B?${Buffer.from(line).toString('base64')}?=`
}
