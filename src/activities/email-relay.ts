/**
 * The activities of `emailRelay` and of its gate. Those that need the host run at its site; the others where the runbook files and the mailbox's password are.
 * Nothing here changes how a host sends mail: that is done by steps.
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { gunzipSync, gzipSync } from 'node:zlib'
import { ApplicationFailure, cancellationSignal } from '@temporalio/activity'
import { sealPlan } from '../domain/change/plan.js'
import type { EmailRelayRunbook, RelayHost, RelayServer } from '../domain/email-relay-runbook.js'
import type { RunbookSet } from '../domain/estate.js'
import type { GateResult } from '../domain/gates.js'
import { localDate } from '../domain/judge/zone.js'
import type { HostRoute } from '../domain/proof/types.js'
import { redactDeep } from '../domain/redact.js'
import { judgeRelay, relayGateOf } from '../domain/relay/judge.js'
import { isOn, outputOf, type RelayObservation, rowsOf, Unreadable } from '../domain/relay/observation.js'
import { planOldQueue, planRelay } from '../domain/relay/plan.js'
import { parseRelayReading, relayProbe } from '../domain/relay/probe-program.js'
import { cameFrom, deliveriesIn, newestOf, type ReadMail, type Route, routeOfMail } from '../domain/relay/proof.js'
import { questionsOf, saslLine } from '../domain/relay/questions.js'
import type { LogReading, OpenedRelay, PlannedRelay } from '../domain/relay/run.js'
import { logProgram, NOTIFICATION_TEST, removeTestsProgram, sendProgram, TIDY_PROGRAM } from '../domain/relay/test-programs.js'
import { type WatcherOrder, watchersOf } from '../domain/relay/watcher.js'
import { planWatcher, watcherQuestions } from '../domain/relay/watcher-plan.js'
import { withoutSecrets } from '../domain/relay/without-secrets.js'
import { RunbookErrors, resolveSecret, SecretError } from '../runbooks/index.js'
import { type MailboxAccess, type MailboxMark, markMailbox, readBack } from './delivery/mailbox.js'
import type { ReadingDeps, StateDeps } from './monitor.js'
import { routeOf } from './vzdump.js'

export type RelayActivities = ReturnType<typeof createRelaySiteActivities> & ReturnType<typeof createRelayStateActivities>

const READING_DEADLINE_MS = 150_000
const SHORT_DEADLINE_MS = 60_000
const MOST_OUTPUT_BYTES = 8 * 1024 * 1024
const MOST_DELIVERIES = 300

export interface RelaySiteDeps extends ReadingDeps {
  /** Resolves `env:NAME` and `file:PATH`. */
  readonly secret: (reference: string) => Promise<string>
}

