/** The dev server against its real binary: guarded, kept, restarted, stopped. */
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { ConfigError } from '../../../src/domain/config-error.js'
import { namespaceOf } from '../../../src/domain/ids.js'
import { connectClient, targetOfAddress } from '../../../src/temporal/connection.js'
import { startDevServer } from '../../../src/temporal/dev-server.js'
import { prepareNamespace } from '../../../src/temporal/namespace.js'
import { anyFreePort } from '../../../src/temporal/ports.js'
import { resolveServerBinary } from '../../../src/temporal/server-binary.js'
import { startTestServer, type TestServer } from '../../support/dev-server.js'

async function refusalOf(attempt: Promise<unknown>): Promise<ConfigError> {
  const outcome = await attempt.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (!(outcome instanceof ConfigError)) throw new Error(`expected a ConfigError, got ${String(outcome)}`)
  expect(outcome.exitCode).toBe(78)
  return outcome
}

describe('the dev server', () => {
  let test: TestServer
  const said: string[] = []

  beforeAll(async () => {
    test = await startTestServer({ say: (line) => said.push(line), uiPort: await anyFreePort() })
  })
  afterAll(async () => await test.close())

  it('serves its web interface on loopback', async () => {
    const page = await fetch(`${test.server.uiUrl}/`)
    expect(page.status).toBe(200)
    expect(test.server.uiUrl).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
  })

  it('is in a session of its own, so that Ctrl-C in our terminal does not reach it before the worker has stopped', async () => {
    const session = (pid: number) =>
      readFileSync(`/proc/${pid}/stat`, 'utf8')
        .replace(/^.*\) /, '')
        .split(' ')[3]
    expect(session(test.server.pid)).toBe(String(test.server.pid))
    expect(session(process.pid)).not.toBe(session(test.server.pid))
  })

  it('keeps its database in WAL mode', async () => {
    expect(existsSync(`${test.options.databasePath}-wal`)).toBe(true)
  })

  it('refuses a second server on its database, naming the pid that serves it', async () => {
    const refusal = await refusalOf(startDevServer({ ...test.options, port: await anyFreePort() }))
    expect(refusal.message).toContain('already being served')
    expect(refusal.message).toContain(`pid ${test.server.pid}`)
    expect(refusal.next).toContain(`kill ${test.server.pid}`)
  })

  it('refuses a taken port, naming its holder and the option that chooses another', async () => {
    const listener = createServer().listen(0, '127.0.0.1')
    await once(listener, 'listening')
    const address = listener.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    try {
      const refusal = await refusalOf(startDevServer({ ...test.options, databasePath: `${test.folder}/other.db`, port }))
      expect(refusal.message).toContain(`port ${port}`)
      expect(refusal.message).toContain(`pid ${process.pid}`)
      expect(refusal.next).toContain('--temporal-port')
      expect(existsSync(`${test.folder}/other.db`)).toBe(false)
    } finally {
      listener.close()
    }
  })

  it('comes back by itself after being killed, says so, and has lost nothing', async () => {
    const client = await connectClient(targetOfAddress(test.server.address, 'kill'))
    await prepareNamespace(client.connection, 'kill')
    await client.client.workflow.start('waits', { workflowId: 'kept', taskQueue: 'nobody' })
    const before = test.server.pid
    process.kill(before, 'SIGKILL')
    await vi.waitFor(() => expect(said).toContain('the Temporal server is back'), { timeout: 30_000, interval: 50 })
    expect(said[0]).toContain('the Temporal server died (signal SIGKILL)')
    expect(test.server.pid).not.toBe(before)
    const again = await client.client.workflow.getHandle('kept').describe()
    expect(again.status.name).toBe('RUNNING')
    await client.close()
  })
})

describe('a server that keeps dying', () => {
  it('is given up after the allowed restarts, with its log named', async () => {
    const said: string[] = []
    const test = await startTestServer({ maxRestarts: 1, say: (line) => said.push(line) })
    try {
      process.kill(test.server.pid, 'SIGKILL')
      await vi.waitFor(() => expect(said).toContain('the Temporal server is back'), { timeout: 30_000, interval: 50 })
      process.kill(test.server.pid, 'SIGKILL')
      const reason = await test.server.ended
      expect(reason?.message).toContain('2 times in ten minutes; given up')
      expect(reason?.message).toContain(test.server.logPath)
    } finally {
      await test.close()
    }
  })

  it('that was told to stop has ended without a reason, and its lock is free for the next', async () => {
    const test = await startTestServer()
    await test.server.stop()
    expect(await test.server.ended).toBeUndefined()
    const next = await startDevServer(test.options)
    await next.stop()
    await test.close()
  })
})

describe('a database of another version', () => {
  it('is refused, listing the runs that are open in it', async () => {
    const test = await startTestServer()
    try {
      const client = await connectClient(targetOfAddress(test.server.address, 'home'))
      await prepareNamespace(client.connection, 'home')
      await client.client.workflow.start('restoreDrill', { workflowId: 'drill/stalwart', taskQueue: 'nobody' })
      await client.close()
      await test.server.stop()
      expect(test.server.pid).not.toBe(0)
      const record = `${test.options.databasePath}.version.json`
      expect(JSON.parse(await readFile(record, 'utf8'))).toEqual({ cli: '1.8.2', server: '1.31.2' })

      await writeFile(record, JSON.stringify({ cli: '1.7.3', server: '1.31.1' }))
      const other = await refusalOf(startDevServer(test.options))
      expect(other.message).toContain('made by Temporal CLI 1.7.3')
      expect(other.message).toContain(`${namespaceOf('home')}: restoreDrill drill/stalwart since 20`)
      expect(other.next).toContain('install Temporal CLI 1.7.3')

      await rm(record)
      const unknown = await refusalOf(startDevServer(test.options))
      expect(unknown.message).toContain('unknown version')
    } finally {
      await test.close()
    }
  })
})

describe('a server that cannot start', () => {
  it('says so with the server’s own words', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'nightshift-temporal-'))
    try {
      const databasePath = join(folder, 'temporal.db')
      await writeFile(databasePath, 'this is not a database, and it is long enough to be looked at as one '.repeat(400))
      await writeFile(`${databasePath}.version.json`, JSON.stringify({ cli: '1.8.2', server: '1.31.2' }))
      const refusal = await refusalOf(startDevServer({ binaryPath: await resolveServerBinary(), databasePath, port: await anyFreePort() }))
      expect(refusal.message).toMatch(/the Temporal server ended with exit code \d+/)
      expect(refusal.message).toMatch(/not a database|malformed/)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
})
