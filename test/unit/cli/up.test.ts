/** `nightshift up` when it cannot start: it says why and ends. */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { expect, it } from 'vitest'
import { packageRoot } from '../../../src/temporal/package-root.js'
import { anyFreePort } from '../../../src/temporal/ports.js'
import { environmentOf, PROGRAM } from '../../support/nightshift.js'

it('nightshift up ends with 78 when its server cannot start, though the metrics endpoint is open already', async () => {
  const state = mkdtempSync(join(tmpdir(), 'nightshift-up-'))
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const { port } = taken.address() as { port: number }
  try {
    const options = ['--temporal-port', String(port), '--ui-port', String(await anyFreePort()), '--metrics-address', String(await anyFreePort())]
    const env = environmentOf({ config: join(packageRoot(), 'runbooks'), state })
    const up = await execa(process.execPath, [PROGRAM, 'up', ...options], { env, extendEnv: false, reject: false, timeout: 20_000, killSignal: 'SIGKILL' })
    expect(up.stderr).toContain(`port ${port}, wanted for Temporal, is taken by pid ${process.pid}`)
    expect(up.exitCode).toBe(78)
  } finally {
    taken.close()
    rmSync(state, { recursive: true, force: true })
  }
})
