/**
 * Lets a Proxmox host send its mail through one server, or not at all, as `email-relay.yaml` wants: plan, approval, change; then proof. A mail to root and the test
 * of the notification target are read back from the mailbox with the way that they took; the next scheduled job's own notification is waited for; mail log and
 * queue are watched for another way. When a proof fails, everything is taken back, and that is read from the host again.
 */
import {
  ActivityFailure,
  ApplicationFailure,
  isCancellation,
  patched,
  proxyActivities,
  setCurrentDetails,
  sleep,
  upsertSearchAttributes,
  uuid4,
} from '@temporalio/workflow'
import type { RelayActivities } from '../activities/email-relay.js'
import type { ChangeResult } from '../domain/change/apply.js'
import type { Json } from '../domain/change/plan.js'
import { type GateResult, placesListed } from '../domain/gates.js'
import type { HostRoute } from '../domain/proof/types.js'
import { type Delivery, hopeless, otherRoutes } from '../domain/relay/proof.js'
import type { LogReading, OpenedRelay, PlannedRelay } from '../domain/relay/run.js'
import { ApprovalDesk } from './approval.js'
import { applyPlan, type MadePlan, runChange } from './change-shell.js'
import { emailRelayInput } from './inputs.js'
import { atHome, patientAtSite } from './routes.js'
import { parseInput, phase, runbookAttributes } from './shell.js'

const RUNBOOK = 'emailRelay'
const MOST_DETAILS_CHARACTERS = 15_000
/** A mail that was taken is in the mailbox within seconds; greylisting and a busy server take longer. */
const ARRIVES_WITHIN_MS = 5 * 60_000
const LOOK_FOR_SECONDS = 15
const MOST_TESTS = 15
/** Each look leaves its traces in the history of the run: a job of every few months is looked for less often, and not for ever. */
const MOST_WAITED_DAYS = 100
const LATE_LOOK_MS = 6 * 3_600_000
const DAY_MS = 86_400_000
const MINUTE_MS = 60_000

export interface EmailRelayInput {
  readonly host: string
  readonly requestedBy?: string
}

export interface EmailRelayResult extends ChangeResult {
  /** The gate as it is at the end; null when the run ended before it could be looked at. */
  readonly gate: GateResult | null
}

export async function emailRelay(rawInput: EmailRelayInput): Promise<EmailRelayResult> {
  const input = parseInput(RUNBOOK, emailRelayInput, rawInput)
  upsertSearchAttributes(runbookAttributes(RUNBOOK, { host: input.host }))
  const about = { runbook: RUNBOOK, host: input.host, requestedBy: input.requestedBy ?? null }
  const desk = new ApprovalDesk(RUNBOOK, input.host, about.requestedBy)
  const run = new RelayRun(input.host, desk)
  const result = await runChange({ ...about, desk, makePlan: () => run.plan(), prove: () => run.prove(), provesUnchanged: true })
  const gate = run.gate
  phase('done', result.message)
  const left = gate === null || gate.state === 'passed' ? '' : `\n\nThe gate ${gate.state}: ${gate.message}\n\n${placesListed(gate.places ?? []).join('\n')}`
  const steps = result.steps.map(({ what, outcome, note }) => `- ${outcome}: ${what}${note === null ? '' : ` (${note})`}`)
  setCurrentDetails(`**${result.state}** · ${result.message}${left}\n\n${steps.join('\n')}`.slice(0, MOST_DETAILS_CHARACTERS))
  return { ...result, gate }
}

class RelayRun {
  gate: GateResult | null = null
  #opened: OpenedRelay | undefined
  #planned: PlannedRelay | undefined
  #cursor: string | null = null

  constructor(
    private readonly host: string,
    private readonly desk: ApprovalDesk,
  ) {}

  /** What the file wants, what the host has, and the way from the one to the other. */
  async plan(): Promise<MadePlan> {
    const { opened, packed } = await this.#read()
    const planned = await relayAtHome().planRelaySteps.executeWithOptions({ summary: 'Compare with what email-relay.yaml wants' }, [
      { host: this.host, today: opened.today, packed },
    ])
    this.#planned = planned
    this.gate = planned.gate
    const channels = planned.verdicts.map(({ channel, state }): Json => ({ channel, state }))
    return {
      plan: planned.plan,
      policy: opened.policy,
      runbookDigest: opened.runbookDigest,
      route: opened.route,
      observed: { channels, queue: planned.plan.facts.queue ?? null },
    }
  }