export function createRelaySiteActivities(deps: RelaySiteDeps) {
  /** One command on the host. @throws ApplicationFailure `HostUnread`, retryable */
  async function ask(route: HostRoute, argv: readonly string[], stdin: string, deadlineMs: number): Promise<{ out: string; exit: number; err: string }> {
    try {
      const request = {
        argv,
        stdin,
        sudo: route.sudo,
        deadlineMs,
        maxOutputBytes: MOST_OUTPUT_BYTES,
        okExitCodes: 'any' as const,
        signal: cancellationSignal(),
      }
      const { stdoutText, stderrText, exitCode } = await deps.ssh(route.sshAlias).run(route.sshAlias, request)
      return { out: stdoutText, exit: exitCode, err: stderrText }
    } catch (error) {
      cancellationSignal().throwIfAborted()
      throw ApplicationFailure.retryable(deps.redact(error instanceof Error ? error.message : String(error)), 'HostUnread')
    }
  }

  async function carryOut(route: HostRoute, what: string, argv: readonly string[], stdin: string): Promise<string> {
    const { out, exit, err } = await ask(route, argv, stdin, SHORT_DEADLINE_MS)
    if (exit === 0) return out
    throw ApplicationFailure.retryable(`${route.host}: ${what} ended with ${exit}: ${deps.redact(err.trim().slice(-300))}`, 'HostUnread')
  }

  return {
    /** Reads every way of mail. @returns gzip'd JSON in base64: a history keeps it */
    async observeRelay({ route, relay, estate }: Pick<OpenedRelay, 'route' | 'relay' | 'estate'>): Promise<string> {
      // Only the worker and the host know it: it is compared there.
      const login = await deps.secret(relay.password).catch(asInvalidRunbooks)
      const questions = [...questionsOf(createHash('sha256').update(saslLine(relay, login)).digest('hex')), ...watcherQuestions(estate)]
      const { out, exit, err } = await ask(route, ['perl', '-'], relayProbe(questions), READING_DEADLINE_MS)
      if (exit !== 0)
        throw ApplicationFailure.retryable(`reading the ways of mail of ${route.host} ended with ${exit}: ${deps.redact(err.trim().slice(-300))}`, 'HostUnread')
      const seen = withoutSecrets(parseRelayReading(route.host, route.node, questions, out))
      return gzipSync(JSON.stringify(redactDeep(seen, deps.redact))).toString('base64')
    },

    /** A mail to root by the host's own sendmail, once; Postfix reads its settings first, whatever became of an earlier reload. */
    async sendToRoot({ route, to, token, messageId }: { route: HostRoute; to: string; token: string; messageId: string }): Promise<void> {
      await carryOut(route, 'sending a mail to root', ['sh', '-s'], sendProgram({ to, token, messageId }))
    },

    /** The host's own test of its notification target. Proxmox names the message, so an attempt that broke off can only be looked for in the mailbox. */
    async sendNotificationTest({ route }: { route: HostRoute }): Promise<void> {
      await carryOut(route, 'the test of the notification target', [...NOTIFICATION_TEST], '')
    },

    /** What the mail log has since `cursor`; null: only where it ends now. */
    async readMailLog({ route, cursor }: { route: HostRoute; cursor: string | null }): Promise<LogReading> {
      const out = await carryOut(route, 'reading the mail log', ['sh', '-s'], logProgram(cursor))
      const at = /^-- cursor: (\S.*)$/m.exec(out)?.[1] ?? cursor
      const packages = /^packages=(\d+)$/m.exec(out)?.[1]
      const packagesSaid = /^dpkg=(\S.*)$/m.exec(out)?.[1] ?? null
      const waiting = /^waiting=(\d+)$/m.exec(out)?.[1]
      if (at === null || waiting === undefined)
        throw ApplicationFailure.retryable(`${route.host}: the mail log could not be read: ${out.slice(0, 200)}`, 'HostUnread')
      return {
        cursor: at,
        deliveries: redactDeep(newestOf(deliveriesIn(out), MOST_DELIVERIES), deps.redact),
        packagesChangedSeconds: packages === undefined ? null : Number(packages),
        packagesSaid,
        waiting: Number(waiting),
      }
    },

    /** Takes our own test mails out of the queue, so that none is delivered by another way after a change was taken back. */
    async removeTests({ route, token }: { route: HostRoute; token: string }): Promise<void> {
      await carryOut(route, 'taking back test mails', ['perl', '-'], removeTestsProgram(token))
    },

    /** What the undo needed and nobody needs any more. */
    async tidyRelay({ route }: { route: HostRoute }): Promise<void> {
      await carryOut(route, 'tidying up', ['sh', '-s'], TIDY_PROGRAM)
    },
  }
}

export interface RelayStateDeps extends StateDeps, ReadingDeps {
  readonly configDir: string
}

export function createRelayStateActivities(deps: RelayStateDeps) {
  return {
    /** @throws ApplicationFailure `InvalidInput` for a host without an entry, `InvalidRunbooks` when a file is missing, broken or contradicts another */
    async openRelay({ host }: { host: string }): Promise<OpenedRelay> {
      const { set, runbook } = await runbooksOf(deps)
      mailboxOf(set, runbook)
      return {
        route: routeOf(set, host),
        policy: runbook.approval,
        runbookDigest: runbook.digest,
        host: entryOf(runbook, host),
        relay: runbook.relay,
        watch: runbook.watch,
        estate: set.estate.id,
        today: localDate(deps.now().getTime() / 1000, set.estate.timezone),
      }
    },

    /** From what was seen and what the files say now. @throws ApplicationFailure `HostUnread` when what has to be changed could not be read */
    async planRelaySteps({ host, today, packed }: { host: string; today: string; packed: string }): Promise<PlannedRelay> {
      const { set, runbook } = await runbooksOf(deps)
      const seen = unpack(packed)
      const entry = entryOf(runbook, host)
      return await readable(async () => {
        const watcher = watcherOn(set, host)
        const verdicts = judgeRelay(seen, runbook, entry, today, watcher)
        const draft = planRelay(seen, runbook, entry, verdicts)
        const steps = [...draft.steps, ...planWatcher(watcher, set.estate.id, seen)]
        const jobs = rowsOf(seen, 'jobs').filter((job) => (job.enabled === undefined || isOn(job.enabled)) && job.schedule !== undefined)
        const plan = sealPlan({ ...draft, steps })
        const fqdn = outputOf(seen, 'myhostname').trim()
        const runs = jobs.map((job) => Number(job['next-run'])).filter((at) => at > 0)
        const nextJobSeconds = runs.length === 0 ? null : Math.min(...runs)
        return redactDeep({ plan, verdicts, gate: relayGateOf(entry, verdicts), jobs: jobs.map((job) => String(job.id)), nextJobSeconds, fqdn }, deps.redact)
      })
    },

    async planQueueSteps({ host, packed }: { host: string; packed: string }): Promise<PlannedRelay['plan']> {
      const { runbook } = await runbooksOf(deps)
      return await readable(async () => sealPlan(planOldQueue(unpack(packed), runbook, entryOf(runbook, host))))
    },

    /** The gate over one host, from a reading. */
    async gateOfRelay({ host, today, packed }: { host: string; today: string; packed: string }): Promise<GateResult> {
      const { set, runbook } = await runbooksOf(deps)
      const entry = entryOf(runbook, host)
      return redactDeep(relayGateOf(entry, judgeRelay(unpack(packed), runbook, entry, today, watcherOn(set, host))), deps.redact)
    },

    /** Where the mailbox ends now. @throws ApplicationFailure `MailboxUnread`, retryable */
    async markRelayMailbox(): Promise<MailboxMark[]> {
      const { set, runbook } = await runbooksOf(deps)
      return await readingMailbox(async () => markMailbox(await accessOf(set, runbook)))
    },

    /** Reads a message back: by its Message-ID, or the first of this host with such a subject. @returns null when it has not come within the time */
    async readRelayMail(args: {
      marks: readonly MailboxMark[]
      messageId: string | null
      subject: string | null
      fqdn: string
      waitSeconds: number
    }): Promise<{ mail: ReadMail; route: Route | string } | null> {
      const { set, runbook } = await runbooksOf(deps)
      const isIt = (mail: ReadMail) =>
        args.messageId !== null
          ? mail.messageId === args.messageId
          : cameFrom(mail, args.fqdn) && mail.subject.toLowerCase().includes((args.subject ?? '').toLowerCase())
      const mail = await readingMailbox(async () => readBack(await accessOf(set, runbook), args.marks, isIt, args.waitSeconds, cancellationSignal()))
      return mail === null ? null : redactDeep({ mail, route: routeOfMail(mail, runbook.relay, args.fqdn) }, deps.redact)
    },
  }

  async function readingMailbox<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      cancellationSignal().throwIfAborted()
      if (error instanceof SecretError) throw ApplicationFailure.nonRetryable(error.message, 'InvalidRunbooks')
      throw ApplicationFailure.retryable(deps.redact(error instanceof Error ? error.message : String(error)), 'MailboxUnread')
    }
  }

  async function accessOf(set: RunbookSet, runbook: EmailRelayRunbook): Promise<MailboxAccess> {
    const { mailbox, caPath } = mailboxOf(set, runbook)
    return {
      ...mailbox,
      password: await resolveSecret(mailbox.password, deps.configDir),
      authority: caPath === undefined ? undefined : await readFile(caPath, 'utf8'),
    }
  }
}

