/**
 * A short life of the alert desk, told pass by pass: something breaks, is acknowledged, recovers; something else is mailed to two of whom the server refuses
 * one; a canary is sent. Nothing of it may be lost, and no message may be in the mailbox twice. A notice of the second channel, which nobody can read back,
 * may be posted once more under its id for each death.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { WorkflowHandle } from '@temporalio/client'
import { parseDocument } from 'yaml'
import { ACCOUNTS, MAIL_HOST, WEBHOOK_HOST, WEBHOOK_LOG, webhookUrl } from '../../lab/mail/names.js'
import { emptyMailboxes } from '../../lab/mail/server-files.js'
import type { DeskContract } from '../../src/domain/desk/contract.js'
import type { AlertDeskInput } from '../../src/domain/desk/messages.js'
import { setDigest } from '../../src/domain/desk/receive.js'
import { type DeskFinding, type DeskReport, keyOf } from '../../src/domain/desk/report.js'
import type { DeskSnapshot } from '../../src/domain/desk/snapshot.js'
import { workflowIds } from '../../src/domain/ids.js'
import { readDeskFile } from '../../src/state/index.js'
import { retrying } from '../fault-client.js'
import type { FaultPlace, FaultScenario } from '../fault-scenario.js'
import { mailsIn } from './common.js'

const [ALERTS, RONNY] = ACCOUNTS
const NOBODY = 'nobody@spine.ronny.works'
const LOOK_EVERY_MS = 50
const FAULTS_PER_RUN = 4
/** A run of the desk in its shortest: it hands over to a new one in the middle of this life. */
const SETTINGS = { continueAfterEvents: 90, lookAgainSeconds: 4 } as const

const CONTRACT: DeskContract = {
  sender: ALERTS,
  defaultRoute: { recipients: [RONNY], repeatHours: 24 },
  rules: [{ conditions: ['integrity'], severity: 'critical', sender: ALERTS, recipients: [RONNY, NOBODY], repeatHours: 24 }],
  unknownAfterMinutes: 30,
  flapping: { windowHours: 12, enterChanges: 6, leaveChanges: 2 },
  limits: { mailsPerHour: 1000, openPerSite: 500 },
  hasSecondChannel: true,
}

const STALE = finding('shop/target/vm-204', 'freshness')
const DAMAGED = finding('home/target/app-gitea', 'integrity')

export const alertDeskFaults: FaultScenario = {
  hosts: [MAIL_HOST, WEBHOOK_HOST],
  changes: {},
  workflows: ['alertDesk'],
  // A message whose attempt broke off twice waits for a minute.
  faultsPerRun: FAULTS_PER_RUN,
  async prepare(lab) {
    const path = join(lab.paths.config, 'alerts.yaml')
    const document = parseDocument(readFileSync(path, 'utf8'))
    document.setIn(['second_channel', 'url'], webhookUrl(lab.record.subnet))
    writeFileSync(path, document.toString({ lineWidth: 0 }))
  },
  async start(place) {
    await place.lab.host(MAIL_HOST).exec(['sh', '-c', `postsuper -d ALL 2>/dev/null; ${emptyMailboxes()}`])
    await place.lab.host(WEBHOOK_HOST).exec(['rm', '-f', WEBHOOK_LOG])
    return await tell(place, 1, [])
  },
  async live(place, _handle, over) {
    // The first run of the desk ends in the middle of this.
    const desk = place.client.workflow.getHandle(workflowIds.alertDesk(place.estateId))
    const settled = (what: (word: DeskSnapshot) => boolean) => until(place, over, what)
    const told = (pass: number) => settled(({ passId }) => passId === `pass-${pass}`)
    await told(1)
    await retrying(() => tell(place, 2, [STALE]), over)
    await told(2)
    const incident = readDeskFile(place.stateDir)?.incidents[0]?.id ?? ''
    await retrying(() => desk.executeUpdate('ack', { updateId: 'ack', args: [{ incident, by: 'ronny', reason: 'seen' }] }), over)
    await settled(({ incidents }) => incidents[0]?.acknowledgedBy === 'ronny')
    await retrying(() => tell(place, 3, [STALE, DAMAGED]), over)
    await told(3)
    await retrying(() => tell(place, 4, [DAMAGED]), over)
    await told(4)
    await retrying(() => tell(place, 5, []), over)
    await told(5)
    await retrying(() => desk.executeUpdate('canary', { updateId: 'canary' }), over)
    return await settled(({ canary }) => canary !== null && canary.state !== 'waiting')
  },
  async finalState({ lab }, result) {
    const { incidents, canary, outbox } = result as DeskSnapshot
    const { stdout } = await lab.host(WEBHOOK_HOST).exec(['cat', WEBHOOK_LOG], { check: false })
    const posts = stdout.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as { headers: Record<string, string>; body: string }]))
    const byId = new Map(posts.map(({ headers }) => [headers['x-nightshift-id'], withoutTimes(headers.title ?? '')]))
    return {
      open: incidents.map(({ subject, reason, decision }) => [subject, reason, decision]),
      canary: canary?.state,
      waiting: [outbox.depth, outbox.secondChannelDepth],
      mails: (await mailsIn(lab, RONNY)).map(({ subject, copies, thread }) => [withoutTimes(subject), copies, thread]),
      notices: [...byId.values()].sort(),
      isNoticeDoubledMoreOftenThanSomethingDied: posts.length - byId.size > FAULTS_PER_RUN,
    }
  },
}

