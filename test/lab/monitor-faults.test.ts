/** What may happen to nightshift itself while it works: each ends with the right words, and nothing is lost. */
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { YAMLMap, YAMLSeq } from 'yaml'
import { packageRoot } from '../../src/temporal/package-root.js'
import { anyFreePort } from '../../src/temporal/ports.js'
import { historyText } from '../support/history-text.js'
import { testLab } from '../support/lab.js'
import { environmentOf, nightshift, type RunningUp, startUp } from '../support/nightshift.js'
import { clientOf, makePlace, onePass, statusOf, type TestPlace } from '../support/place.js'
import { eventually } from '../support/polling.js'

const lab = await testLab('monitor-faults')
const undo: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step()
})

async function place(state?: string): Promise<TestPlace> {
  const made = await makePlace(lab.paths.config, state)
  undo.push(() => made.remove())
  return made
}

async function up(where: TestPlace, args: readonly string[] = []): Promise<RunningUp> {
  const running = await startUp(where, args, /A pass every/)
  undo.push(() => running.stop())
  return running
}

const targetsOf = (document: { get(key: string): unknown }) => (document.get('targets') as YAMLSeq<YAMLMap>).items

describe('a nightshift that stays up', () => {
  let where: TestPlace
  let running: RunningUp

  beforeAll(async () => {
    where = await makePlace(lab.paths.config)
    running = await startUp(where, [], /A pass every/)
  })
  afterAll(async () => {
    await running?.stop()
    await where?.remove()
  })

  it('keeps the runbook files in force as they were when one is broken while it runs, and the status names the line', async () => {
    const good = await where.read('inventory.yaml')
    await where.write('inventory.yaml', good.replace(/^targets:$/m, 'targets: [oops'))
    const broken = await onePass(where)
    expect(broken.findings.find((finding) => finding.reason === 'runbooks_broken')?.message).toMatch(/inventory\.yaml:\d+:\d+/)
    expect(broken.verdict).toBe('critical')
    expect(broken.seen).toBe(28)
    await where.write('inventory.yaml', good)
    const mended = await onePass(where)
    expect(mended.findings).toEqual([])
    expect(mended.verdict).toBe('ok')
  })

  it('makes passes at the same time, which leave the status of the newer one, and both their rows', async () => {
    const { client, close } = await clientOf(running, lab.name)
    undo.push(close)
    const start = (id: string) =>
      client.workflow.execute('backupMonitor', { workflowId: id, taskQueue: `nightshift-${lab.name}`, args: [{}] }) as Promise<{
        passId: string
        takenAt: string
      }>
    const [one, two] = await Promise.all([start('monitor/test-one'), start('monitor/test-two')])
    const newer = one.takenAt > two.takenAt ? one : two
    expect((await statusOf(where)).status.passId).toBe(newer.passId)
  })

  it('shows what it found on the metrics endpoint beside the metrics of the SDK, and in the search attributes and details of the run', async () => {
    await onePass(where)
    const metrics = await (await fetch(`http://127.0.0.1:${running.metricsPort}/metrics`)).text()
    expect(metrics).toMatch(/^nightshift_verdict\{[^}]*verdict="ok"[^}]*\} 1$/m)
    expect(metrics).toMatch(/^nightshift_targets_seen\{[^}]*\} 28$/m)
    expect(metrics).toMatch(/^temporal_worker_task_slots_available/m)
    const { client, close } = await clientOf(running, lab.name)
    undo.push(close)
    const ids: string[] = []
    for await (const run of client.workflow.list({ query: 'NightshiftRunbook = "backupMonitor" AND NightshiftPhase = "judge"' })) ids.push(run.workflowId)
    expect(ids).toContain(`monitor/${lab.name}`)
    const metadata = await client.workflow.getHandle(`monitor/${lab.name}`).query<{ currentDetails?: string }>('__temporal_workflow_metadata')
    expect(metadata.currentDetails).toMatch(/\| *target/i)
    const schedule = await client.schedule.getHandle(`monitor/${lab.name}`).describe()
    expect(schedule.policies.overlap).toBe('SKIP')
    expect((await fetch(`http://127.0.0.1:${running.uiPort}/`)).status).toBe(200)
  })
})

