import { execFileSync, spawn } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { canonicalJson, sha256Hex } from '../../../src/domain/canonical.js'
import {
  type ChainVerdict,
  openState,
  parseReceipt,
  type ReceiptSettings,
  readTrustedKeys,
  receiptPath,
  type StateFolder,
  verifyChain,
} from '../../../src/state/index.js'
import { type CompiledProgram, compileProgram } from '../compiled.js'
import { aBody, makeKey } from './receipt-fixture.js'

let root: string
let dir: string
let receipts: string
let settings: ReceiptSettings
let state: StateFolder

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'nightshift-receipts-'))
  dir = join(root, 'state')
  receipts = join(dir, 'receipts')
  settings = { signingKeyPath: makeKey(join(root, 'keys', 'receipt')), headMirrorPath: join(root, 'elsewhere', 'head.json') }
  state = await openState({ dir, estateId: 'lab' })
})

afterEach(() => {
  state.close()
  rmSync(root, { recursive: true, force: true })
})

const verify = (): ChainVerdict =>
  verifyChain({ dir: receipts, estate: 'lab', trusted: readTrustedKeys(settings.signingKeyPath), mirrorPath: settings.headMirrorPath })

async function append(count: number, from = 1): Promise<void> {
  for (let index = from; index < from + count; index++) await state.appendReceipt(aBody(`run-${index}`), settings)
}

async function reopen(): Promise<void> {
  state.close()
  state = await openState({ dir, estateId: 'lab' })
}

describe('a chain of receipts', () => {
  it('numbers from 1, names the hash of the one before, mirrors its head, and verifies', async () => {
    await append(3)
    const texts = [1, 2, 3].map((number) => readFileSync(receiptPath(receipts, number), 'utf8'))
    const parsed = texts.map(parseReceipt)
    expect(parsed.map((receipt) => receipt?.number)).toEqual([1, 2, 3])
    expect(parsed.map((receipt) => receipt?.previous)).toEqual([null, sha256Hex(texts[0] ?? ''), sha256Hex(texts[1] ?? '')])
    expect(verify()).toMatchObject({ ok: true, count: 3, head: { number: 3, sha256: sha256Hex(texts[2] ?? '') }, firstBad: null, problem: null })
    expect(JSON.parse(readFileSync(settings.headMirrorPath, 'utf8'))).toMatchObject({ estate: 'lab', number: 3, sha256: sha256Hex(texts[2] ?? '') })
  })

  it('can be checked by ssh-keygen alone', async () => {
    await append(1)
    const signers = join(root, 'allowed_signers')
    writeFileSync(signers, `nightshift ${readFileSync(`${settings.signingKeyPath}.pub`, 'utf8')}`)
    const args = ['-Y', 'verify', '-f', signers, '-I', 'nightshift', '-n', 'nightshift-receipt', '-s', `${receiptPath(receipts, 1)}.sig`]
    expect(execFileSync('ssh-keygen', args, { input: readFileSync(receiptPath(receipts, 1)), encoding: 'utf8' })).toMatch(
      /^Good "nightshift-receipt" signature/,
    )
  })

  it('holds one receipt per run and kind, also after a restart and for appends at the same time', async () => {
    const [first, again] = await Promise.all([state.appendReceipt(aBody('run-1'), settings), state.appendReceipt(aBody('run-1'), settings)])
    expect([first.appended, again.appended]).toEqual([true, false])
    expect(again).toMatchObject({ number: 1, sha256: first.sha256 })
    await reopen()
    expect(await state.appendReceipt(aBody('run-1'), settings)).toEqual({ number: 1, sha256: first.sha256, appended: false })
    expect(await state.appendReceipt(aBody('run-1', { kind: 'trust' }), settings)).toMatchObject({ number: 2, appended: true })
    expect(verify()).toMatchObject({ ok: true, count: 2 })
  })

  it('goes on where it was after a restart', async () => {
    await append(2)
    await reopen()
    await append(2, 3)
    expect(verify()).toMatchObject({ ok: true, count: 4 })
  })

  it('is unknown, not good, before its first receipt', () => {
    expect(verify()).toMatchObject({ ok: false, count: 0, head: null, firstBad: null, problem: { kind: 'no_receipts' } })
  })
})

