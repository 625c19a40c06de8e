/** Notifications of the emulated Proxmox: who is told of a night and of a test, by which way, and what happens when that way is broken. */
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { execa } from 'execa'
import { SMTPServer, type SMTPServerOptions } from 'smtp-server'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { PveRoot, type Ran } from '../../helpers/pve-root.js'

const EVENING = new Date('2026-02-11T22:00:00Z')
const NIGHT = new Date('2026-02-12T03:00:00Z')
const PATH = '/cluster/notifications'
let host: PveRoot
const closers: (() => void)[] = []

beforeEach(async () => {
  host = await PveRoot.create({
    guests: [{ vmid: 100, type: 'qemu', name: 'web', running: true }],
    jobs: [{ id: 'nightly', schedule: '02:00', vmid: 100, storage: 'nas', compress: 'zstd' }],
  })
})
afterEach(async () => {
  for (const close of closers.splice(0)) close()
  await host.remove()
})

const pvesh = async (...words: string[]): Promise<Ran> => await host.run(['pvesh', ...words], EVENING)
const create = async (kind: string, ...words: string[]): Promise<void> => {
  expect(await pvesh('create', `${PATH}/${kind}`, ...words)).toEqual({ exitCode: 0, stdout: '', stderr: '' })
}
const test = async (name: string): Promise<Ran> => await pvesh('create', `${PATH}/targets/${name}/test`)
const subjects = async (): Promise<string[]> => (await host.mails()).map((mail) => /^Subject: (.*)$/m.exec(mail)?.[1] ?? '')
const lastTaskLog = async (): Promise<string> => {
  const list = await host.run(['pvesh', 'get', '/nodes/pve/tasks', '--output-format', 'json'], NIGHT)
  const [task] = JSON.parse(list.stdout) as { upid: string }[]
  return (await host.run(['pvesh', 'get', `/nodes/pve/tasks/${task?.upid}/log`, '--limit', '0', '--output-format', 'json'], NIGHT)).stdout
}

describe('a night', () => {
  it("is told to root@pam's address by the host's sendmail, with table, totals and log", async () => {
    await host.put('/etc/hosts', '127.0.0.1 localhost\n10.0.0.2 pve.home.example pve\n')
    await host.play(EVENING, NIGHT)
    const [mail = ''] = await host.mails()
    expect(mail).toContain(
      'Subject: vzdump backup status (pve.home.example): backup successful\nFrom: Proxmox VE <root>\nTo: root@pve.example\nDate: Thu, 12 Feb 2026 02:00:00 +0000\n',
    )
    expect(mail).toMatch(/Details\n=======\nVMID {4}Name {4}Status {4}Time {5}Size {8,}Filename\n100 {5}web {5}ok {8}<0\.1s {4}[\d.]+ KiB {4}\S+\.vma\.zst\n/)
    expect(mail).toContain('100: 2026-02-12 02:00:00 INFO: Starting Backup of VM 100 (qemu)')
    expect(await lastTaskLog()).toContain('notified via target `mail-to-root`')
  })

  it('that failed is an error, and says so in the subject', async () => {
    await host.setFaults({ 100: 'fail' })
    await host.play(EVENING, NIGHT)
    expect(await subjects()).toEqual(['vzdump backup status (pve): backup failed'])
  })

  it('is told only to the targets of matchers that take it', async () => {
    await create('endpoints/sendmail', '--name', 'errors', '--mailto', 'errors@example.org')
    await create('endpoints/sendmail', '--name', 'thisjob', '--mailto', 'thisjob@example.org')
    await create('endpoints/sendmail', '--name', 'office', '--mailto', 'office@example.org')
    await create('matchers', '--name', 'errors-only', '--target', 'errors', '--match-severity', 'warning,error')
    await create('matchers', '--name', 'this-job', '--target', 'thisjob', '--match-field', 'exact:job-id=nightly', '--match-severity', 'info,error')
    await create('matchers', '--name', 'hours', '--target', 'office', '--match-calendar', 'mon..fri 8-17')
    expect((await pvesh('set', `${PATH}/matchers/default-matcher`, '--disable', '1')).exitCode).toBe(0)
    await host.play(EVENING, NIGHT)
    const to = (await host.mails()).map((mail) => /^To: (.*)$/m.exec(mail)?.[1])
    expect(to).toEqual(['thisjob@example.org'])
    expect(await lastTaskLog()).toContain("skipping disabled matcher 'default-matcher'")
  })

  it('is told directly and by no matcher when the job names an address, and to nobody when the mode says so', async () => {
    await pvesh('set', '/cluster/backup/nightly', '--mailto', 'me@example.org')
    await host.play(EVENING, NIGHT)
    expect((await host.mails()).map((mail) => /^To: (.*)$/m.exec(mail)?.[1])).toEqual(['me@example.org'])
    expect(await lastTaskLog()).toContain('notified via target `<me@example.org>`')
    await pvesh('set', '/cluster/backup/nightly', '--mailto', '', '--notification-mode', 'legacy-sendmail')
    await host.play(NIGHT, new Date('2026-02-13T03:00:00Z'))
    expect(await host.mails()).toHaveLength(1)
  })

  it('ends well although the notification does not, and its log says why', async () => {
    await host.put('/etc/pve/user.cfg', 'user:root@pam:1:0::::::\n')
    await host.play(EVENING, NIGHT)
    const log = await lastTaskLog()
    expect(log).toContain(
      'ERROR: could not notify via target `mail-to-root`: could not notify via endpoint(s): mail-to-root: At least one recipient has to be specified!',
    )
    expect(log).toContain('"TASK OK"')
  })
})