describe('the runbook files', () => {
  it('with no enabled target at all give UNKNOWN, never OK', async () => {
    const where = await place()
    await where.edit('inventory.yaml', (document) => {
      for (const target of targetsOf(document)) target.set('enabled', false)
    })
    const ports = ['--temporal-port', String(await anyFreePort()), '--ui-port', String(await anyFreePort())]
    const once = await nightshift(where, ['up', '--once', '--json', ...ports])
    expect(once.exitCode).toBe(3)
    expect(JSON.parse(once.stdout)).toMatchObject({ verdict: 'unknown', expected: 0, seen: 0 })
  })
})

describe('passes', () => {
  it('survive kill -9 of nightshift and of its Temporal server in the middle, and are finished after the restart', async () => {
    const where = await place()
    await labCommand('latency', '550')
    undo.push(() => labCommand('latency', '0'))
    const first = await startUp(where, [], /A pass every/)
    const before = (await statusOf(where)).status
    const run = nightshift(where, ['run', 'backupMonitor', '--detach', '--json'])
    const { workflowId, runId } = JSON.parse((await run).stdout) as { workflowId: string; runId: string }
    await first.kill()
    const second = await startUp(where, [], 'worker is up', first)
    undo.push(() => second.stop())
    // Whoever starts it sees that the table is not of this pass, and the old one until then.
    await second.until('A pass was begun before this start; it goes on now. Until it ends, the newest status is that of an earlier pass.')
    await second.until(before.takenAt.slice(0, 16).replace('T', ' '))
    const { client, close } = await clientOf(second, lab.name)
    undo.push(close)
    const result = (await client.workflow.getHandle(workflowId, runId).result()) as { passId: string; verdict: string }
    expect(result).toMatchObject({ passId: runId, verdict: 'ok' })
    expect((await statusOf(where)).status.takenAt > before.takenAt).toBe(true)
    const verified = await nightshift(where, ['receipts', 'verify', '--json'])
    expect(verified.exitCode, verified.stdout).toBe(0)
  })

  it('go on when only the Temporal server dies in the middle', async () => {
    const where = await place()
    await labCommand('latency', '550')
    undo.push(() => labCommand('latency', '0'))
    const running = await up(where)
    const pass = nightshift(where, ['run', 'backupMonitor', '--json'])
    const server = await execa('pgrep', ['-f', '--', `start-dev .*--port ${running.temporalPort} `])
    process.kill(Number(server.stdout.split('\n')[0]), 'SIGKILL')
    await pass
    await running.until('the Temporal server is back')
    expect((await onePass(where)).verdict).toBe('ok')
  })

  it('say no_worker for a site whose worker is not there, and read it when it is', async () => {
    const where = await place()
    await where.edit('estate.yaml', (document) => {
      const sites = document.get('sites') as YAMLSeq<YAMLMap>
      sites.items.find((site) => site.get('id') === 'home')?.set('task_queue', 'test-home')
    })
    const running = await up(where)
    const alone = (await statusOf(where)).status
    expect(alone.verdict).toBe('unknown')
    expect(alone.hosts.filter((host) => host.site === 'home').map((host) => host.reason)).toEqual(['no_worker', 'no_worker', 'no_worker'])
    expect(alone.findings.filter((finding) => finding.reason === 'no_worker')).toHaveLength(1)
    expect(alone.targets.filter((target) => target.site === 'shop' && target.enabled).every((target) => target.state === 'OK')).toBe(true)

    const worker = execa(process.execPath, [join(packageRoot(), 'dist', 'src', 'worker.js'), '--config', where.config, '--site', 'home'], {
      env: { ...environmentOf({ config: where.config, state: '/nonexistent' }), TEMPORAL_ADDRESS: `127.0.0.1:${running.temporalPort}` },
      extendEnv: false,
      reject: false,
    })
    undo.push(async () => {
      worker.kill('SIGTERM')
      await worker
    })
    const together = await onePass(where)
    expect(together.verdict).toBe('ok')
    expect(together.seen).toBe(28)
  })
})

