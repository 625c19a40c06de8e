/** A desk with a clock and a monitor of one's own: what is wrong is told pass by pass, what is mailed is what `mails` holds. */
import type { DeskContract } from '../../../src/domain/desk/contract.js'
import type { SendResult } from '../../../src/domain/desk/delivery.js'
import { nextSend, settleSend } from '../../../src/domain/desk/outbox.js'
import { receive, setDigest } from '../../../src/domain/desk/receive.js'
import { type DeskFinding, type DeskReport, keyOf } from '../../../src/domain/desk/report.js'
import { tick } from '../../../src/domain/desk/review.js'
import { type Decision, type DeskState, newDesk, type OutboxEntry } from '../../../src/domain/desk/state.js'

export const START_MS = Date.parse('2026-02-12T08:00:00.000Z')
export const PASS_MS = 600_000
export const HOUR_MS = 3_600_000

export const CONTRACT: DeskContract = {
  sender: 'alerts@spine.test',
  defaultRoute: { recipients: ['ops@spine.test'], repeatHours: 24 },
  rules: [
    {
      conditions: ['freshness', 'job-result', 'integrity', 'coverage'],
      severity: 'critical',
      sender: 'alerts@spine.test',
      recipients: ['ops@spine.test'],
      repeatHours: 24,
    },
    { conditions: ['blind'], severity: 'unknown', sender: 'alerts@spine.test', recipients: ['ops@spine.test'], repeatHours: 24 },
  ],
  unknownAfterMinutes: 30,
  flapping: { windowHours: 12, enterChanges: 6, leaveChanges: 2 },
  limits: { mailsPerHour: 1000, openPerSite: 500 },
  hasSecondChannel: true,
}

export function finding(subject: string, change: Partial<DeskFinding> = {}): DeskFinding {
  return {
    subject,
    condition: 'freshness',
    site: subject.split('/')[0] ?? '',
    host: 'pve',
    severity: 'critical',
    reason: 'stale',
    message: `${subject} is too old`,
    next: 'look at it',
    since: null,
    lastGood: null,
    ...change,
  }
}

export interface PassOptions {
  readonly held?: DeskReport['held']
  readonly underChange?: readonly string[]
  readonly closed?: DeskReport['closed']
  readonly afterMs?: number
  readonly contract?: DeskContract
  readonly scope?: string
  readonly soonStale?: DeskReport['soonStale']
}

/** Keeps what the sender of reports knows: the findings it told last. */
export class Story {
  state: DeskState = newDesk('test')
  nowMs = START_MS
  readonly decisions: Decision[] = []
  readonly mails: OutboxEntry[] = []
  contract = CONTRACT
  private told = new Map<string, Map<string, DeskFinding>>()
  private passes = 0

  /** One pass over `findings`; by default everything queued is then sent at once. */
  pass(findings: readonly DeskFinding[], options: PassOptions = {}): this {
    this.nowMs += options.afterMs ?? PASS_MS
    this.take(this.report(findings, options))
    return this.deliver()
  }

  report(findings: readonly DeskFinding[], options: PassOptions = {}): DeskReport {
    const scope = options.scope ?? 'monitor'
    const before = this.told.get(scope) ?? new Map<string, DeskFinding>()
    const held = new Set(options.held?.map(({ key }) => key))
    const now = new Map([...[...before].filter(([key]) => held.has(key)), ...findings.map((each) => [keyOf(each), each] as const)])
    this.told.set(scope, now)
    const saidClosed = new Set(options.closed?.map(({ key }) => key))
    this.passes += 1
    return {
      scope,
      passId: `pass-${this.passes}`,
      takenAt: new Date(this.nowMs).toISOString(),
      estate: 'test',
      rulesDigest: 'r',
      periodSeconds: 600,
      contract: options.contract ?? this.contract,
      digestDueAt: new Date(Math.ceil((this.nowMs + 1) / (24 * HOUR_MS)) * 24 * HOUR_MS).toISOString(),
      changed: findings,
      closed: [
        ...(options.closed ?? []),
        ...[...before.keys()].filter((key) => !now.has(key) && !saidClosed.has(key)).map((key) => ({ key, why: 'recovered' as const, message: 'it is well' })),
      ],
      set: { digest: setDigest([...now.values()]), count: now.size },
      held: options.held ?? [],
      underChange: options.underChange ?? [],
      soonStale: options.soonStale ?? [],
      seen: options.soonStale === undefined ? null : { expected: 28, seen: 28 },
    }
  }

  take(report: DeskReport, isWhole = false): string {
    const step = receive(this.state, report, this.nowMs, { isWhole })
    this.state = step.state
    this.decisions.push(...step.decisions)
    return step.reception
  }

  /** The clock goes on by so much, with a look in between each of `everyMs`. */
  wait(ms: number, everyMs = ms): this {
    for (let gone = 0; gone < ms; gone += everyMs) {
      this.nowMs += Math.min(everyMs, ms - gone)
      const step = tick(this.state, this.nowMs)
      this.state = step.state
      this.decisions.push(...step.decisions)
      this.deliver()
    }
    return this
  }

  /** Sends what can be sent now, with success. */
  deliver(): this {
    for (;;) {
      const next = nextSend(this.state, this.nowMs)
      if (next.kind !== 'send') return this
      this.mails.push(next.entry)
      this.state = settleSend(this.state, next.entry.mail.messageId, next.deliverTo, SENT, this.nowMs)
    }
  }

  subjects(): string[] {
    return this.mails.map(({ mail }) => mail.subject)
  }

  /** Kinds of the mails since the last call. */
  kinds(): string[] {
    return this.mails.splice(0).map(({ kind }) => kind)
  }
}

export const SENT: SendResult = { outcome: 'sent', stage: 'done', perRecipient: [], code: 250, reply: '2.0.0 Ok: queued', server: 'mail:465', latencyMs: 12 }
