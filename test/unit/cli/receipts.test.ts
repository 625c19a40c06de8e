import { chmodSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { openState, receiptPath } from '../../../src/state/index.js'
import { aBody, makeKey } from '../receipts/receipt-fixture.js'
import { runInProcess } from './run-in-process.js'

let root: string
let config: string
let state: string
let pristine: string

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'nightshift-cli-receipts-'))
  config = join(root, 'config')
  pristine = join(root, 'pristine')
  cpSync(join(import.meta.dirname, '../../../runbooks'), config, { recursive: true })
  makeKey(join(config, 'keys', 'receipt_ed25519'))
  const opened = await openState({ dir: pristine, estateId: 'ronny' })
  const settings = { signingKeyPath: join(config, 'keys', 'receipt_ed25519'), headMirrorPath: join(config, 'receipt-head.json') }
  await opened.appendReceipt(aBody('run-1', { outcome: { verdict: 'ok', why: 'first' } }), settings)
  await opened.appendReceipt(aBody('run-2', { outcome: { verdict: 'critical', why: 'verdict_changed' } }), settings)
  await opened.appendReceipt(aBody('run-3', { kind: 'trust', requestedBy: 'ronny\u001b[2J', outcome: { recorded: ['SHA256:abc'] } }), settings)
  opened.close()
})

beforeEach(() => {
  state = join(root, 'state')
  rmSync(state, { recursive: true, force: true })
  cpSync(pristine, state, { recursive: true })
})

afterAll(() => rmSync(root, { recursive: true, force: true }))

const receipts = (...args: string[]) => runInProcess(['receipts', ...args, '--config', config], { NIGHTSHIFT_STATE: state })

describe('nightshift receipts', () => {
  it('list says a line each, oldest first, with nothing that a terminal would obey', async () => {
    const result = await receipts('list')
    expect(result).toMatchObject({ exitCode: 0, stderr: '' })
    expect(result.stdout.split('\n').map((line) => line.slice(0, 6).trim())).toEqual(['1', '2', '3', ''])
    expect(result.stdout).toContain('critical, verdict changed')
    expect(result.stdout).toContain('recorded SHA256:abc')
    expect(result.stdout).not.toContain('\u001b')
    expect(JSON.parse((await receipts('list', '--json')).stdout)).toMatchObject([
      { number: 1, kind: 'monitor' },
      { number: 2 },
      { number: 3, kind: 'trust', readable: true },
    ])
  })

  it('show prints one, by number or the last; an unknown one is wrong usage', async () => {
    expect(JSON.parse((await receipts('show', '2')).stdout)).toMatchObject({ number: 2, run: { runId: 'run-2' } })
    expect(JSON.parse((await receipts('show', 'last', '--json')).stdout)).toMatchObject({ number: 3 })
    for (const which of ['4', '0', 'first', '1.5']) {
      expect(await receipts('show', which)).toMatchObject({ exitCode: 64, stderr: expect.stringContaining('there are 1 to 3') })
    }
  })

  it('verify says good with 0 and bad with 2, naming the receipt', async () => {
    expect(await receipts('verify')).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('3 receipts hold together') })
    expect(JSON.parse((await receipts('verify', '--json')).stdout)).toMatchObject({ ok: true, count: 3, head: { number: 3 }, firstBad: null })
    const path = receiptPath(join(state, 'receipts'), 2)
    writeFileSync(path, readFileSync(path, 'utf8').replace('critical', 'cr1tical'))
    expect(await receipts('verify')).toMatchObject({ exitCode: 2, stdout: expect.stringContaining('the chain is broken at 2') })
    const json = await receipts('verify', '--json')
    expect(json).toMatchObject({ exitCode: 2, stderr: '' })
    expect(JSON.parse(json.stdout)).toMatchObject({ ok: false, count: 3, firstBad: 2 })
  })

  it('verify says that it cannot tell with 3: no receipts and no head, or the head mirror gone', async () => {
    const mirror = join(config, 'receipt-head.json')
    const text = readFileSync(mirror)
    rmSync(mirror)
    try {
      expect(await receipts('verify')).toMatchObject({ exitCode: 3, stdout: expect.stringContaining('mirror') })
      rmSync(join(state, 'receipts'), { recursive: true })
      expect(await receipts('verify')).toMatchObject({ exitCode: 3, stdout: expect.stringContaining('there are no receipts') })
    } finally {
      writeFileSync(mirror, text)
    }
  })
})

