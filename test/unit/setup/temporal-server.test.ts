/** How the Temporal server is got: PATH only at the wanted version, else the cache, else download and build; and what is said when none works. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { isDatabaseInUse } from '../../../src/temporal/database-guard.js'
import { packageRoot } from '../../../src/temporal/package-root.js'
import { findServerBinary } from '../../../src/temporal/server-binary.js'

const dist = join(packageRoot(), 'dist/src/temporal')
const ensure = join(dist, 'ensure-server-binary.js')

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nightshift-binary-'))
  for (const name of ['bin', 'cache']) mkdirSync(join(folder, name))
  if (!existsSync(ensure)) throw new Error('this test runs the compiled program: npm run build')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function fakeTemporal(path: string, version: string, server = '1.31.2'): string {
  mkdirSync(join(path, '..'), { recursive: true })
  writeFileSync(path, `#!/bin/sh\necho "temporal version ${version} (Server ${server}, UI 2.50.1)"\n`)
  chmodSync(path, 0o755)
  return path
}

const cached = () => join(folder, 'cache/nightshift/temporal/1.8.2/temporal')
/** Only what the programs themselves need: no Go. */
const bare = () => ({ PATH: join(folder, 'bin'), XDG_CACHE_HOME: join(folder, 'cache'), HOME: folder })

describe('the Temporal server', () => {
  it('is the one on PATH when that is the wanted version', async () => {
    const onPath = fakeTemporal(join(folder, 'bin/temporal'), '1.8.2')
    fakeTemporal(cached(), '1.8.2')
    expect(await findServerBinary(bare())).toBe(onPath)
  })

  it.each([
    ['an older CLI', '1.5.1', '1.29.1'],
    ['a newer CLI', '1.9.0', '1.32.0'],
    ['the same CLI with another server', '1.8.2', '1.31.9'],
  ])('is the cached one when PATH has %s', async (_name, version, server) => {
    fakeTemporal(join(folder, 'bin/temporal'), version, server)
    expect(await findServerBinary(bare())).toBeUndefined()
    fakeTemporal(cached(), '1.8.2')
    expect(await findServerBinary(bare())).toBe(cached())
  })

  it('that cannot be had is said in one sentence with what helps, exit code 78, and nothing is left behind', () => {
    // The download is refused by a proxy that is not there; Go is not on PATH.
    const run = spawnSync(process.execPath, [ensure], {
      encoding: 'utf8',
      env: { ...bare(), HTTPS_PROXY: 'http://127.0.0.1:9', https_proxy: 'http://127.0.0.1:9' },
    })
    expect(run.status).toBe(78)
    expect(run.stdout).toBe('')
    expect(run.stderr).toMatch(
      /no Temporal server can be had: download: .+; build: Go is not installed\n {2}→ put the Temporal CLI 1\.8\.2 on PATH, or install Go/,
    )
    expect(readdirSync(join(folder, 'cache/nightshift/temporal/1.8.2'))).toEqual([])
  })

  it('is not what a build gives that has another version', () => {
    writeFileSync(
      join(folder, 'bin/go'),
      `#!/bin/sh\nif [ "$1" = env ]; then echo go1.26.8; exit; fi\nwhile [ $# -gt 0 ]; do [ "$1" = -o ] && out=$2; shift; done\nprintf '#!/bin/sh\\necho "temporal version 1.7.0 (Server 1.31.0, UI 1)"\\n' > "$out"; /bin/chmod +x "$out"\n`,
    )
    chmodSync(join(folder, 'bin/go'), 0o755)
    const run = spawnSync(process.execPath, [ensure], {
      encoding: 'utf8',
      env: { ...bare(), HTTPS_PROXY: 'http://127.0.0.1:9', https_proxy: 'http://127.0.0.1:9' },
    })
    expect(run.status).toBe(78)
    expect(run.stderr).toContain('build: what came is not that version')
    expect(existsSync(cached())).toBe(false)
  })

  it('that is being made when the set-up is killed leaves nothing that looks finished, and the next set-up clears it away', () => {
    mkdirSync(join(folder, 'cache/nightshift/temporal/1.8.2/.making-999999999-x'), { recursive: true })
    writeFileSync(join(folder, 'cache/nightshift/temporal/1.8.2/.making-999999999-x/built'), 'half')
    const run = spawnSync(process.execPath, [ensure], {
      encoding: 'utf8',
      env: { ...bare(), HTTPS_PROXY: 'http://127.0.0.1:9', https_proxy: 'http://127.0.0.1:9' },
    })
    expect(run.status).toBe(78)
    expect(readdirSync(join(folder, 'cache/nightshift/temporal/1.8.2'))).toEqual([])
  })
})

describe('the embedded server', () => {
  it('ends with the process that started it at once, even when that is killed, so that the next start finds the database free', async () => {
    const realBinary = await findServerBinary()
    if (realBinary === undefined) throw new Error('no Temporal server in the cache; npm test gets one')
    symlinkSync(realBinary, join(folder, 'temporal'))
    const script = `
      import { startDevServer } from ${JSON.stringify(join(dist, 'dev-server.js'))}
      import { anyFreePort } from ${JSON.stringify(join(dist, 'ports.js'))}
      const server = await startDevServer({ binaryPath: ${JSON.stringify(join(folder, 'temporal'))}, databasePath: ${JSON.stringify(join(folder, 'temporal.db'))}, port: await anyFreePort() })
      console.log(server.pid)
      setInterval(() => {}, 60_000)`
    const parent = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    const [line] = (await once(parent.stdout, 'data')) as [Buffer]
    const serverPid = Number(line.toString())
    expect(existsSync(`/proc/${serverPid}`)).toBe(true)
    parent.kill('SIGKILL')
    await vi.waitFor(async () => expect(await isDatabaseInUse(join(folder, 'temporal.db'))).toBe(false), { timeout: 700, interval: 10 })
  })
})
