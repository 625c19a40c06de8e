import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { snapshotOf } from '../../../src/domain/desk/snapshot.js'
import { newDesk } from '../../../src/domain/desk/state.js'
import type { Severity, StatusDocument } from '../../../src/domain/status.js'
import { troubled } from '../render/documents.js'
import { aStatus } from '../state/status-fixture.js'
import { runInProcess } from './run-in-process.js'

let root: string
let config: string
let state: string

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'nightshift-cli-'))
  config = join(root, 'config')
  state = join(root, 'xdg', 'nightshift', 'lab')
  mkdirSync(config)
  mkdirSync(state, { recursive: true })
  writeFileSync(join(config, 'estate.yaml'), '# an estate\nversion: 1\nid: lab # permanent\n')
})

afterEach(() => rmSync(root, { recursive: true, force: true }))

const fresh = (over: Partial<StatusDocument> = {}) => aStatus({ takenAt: new Date(Date.now() - 30_000).toISOString(), ...over })
const publish = (document: unknown, dir = state) => writeFileSync(join(dir, 'status.json'), typeof document === 'string' ? document : JSON.stringify(document))
const status = (args: string[] = [], env: Record<string, string | undefined> = {}) =>
  runInProcess(['status', '--config', config, ...args], { XDG_STATE_HOME: join(root, 'xdg'), ...env })

describe('nightshift status', () => {
  it.each<[Severity, number]>([
    ['ok', 0],
    ['warning', 1],
    ['critical', 2],
    ['unknown', 3],
  ])('leaves with the exit code of a monitoring plugin: %s is %i', async (verdict, exitCode) => {
    publish(fresh({ verdict }))
    const result = await status()
    expect(result).toMatchObject({ exitCode, stderr: '' })
    expect(result.stdout).toMatch(new RegExp(`^${verdict.toUpperCase()} estate lab`))
  })

  it('prints with --json the document as it was published, and nothing else', async () => {
    const document = fresh({ ...troubled(), takenAt: fresh().takenAt })
    publish(document)
    const result = await status(['--json'])
    expect(JSON.parse(result.stdout)).toEqual({ ...document, gates: [] })
    expect(result).toMatchObject({ exitCode: 2, stderr: '' })
  })

  it('shows what the alert desk said since the pass: silences and the outbox, without waiting for the next pass', async () => {
    const document = fresh(troubled())
    const [target] = document.targets
    publish({ ...document, takenAt: fresh().takenAt })
    const until = new Date(Date.now() + 3_600_000).toISOString()
    const nowMs = Date.now()
    const desk = newDesk('lab')
    const silence = { id: '5', matching: `${target?.site}/target/*`, by: 'ronny', reason: 'r', fromMs: nowMs, untilMs: Date.parse(until) }
    writeFileSync(join(state, 'desk.json'), JSON.stringify(snapshotOf({ ...desk, silences: [silence] }, nowMs, { workflowId: 'desk/lab', runId: 'r' })))
    const shown = JSON.parse((await status(['--json'])).stdout) as StatusDocument
    expect(shown.targets.find(({ id }) => id === target?.id)?.silencedUntil).toBe(until)
    expect(shown.desk).toMatchObject({ open: 0, silences: 1, outbox: { depth: 0 } })
  })

  it('takes nobody’s word after three periods: unknown, stale, exit code 3', async () => {
    const old = { ...fresh(), takenAt: new Date(Date.now() - 1_801_000).toISOString() }
    publish(old)
    const json = await status(['--json'])
    expect(JSON.parse(json.stdout)).toEqual({ ...old, verdict: 'unknown', stale: true, gates: [] })
    expect(json.exitCode).toBe(3)
    const table = await status()
    expect(table.exitCode).toBe(3)
    expect(table.stdout).toMatch(/^UNKNOWN[\s\S]*old news/)
  })

  it('says that it knows nothing, and what to do, before the first pass', async () => {
    const result = await status()
    expect(result).toMatchObject({ exitCode: 3, stdout: '' })
    expect(result.stderr).toMatch(/no pass of the monitor has been published yet .*unknown\n {2}→ start the monitor: nightshift up --config/)
    const json = await status(['--json'])
    expect(json).toMatchObject({ exitCode: 3, stderr: '' })
    expect(JSON.parse(json.stdout)).toMatchObject({
      schema: 'nightshift.error/1',
      errors: [{ found: expect.stringContaining('no pass'), hint: expect.stringContaining('nightshift up') }],
    })
  })

  it.each(['', '{"schema":', '{"schema":"nightshift.status/9"}', '[]'])('never shows a damaged document (%j) as good news', async (text) => {
    publish(text)
    const result = await status()
    expect(result).toMatchObject({ exitCode: 3, stdout: '' })
    expect(result.stderr).toContain('status.json is not a status document')
  })

  it('finds the state folder by NIGHTSHIFT_STATE without any configuration', async () => {
    const elsewhere = join(root, 'elsewhere')
    mkdirSync(elsewhere)
    publish(fresh({ estate: 'other' }), elsewhere)
    expect(await runInProcess(['status'], { NIGHTSHIFT_STATE: elsewhere })).toMatchObject({ exitCode: 0 })
  })

  it('refuses to show one estate under the configuration of another', async () => {
    publish(fresh({ estate: 'ronny' }))
    const result = await status()
    expect(result.exitCode).toBe(78)
    expect(result.stderr).toContain('is of estate "ronny"')
  })

  it('sums up what is fine unless --all asks for it', async () => {
    publish({ ...troubled(), takenAt: fresh().takenAt })
    expect((await status()).stdout).toContain('fine: the host itself')
    expect((await status(['--all'])).stdout).not.toContain('fine:')
  })

  it('colours on a terminal or when told, never against NO_COLOR', async () => {
    publish(fresh())
    const colourCode = '\u001b['
    expect((await status([], { NO_COLOR: undefined })).stdout).not.toContain(colourCode)
    expect((await status([], { NO_COLOR: undefined, FORCE_COLOR: '1' })).stdout).toContain(colourCode)
    expect((await status([], { NO_COLOR: '1', FORCE_COLOR: '1' })).stdout).not.toContain(colourCode)
  })
})

