/** What people do with a run that changes something: start it, follow it, leave it, answer it, list it. By the program itself, on an estate in a folder. */
import { execa } from 'execa'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { EstateBench, ONE_OF_TWO } from '../../support/estate-bench.js'
import { environmentOf, PROGRAM } from '../../support/nightshift.js'
import { eventually } from '../../support/polling.js'
import { runInProcess } from './run-in-process.js'

vi.setConfig({ testTimeout: 90_000 })

const JOBS = ['run', 'vzdumpJobs', '{"host":"pve"}'] as const
const NEVER = 'a'.repeat(64)

let bench: EstateBench

beforeAll(async () => {
  bench = await EstateBench.create()
}, 120_000)
afterAll(async () => {
  await bench?.remove()
})
afterEach(async () => {
  bench.transport = (ssh) => ssh
  await jobs()
    .terminate('the test is over')
    .catch(() => {})
})

const jobs = () => bench.temporal.client.workflow.getHandle('jobs/pve')
const cli = (...args: string[]) => runInProcess([...args, '--config', bench.place.config], { NIGHTSHIFT_STATE: bench.place.state, ...bench.place.env })

/** What the job does not have now. */
const other = async () => ((await bench.compress()) === 'zstd' ? 'gzip' : 'zstd')

/** Starts a run that has to ask, and gives the digest of what it asks. */
async function asked(approval = ONE_OF_TWO): Promise<string> {
  await bench.want(await other(), approval)
  expect((await cli(...JOBS, '--as', 'ronny', '--detach')).exitCode).toBe(0)
  return await digest()
}

/** The digest of what the run asks, once it asks. */
async function digest(): Promise<string> {
  let found = ''
  await eventually('a question', async () => {
    const { stdout } = await cli('plan', 'jobs/pve', '--json')
    const view = JSON.parse(stdout) as { state?: string; plans?: { digest: string }[] }
    found = view.state === 'waiting for approval' ? (view.plans?.[0]?.digest ?? '') : ''
    return found !== ''
  })
  return found
}

const answer = (decision: 'approve' | 'reject', its: string, as: string, ...more: string[]) =>
  cli(decision, 'jobs/pve', '--digest', its, '--as', as, '--reason', 'read it', ...more)

/** The program as a process of its own, with what it has said so far. */
function start(...args: string[]) {
  return startIn(bench.place.env, ...args)
}

function startIn(env: Readonly<Record<string, string>>, ...args: string[]) {
  const child = execa(process.execPath, [PROGRAM, ...args, '--config', bench.place.config], {
    env: { ...environmentOf(bench.place), ...env },
    extendEnv: false,
    reject: false,
    stdin: 'ignore',
  })
  const heard = { said: '' }
  child.stderr.on('data', (chunk: Buffer) => {
    heard.said += chunk.toString('utf8')
  })
  return {
    child,
    heard,
    until: (what: string) => eventually(`"${what}" in what it says`, () => heard.said.includes(what)),
  }
}

