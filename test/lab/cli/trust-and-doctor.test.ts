/** `nightshift trust` and the doctor's look at hosts, against a real sshd. */
import { appendFileSync, cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { checkHosts } from '../../../src/cli/doctor/hosts.js'
import { type TrustOptions, trust } from '../../../src/cli/trust.js'
import { loadRunbooks } from '../../../src/runbooks/index.js'
import { openState, parseReceipt, receiptPath, type StateFolder } from '../../../src/state/index.js'
import { blockFor } from '../../support/ssh-pool.js'
import { startSshd, type TestSshd } from '../../support/sshd.js'
import { runInProcess } from '../../unit/cli/run-in-process.js'
import { makeKey } from '../../unit/receipts/receipt-fixture.js'

let sshd: TestSshd
let root: string
let config: string
let stateDir: string
let held: StateFolder | undefined

beforeAll(async () => {
  sshd = await startSshd()
})

afterAll(() => sshd.stop())

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'nightshift-trust-'))
  config = join(root, 'config')
  stateDir = join(root, 'state')
  cpSync(join(import.meta.dirname, '../../../runbooks'), config, { recursive: true })
  makeKey(join(config, 'keys', 'receipt_ed25519'))
  cpSync(sshd.sshConfig({ pve: blockFor(sshd, 'root') }), join(config, 'ssh_config'))
  process.env.NIGHTSHIFT_STATE = stateDir
})

afterEach(() => {
  held?.close()
  held = undefined
  delete process.env.NIGHTSHIFT_STATE
  rmSync(root, { recursive: true, force: true })
})

const knownHosts = () => (existsSync(join(config, 'known_hosts')) ? readFileSync(join(config, 'known_hosts'), 'utf8') : '')
const receipt = (number: number) => parseReceipt(readFileSync(receiptPath(join(stateDir, 'receipts'), number), 'utf8'))

/** A person at a terminal who gives this answer; null: no terminal. */
async function trustAs(answer: string | null, over: Partial<TrustOptions> = {}) {
  const said: string[] = []
  const questions: string[] = []
  const terminal = {
    isInteractive: answer !== null,
    say: (line: string) => void said.push(line),
    ask: async (question: string) => {
      questions.push(question)
      return answer ?? ''
    },
  }
  const result = await trust({ config, json: false, host: 'pve', fingerprints: [], replace: false, version: '0.1.0', ...over }, terminal)
  return { ...result, said: said.join('\n'), questions }
}