describe('the configuration', () => {
  it('keeps a target that a matcher uses, and lets a built-in go back to its default', async () => {
    await create('endpoints/sendmail', '--name', 'ops', '--mailto', 'ops@example.org')
    await create('matchers', '--name', 'all', '--target', 'ops')
    const refused = await pvesh('delete', `${PATH}/endpoints/sendmail/ops`)
    expect(refused.stderr).toMatch(/^400 cannot delete 'ops', referenced by: all\n/)
    await pvesh('set', `${PATH}/endpoints/sendmail/mail-to-root`, '--mailto', 'else@example.org')
    const origin = async (): Promise<unknown> =>
      (JSON.parse((await pvesh('get', `${PATH}/endpoints/sendmail/mail-to-root`, '--output-format', 'json')).stdout) as { origin: string }).origin
    expect(await origin()).toBe('modified-builtin')
    expect((await pvesh('delete', `${PATH}/endpoints/sendmail/mail-to-root`)).exitCode).toBe(0)
    expect(await origin()).toBe('builtin')
  })

  it('takes a change only with the digest of the file it was read from', async () => {
    await create('endpoints/sendmail', '--name', 'ops', '--mailto', 'ops@example.org')
    const { digest } = JSON.parse((await pvesh('get', `${PATH}/endpoints/sendmail/ops`, '--output-format', 'json')).stdout) as { digest: string }
    const set = async (comment: string): Promise<Ran> => await pvesh('set', `${PATH}/endpoints/sendmail/ops`, '--comment', comment, '--digest', digest)
    expect((await set('first')).exitCode).toBe(0)
    expect((await set('second')).stderr).toContain('400 detected modified configuration - file changed by other user? Try again.')
    expect((await host.ledger()).map((line) => `${line.effect} ${line.subject}`)).toEqual(['notification.create ops', 'notification.set ops'])
  })

  it('never shows a password, a token or the value of a secret', async () => {
    await create(
      'endpoints/smtp',
      '--name',
      'relay',
      '--server',
      'mail.example.org',
      '--from-address',
      'a@example.org',
      '--mailto',
      'b@example.org',
      '--password',
      'geheim',
    )
    await create('endpoints/gotify', '--name', 'phone', '--server', 'http://gotify.example.org', '--token', 'geheim')
    await create('endpoints/webhook', '--name', 'hook', '--url', 'http://x.example/', '--method', 'post', '--secret', 'name=path,value=Z2VoZWlt')
    for (const where of ['targets', 'endpoints/smtp', 'endpoints/smtp/relay', 'endpoints/gotify/phone', 'endpoints/webhook', 'endpoints/webhook/hook'])
      expect((await pvesh('get', `${PATH}/${where}`, '--output-format', 'json')).stdout).not.toMatch(/geheim|Z2VoZWlt/)
    expect(JSON.stringify(await host.ledger())).not.toContain('geheim')
    expect(await host.read('etc/pve/notifications.cfg')).not.toMatch(/geheim|Z2VoZWlt/)
    expect(await host.read('etc/pve/priv/notifications.cfg')).toContain('\tpassword geheim\n')
  })

  it('fails as a whole for one line that it does not know', async () => {
    await host.put('/etc/pve/notifications.cfg', 'sendmail: ops\n\tmailto ops@example.org\n\tmailbox x\n\n')
    const read = await pvesh('get', `${PATH}/targets`, '--output-format', 'json')
    expect(read.exitCode).not.toBe(0)
    expect(read.stdout).toBe('')
  })
})