describe('nightshift run', () => {
  it('is followed live, left by Ctrl-C without harm, picked up again, and answered by the command that it shows', async () => {
    const before = await bench.compress()
    const after = await other()
    await bench.want(after)
    const first = start(...JOBS, '--as', 'ronny')
    await first.until('To answer:')
    expect(first.heard.said).toMatch(/^Started jobs\/pve \(run [0-9a-f-]+\)\n/)
    expect(first.heard.said).toContain(`compress: ${before} → ${after}`)
    expect(first.heard.said).toMatch(/Asked: 1 of ronny, ada, until 20\d\d-[^ ]+Z; no answer means no/)
    first.child.kill('SIGINT')
    const left = await first.child
    expect(left.exitCode).toBe(75)
    expect(left.stdout).toBe('')
    expect(left.stderr).toContain(`the same command follows it again:\n  nightshift run vzdumpJobs '{"host":"pve"}' --config ${bench.place.config}\n`)
    expect(left.stderr).toMatch(/still waiting: approve · Waiting for an approval by 1 of ronny, ada, until .*Z; no answer means no\.$/)

    const second = start(...JOBS)
    await second.until('To answer:')
    expect(second.heard.said).toMatch(/^Already running, following jobs\/pve/)
    expect(second.heard.said).not.toContain('It was started with')
    const [command = ''] = second.heard.said.match(/nightshift approve .*/) ?? []
    const words = command.replace('NAME', 'ada').replace('TEXT', 'looked').split(' ').slice(1)
    expect(await runInProcess(words, bench.place.env)).toMatchObject({ exitCode: 0, stdout: 'Approved by ada (claimed)\n' })
    const ended = await second.child
    expect(ended.exitCode).toBe(0)
    expect(ended.stderr).toContain('done: all 1 steps hold on pve')
    expect(ended.stdout).toMatch(/^applied {4}Change job daily \(P1\): set compress\.\nreceipt \d+ {2}[0-9a-f]{64}$/)
    expect(await bench.compress()).toBe(after)
  })

  it('shows each step of a change while it is made, and refuses another thing for the same host meanwhile', async () => {
    let letGo = (): void => {}
    const held = new Promise<void>((resolve) => {
      letGo = resolve
    })
    const its = await asked()
    bench.transport = (ssh) => ({
      run: async (alias, request) => {
        if (String(request.stdin).includes('Fcntl qw(:flock')) await held
        return await ssh.run(alias, request)
      },
    })
    expect(await cli('run', 'vzdumpJobs', '{"host":"pve","mode":"audit"}')).toMatchObject({
      exitCode: 64,
      stderr: expect.stringMatching(
        /nothing was started: jobs\/pve is open already, for \{"host":"pve","requestedBy":"ronny"\}\n {2}→ .*nightshift plan jobs\/pve/,
      ),
    })
    const follower = start(...JOBS)
    await follower.until('To answer:')
    await answer('approve', its, 'ronny')
    await follower.until('- started: Change job daily')
    letGo()
    expect((await follower.child).exitCode).toBe(0)
    expect(await cli('runs', '--open')).toMatchObject({ exitCode: 0, stdout: '', stderr: 'no runs\n' })
  })

  it('ends with 0 when all is as wanted; with --json one document and nothing else', async () => {
    await bench.want((await bench.compress()) as 'zstd')
    const text = await cli(...JOBS)
    expect(text).toMatchObject({ exitCode: 0, stderr: expect.stringContaining('already so: everything is as wanted already') })
    const json = await cli(...JOBS, '--json')
    expect(json).toMatchObject({ exitCode: 0, stderr: '' })
    expect(JSON.parse(json.stdout)).toEqual({
      workflowId: 'jobs/pve',
      runId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      outcome: 'already so',
      result: expect.objectContaining({ state: 'already_so', steps: [], receipt: { number: expect.any(Number), sha256: expect.any(String) } }),
    })
  })

  it('leaves with 75 when the time is up, or at once, and says what the run waits for', async () => {
    const before = await bench.compress()
    const its = await asked()
    const waited = await cli(...JOBS, '--wait', '1s', '--json')
    expect(waited).toMatchObject({ exitCode: 75, stderr: '' })
    expect(JSON.parse(waited.stdout)).toMatchObject({
      outcome: 'still waiting',
      message: expect.stringContaining('Waiting for an approval by 1 of ronny, ada, until '),
    })
    const detached = await cli(...JOBS, '--detach')
    expect(detached).toMatchObject({ exitCode: 0, stdout: '', stderr: expect.stringContaining('nightshift plan jobs/pve --config') })
    expect(JSON.parse((await cli(...JOBS, '--detach', '--json')).stdout)).toMatchObject({ workflowId: 'jobs/pve', outcome: 'started' })
    const following = start(...JOBS)
    await following.until('To answer:')
    expect(await answer('reject', its, 'ada')).toMatchObject({ exitCode: 0, stdout: 'Rejected by ada (claimed)\n' })
    expect(await following.child).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('rejected: ada said no: read it') })
    expect(await bench.compress()).toBe(before)
  })

  it('ends with 2 when a step fails or the run is cancelled, with 3 when nobody can say what became of it', async () => {
    await bench.want(await other(), ONE_OF_TWO)
    // The effect of the step does nothing: what is read back is as before.
    bench.transport = (ssh) => ({
      run: (alias, request) => ssh.run(alias, { ...request, stdin: String(request.stdin).replace('"pvesh","set","/cluster/backup/daily"', '"true"') }),
    })
    // Whoever starts the run follows that one; a program that comes later might find it ended, and start another.
    const failing = start(...JOBS, '--json')
    await answer('approve', await digest(), 'ronny')
    const failed = await failing.child
    expect(failed.exitCode).toBe(2)
    expect(JSON.parse(failed.stdout)).toMatchObject({ outcome: 'rolled back', result: { steps: [{ id: 'set job daily', outcome: 'undone' }] } })

    for (const [end, outcome, exitCode] of [
      [() => jobs().cancel(), 'cancelled', 2],
      [() => jobs().terminate('by hand'), 'terminated', 3],
    ] as const) {
      bench.transport = (ssh) => ssh
      await bench.want(await other())
      const ending = start(...JOBS, '--json')
      await eventually('the run', async () => (await jobs().describe()).status.name === 'RUNNING')
      await end()
      const ended = await ending.child
      expect(ended.exitCode).toBe(exitCode)
      expect(JSON.parse(ended.stdout)).toMatchObject({ outcome })
    }
  })

  it('says that no worker answers, and goes on when one is there again', async () => {
    await bench.want(await other())
    await bench.rest()
    try {
      const following = start(...JOBS)
      await following.until('No worker answers for this run now; it waits, and loses nothing.')
      expect(await start('plan', 'jobs/pve').child).toMatchObject({
        exitCode: 3,
        stderr: expect.stringMatching(/no worker answers for jobs\/pve\n {2}→ is `nightshift up` running/),
      })
      await bench.work()
      await following.until('To answer:')
      following.child.kill('SIGINT')
      expect(await following.child).toMatchObject({ exitCode: 75, stderr: expect.stringContaining('still waiting: ') })
    } finally {
      await bench.rest()
      await bench.work()
    }
  })
})

