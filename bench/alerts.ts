/**
 * How soon an alert is at the mail server, beside a bare nodemailer send in the same run, and how much the desk takes.
 * Everything is real: a lab with sshd and Postfix, a Temporal server, a worker. Each round breaks one more target, so that the pass opens one incident and the desk
 * sends one mail; the bare send goes to the same server with the same settings, and the two take turns at going first.
 *
 * Keys of the JSON object, times in milliseconds:
 * `rounds` · `oursMs`: from the end of the pass (its status is published) to the server's 250 · `rawMs`: `sendMail` of nodemailer to the server's 250 ·
 * `p50OursMs` `p95OursMs` `p50RawMs` `p95RawMs` · `overMs`: difference of the medians · `smtpMs`: how much of ours was the attempt itself ·
 * `throughput`: `reports` and `observations` in them, `seconds` until the desk had taken the last one, `observationsPerSecond`.
 */
import { randomUUID } from 'node:crypto'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createTransport, type Transporter } from 'nodemailer'
import { parseDocument, type YAMLMap, type YAMLSeq } from 'yaml'
import { createDeskActivities } from '../src/activities/desk.js'
import { RunbookKeeper } from '../src/activities/runbook-keeper.js'
import type { SendResult } from '../src/domain/desk/delivery.js'
import type { DeskSnapshot } from '../src/domain/desk/snapshot.js'
import { taskQueueOf, workflowIds } from '../src/domain/ids.js'
import type { Finding } from '../src/domain/status.js'
import { loadRunbooks, resolveSecret } from '../src/runbooks/index.js'
import { STATE_NAMES } from '../src/state/index.js'
import { HOSTS, sevenHosts } from './estate.js'
import { benchLab } from './lab.js'
import { type Bench, type MonitorBenchOptions, startBench } from './monitor.js'
import { median, percentile, roundTo, timed } from './stats.js'

const MAIL_HOST = 'communications-stack'
const PATIENCE_MS = 30_000
const REPORTS = 200
const FINDINGS_A_REPORT = 50

/** Runs the whole benchmark in a lab and a Temporal server of its own, which are gone afterwards. */
export async function benchAlerts({ rounds, say }: MonitorBenchOptions): Promise<Record<string, unknown>> {
  const work = await mkdtemp(join(tmpdir(), 'nightshift-bench-'))
  const lab = await benchLab(HOSTS, say)
  try {
    const config = await sevenHosts(lab.config, join(work, 'config'))
    // The limit of a default Stalwart would be measured instead of the way.
    await edit(join(config, 'alerts.yaml'), (document) => document.setIn(['limits', 'mails_per_hour'], 10_000))
    await lab.exec(MAIL_HOST, 'sh', '-c', 'echo \'{"per_hour":100000}\' > /etc/nightshift-lab/mail.json')
    const bench = await startBench(config, join(work, 'state'), work)
    const raw = await rawSender(config)
    try {
      await bench.pass()
      const targets = await breakable(config)
      const turns = Math.min(rounds, targets.length)
      say(`${turns} rounds, one broken target each`)
      const ours: { ms: number; smtpMs: number }[] = []
      const rawMs: number[] = []
      await raw.send()
      for (const [round, target] of targets.slice(0, turns).entries()) {
        const mine = async () => void ours.push(await oneAlert(bench, config, target))
        const bare = async () => void rawMs.push((await timed(raw.send)).ms)
        for (const side of round % 2 === 0 ? [mine, bare] : [bare, mine]) await side()
      }
      const oursMs = ours.map(({ ms }) => ms)
      say(`an alert: ours ${median(oursMs)} ms, bare nodemailer ${median(rawMs)} ms`)
      const throughput = await benchThroughput(bench, config)
      say(`the desk takes ${throughput.observationsPerSecond} observations a second`)
      return {
        bench: 'alerts',
        rounds: turns,
        oursMs,
        rawMs,
        p50OursMs: roundTo(median(oursMs), 1),
        p95OursMs: roundTo(percentile(oursMs, 0.95), 1),
        p50RawMs: roundTo(median(rawMs), 1),
        p95RawMs: roundTo(percentile(rawMs, 0.95), 1),
        overMs: roundTo(median(oursMs) - median(rawMs), 1),
        smtpMs: roundTo(median(ours.map(({ smtpMs }) => smtpMs)), 1),
        throughput,
      }
    } finally {
      raw.close()
      await bench.stop()
    }
  } finally {
    await lab.down()
    await rm(work, { recursive: true, force: true })
  }
}

async function edit(path: string, change: (document: ReturnType<typeof parseDocument>) => void): Promise<void> {
  const document = parseDocument(await readFile(path, 'utf8'))
  change(document)
  await writeFile(path, document.toString({ lineWidth: 0 }))
}

const rowsOf = (document: ReturnType<typeof parseDocument>) => (document.get('targets') as YAMLSeq<YAMLMap>).items

/** Names of targets whose loss is mailed at once. */
async function breakable(config: string): Promise<string[]> {
  const rows = rowsOf(parseDocument(await readFile(join(config, 'inventory.yaml'), 'utf8')))
  return rows
    .filter((row) => row.get('enabled') === true && row.has('base_path') && row.get('classification') !== 'rebuildable')
    .map((row) => String(row.get('name')))
}