describe('nightshift trust', () => {
  it('shows the fingerprints, asks, records on yes, and leaves a signed receipt', async () => {
    const result = await trustAs('yes')
    expect(result).toMatchObject({ exitCode: 0, outcome: { state: 'unknown', receipt: 1 } })
    expect(result.questions).toHaveLength(1)
    expect(result.said).toMatch(/SHA256:\S{43} {2}ssh-ed25519 {2}not recorded yet/)
    for (const key of Object.values(sshd.hostKeys)) expect(knownHosts()).toContain(key)
    expect(receipt(1)).toMatchObject({
      kind: 'trust',
      run: { workflowId: 'trust/pve' },
      observed: { host: 'pve' },
      outcome: { recorded: result.outcome.recorded, compared: 'confirmed on a terminal' },
    })
    const again = await trustAs('yes')
    expect(again).toMatchObject({ exitCode: 0, questions: [], outcome: { state: 'same', recorded: [], receipt: null } })
  })

  it.each(['no', '', 'y', 'yes please'])('records nothing when the answer is %j', async (answer) => {
    expect(await trustAs(answer)).toMatchObject({ exitCode: 1, outcome: { recorded: [], receipt: null } })
    expect(knownHosts()).toBe('')
  })

  it('never trusts without a terminal unless the fingerprint is given, and then that key alone', async () => {
    const refusal = await trustAs(null).catch((error: unknown) => error)
    expect(refusal).toMatchObject({
      exitCode: 64,
      message: expect.stringContaining('no terminal to ask on'),
      next: expect.stringContaining('--fingerprint SHA256:'),
    })
    expect(knownHosts()).toBe('')
    const fingerprint = /--fingerprint (SHA256:\S+)/.exec((refusal as { next: string }).next)?.[1] ?? ''
    expect(await trustAs(null, { fingerprints: [fingerprint], json: true })).toMatchObject({ exitCode: 0, outcome: { recorded: [fingerprint], receipt: 1 } })
    expect(knownHosts().trim().split('\n')).toHaveLength(1)
    expect(knownHosts()).toContain(sshd.hostKeys['ssh-ed25519'])
  })

  it('refuses a fingerprint that the host does not show, and an unknown host', async () => {
    const wrong = `SHA256:${'A'.repeat(43)}`
    await expect(trustAs(null, { fingerprints: [wrong] })).rejects.toMatchObject({ reason: 'host_key_mismatch' })
    const command = await runInProcess(['trust', 'pve', '--config', config, '--fingerprint', wrong], { NIGHTSHIFT_STATE: stateDir })
    expect(command).toMatchObject({ exitCode: 2, stdout: '' })
    await expect(trustAs('yes', { host: 'pvee' })).rejects.toMatchObject({ exitCode: 64, next: expect.stringContaining('did you mean pve?') })
    expect(knownHosts()).toBe('')
  })

  it('takes the place of another recorded key only with --replace', async () => {
    const other = readFileSync(`${makeKey(join(root, 'other'))}.pub`, 'utf8')
      .split(' ')
      .slice(0, 2)
      .join(' ')
    writeFileSync(join(config, 'known_hosts'), `[127.0.0.1]:${sshd.port} ${other}\n`)
    await expect(trustAs('yes')).rejects.toMatchObject({ exitCode: 64, next: expect.stringContaining('--replace') })
    expect(knownHosts()).toContain(other)
    const result = await trustAs('yes', { replace: true })
    expect(result.said).toContain('DIFFERENT FROM THE RECORDED KEY')
    expect(result.outcome).toMatchObject({ state: 'mismatch', receipt: 1 })
    expect(knownHosts()).not.toContain(other)
    expect(knownHosts()).toContain(sshd.hostKeys['ssh-ed25519'])
  })

  it('leaves the receipt to the worker that holds the state folder', async () => {
    held = await openState({ dir: stateDir, estateId: 'ronny' })
    const result = await trustAs('yes')
    expect(result).toMatchObject({ exitCode: 0, outcome: { receipt: 'pending' } })
    expect(result.said).toContain('the running worker writes it with its next pass')
    const { estate } = await loadRunbooks(config)
    await held.appendPending(estate.receipts)
    expect(receipt(1)).toMatchObject({ kind: 'trust' })
  })

  it('says why a host cannot be asked', async () => {
    appendFileSync(join(config, 'ssh_config'), '\nHost nas\n  HostName 127.0.0.1\n  Port 1\n')
    await expect(trustAs('yes', { host: 'nas' })).rejects.toMatchObject({ reason: 'connect_refused' })
  })
})

describe('the doctor on hosts', () => {
  it('says of each host whether it is reachable and trusted and has the tools, with what to do', async () => {
    const before = await checkHosts(await loadRunbooks(config), () => new Date())
    expect(before.find((check) => check.area === 'host pve')).toMatchObject({
      result: 'unknown',
      message: expect.stringContaining('host key'),
      next: expect.stringContaining('nightshift trust pve'),
    })
    await trustAs('yes')
    const after = await checkHosts(await loadRunbooks(config), () => new Date())
    expect(after.find((check) => check.area === 'host pve' && check.name === 'reachable, trusted, clock')?.message).toMatch(/clock \d+\.\d s/)
    // the test's sshd runs a plain Debian: all general programs are there, those of Proxmox are not
    expect(after.find((check) => check.area === 'host pve' && check.name === 'tools')).toMatchObject({
      result: 'fail',
      message: expect.stringMatching(/^missing: .*pvesh/),
    })
    expect(after.filter((check) => check.area === 'host nas')).toMatchObject([{ result: 'unknown' }])
  })
})