describe('wrong usage and wrong configuration', () => {
  it.each([
    [['run', 'vzdumpJob', '{}'], /there is no runbook vzdumpJob\n {2}→ known: .*vzdumpJobs/],
    [['run', 'constructor'], /there is no runbook constructor/],
    [['run', 'vzdumpJobs', '{host:pve}'], /the input is not JSON: .*\n {2}→ write it in single quotes/],
    [['run', 'vzdumpJobs', '{"host":"pve"}', '--wait', '5'], /a duration such as 90s, 15m, 26h or 7d is needed/],
    [['run', 'vzdumpJobs', '{"host":"pve"}', '--wait', '5s', '--detach'], /--detach and --wait exclude each other/],
    [['run', 'vzdumpJobs', '{"hosts":"pve"}'], /failed: vzdumpJobs: the input is not valid: \$\.host/],
    [['run', 'vzdumpJobs', '{"host":"pev"}'], /failed: vzdump\.yaml has no entry for host pev \(there: pve\)/],
    [['plan', 'jobs/nobody'], /there is no run jobs\/nobody, or it has ended\n {2}→ nightshift runs/],
    [['plan'], /missing required argument 'workflow'/],
    [['approve', 'jobs/nobody', '--digest', NEVER, '--as', 'ronny', '--reason', 'x'], /there is no run jobs\/nobody, or it has ended/],
    [['approve', 'jobs/pve', '--digest', 'aaaaaaaaaaaa', '--as', 'ronny', '--reason', 'x'], /the whole digest is needed, 64 hex digits/],
    [['approve', 'jobs/pve', '--digest', NEVER, '--as', 'ronny'], /required option '--reason <text>' not specified/],
    [['reject', 'jobs/pve', '--digest', NEVER, '--reason', 'x'], /required option '--as <name>' not specified/],
    [['runs', '--limit', '0'], /a whole number from 1 to 1000/],
  ])('%j is 64, and the cause is said', async (args, why) => {
    const said = await cli(...args)
    expect(said).toMatchObject({ exitCode: 64, stdout: '' })
    expect(said.stderr).toMatch(why)
  })

  it('is 78 for runbook files that are wrong, a folder that is none, a server that does not answer, and a key that cannot sign', async () => {
    const commands = [[...JOBS], ['plan', 'jobs/pve'], ['runs'], ['approve', 'jobs/pve', '--digest', NEVER, '--as', 'ronny', '--reason', 'x']]
    // A server is given ten seconds to answer: all four wait at once, while the rest is looked at.
    const unanswered = Promise.all(commands.map((command) => startIn({ TEMPORAL_ADDRESS: '127.0.0.1:1' }, ...command, '--json').child))
    const its = await asked()
    expect(await answer('approve', its, 'ronny', '--sign', '/nowhere/key')).toMatchObject({
      exitCode: 78,
      stderr: expect.stringMatching(/could not be signed with \/nowhere\/key: .*\n {2}→ /),
    })
    await jobs().terminate('to read the files anew')
    await bench.want('brotli' as 'gzip')
    expect(await cli(...JOBS)).toMatchObject({ exitCode: 78, stderr: expect.stringMatching(/failed: .*vzdump\.yaml:\d+:\d+ .*compress/) })
    await bench.want('zstd')
    for (const command of commands) {
      const nowhere = await runInProcess([...command, '--config', '/nowhere'], bench.place.env)
      expect(nowhere).toMatchObject({ exitCode: 78, stderr: expect.stringMatching(/\/nowhere\/estate\.yaml cannot be read: .*\n {2}→ .*--config DIR/) })
      const off = await runInProcess([...command, '--config', bench.place.config], { NIGHTSHIFT_STATE: bench.place.state })
      expect(off).toMatchObject({ exitCode: 78, stderr: expect.stringMatching(/nightshift is not running for estate ronny.*\n {2}→ start it: nightshift up/) })
    }
    for (const silent of await unanswered) {
      expect(silent.exitCode).toBe(78)
      expect(JSON.parse(silent.stdout)).toMatchObject({
        schema: 'nightshift.error/1',
        errors: [{ found: expect.stringContaining('no Temporal server answers at 127.0.0.1:1'), hint: expect.any(String) }],
      })
    }
  })
})