describe('a full disk', () => {
  it('leaves the old status and a chain that verifies, says so, and the next pass heals', async () => {
    const disk = await mkdtemp(join(tmpdir(), 'nightshift-full-'))
    await execa('mount', ['-t', 'tmpfs', '-o', 'size=6m,mode=700', 'nightshift-test', disk])
    undo.push(async () => {
      await execa('umount', ['-l', disk])
      await rm(disk, { recursive: true })
    })
    const state = join(disk, 'state')
    await mkdir(state)
    const where = await place(state)
    await up(where, ['--temporal-data', await temporaryFolder()])
    const before = (await statusOf(where)).status
    await execa('sh', ['-c', 'dd if=/dev/zero of="$1/filler" bs=4k 2>/dev/null; :', 'fill', disk])
    const failed = await nightshift(where, ['run', 'backupMonitor', '--json'])
    expect(failed.exitCode).toBe(2)
    expect(failed.stdout).toMatch(/no space|full/i)
    expect((await statusOf(where)).status.passId).toBe(before.passId)
    await rm(join(disk, 'filler'))
    expect((await onePass(where)).takenAt > before.takenAt).toBe(true)
    expect((await nightshift(where, ['receipts', 'verify', '--json'])).exitCode).toBe(0)
  })
})

describe('secrets', () => {
  it('that hosts print where things fail are in no history, log, status or receipt', async () => {
    const canary = 'Zx7-canary-Qw93'
    const nas = lab.host('nas')
    const pve = lab.host('pve')
    const profile = `${nas.sshUser.home}/.bashrc`
    await nas.exec([
      'sh',
      '-c',
      `cp ${profile} /tmp/bashrc.kept 2>/dev/null; printf 'echo password=%s; echo token=%s >&2\\n' ${canary} ${canary} >> ${profile}`,
    ])
    undo.push(() => nas.exec(['sh', '-c', `if [ -e /tmp/bashrc.kept ]; then cp /tmp/bashrc.kept ${profile}; else rm -f ${profile}; fi`]))
    await pve.exec(['sh', '-c', `cp /etc/pve/jobs.cfg /root/jobs.kept; printf '\\nnonsense password=%s line\\n' ${canary} >> /etc/pve/jobs.cfg`])
    undo.push(() => pve.exec(['sh', '-c', 'cat /root/jobs.kept > /etc/pve/jobs.cfg; rm /root/jobs.kept']))

    const where = await place()
    const running = await up(where)
    const run = await nightshift(where, ['run', 'backupMonitor', '--json'])
    const { workflowId, runId } = JSON.parse(run.stdout) as { workflowId: string; runId: string }
    const { client, close } = await clientOf(running, lab.name)
    undo.push(close)
    const history = historyText((await client.workflow.getHandle(workflowId, runId).fetchHistory()).events)

    const { status } = await statusOf(where)
    // What was planted must have been met, or nothing is shown.
    expect(JSON.stringify(status)).toMatch(/redacted/)
    expect(history, 'what was read is in it').toContain('takenAt')
    expect(history).not.toContain(canary)
    expect(JSON.stringify(status)).not.toContain(canary)
    expect(running.output()).not.toContain(canary)
    expect(await everythingIn(where.state)).not.toContain(canary)
  })
})

describe('what people and programs look at', () => {
  it('is kept for 90 days, over restarts', async () => {
    const where = await place()
    const first = await startUp(where, [], /A pass every/)
    const { passId } = (await statusOf(where)).status
    expect(await first.stop()).toBe(0)
    const second = await startUp(where, [], /A pass every/, first)
    undo.push(() => second.stop())
    const { client, close } = await clientOf(second, lab.name)
    undo.push(close)
    const { config } = await client.workflowService.describeNamespace({ namespace: `nightshift-${lab.name}` })
    expect(Number(config?.workflowExecutionRetentionTtl?.seconds)).toBe(90 * 86_400)
    await eventually('the run of before the restart is listed', async () => {
      for await (const run of client.workflow.list({ query: 'WorkflowType = "backupMonitor"' })) if (run.runId === passId) return true
      return false
    })
  })
})

async function labCommand(...args: string[]): Promise<void> {
  await execa(process.execPath, [join(packageRoot(), 'dist', 'lab', 'cli.js'), '--lab', lab.name, ...args])
}

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'nightshift-data-'))
  undo.push(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** The text of every file below a folder. What the database holds compressed is not seen into. */
async function everythingIn(folder: string): Promise<string> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const texts = await Promise.all(entries.filter((entry) => entry.isFile()).map((entry) => readFile(join(entry.parentPath, entry.name), 'latin1')))
  return texts.join('\n')
}