const unpack = (packed: string) => JSON.parse(gunzipSync(Buffer.from(packed, 'base64')).toString('utf8')) as RelayObservation

async function readable<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof Unreadable) throw ApplicationFailure.nonRetryable(`no plan without knowing: ${error.message}`, 'PlanRefused')
    throw error
  }
}

function asInvalidRunbooks(error: unknown): never {
  if (error instanceof SecretError || error instanceof RunbookErrors) throw ApplicationFailure.nonRetryable(error.message, 'InvalidRunbooks')
  throw error
}

async function runbooksOf(deps: StateDeps): Promise<{ readonly set: RunbookSet; readonly runbook: EmailRelayRunbook }> {
  const { set, problem } = await deps.runbooks.refresh().catch(asInvalidRunbooks)
  if (problem !== undefined) throw ApplicationFailure.nonRetryable(problem.errors.join('; '), 'InvalidRunbooks')
  if (set.emailRelay === undefined)
    throw ApplicationFailure.nonRetryable('there is no email-relay.yaml beside estate.yaml: it says by which way hosts may send mail', 'InvalidRunbooks')
  return { set, runbook: set.emailRelay }
}

/** The watcher that is declared for this host. */
const watcherOn = (set: RunbookSet, host: string): WatcherOrder | null => watchersOf(set).find((order) => order.host === host) ?? null

function entryOf(runbook: EmailRelayRunbook, host: string): RelayHost {
  const entry = runbook.hosts.find((each) => each.host === host)
  if (entry !== undefined) return entry
  const known = runbook.hosts.map((each) => each.host).join(', ')
  throw ApplicationFailure.nonRetryable(`email-relay.yaml has no entry for host ${host} (there: ${known})`, 'InvalidInput')
}

/** The mailbox in which mail to root ends. */
function mailboxOf(set: RunbookSet, { relay }: { relay: RelayServer }) {
  const { mail } = set.alerts
  if (mail?.mailbox === undefined)
    throw ApplicationFailure.nonRetryable('alerts.yaml names no mail.mailbox: a relay cannot be proven without reading back', 'InvalidRunbooks')
  if (mail.mailbox.address.toLowerCase() !== relay.rootMailTo.toLowerCase()) {
    const differ = `root_mail_to of email-relay.yaml is ${relay.rootMailTo}, and mail.mailbox of alerts.yaml is that of ${mail.mailbox.address}`
    throw ApplicationFailure.nonRetryable(`${differ}: what a host sends could not be read back`, 'InvalidRunbooks')
  }
  return { mailbox: mail.mailbox, caPath: mail.caPath }
}