describe('verification', () => {
  it('notices one changed byte anywhere in a chain of five, and names the receipt', async () => {
    await append(5)
    const trusted = readTrustedKeys(settings.signingKeyPath)
    const missed: string[] = []
    let flips = 0
    for (const name of readdirSync(receipts)) {
      const path = join(receipts, name)
      const original = readFileSync(path)
      const number = Number(name.slice(0, 6))
      const file = openSync(path, 'r+')
      const write = (byte: number, position: number) => writeSync(file, Uint8Array.of(byte), 0, 1, position)
      for (let position = 0; position < original.length; position++) {
        const was = original[position] ?? 0
        // every position once, each with another bit; and all eight bits now and then
        for (const bit of position % 37 === 0 ? [0, 1, 2, 3, 4, 5, 6, 7] : [position % 8]) {
          write(was ^ (1 << bit), position)
          flips += 1
          const verdict = verifyChain({ dir: receipts, estate: 'lab', trusted, mirrorPath: settings.headMirrorPath })
          if (verdict.ok || verdict.firstBad !== number || !['broken', 'not_ours'].includes(verdict.problem?.kind ?? ''))
            missed.push(`${name} byte ${position} bit ${bit}`)
        }
        write(was, position)
      }
      closeSync(file)
    }
    expect(missed).toEqual([])
    expect(flips).toBeGreaterThan(4_000)
    expect(verify().ok).toBe(true)
  }, 180_000)

  it.each(['000002.json', '000002.json.sig'])('tells that %s is missing in the middle', async (name) => {
    await append(3)
    rmSync(join(receipts, name))
    expect(verify()).toMatchObject({ ok: false, firstBad: 2, problem: { kind: 'broken', message: expect.stringContaining('missing') } })
  })

  it('tells that two receipts changed places', async () => {
    await append(3)
    for (const suffix of ['', '.sig']) {
      renameSync(receiptPath(receipts, 2) + suffix, join(root, 'aside'))
      renameSync(receiptPath(receipts, 3) + suffix, receiptPath(receipts, 2) + suffix)
      renameSync(join(root, 'aside'), receiptPath(receipts, 3) + suffix)
    }
    expect(verify()).toMatchObject({ ok: false, firstBad: 2, problem: { message: 'the chain is broken at 2: it says to be number 3' } })
  })

  it('tells a receipt that was added: a copy behind the end, one of somebody else that continues the chain, one beyond a gap', async () => {
    await append(3)
    const add = (number: number, text: string, key: string | null) => {
      writeFileSync(receiptPath(receipts, number), text)
      const sign = (its: string) => execFileSync('ssh-keygen', ['-q', '-Y', 'sign', '-n', 'nightshift-receipt', '-f', its], { input: text })
      writeFileSync(`${receiptPath(receipts, number)}.sig`, key === null ? readFileSync(`${receiptPath(receipts, 3)}.sig`) : sign(key))
    }
    const last = readFileSync(receiptPath(receipts, 3), 'utf8')
    add(4, last, null)
    expect(verify()).toMatchObject({ ok: false, firstBad: 4, problem: { kind: 'broken', message: 'the chain is broken at 4: it says to be number 3' } })
    const next = canonicalJson({ ...(JSON.parse(last) as object), number: 4, previous: sha256Hex(last) })
    add(4, next, makeKey(join(root, 'keys', 'other')))
    expect(verify()).toMatchObject({ ok: false, firstBad: 4, problem: { kind: 'not_ours' } })
    for (const suffix of ['', '.sig']) renameSync(receiptPath(receipts, 4) + suffix, receiptPath(receipts, 6) + suffix)
    expect(verify()).toMatchObject({ ok: false, firstBad: 4, problem: { kind: 'broken', message: expect.stringContaining('missing') } })
  })

  it('tells that the last ones were cut off', async () => {
    await append(4)
    for (const number of [3, 4]) for (const suffix of ['', '.sig']) rmSync(receiptPath(receipts, number) + suffix)
    expect(verify()).toMatchObject({
      ok: false,
      count: 2,
      firstBad: 3,
      problem: { kind: 'ends_before_head', message: expect.stringContaining('ends at 2, before the recorded head 4') },
    })
  })

  it('tells that all are gone', async () => {
    await append(2)
    rmSync(receipts, { recursive: true })
    expect(verify()).toMatchObject({ ok: false, count: 0, firstBad: 1, problem: { kind: 'ends_before_head' } })
  })

  it('tells a receipt that somebody else signed, and one that our key signed for another purpose', async () => {
    await append(2)
    const path = receiptPath(receipts, 2)
    const text = readFileSync(path, 'utf8')
    const sign = (key: string, namespace: string) => execFileSync('ssh-keygen', ['-q', '-Y', 'sign', '-n', namespace, '-f', key], { input: text })
    writeFileSync(`${path}.sig`, sign(makeKey(join(root, 'keys', 'other')), 'nightshift-receipt'))
    expect(verify()).toMatchObject({
      ok: false,
      firstBad: 2,
      problem: { kind: 'not_ours', message: expect.stringMatching(/^receipt 2 is not ours: it was signed by another key \(SHA256:/) },
    })
    writeFileSync(`${path}.sig`, sign(settings.signingKeyPath, 'file'))
    expect(verify()).toMatchObject({ ok: false, firstBad: 2, problem: { kind: 'broken' } })
  })

  it('tells a receipt that our key signed in another chain', async () => {
    await append(3)
    const other = await openState({ dir: join(root, 'other-state'), estateId: 'lab' })
    for (const run of ['a', 'b']) await other.appendReceipt(aBody(run), { ...settings, headMirrorPath: join(root, 'other-head.json') })
    other.close()
    for (const suffix of ['', '.sig']) copyFileSync(receiptPath(join(root, 'other-state', 'receipts'), 2) + suffix, receiptPath(receipts, 2) + suffix)
    expect(verify()).toMatchObject({ ok: false, firstBad: 2, problem: { message: 'the chain is broken at 2: it does not continue the receipt before' } })
  })

  it('tells a signed text that is not canonical, and a signature that is spelled in another way', async () => {
    await append(1)
    const path = receiptPath(receipts, 1)
    const text = readFileSync(path, 'utf8')
    const signature = readFileSync(`${path}.sig`, 'utf8')
    const [begin = '', ...lines] = signature.trimEnd().split('\n')
    const end = lines.pop() ?? ''
    writeFileSync(`${path}.sig`, `${begin}\n${lines.join('')}\n${end}\n`)
    expect(verify()).toMatchObject({ ok: false, firstBad: 1, problem: { message: expect.stringContaining('signature file is damaged') } })
    const spaced = JSON.stringify(JSON.parse(text), null, 1)
    writeFileSync(path, spaced)
    writeFileSync(`${path}.sig`, execFileSync('ssh-keygen', ['-q', '-Y', 'sign', '-n', 'nightshift-receipt', '-f', settings.signingKeyPath], { input: spaced }))
    expect(verify()).toMatchObject({ ok: false, firstBad: 1, problem: { message: expect.stringContaining('not in canonical form') } })
  })

  it('refuses a whole chain that was written anew by another key', async () => {
    await append(2)
    const original = readFileSync(`${settings.signingKeyPath}.pub`)
    makeKey(join(root, 'keys', 'other'))
    writeFileSync(`${settings.signingKeyPath}.pub`, readFileSync(join(root, 'keys', 'other.pub')))
    expect(verify()).toMatchObject({ ok: false, firstBad: 1, problem: { kind: 'not_ours' } })
    writeFileSync(`${settings.signingKeyPath}.pub`, Buffer.concat([readFileSync(join(root, 'keys', 'other.pub')), original]))
    expect(verify().ok).toBe(true) // a later key first, the earlier one still trusted
  })

  it('refuses a chain that our own key rewrote behind the mirror', async () => {
    await append(3)
    const mirror = readFileSync(settings.headMirrorPath)
    state.close()
    rmSync(dir, { recursive: true })
    rmSync(settings.headMirrorPath)
    state = await openState({ dir, estateId: 'lab' })
    await append(4, 11)
    writeFileSync(settings.headMirrorPath, mirror)
    expect(verify()).toMatchObject({
      ok: false,
      firstBad: 3,
      problem: { kind: 'broken', message: expect.stringContaining('not the receipt whose hash the head mirror recorded') },
    })
  })

  it('cannot say ok without the head mirror, and tells missing from unreadable', async () => {
    await append(2)
    const mirror = readFileSync(settings.headMirrorPath, 'utf8')
    for (const text of ['', '{"number":2}', mirror.replace('lab', 'ronny')]) {
      writeFileSync(settings.headMirrorPath, text)
      expect(verify()).toMatchObject({ ok: false, count: 2, firstBad: null, problem: { kind: 'mirror_unreadable' } })
    }
    rmSync(settings.headMirrorPath)
    expect(verify()).toMatchObject({ ok: false, count: 2, firstBad: null, problem: { kind: 'mirror_missing' } })
    mkdirSync(settings.headMirrorPath)
    expect(verify()).toMatchObject({ ok: false, problem: { kind: 'mirror_unreadable' } })
  })

  it('is content with a mirror that is behind, as a crash leaves it', async () => {
    await append(2)
    const mirror = readFileSync(settings.headMirrorPath)
    await append(1, 3)
    writeFileSync(settings.headMirrorPath, mirror)
    expect(verify()).toMatchObject({ ok: true, count: 3, mirror: { number: 2 } })
  })
})

describe('the appender', () => {
  it('writes nothing over receipts that were removed', async () => {
    await append(3)
    state.close()
    for (const suffix of ['', '.sig']) rmSync(receiptPath(receipts, 3) + suffix)
    state = await openState({ dir, estateId: 'lab' })
    await expect(append(1, 4)).rejects.toThrow(/ends at 2, before the head recorded in .*head\.json \(3\)/)
    rmSync(settings.headMirrorPath)
    await expect(append(1, 4)).rejects.toThrow(/before the head recorded in the state database \(3\)/)
    expect(readdirSync(receipts)).toHaveLength(4)
  })

  it('clears away what a killed append left, and mends a mirror that is behind', async () => {
    await append(2)
    const mirror = readFileSync(settings.headMirrorPath)
    await append(1, 3)
    state.close()
    writeFileSync(settings.headMirrorPath, mirror)
    writeFileSync(`${receiptPath(receipts, 4)}.sig`, 'signature of a receipt that was never written')
    writeFileSync(`${receiptPath(receipts, 4)}.3141592`, '{"half":')
    expect(verify()).toMatchObject({ ok: true, count: 3 })
    state = await openState({ dir, estateId: 'lab' })
    await append(1, 3)
    expect(JSON.parse(readFileSync(settings.headMirrorPath, 'utf8'))).toMatchObject({ number: 3 })
    expect(readdirSync(receipts)).toHaveLength(6)
    await append(1, 4)
    expect(verify()).toMatchObject({ ok: true, count: 4, mirror: { number: 4 } })
  })

  it('says what to do when the key is missing, has a passphrase, or is of another kind; and writes nothing', async () => {
    const missing = { ...settings, signingKeyPath: join(root, 'nowhere') }
    await expect(state.appendReceipt(aBody('run-1'), missing)).rejects.toMatchObject({ exitCode: 78, next: expect.stringContaining('ssh-keygen -t ed25519') })
    const locked = { ...settings, signingKeyPath: makeKey(join(root, 'keys', 'locked'), 'ed25519', 'open sesame') }
    await expect(state.appendReceipt(aBody('run-1'), locked)).rejects.toMatchObject({
      exitCode: 78,
      message: expect.stringMatching(/could not be signed .*passphrase/i),
    })
    const ecdsa = { ...settings, signingKeyPath: makeKey(join(root, 'keys', 'ecdsa'), 'ecdsa') }
    await expect(state.appendReceipt(aBody('run-1'), ecdsa)).rejects.toThrow(/Ed25519|ssh-ed25519/)
    const open = makeKey(join(root, 'keys', 'open'))
    chmodSync(open, 0o644)
    await expect(state.appendReceipt(aBody('run-1'), { ...settings, signingKeyPath: open })).rejects.toMatchObject({ exitCode: 78 })
    copyFileSync(`${locked.signingKeyPath}.pub`, `${settings.signingKeyPath}.pub`)
    await expect(state.appendReceipt(aBody('run-1'), settings)).rejects.toThrow(/could not be signed with .*doesn't match private/)
    expect(existsSync(receiptPath(receipts, 1))).toBe(false)
  })
})

describe('an appender that is killed', () => {
  let program: CompiledProgram

  beforeAll(() => {
    program = compileProgram(['state', 'domain', 'files'])
  })

  afterAll(() => program.remove())

  it('at any moment leaves a chain that verifies and goes on without a doubled receipt', async () => {
    state.close()
    const script = join(root, 'appender.mjs')
    writeFileSync(script, APPENDER.replace('STATE_MODULE', JSON.stringify(join(program.dir, 'dist/src/state/index.js'))))
    let lastCount = 0
    for (let round = 0; round < 20; round++) {
      const child = spawn(process.execPath, [script, dir, settings.signingKeyPath, settings.headMirrorPath, JSON.stringify(aBody('run'))], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      let told = 0
      const killed = new Promise<void>((resolve) => child.once('exit', () => resolve()))
      await new Promise<void>((resolve, reject) => {
        child.once('exit', (code, signal) => (signal === 'SIGKILL' ? resolve() : reject(new Error(`the appender ended by itself with ${code}`))))
        child.stdout.on('data', (chunk: Buffer) => {
          told += chunk.toString().split('\n').length - 1
          // after the second one, at a moment that differs from round to round by less than an append takes
          if (told >= 2) setTimeout(() => child.kill('SIGKILL'), (round * 1.7) % 15)
        })
      })
      await killed
      const verdict = verify()
      expect(verdict.problem, `round ${round}`).toBeNull()
      expect(verdict.count).toBeGreaterThan(lastCount)
      lastCount = verdict.count
    }
    const runs = Array.from({ length: lastCount }, (_, index) => parseReceipt(readFileSync(receiptPath(receipts, index + 1), 'utf8'))?.run.runId)
    expect(runs).toEqual(Array.from({ length: lastCount }, (_, index) => `run-${index + 1}`))
    state = await openState({ dir, estateId: 'lab' })
    await append(1, lastCount + 1)
    expect(verify()).toMatchObject({ ok: true, count: lastCount + 1, mirror: { number: lastCount + 1 } })
    expect(readdirSync(receipts)).toHaveLength(2 * (lastCount + 1))
  }, 180_000)
})

/** Appends run after run for ever, each of them twice as a repeated activity would; begins again with the last one that is there. */
const APPENDER = `
import { existsSync, readdirSync } from 'node:fs'
import { openState } from STATE_MODULE
const [dir, signingKeyPath, headMirrorPath, body] = process.argv.slice(2)
const state = await openState({ dir, estateId: 'lab' })
const receipts = dir + '/receipts'
let run = existsSync(receipts) ? Math.max(1, readdirSync(receipts).filter(name => name.endsWith('.json')).length) : 1
for (;;) {
  const parsed = JSON.parse(body)
  parsed.run.runId = 'run-' + run
  for (let repeat = 0; repeat < 2; repeat++) await state.appendReceipt(parsed, { signingKeyPath, headMirrorPath })
  console.log(run)
  run += 1
}
`

describe('the text of a receipt', () => {
  it('is exactly its canonical JSON', async () => {
    await append(1)
    const text = readFileSync(receiptPath(receipts, 1), 'utf8')
    expect(text).toBe(canonicalJson(JSON.parse(text)))
  })
})
