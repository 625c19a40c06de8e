/**
 * The watcher against a lab: put on a host by the steps of its plan, started by that host's systemd, left marks by a running nightshift, and mailing through that
 * host's own Postfix, as the installer left it, to an inbox that such a host can reach.
 */
import { afterEach, beforeAll, expect, it } from 'vitest'
import type { LabHost } from '../../lab/host.js'
import { ACCOUNTS, MAIL_HOST } from '../../lab/mail/names.js'
import { parseReport, remoteProgram } from '../../src/domain/change/remote-program.js'
import { parseRelayReading, relayProbe } from '../../src/domain/relay/probe-program.js'
import { type WatcherOrder, watcherPaths, watchersOf } from '../../src/domain/relay/watcher.js'
import { planWatcher, watcherGate, watcherQuestions } from '../../src/domain/relay/watcher-plan.js'
import { loadRunbooks } from '../../src/runbooks/index.js'
import { testLab } from '../support/lab.js'
import { nightshift, type RunningUp, startUp } from '../support/nightshift.js'
import { clientOf, makePlace, onePass, type TestPlace } from '../support/place.js'
import { eventually } from '../support/polling.js'

const HOST = 'proxmox-home'
const lab = await testLab('watcher', { hosts: [HOST, MAIL_HOST] })
const PERSONAL = ACCOUNTS[2]
const paths = watcherPaths(lab.name)
const service = paths.service.slice(paths.service.lastIndexOf('/') + 1)
let host: LabHost
let mailServer: LabHost
let order: WatcherOrder
const undo: (() => Promise<unknown>)[] = []

/** A pass a minute, so that three of them are three minutes; the mail goes where an unrelayed host gets it to. */
async function place(): Promise<TestPlace> {
  const made = await makePlace(lab.paths.config)
  undo.push(() => made.remove())
  await made.edit('estate.yaml', (document) => document.setIn(['monitor', 'every_minutes'], 1))
  await made.edit('email-relay.yaml', (document) => document.setIn(['watcher', 0, 'mail_to'], PERSONAL))
  return made
}

async function up(where: TestPlace): Promise<RunningUp> {
  const running = await startUp(where)
  undo.push(() => running.stop())
  return running
}

beforeAll(async () => {
  host = lab.host(HOST)
  mailServer = lab.host(MAIL_HOST)
  const where = await place()
  const [declared] = watchersOf(await loadRunbooks(where.config))
  if (declared === undefined) throw new Error('email-relay.yaml declares no watcher')
  order = declared
})
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step()
})

async function read() {
  const questions = watcherQuestions(lab.name)
  const { stdout } = await host.exec(['perl', '-'], { stdin: relayProbe(questions) })
  return parseRelayReading(host.name, 'pve', questions, stdout)
}

/** What `emailRelay` does with the plan, step by step. @returns what each step said */
async function bring(wanted: WatcherOrder | null): Promise<string[]> {
  const outcomes: string[] = []
  for (const { effect, before, after } of planWatcher(wanted, lab.name, await read())) {
    const { stdout } = await host.exec(['perl', '-'], { stdin: remoteProgram({ effect, before, after }) })
    const { outcome, differences, said } = parseReport(stdout)
    outcomes.push(differences.length === 0 ? outcome : `${outcome}: ${JSON.stringify(differences)} ${said}`)
  }
  return outcomes
}

const gate = async () => {
  const { state, reason } = watcherGate(order, await read())
  return `${state} ${reason}`
}

/** Subjects of the watcher's mails in the inbox, oldest first. */
async function subjects(): Promise<string[]> {
  const folder = `/var/mail/lab/${PERSONAL.split('@').reverse().join('/')}/Maildir`
  const { stdout } = await mailServer.exec([
    'sh',
    '-c',
    `cat $(ls -tr ${folder}/new/* ${folder}/cur/* 2>/dev/null) < /dev/null | grep '^Subject: nightshift of' || true`,
  ])
  return stdout.split('\n').filter((line) => line !== '')
}
const mark = async () => (await host.exec(['cat', `${paths.folder}/mark`], { check: false })).stdout
/** Makes passes until this is so: a pass leaves the mark of one that the desk has taken meanwhile. */
const passUntil = (what: string, where: TestPlace, condition: () => Promise<boolean>) =>
  eventually(what, async () => {
    await onePass(where)
    return await condition()
  })
const markAged = (words: string) => host.exec(['touch', '-d', words, `${paths.folder}/mark`])
/** Looks at once, whatever the timer does; systemd refuses a unit that was started often in a short time. */
const lookNow = () =>
  host.exec(['sh', '-c', `systemctl reset-failed ${service}; systemctl start ${service} || { journalctl --no-pager -n 15 -u ${service} >&2; false; }`])