describe('nightshift doctor --offline', () => {
  const doctor = (...args: string[]) => runInProcess(['doctor', '--offline', '--config', config, ...args], { NIGHTSHIFT_STATE: state })
  const report = async () =>
    JSON.parse((await doctor('--json')).stdout) as {
      counts: Record<string, number>
      checks: { area: string; name: string; result: string; message: string; next: string | null }[]
    }
  const find = async (area: string, name: string) => (await report()).checks.find((check) => check.area === area && check.name === name)

  it('finds the chain and the key good, and what is missing with what to do', async () => {
    writeFileSync(join(config, 'known_hosts'), '')
    expect(await find('receipts', 'chain')).toMatchObject({ result: 'ok', message: '3 receipts hold together, head 3' })
    expect(await find('secrets', 'receipt key')).toMatchObject({ result: 'ok' })
    expect(await find('state', 'last pass')).toMatchObject({ result: 'unknown', next: 'start the monitor: nightshift up' })
    expect(await find('files', 'known_hosts')).toMatchObject({ result: 'ok' })
    expect((await doctor()).exitCode).toBe(3)
    rmSync(join(config, 'known_hosts'))
    expect(await find('files', 'known_hosts')).toMatchObject({ result: 'fail', next: expect.stringContaining('nightshift trust') })
    expect(await doctor()).toMatchObject({ exitCode: 2, stdout: expect.stringMatching(/^fail {5}files: known_hosts/m) })
  })

  it('tells a broken chain, a foreign state folder, and a key that others can read', async () => {
    const key = join(config, 'keys', 'receipt_ed25519')
    chmodSync(key, 0o644)
    expect(await find('secrets', 'receipt key')).toMatchObject({ result: 'fail', next: `chmod 600 ${key}` })
    chmodSync(key, 0o600)
    rmSync(receiptPath(join(state, 'receipts'), 1))
    expect(await find('receipts', 'chain')).toMatchObject({ result: 'fail', message: expect.stringContaining('broken at 1') })
    writeFileSync(join(state, 'estate.json'), '{"schema":"nightshift.state/1","estate":"other"}')
    expect(await find('state', 'folder')).toMatchObject({ result: 'fail', message: expect.stringContaining('belongs to estate "other"') })
  })

  it('warns that promise P3 does not hold when passes are rarer than every 15 minutes', async () => {
    const estate = join(config, 'estate.yaml')
    const text = readFileSync(estate, 'utf8')
    expect(await find('files', 'period')).toMatchObject({ result: 'ok' })
    try {
      writeFileSync(estate, text.replace(/every_minutes: \d+/, 'every_minutes: 60'))
      expect(await find('files', 'period')).toMatchObject({ result: 'warn', message: expect.stringContaining('P3') })
    } finally {
      writeFileSync(estate, text)
    }
  })

  it('lists every problem of broken runbook files', async () => {
    const estate = join(config, 'estate.yaml')
    const text = readFileSync(estate, 'utf8')
    try {
      writeFileSync(estate, text.replace(/^timezone: .*$/m, 'timezone: Mars/Olympus'))
      const { checks } = await report()
      expect(checks).toContainEqual(expect.objectContaining({ area: 'files', result: 'fail', name: expect.stringMatching(/estate\.yaml:\d+:\d+ timezone/) }))
    } finally {
      writeFileSync(estate, text)
    }
  })
})