describe('the id of the estate', () => {
  it.each([
    'id: lab',
    'id: "lab"',
    "id: 'lab'   # comment",
    'version: 1\r\nid: lab\r\nsites: []',
    '{ version: 1, id: lab }',
    '"id": lab',
    'sites:\n  - id: shop\nid: lab\n',
  ])('is found in %j', async (text) => {
    writeFileSync(join(config, 'estate.yaml'), text)
    publish(fresh())
    expect(await status()).toMatchObject({ exitCode: 0 })
  })

  it.each(['', 'version: 1\n', 'id: ../../etc\n', 'id:\n', 'id: [lab]\n', 'id: Lab\n', 'a: [\n', 'id: lab\nid: ronny\n'])('is refused in %j', async (text) => {
    writeFileSync(join(config, 'estate.yaml'), text)
    const result = await status()
    expect(result.exitCode).toBe(78)
    expect(result.stderr).toContain('estate.yaml has no usable `id`')
  })

  it('is missed in words when there is no estate.yaml', async () => {
    const result = await runInProcess(['status', '--config', join(root, 'nowhere')])
    expect(result.exitCode).toBe(78)
    expect(result.stderr).toBe(
      `nightshift: ${join(root, 'nowhere', 'estate.yaml')} cannot be read: there is no such file or folder\n  → name the configuration folder with --config DIR, or the state folder with NIGHTSHIFT_STATE\n`,
    )
  })
})

describe('wrong usage', () => {
  it.each([
    [['status', '--jsn']],
    [['statsu']],
    [[]],
    [['receipts']],
    [['receipts', 'sho']],
    [['trust']],
    [['run']],
    [['trust', 'pve', '--fingerprint', 'MD5:00']],
    [['runs', '--limit', '0']],
    [['run', 'x', '--wait', 'soon']],
  ])('%j leaves with 64 and says how it is meant', async (argv) => {
    const result = await runInProcess(argv)
    expect(result).toMatchObject({ exitCode: 64, stdout: '' })
    expect(result.stderr).toMatch(/^nightshift: .+\n {2}→ .*--help shows how it is used\n$/)
  })

  it('is told in JSON when JSON was asked for', async () => {
    const result = await runInProcess(['statsu', '--json'])
    expect(result).toMatchObject({ exitCode: 64, stderr: '' })
    const document = JSON.parse(result.stdout)
    expect(document).toMatchObject({
      schema: 'nightshift.error/1',
      errors: [{ found: "unknown command 'statsu'", hint: expect.stringContaining('Did you mean status?') }],
    })
    expect(Object.keys(document.errors[0])).toEqual(['file', 'line', 'column', 'path', 'found', 'allowed', 'hint'])
  })

  it.each(['up', 'doctor', 'trust', 'status', 'run', 'runs', 'receipts list', 'receipts show', 'receipts verify'])(
    '`%s --help` shows examples, --config and --json',
    async (name) => {
      const result = await runInProcess([...name.split(' '), '--help'])
      expect(result).toMatchObject({ exitCode: 0, stderr: '' })
      expect(result.stdout).toMatch(/Examples:\n {2}\$ .*nightshift /)
      expect(result.stdout).toContain('--config <dir>')
      expect(result.stdout).toContain('--json')
    },
  )
})

describe('wrong configuration', () => {
  it('is told with every place, in words and in JSON, by any command that needs the runbooks', async () => {
    cpSync(join(import.meta.dirname, '../../../runbooks'), config, { recursive: true, force: true })
    const inventory = join(config, 'inventory.yaml')
    writeFileSync(inventory, readFileSync(inventory, 'utf8').replace(/^( +)enabled: true$/m, '$1enabled: perhaps'))
    const words = await runInProcess(['receipts', 'verify', '--config', config])
    expect(words).toMatchObject({ exitCode: 78, stdout: '' })
    expect(words.stderr).toMatch(/inventory\.yaml:\d+:\d+ targets\[\d+\]\.enabled: found .*perhaps.*, allowed/)
    const json = await runInProcess(['receipts', 'verify', '--config', config, '--json'])
    expect(json).toMatchObject({ exitCode: 78, stderr: '' })
    expect(JSON.parse(json.stdout).errors[0]).toMatchObject({ line: expect.any(Number), path: expect.stringMatching(/^targets\[\d+\]\.enabled$/) })
  })
})