/** A target's folder is gone: from the end of the pass that finds it to the server's 250. */
async function oneAlert(bench: Bench, config: string, target: string): Promise<{ ms: number; smtpMs: number }> {
  await edit(join(config, 'inventory.yaml'), (document) => {
    rowsOf(document)
      .find((row) => row.get('name') === target)
      ?.set('base_path', `/nowhere/${target}`)
  })
  const before = bench.state.desk.snapshot()?.totals.mails ?? 0
  await bench.pass()
  await until(`a mail about ${target}`, () => {
    const desk = bench.state.desk.snapshot()
    return desk !== undefined && desk.totals.mails > before && desk.outbox.depth === 0
  })
  const published = await stat(join(bench.state.dir, STATE_NAMES.status))
  const sent = (await completed(bench, workflowIds.alertDesk(bench.estateId), 'sendMail')).at(-1)
  if (sent === undefined) throw new Error(`the history shows no mail about ${target}`)
  const result = sent.result as SendResult
  if (result.outcome !== 'sent' || sent.atMs < published.mtimeMs) throw new Error(`the mail about ${target} was not sent: ${result.outcome}: ${result.reply}`)
  return { ms: roundTo(sent.atMs - published.mtimeMs, 1), smtpMs: result.latencyMs }
}

/** When activities of the present run ended, by the clock of the Temporal server (it is this machine's, as that of the status file), and what they gave. */
async function completed(bench: Bench, workflowId: string, activity: string): Promise<{ atMs: number; result: unknown }[]> {
  const { events = [] } = await bench.client.workflow.getHandle(workflowId).fetchHistory()
  const scheduled = new Set(
    (events ?? []).flatMap((event) => (event.activityTaskScheduledEventAttributes?.activityType?.name === activity ? [String(event.eventId)] : [])),
  )
  return (events ?? []).flatMap((event) => {
    const ended = event.activityTaskCompletedEventAttributes
    if (!ended || !scheduled.has(String(ended.scheduledEventId))) return []
    const [payload] = ended.result?.payloads ?? []
    const atMs = Number(event.eventTime?.seconds ?? 0) * 1000 + (event.eventTime?.nanos ?? 0) / 1e6
    return [{ atMs, result: payload?.data ? (JSON.parse(Buffer.from(payload.data).toString('utf8')) as unknown) : null }]
  })
}

/** Nodemailer as it comes, with one kept connection like ours. */
async function rawSender(config: string): Promise<{ send: () => Promise<void>; close: () => void }> {
  const { alerts } = await loadRunbooks(config)
  const { mail } = alerts
  if (mail === undefined) throw new Error('alerts.yaml of the lab names no mail server')
  const transport: Transporter = createTransport({
    pool: true,
    maxConnections: 1,
    maxMessages: 10,
    host: mail.server,
    port: mail.port,
    secure: mail.security === 'tls',
    auth: { user: mail.username, pass: await resolveSecret(mail.password, config) },
    tls: mail.caPath === undefined ? {} : { ca: await readFile(mail.caPath, 'utf8') },
  })
  const text = `${'A line of a bare message.\n'.repeat(20)}`
  return {
    send: async () => {
      await transport.sendMail({ from: alerts.sender, to: [...alerts.defaultRoute.recipients], subject: `Bare ${randomUUID()}`, text })
    },
    close: () => transport.close(),
  }
}

/** Reports of fifty findings each, as another runbook would tell them, until the desk has taken the last one. */
async function benchThroughput(
  bench: Bench,
  config: string,
): Promise<{ reports: number; observations: number; seconds: number; observationsPerSecond: number }> {
  const { client, estateId, state } = bench
  const workflowId = workflowIds.alertDesk(estateId)
  const activities = createDeskActivities({
    runbooks: new RunbookKeeper(config),
    state,
    redact: (text) => text,
    version: 'bench',
    now: () => new Date(),
    hostsUnderChange: async () => [],
    signalDesk: async (report) => {
      const start = { workflowId, taskQueue: taskQueueOf(estateId), args: [{ estate: estateId }] }
      await client.workflow.signalWithStart('alertDesk', { ...start, signal: 'report', signalArgs: [report] })
    },
  })
  const taken = async () => (await client.workflow.getHandle(workflowId).query<DeskSnapshot>('desk')).totals.reports
  const before = await taken()
  const { ms } = await timed(async () => {
    for (let report = 0; report < REPORTS; report++) {
      const findings = Array.from(
        { length: FINDINGS_A_REPORT },
        (_, index): Finding => ({
          subject: `shop/target/bench-${index}`,
          condition: 'freshness',
          // Every other report finds it mended a little, so that each is something to decide.
          severity: report % 2 === 0 ? 'critical' : 'warning',
          reason: report % 2 === 0 ? 'stale' : 'late',
          message: `the newest copy is ${30 + report} h old`,
          next: null,
        }),
      )
      await activities.tellFindings({ scope: 'bench', passId: `bench-${report}`, takenAt: new Date().toISOString(), periodSeconds: 600, findings })
    }
    await until('the last report', async () => (await taken()) >= before + REPORTS)
  })
  const observations = REPORTS * FINDINGS_A_REPORT
  return { reports: REPORTS, observations, seconds: roundTo(ms / 1000, 2), observationsPerSecond: Math.round(observations / (ms / 1000)) }
}

async function until(what: string, condition: () => Promise<boolean> | boolean): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`${what}: not within ${PATIENCE_MS / 1000} s`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