const withoutTimes = (text: string): string =>
  text
    .replace(/\d+ (s|m|h)\b/g, 'TIME')
    .replace(/(TIME ?)+/g, 'TIME ')
    .trim()

function finding(subject: string, condition: DeskFinding['condition']): DeskFinding {
  const [site = '', , name = ''] = subject.split('/')
  return {
    subject,
    condition,
    site,
    host: 'pve',
    severity: 'critical',
    reason: 'stale',
    message: `${name} is too old`,
    next: null,
    since: null,
    lastGood: null,
  }
}

/** All that is wrong at this pass; what was told before and is not there any more has recovered. A repeated report is one: the desk knows it by its pass. */
async function tell({ client, estateId, taskQueue }: FaultPlace, pass: number, findings: readonly DeskFinding[]): Promise<WorkflowHandle> {
  const now = new Set(findings.map(keyOf))
  const report: DeskReport = {
    scope: 'monitor',
    passId: `pass-${pass}`,
    takenAt: new Date().toISOString(),
    estate: estateId,
    rulesDigest: 'of the harness',
    periodSeconds: 600,
    contract: CONTRACT,
    digestDueAt: new Date(Date.now() + 86_400_000).toISOString(),
    changed: findings,
    closed: [STALE, DAMAGED].flatMap((each) => (now.has(keyOf(each)) ? [] : [{ key: keyOf(each), why: 'recovered' as const, message: 'it is well' }])),
    set: { digest: setDigest(findings), count: findings.length },
    held: [],
    underChange: [],
    soonStale: [],
    seen: null,
  }
  const input: AlertDeskInput = { estate: estateId, ...SETTINGS }
  return await client.workflow.signalWithStart('alertDesk', {
    workflowId: workflowIds.alertDesk(estateId),
    taskQueue,
    args: [input],
    signal: 'report',
    signalArgs: [report],
  })
}

/** Waits until the desk has written down a word that fits, with nothing left to send. */
async function until({ stateDir }: FaultPlace, over: AbortSignal, fits: (word: DeskSnapshot) => boolean): Promise<DeskSnapshot> {
  for (;;) {
    const word = readDeskFile(stateDir)
    if (word !== undefined && word.outbox.depth === 0 && word.outbox.secondChannelDepth === 0 && fits(word)) return word
    over.throwIfAborted()
    await delay(LOOK_EVERY_MS)
  }
}
