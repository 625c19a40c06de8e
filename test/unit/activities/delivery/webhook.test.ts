import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeAll, expect, it } from 'vitest'
import { sendWebhook, type WebhookAccess } from '../../../../src/activities/delivery/webhook.js'
import { makeCertificates, type TestCertificates } from '../../../support/smtp-server.js'

let certificates: TestCertificates
const closers: (() => void)[] = []

beforeAll(() => {
  certificates = makeCertificates()
})

afterEach(() => {
  for (const close of closers.splice(0)) close()
})

const NOTICE = { id: 'desk-1', title: 'Mail geht nicht – seit 10:00', text: 'The mail server refuses the login.\n', severity: 'critical' as const }

async function start(handler: RequestListener, tls?: { key: string; cert: string }): Promise<WebhookAccess> {
  const server = tls === undefined ? createServer(handler) : createTlsServer(tls, handler)
  server.on('error', () => {})
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
  closers.push(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}/nightshift`, token: undefined, authority: undefined }
}

const answering =
  (status: number): RequestListener =>
  (_request, response) =>
    response.writeHead(status).end('said')
const send = (access: WebhookAccess, notice = NOTICE) => sendWebhook(access, notice, (text) => text.replaceAll('tk_secret', '•'))

/** A receiver that does with messages what ntfy 2.16 documents: one sequence is one notification, and a body of more than 4096 bytes is refused. */
async function ntfy(answers: (post: number) => boolean = () => true) {
  const shown = new Map<string, string>()
  let posts = 0
  const access = await start((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.once('end', () => {
      posts += 1
      const body = Buffer.concat(chunks)
      const sequence = String(request.headers['x-sequence-id'])
      if (body.length > 4096 || !/^[-_A-Za-z0-9]{1,64}$/.test(sequence)) return response.writeHead(400).end('invalid')
      shown.set(sequence, body.toString('utf8'))
      return answers(posts) ? response.end('{}') : request.socket.destroy()
    })
  })
  return { access, shown, posts: () => posts }
}

it('a notice whose answer was lost and that is sent again is shown once', async () => {
  const { access, shown, posts } = await ntfy((post) => post > 1)
  const notice = { ...NOTICE, id: '1f0c22ab.0' }
  expect((await send(access, notice)).outcome).toBe('unknown')
  expect((await send(access, notice)).outcome).toBe('sent')
  expect([posts(), [...shown.keys()]]).toEqual([2, ['1f0c22ab-0']])
})

it.each(['é', '\u65e5', '\u{1f600}', 'x'])('a text of more than ntfy takes is cut between two characters (%s), and says so', async (character) => {
  const { access, shown } = await ntfy()
  expect((await send(access, { ...NOTICE, text: `-${character.repeat(5000)}` })).outcome).toBe('sent')
  const [text = ''] = shown.values()
  expect(text).toMatch(/\(cut; nightshift alerts list has all\)\n$/)
  expect(text).not.toContain('\ufffd')
  expect(Buffer.byteLength(text)).toBeGreaterThan(3900)
})

it('posts what ntfy understands: text as body, title, priority and tag as headers, the token as bearer', async () => {
  let seen: IncomingMessage | undefined
  let body = ''
  const access = await start((request, response) => {
    seen = request
    request.setEncoding('utf8').on('data', (chunk: string) => {
      body += chunk
    })
    request.once('end', () => response.end('{"id":"x"}'))
  })
  expect(await send({ ...access, token: 'tk_secret' })).toMatchObject({ outcome: 'sent', status: 200 })
  expect(body).toBe(NOTICE.text)
  expect(seen?.method).toBe('POST')
  expect(seen?.headers).toMatchObject({ priority: '5', tags: 'critical', authorization: 'Bearer tk_secret', 'x-nightshift-id': 'desk-1' })
  expect(String(seen?.headers.title)).toMatch(/^=\?UTF-8\?B\?[A-Za-z0-9+/=]+\?=$/)
  await send(access, { ...NOTICE, title: 'vm =?utf-8?Q?evil?= b' })
  expect(String(seen?.headers.title), 'what looks encoded is encoded once more').toMatch(/^=\?UTF-8\?B\?/)
})

it.each([
  [429, 'deferred'],
  [503, 'deferred'],
  [401, 'refused'],
  [302, 'refused'],
])('HTTP %i is %s', async (status, outcome) => {
  expect(await send(await start(answering(status)))).toMatchObject({ outcome, status })
})

it('nobody there is deferred', async () => {
  const access = await start(answering(200))
  for (const close of closers.splice(0)) close()
  expect(await send(access)).toMatchObject({ outcome: 'deferred', status: null })
})

it('an answer that never came is unknown once the notice went out', async () => {
  const access = await start((request) => {
    request.resume()
    request.once('end', () => request.socket.destroy())
  })
  expect(await send(access)).toMatchObject({ outcome: 'unknown', status: null })
})

it('a certificate of an unknown authority is refused; with the authority it is taken', async () => {
  const access = await start(answering(200), certificates.good)
  expect(await send(access)).toMatchObject({ outcome: 'refused', status: null })
  expect(await send({ ...access, authority: certificates.authority })).toMatchObject({ outcome: 'sent', status: 200 })
})

it('a secret in an answer is not repeated', async () => {
  const access = await start((_request, response) => response.writeHead(403).end('no such token tk_secret'))
  expect(JSON.stringify(await send(access))).not.toContain('tk_secret')
})