it('a nightshift that is stopped is mailed once from the other site, and its return once more', { timeout: 500_000 }, async () => {
  expect(await bring(order)).toEqual(['applied', 'applied', 'applied', 'applied'])
  expect(await bring(order)).toEqual([])
  expect(await gate()).toBe('unknown no_mark')

  const where = await place()
  const running = await up(where)
  await passUntil('the mark of a pass', where, async () => (await mark()) !== '')
  expect(await mark()).toMatch(new RegExp(`^at=[0-9TZ:.-]+\npass=[0-9a-f-]{36}\nestate=${lab.name}\n$`))
  expect(await gate()).toBe('passed ok')
  const gates = await nightshift(where, ['run', 'driftGates', '--json'])
  // No canary was sent and pve is not there: unknown, which is not a pass.
  expect(gates).toMatchObject({ exitCode: 3, stdout: expect.stringContaining('"watcher/proxmox-home"') })
  expect(JSON.parse(gates.stdout)).toMatchObject({ outcome: 'unknown', result: { failed: 0 } })
  await running.stop()

  await markAged('4 minutes ago')
  const before = (await subjects()).length
  const news = async () => (await subjects()).slice(before)
  await eventually('a mail by the timer', async () => (await news()).length > 0, 150_000)
  for (let minute = 0; minute < 3; minute++) await lookNow()
  expect(await news()).toEqual([`Subject: nightshift of ${lab.name} is silent`])
  expect(await gate()).toBe('failed mark_old')

  const again = await up(where)
  const old = await mark()
  await passUntil('a new mark', where, async () => (await mark()) !== old)
  await again.stop()
  for (let minute = 0; minute < 3; minute++) await lookNow()
  await eventually('a mail that it is back', async () => (await news()).length > 1)
  expect(await news()).toEqual([`Subject: nightshift of ${lab.name} is silent`, `Subject: nightshift of ${lab.name} is back`])
})

it('a desk that fails its workflow tasks takes no pass, so that no mark is left and the watcher mails', { timeout: 300_000 }, async () => {
  await bring(order)
  const where = await place()
  const running = await up(where)
  const { client, close } = await clientOf(running, lab.name)
  undo.push(close)
  // No worker knows this type: each of its workflow tasks fails, while signals are taken.
  const broken = { workflowId: `desk/${lab.name}`, taskQueue: `nightshift-${lab.name}`, workflowIdConflictPolicy: 'TERMINATE_EXISTING' } as const
  await client.workflow.start('aDeskThatIsBroken', broken)
  const pass = (workflowId: string) => client.workflow.execute('backupMonitor', { workflowId, taskQueue: `nightshift-${lab.name}`, args: [{}] })
  // For a pass that the desk had taken before, a mark may still be left.
  await pass('monitor/test-first')
  await host.exec(['rm', '-f', `${paths.folder}/mark`])
  expect(await pass('monitor/test-second')).toMatchObject({ written: true })
  expect(await mark()).toBe('')

  const before = (await subjects()).length
  await host.exec(['touch', '-d', '4 minutes ago', paths.script])
  await lookNow()
  await eventually('a mail', async () => (await subjects()).length === before + 1)
  expect((await subjects()).at(-1)).toBe(`Subject: nightshift of ${lab.name} is silent`)
})

it('says the same under BusyBox, and is taken away without a trace', async () => {
  await bring(order)
  await host.exec(['systemctl', 'stop', paths.timer.slice(paths.timer.lastIndexOf('/') + 1)])
  await host.exec(['sh', '-c', `mkdir -p ${paths.folder}; rm -f ${paths.folder}/said; echo at=x > ${paths.folder}/mark`])
  await markAged('4 minutes ago')
  const before = (await subjects()).length
  for (let minute = 0; minute < 2; minute++) await host.exec(['busybox', 'sh', paths.script])
  await eventually('a mail', async () => (await subjects()).length === before + 1)
  expect(await bring(null)).toEqual(['applied', 'applied', 'applied', 'applied', 'applied'])
  expect(await bring(null)).toEqual([])
  expect(await gate()).toBe('failed not_in_place')
  expect(
    (
      await host.exec([
        'sh',
        '-c',
        'ls -d /usr/local/sbin/nightshift-* /etc/systemd/system/nightshift-watcher* /var/lib/nightshift-watcher* 2>/dev/null || true',
      ])
    ).stdout,
  ).toBe('')
})
