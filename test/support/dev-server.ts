/** A Temporal dev server of a test's own: free ports, a database in a temporary folder, the real binary. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DevServer, type DevServerOptions, startDevServer } from '../../src/temporal/dev-server.js'
import { anyFreePort } from '../../src/temporal/ports.js'
import { resolveServerBinary } from '../../src/temporal/server-binary.js'

export interface TestServer {
  readonly server: DevServer
  readonly folder: string
  readonly options: DevServerOptions
  close(): Promise<void>
}

export async function startTestServer(overrides: Partial<DevServerOptions> = {}): Promise<TestServer> {
  const folder = await mkdtemp(join(tmpdir(), 'nightshift-temporal-'))
  const options: DevServerOptions = {
    binaryPath: await resolveServerBinary(),
    databasePath: join(folder, 'temporal.db'),
    port: await anyFreePort(),
    ...overrides,
  }
  const server = await startDevServer(options)
  return {
    server,
    folder,
    options,
    close: async () => {
      await server.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