describe('nightshift approve', () => {
  it('does not count a wrong digest, a stranger, an empty reason, and says why with 1', async () => {
    const its = await asked({ ...ONE_OF_TWO, mayApproveOwn: false })
    for (const [said, why] of [
      [await answer('approve', NEVER, 'ronny'), /digest aaaaaaaaaaaa… is not of the plan that waits \([0-9a-f]{12}…\)/],
      [await answer('approve', its, 'eve'), /eve is no approver; approvers: ronny, ada/],
      [await answer('approve', its, 'ronny'), /ronny asked for this run, and the policy lets nobody approve their own/],
      [await cli('approve', 'jobs/pve', '--digest', its, '--as', 'ada', '--reason', ' '), /an answer needs a reason/],
    ] as const) {
      expect(said).toMatchObject({ exitCode: 1, stdout: '' })
      expect(said.stderr).toMatch(why)
      expect(said.stderr).toContain('→ nightshift plan jobs/pve')
    }
    const json = await answer('reject', its, 'eve', '--json')
    expect(json).toMatchObject({ exitCode: 1, stderr: '' })
    expect(JSON.parse(json.stdout)).toMatchObject({ schema: 'nightshift.error/1', errors: [{ found: expect.stringContaining('eve is no approver') }] })
  })

  it('counts two people where two are needed, and tells who is still waited for', async () => {
    const its = await asked({ ...ONE_OF_TWO, needed: 2 })
    expect(await answer('approve', its, 'ronny')).toMatchObject({ exitCode: 0, stdout: 'Approved by ronny (claimed); 1 more must say yes\n' })
    expect(await answer('approve', its, 'ronny')).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('ronny has answered already') })
    expect((await cli('plan', 'jobs/pve')).stdout).toMatch(/approve by ronny \(claimed\) at .*: read it\n\nAsked: 2 of ronny, ada, until /)
    const following = start(...JOBS)
    await following.until('To answer:')
    const json = await answer('approve', its, 'ada', '--json')
    expect(JSON.parse(json.stdout)).toEqual({
      schema: 'nightshift.answer/1',
      workflowId: 'jobs/pve',
      decision: 'approve',
      counted: true,
      proof: 'claimed',
      stillNeeded: 0,
    })
    expect((await following.child).exitCode).toBe(0)
    expect(await answer('approve', its, 'ada')).toMatchObject({ exitCode: 64, stderr: expect.stringContaining('or it has ended') })
    const after = await cli('plan', 'jobs/pve')
    expect(after).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/This run has ended: completed at .*receipts list/) })
    expect(after.stdout).not.toContain('To answer')
  })

  it('signs with the key of a person, where the policy wants it', async () => {
    const its = await asked({ ...ONE_OF_TWO, signature: 'required' })
    expect((await cli('plan', 'jobs/pve')).stdout).toContain('--reason TEXT --sign KEY')
    expect(await answer('approve', its, 'ronny')).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('the policy wants a signed answer') })
    const ada = await bench.signer('ada')
    expect(await answer('approve', its, 'ronny', '--sign', ada)).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('the signature of ronny does not count'),
    })
    const following = start(...JOBS)
    await following.until('To answer:')
    expect(await answer('approve', its, 'ada', '--sign', ada)).toMatchObject({ exitCode: 0, stdout: 'Approved by ada (signed)\n' })
    expect((await following.child).exitCode).toBe(0)
    expect((await cli('receipts', 'list')).stdout).toMatch(/vzdumpJobs {2}done, pve {2}\(asked by ronny\)\n$/)
    expect(JSON.parse((await cli('receipts', 'show', 'last')).stdout)).toMatchObject({ approval: { approver: 'ada', signed: true } })
  })
})

describe('nightshift runs', () => {
  it('lists what waits, for whom and until when, and what has ended', async () => {
    await asked()
    const open = await cli('runs', '--open')
    expect(open).toMatchObject({ exitCode: 0, stderr: '' })
    expect(open.stdout).toMatch(
      /^20\S+Z {2}RUNNING {5}jobs\/pve {2}\S+\n {4}approve · Waiting for an approval by 1 of ronny, ada, until 20\S+Z; no answer means no\.\n$/,
    )
    expect(JSON.parse((await cli('runs', '--open', '--json')).stdout)).toEqual([
      {
        runbook: 'vzdumpJobs',
        workflowId: 'jobs/pve',
        runId: expect.any(String),
        status: 'RUNNING',
        startedAt: expect.any(String),
        closedAt: null,
        phase: 'approve',
        host: 'pve',
        doing: expect.stringContaining('Waiting for an approval'),
      },
    ])
    const all = JSON.parse((await cli('runs', '--limit', '3', '--json')).stdout) as { status: string; closedAt: string | null }[]
    expect(all).toHaveLength(3)
    expect(all.slice(1).every(({ status, closedAt }) => status !== 'RUNNING' && closedAt !== null)).toBe(true)
  })
})