  async #read(): Promise<{ opened: OpenedRelay; packed: string }> {
    const opened = await relayAtHome().openRelay.executeWithOptions({ summary: 'Read the runbook files' }, [{ host: this.host }])
    this.#opened = opened
    const { route, relay, estate } = opened
    const packed = await relayAtSite(route).observeRelay.executeWithOptions({ summary: `Read every way by which ${this.host} sends mail` }, [
      { route, relay, estate },
    ])
    return { opened, packed }
  }

  /** @throws ApplicationFailure `NotProven`: then everything is taken back */
  async prove(): Promise<Json> {
    const opened = this.#opened
    const planned = this.#planned
    if (opened === undefined || planned === undefined) throw ApplicationFailure.nonRetryable('there is no plan to prove', 'NotProven')
    const site = relayAtSite(opened.route)
    const { route } = opened
    const start = await site.readMailLog.executeWithOptions({ summary: 'Where does the mail log end now?' }, [{ route, cursor: null }])
    this.#cursor = start.cursor
    const proofs = opened.host.mode === 'relay' ? await this.#proveRelay(opened, planned) : await this.#proveSilence(opened)
    // What the watch finds is taken back as well, so that what an undo needs is kept until its end.
    const keeps = patched('tidies-after-the-watch')
    const tidy = () => site.tidyRelay.executeWithOptions({ summary: 'Remove what only an undo would need' }, [{ route }])
    if (!keeps) await tidy()
    const oldQueue = await this.#settleOldQueue(opened)
    const watched = await this.#watch(opened, planned, proofs.marks, start.packagesChangedSeconds)
    if (keeps) await tidy()
    await this.#lookAtGate(opened)
    return { ...proofs.told, oldQueue, ...watched, gate: this.gate as unknown as Json }
  }

  /** A mail to root and the test of the notification target, each read back with the way that it took. */
  async #proveRelay(opened: OpenedRelay, { fqdn }: PlannedRelay): Promise<{ told: Record<string, Json>; marks: Marks }> {
    const { route } = opened
    const site = relayAtSite(route)
    const token = uuid4()
    const marks = await relayAtHome().markRelayMailbox.executeWithOptions({ summary: 'Where does the mailbox end now?' }, [])
    try {
      phase('prove', `A mail from ${this.host} to root has to be in the mailbox.`)
      const messageId = `<${token}@nightshift.invalid>`
      const sentAt = Date.now()
      await site.sendToRoot.executeWithOptions({ summary: `Mail to root, by the sendmail of ${this.host}` }, [{ route, to: 'root', token, messageId }])
      const mailToRoot = await this.#arrival('the mail to root', { messageId, sentAt, subject: null, fqdn, marks })
      phase('prove', `The test of the notification target of ${this.host} has to be in the mailbox.`)
      // Only what comes from now on: the mail to root speaks of a test too.
      const later = await relayAtHome().markRelayMailbox.executeWithOptions({ summary: 'Where does the mailbox end now?' }, [])
      const test = { messageId: null, subject: 'test', fqdn, marks: later, sentAt: Date.now() }
      await this.#sendTest(route, test)
      const notification = await this.#arrival('the test of the notification target', test)
      return { told: { mailToRoot, notification }, marks }
    } catch (error) {
      await site.removeTests.executeWithOptions({ summary: 'Take our test mails out of the queue' }, [{ route, token }])
      throw error
    }
  }

  /** One that broke off may have been sent: the mailbox is asked before the host is asked again. */
  async #sendTest(route: HostRoute, { messageId, subject, fqdn, marks }: TestMail): Promise<void> {
    const { sendNotificationTest } = relayAtSite(route, { maximumAttempts: 1 })
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await sendNotificationTest.executeWithOptions({ summary: 'Let Proxmox test mail-to-root' }, [{ route }])
      } catch (error) {
        if (!(error instanceof ActivityFailure) || isCancellation(error) || attempt === MOST_TESTS) throw error
        const look = { marks, messageId, subject, fqdn, waitSeconds: LOOK_FOR_SECONDS }
        if ((await relayAtHome().readRelayMail.executeWithOptions({ summary: 'Was the test sent all the same?' }, [look])) !== null) return
        await sleep(Math.min(10, attempt) * MINUTE_MS - MINUTE_MS + 1, { summary: 'Until the host is asked again' })
      }
    }
  }

  /** Waits until a message is in the mailbox. What the host's log says of it decides sooner when it cannot come. */
  async #arrival(what: string, message: TestMail): Promise<Json> {
    const { messageId, subject, fqdn, marks, sentAt } = message
    const until = Date.now() + ARRIVES_WITHIN_MS
    let last: Delivery | undefined
    for (;;) {
      const found = await relayAtHome().readRelayMail.executeWithOptions({ summary: `Is ${what} in the mailbox?` }, [
        { marks, messageId, subject, fqdn, waitSeconds: LOOK_FOR_SECONDS },
      ])
      if (found !== null) {
        if (typeof found.route === 'string') throw notProven(`${what} arrived by another way: ${found.route}`)
        const { mail, route } = found
        // The server's clock against ours: as good as the two agree.
        const latencySeconds = Math.max(0, Math.round((Date.parse(mail.arrivedAt) - sentAt) / 1000))
        return {
          messageId: mail.messageId,
          subject: mail.subject,
          arrivedAt: mail.arrivedAt,
          latencySeconds,
          path: [...route.path],
          protocol: route.protocol,
          sender: route.sender,
        }
      }
      const { deliveries } = await this.#log()
      const stuck = hopeless(deliveries, this.#rootMailTo)
      last = deliveries.findLast(({ by }) => by !== 'local' && by !== 'pipe') ?? last
      if (stuck !== undefined) throw notProven(`${what} cannot arrive: ${stuck.status}: ${stuck.said}`)
      if (Date.now() > until)
        throw notProven(
          `${what} is not in the mailbox after ${ARRIVES_WITHIN_MS / MINUTE_MS} minutes${last === undefined ? '' : `; the host says ${last.status}: ${last.said}`}`,
        )
    }
  }

  /** With mail switched off: a mail to somebody elsewhere is refused on the host itself. */
  async #proveSilence(opened: OpenedRelay): Promise<{ told: Record<string, Json>; marks: Marks }> {
    const { route, relay } = opened
    const token = uuid4()
    const mail = { route, to: relay.rootMailTo, token, messageId: `<${token}@nightshift.invalid>` }
    await relayAtSite(route).sendToRoot.executeWithOptions({ summary: `Try to mail ${relay.rootMailTo}` }, [mail])
    for (let look = 0; look < 20; look += 1) {
      const { deliveries } = await this.#log()
      const out = otherRoutes(deliveries, null)[0]
      if (out !== undefined) throw notProven(`a mail left the host by ${out.relay}: ${out.said}`)
      const refused = deliveries.find(({ to, by }) => by === 'error' && to === relay.rootMailTo)
      if (refused !== undefined) return { told: { refused: { to: refused.to, said: refused.said } }, marks: [] }
      await sleep('3 seconds', { summary: 'Until Postfix has refused it' })
    }
    throw notProven('the host did not refuse a mail to somebody elsewhere within a minute')
  }

  /** What waited in the queue before: shown, and dealt with by a decision of its own, because it cannot be taken back. */
  async #settleOldQueue(opened: OpenedRelay): Promise<Json> {
    if (opened.host.oldQueue === 'keep') return { decision: 'keep' }
    const { packed } = await this.#read()
    const plan = await relayAtHome().planQueueSteps.executeWithOptions({ summary: 'What waits in the queue?' }, [{ host: this.host, packed }])
    if (plan.steps.length === 0) return { decision: opened.host.oldQueue, state: 'nothing waits' }
    const decision = await this.desk.ask([plan], opened.policy)
    if (decision.state !== 'approved') return { decision: opened.host.oldQueue, state: decision.state, message: decision.message }
    const applied = await applyPlan({ runbook: RUNBOOK, host: this.host }, { plan, route: opened.route, policy: opened.policy })
    return { decision: opened.host.oldQueue, state: applied.state, message: applied.message, digest: plan.digest }
  }

  /** Until there was time (or events) enough for another way to show: a job's own notification has to come, and no mail may go elsewhere. */
  async #watch(opened: OpenedRelay, { jobs, nextJobSeconds, fqdn }: PlannedRelay, marks: Marks, packagesBefore: number | null): Promise<Record<string, Json>> {
    const { watch, host } = opened
    const needsJob = host.mode === 'relay' && jobs.length > 0
    let job: Json = needsJob ? null : { state: 'no job is scheduled' }
    let packages: Json = null
    const bounced: Json[] = []
    const end = Date.now() + watch.days * DAY_MS
    const jobEnd = Math.min((nextJobSeconds ?? 0) * 1000 + DAY_MS, Date.now() + MOST_WAITED_DAYS * DAY_MS)
    for (let looks = 1; ; looks += 1) {
      const { deliveries, packagesChangedSeconds, packagesSaid, waiting } = await this.#log()
      const elsewhere = otherRoutes(deliveries, host.mode === 'relay' ? opened.relay : null)[0]
      if (elsewhere !== undefined) {
        const when = elsewhere.at === undefined ? '' : `, at ${elsewhere.at}`
        throw notProven(`a mail for ${elsewhere.to} went another way${when}: ${elsewhere.by} to ${elsewhere.relay}: ${elsewhere.said}`)
      }
      if (host.mode === 'relay') bounced.push(...deliveries.filter(({ status }) => status === 'bounced').map(({ to, said }): Json => ({ to, said })))
      if (packages === null && packagesChangedSeconds !== null && packagesChangedSeconds !== packagesBefore)
        packages = { changedAt: new Date(packagesChangedSeconds * 1000).toISOString(), said: packagesSaid ?? null }
      if (job === null) job = await this.#jobNotification(fqdn, marks)
      // A job that runs later than the watch lasts is waited for.
      const lasts = job === null ? Math.max(end, jobEnd) : end
      const until = new Date(lasts).toISOString()
      const over = Date.now() >= lasts
      if (over && job === null) throw notProven(`no notification of a scheduled job (${jobs.join(', ')}) came until ${until}`)
      if (over || (watch.until === 'events' && job !== null && packages !== null))
        return { job, watched: { looks, packages, bounced: bounced.slice(0, 50), waiting } }
      const waits = [
        ...(job === null ? [`for the notification of ${jobs.join(', ')}`] : []),
        ...(watch.until === 'events' && packages === null ? ['for a change of packages'] : []),
      ]
      phase(
        'prove',
        `Mail log and queue are watched until ${until}${waits.length > 0 ? `, ${waits.join(' and ')}` : ''}. Nothing went another way so far (${looks} looks).`,
      )
      const left = end - Date.now()
      await sleep(left > 0 ? Math.min(watch.everyMinutes * MINUTE_MS, Math.max(1000, left)) : LATE_LOOK_MS, {
        summary: `Look again for another way of mail of ${this.host}`,
      })
    }
  }

  async #jobNotification(fqdn: string, marks: Marks): Promise<Json> {
    const found = await relayAtHome().readRelayMail.executeWithOptions({ summary: 'Has a scheduled job told of its run?' }, [
      { marks, messageId: null, subject: 'vzdump backup status', fqdn, waitSeconds: 0 },
    ])
    if (found === null) return null
    if (typeof found.route === 'string') throw notProven(`the notification of a job arrived by another way: ${found.route}`)
    return {
      subject: found.mail.subject,
      arrivedAt: found.mail.arrivedAt,
      path: [...found.route.path],
      protocol: found.route.protocol,
      sender: found.route.sender,
    }
  }

  async #log(): Promise<LogReading> {
    const route = this.#route
    const reading = await relayAtSite(route).readMailLog.executeWithOptions({ summary: `What did the mail log of ${this.host} say since?` }, [
      { route, cursor: this.#cursor },
    ])
    this.#cursor = reading.cursor
    return reading
  }

  get #rootMailTo(): string {
    return this.#opened?.relay.rootMailTo ?? ''
  }

  get #route(): HostRoute {
    if (this.#opened === undefined) throw new TypeError('the host was not read yet')
    return this.#opened.route
  }

  async #lookAtGate({ today }: OpenedRelay): Promise<void> {
    phase('prove', 'Looking at every way of mail once more: the gate.')
    const { packed } = await this.#read()
    this.gate = await relayAtHome().gateOfRelay.executeWithOptions({ summary: 'The gate' }, [{ host: this.host, today: this.#opened?.today ?? today, packed }])
  }
}

type Marks = Parameters<RelayActivities['readRelayMail']>[0]['marks']

/** A message of ours, as it is known when it is there. */
interface TestMail {
  readonly messageId: string | null
  readonly subject: string | null
  readonly sentAt: number
  readonly fqdn: string
  readonly marks: Marks
}

const notProven = (message: string) => ApplicationFailure.nonRetryable(message, 'NotProven')

/** A host that is away for hours is waited for, and so is the worker of its site: the log tells later what was missed. */
function relayAtSite(route: HostRoute, retry: { maximumAttempts: number } = { maximumAttempts: 20 }) {
  return patientAtSite<RelayActivities>(route, {
    startToCloseTimeout: '4 minutes',
    retry: { ...retry, initialInterval: '2 seconds', maximumInterval: '10 minutes', nonRetryableErrorTypes: ['InvalidInput', 'InvalidRunbooks'] },
  })
}

function relayAtHome() {
  return proxyActivities<RelayActivities>({
    ...atHome(),
    startToCloseTimeout: '2 minutes',
    retry: {
      maximumAttempts: 10,
      initialInterval: '2 seconds',
      maximumInterval: '5 minutes',
      nonRetryableErrorTypes: ['InvalidInput', 'InvalidRunbooks', 'PlanRefused'],
    },
  })
}
