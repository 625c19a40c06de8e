/** A real SMTP server in this process that can be told how to answer, and the certificates that it needs. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SMTPServer, type SMTPServerOptions } from 'smtp-server'

export interface TestCertificates {
  /** PEM of the authority that clients trust. */
  readonly authority: string
  readonly good: { readonly key: string; readonly cert: string }
  readonly expired: { readonly key: string; readonly cert: string }
  readonly forAnotherName: { readonly key: string; readonly cert: string }
}

/** Made by openssl: an authority, a certificate for 127.0.0.1, one that is over, one for another name. */
export function makeCertificates(): TestCertificates {
  const folder = mkdtempSync(join(tmpdir(), 'nightshift-certificates-'))
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' })
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  const text = (name: string) => readFileSync(join(folder, name), 'utf8')
  const issue = (name: string, subjectAltName: string, days: string) => {
    openssl('req', ...ec, '-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', `${name}.csr`)
    writeFileSync(join(folder, `${name}.ext`), `subjectAltName=${subjectAltName}\n`)
    const signed = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-days', days, '-extfile', `${name}.ext`]
    openssl('x509', '-req', '-in', `${name}.csr`, ...signed, '-out', `${name}.crt`)
    return { key: text(`${name}.key`), cert: text(`${name}.crt`) }
  }
  try {
    openssl('req', '-x509', ...ec, '-days', '2', '-subj', '/CN=test authority', '-keyout', 'ca.key', '-out', 'ca.crt')
    const good = issue('good', 'IP:127.0.0.1', '2')
    const expired = issue('expired', 'IP:127.0.0.1', '-1')
    const forAnotherName = issue('other', 'DNS:mail.example.org', '2')
    return { authority: text('ca.crt'), good, expired, forAnotherName }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

export interface Received {
  readonly from: string
  readonly to: readonly string[]
  readonly text: string
}

export interface TestSmtpServer {
  readonly port: number
  /** Messages that were taken whole, in order. */
  readonly received: Received[]
  /** Connections so far. */
  readonly connections: () => number
  close(): Promise<void>
}

export type Answers = Pick<SMTPServerOptions, 'onAuth' | 'onMailFrom' | 'onRcptTo' | 'onConnect' | 'disabledCommands' | 'secure' | 'hideSTARTTLS'> & {
  /** What happens once the message is there: an answer, or `hang` (kept, never answered), or `drop` (kept, connection closed). */
  readonly afterData?: Error | 'hang' | 'drop'
  /** The connection is closed instead of an answer to MAIL FROM. */
  readonly dropsAtSender?: boolean
}

/** An error that the server answers with this code. */
export function answer(code: number, text: string): Error {
  return Object.assign(new Error(text), { responseCode: code })
}

/** @param wantedPort 0: any that is free */
export async function startSmtpServer(certificate: { key: string; cert: string }, answers: Answers = {}, wantedPort = 0): Promise<TestSmtpServer> {
  const received: Received[] = []
  let connections = 0
  const { afterData, onConnect, dropsAtSender = false, ...handlers } = answers
  const drop = () => {
    for (const connection of server.connections) connection.close()
  }
  const server = new SMTPServer({
    secure: true,
    ...certificate,
    authMethods: ['PLAIN', 'LOGIN'],
    closeTimeout: 100,
    onAuth: (auth, _session, done) =>
      auth.password === 'right' ? done(null, { user: auth.username }) : done(answer(535, '5.7.8 Authentication credentials invalid.')),
    ...(dropsAtSender ? { onMailFrom: drop } : {}),
    ...handlers,
    onConnect(session, done) {
      connections += 1
      if (onConnect === undefined) done()
      else onConnect(session, done)
    },
    onData(stream, session, done) {
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.once('end', () => {
        if (afterData instanceof Error) return done(afterData)
        const from = session.envelope.mailFrom === false ? '' : session.envelope.mailFrom.address
        received.push({ from, to: session.envelope.rcptTo.map((each) => each.address), text: Buffer.concat(chunks).toString('utf8') })
        if (afterData === undefined) return done(null, 'queued')
        if (afterData === 'drop') drop()
      })
    },
  })
  // Without a listener an aborted handshake ends the process.
  server.on('error', () => {})
  await new Promise<void>((resolve) => server.listen(wantedPort, '127.0.0.1', () => resolve()))
  return {
    port: (server.server.address() as AddressInfo).port,
    received,
    connections: () => connections,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  }
}