describe('a test of a target', () => {
  it('sends a mail even when the target is off, and says when there is no such target', async () => {
    await pvesh('set', `${PATH}/endpoints/sendmail/mail-to-root`, '--disable', '1')
    expect(await test('mail-to-root')).toEqual({ exitCode: 0, stdout: '', stderr: '' })
    expect(await subjects()).toEqual(['Test notification'])
    expect((await test('nowhere')).stderr).toContain("endpoint 'nowhere' does not exist")
  })

  const relay = async (server: MailServer, ...words: string[]): Promise<void> =>
    await create(
      'endpoints/smtp',
      '--name',
      'relay',
      '--port',
      String(server.port),
      '--from-address',
      'pve@example.org',
      '--mailto',
      'ops@example.org',
      ...words,
    )

  it('speaks SMTP with name and password, and says what the server refused', async () => {
    const server = await mailServer({ hideSTARTTLS: true, allowInsecureAuth: true })
    await relay(server, '--server', '127.0.0.1', '--mode', 'insecure', '--username', 'pve', '--password', 'geheim')
    expect((await test('relay')).stderr).toBe('')
    expect(server.mails).toMatchObject([{ from: 'pve@example.org', to: ['ops@example.org'], secure: false, login: 'pve:geheim' }])
    expect(server.mails[0]?.text).toContain('Subject: Test notification\r\n')
    server.refuse = true
    expect((await test('relay')).stderr).toMatch(/^500 Could not test target: could not notify via endpoint\(s\): relay: permanent error \(550\): no\n/)
  })

  it.each([
    ['from the start', 'tls', true],
    ['by STARTTLS', 'starttls', false],
  ])('speaks SMTP under TLS %s with a server whose certificate it can check, and with no other', async (_how, mode, secure) => {
    const file = (name: string): string => path.join(host.dir, name)
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
    await execa('openssl', [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      ...subject,
      '-keyout',
      file('key.pem'),
      '-out',
      file('cert.pem'),
    ])
    const server = await mailServer({ secure, key: await host.read('key.pem'), cert: await host.read('cert.pem') })
    await relay(server, '--server', 'localhost', '--mode', mode)
    expect((await test('relay')).stderr).toContain('Could not test target: could not notify via endpoint(s): relay: Connection error')
    expect(server.mails).toEqual([])
    const trusting = await host.run(['env', `SSL_CERT_FILE=${file('cert.pem')}`, 'pvesh', 'create', `${PATH}/targets/relay/test`], EVENING)
    expect(trusting.stderr).toBe('')
    expect(server.mails).toMatchObject([{ secure: true, to: ['ops@example.org'] }])
  })

  it('calls a webhook with its template filled in, and takes every answer but 2xx for a failure', async () => {
    const seen: { url?: string; body: string; type?: string }[] = []
    let status = 200
    const server = createServer((request: IncomingMessage, response) => {
      let body = ''
      request.on('data', (chunk: Buffer) => {
        body += chunk.toString()
      })
      request.on('end', () => {
        seen.push({ url: request.url, body, type: request.headers['content-type'] })
        response.writeHead(status).end()
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    closers.push(() => server.close())
    const base64 = (text: string): string => Buffer.from(text).toString('base64')
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook/{{ secrets.path }}`
    await create(
      'endpoints/webhook',
      '--name',
      'hook',
      '--url',
      url,
      '--method',
      'post',
      '--header',
      `name=Content-Type,value=${base64('application/json')}`,
      '--body',
      base64('{"title":"{{ escape title }}","severity":"{{ severity }}"}'),
      '--secret',
      `name=path,value=${base64('s3cret')}`,
    )
    expect((await test('hook')).stderr).toBe('')
    expect(seen).toEqual([{ url: '/hook/s3cret', body: '{"title":"Test notification","severity":"info"}', type: 'application/json' }])
    status = 500
    expect((await test('hook')).stderr).toBe('500 Could not test target: http status: 500\n')
  })

  it('does not pretend to have called a webhook by HTTPS', async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    closers.push(() => server.close())
    await create('endpoints/webhook', '--name', 'hook', '--url', `https://127.0.0.1:${(server.address() as AddressInfo).port}/x`, '--method', 'get')
    const ran = await test('hook')
    expect([ran.exitCode === 0, ran.stderr.includes('nightshift-lab (emulated Proxmox): HTTPS endpoints are not emulated')]).toEqual([false, true])
  })
})

interface MailServer {
  readonly port: number
  readonly mails: { from: string; to: string[]; text: string; secure: boolean; login?: string }[]
  refuse: boolean
}

/** A real SMTP server on this machine; with `refuse` it takes no recipient. */
async function mailServer(options: SMTPServerOptions): Promise<MailServer> {
  const state: Omit<MailServer, 'port'> = { mails: [], refuse: false }
  const server = new SMTPServer({
    authOptional: true,
    ...options,
    onAuth: (auth, _session, done) => done(null, { user: `${auth.username}:${auth.password}` }),
    onRcptTo: (_address, _session, done) => (state.refuse ? done(new Error('no')) : done()),
    onData: (stream, session, done) => {
      let text = ''
      stream.on('data', (chunk: Buffer) => {
        text += chunk.toString()
      })
      stream.on('end', () => {
        const { mailFrom, rcptTo } = session.envelope
        state.mails.push({ from: mailFrom ? mailFrom.address : '', to: rcptTo.map((one) => one.address), text, secure: session.secure, login: session.user })
        done()
      })
    },
  })
  server.on('error', () => undefined)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closers.push(() => server.close())
  return Object.assign(state, { port: (server.server.address() as AddressInfo).port })
}
