/** One step of the desk: takes the state as it is, gathers what changes, and gives the next state and the decisions for the record. Pure from the outside. */
import { sha256Hex } from '../canonical.js'
import type { Severity } from '../status.js'
import type { WebhookNotice } from './delivery.js'
import { isSilencedBy } from './silences.js'
import type { Decision, DecisionWord, DeskState, Incident, MailKind, Silence, Told } from './state.js'
import { MOST_REFERENCES } from './state.js'
import { headerText } from './text.js'

export interface DeskStep {
  readonly state: DeskState
  readonly decisions: readonly Decision[]
}

export interface MailDraft {
  readonly kind: MailKind
  readonly severity: Severity
  readonly sender: string
  readonly recipients: readonly string[]
  readonly subject: string
  readonly text: string
  /** Message-IDs that this one answers, oldest first. */
  readonly thread: readonly string[]
  /** What makes this message this one: the same parts give the same Message-ID. */
  readonly identity: readonly (string | number)[]
  /** `X-Nightshift-…` headers. */
  readonly about: Readonly<Record<string, string>>
}

/** What has to be said of an incident that begins. */
export type NewIncident = Omit<Incident, 'id' | 'openedAtMs' | 'seenAtMs' | 'told' | 'ack' | 'held' | 'isAbsent' | 'flappingSinceMs' | 'decision'>

export class Turn {
  readonly incidents: Record<string, Incident>
  changes: Record<string, readonly number[]>
  readonly decisions: Decision[] = []
  state: DeskState

  constructor(
    state: DeskState,
    readonly nowMs: number,
  ) {
    this.state = state
    this.incidents = { ...state.incidents }
    this.changes = { ...state.changes }
  }

  end(): DeskStep {
    return { state: { ...this.state, incidents: this.incidents, changes: this.changes }, decisions: this.decisions }
  }

  patch(change: Partial<DeskState>): void {
    this.state = { ...this.state, ...change }
  }

  all(): Incident[] {
    return Object.values(this.incidents)
  }

  put(incident: Incident, change: Partial<Incident> = {}): Incident {
    const next = { ...incident, ...change }
    this.incidents[incident.key] = next
    return next
  }

  /** An incident that begins now: nobody was told of it, nobody took it up. */
  begin(about: NewIncident): Incident {
    const begun = { openedAtMs: this.nowMs, seenAtMs: this.nowMs, told: null, ack: null, held: null, isAbsent: false, flappingSinceMs: null, decision: '' }
    return this.put({ ...about, ...begun, id: sha256Hex(`${about.key}\n${this.nowMs}`).slice(0, 8) })
  }

  remove(incident: Incident): void {
    delete this.incidents[incident.key]
  }

  /** Records a decision unless it is the same as the last one about this incident. */
  decide(incident: Incident, decision: DecisionWord, why: string, messageId: string | null = null): void {
    const mark = `${decision}: ${why}`
    const isRepeatable = decision === 'mailed' || decision === 'repeated' || decision === 'recovered' || decision === 'closed'
    if (!isRepeatable && incident.decision === mark) return
    const current = this.incidents[incident.key]
    if (current !== undefined) this.incidents[incident.key] = { ...current, decision: mark }
    const scope = this.state.scopes[incident.scope]
    this.decisions.push({
      atMs: this.nowMs,
      key: incident.key,
      incidentId: incident.id,
      decision,
      why,
      severity: incident.severity,
      reason: incident.reason,
      message: incident.message,
      messageId,
      passId: scope?.passId ?? null,
      rulesDigest: scope?.rulesDigest ?? null,
    })
  }

  /** Puts a message at the end of the outbox. @returns its Message-ID */
  mail(draft: MailDraft): string {
    const digest = sha256Hex([this.state.estate, draft.kind, ...draft.identity].join('\n')).slice(0, 24)
    const messageId = `<${draft.kind}.${digest}@${domainOf(draft.sender)}>`
    const subject = headerText(draft.subject, 180)
    this.patch({
      outbox: [
        ...this.state.outbox,
        {
          kind: draft.kind,
          severity: draft.severity,
          queuedAtMs: this.nowMs,
          attempts: 0,
          nextAttemptAtMs: this.nowMs,
          unknownSinceMs: null,
          mayBeDouble: false,
          isRefused: false,
          lastReply: null,
          mail: {
            messageId,
            inReplyTo: draft.thread.at(-1) ?? null,
            references: draft.thread,
            from: draft.sender,
            to: draft.recipients,
            deliverTo: draft.recipients,
            subject: draft.thread.length > 0 ? `Re: ${subject}` : subject,
            text: draft.text,
            headers: {
              // RFC 3834: no out-of-office may answer.
              'Auto-Submitted': 'auto-generated',
              'X-Nightshift-Estate': this.state.estate,
              'X-Nightshift-Kind': draft.kind,
              'X-Nightshift-Severity': draft.severity,
              ...Object.fromEntries(
                Object.entries(draft.about).flatMap(([name, value]) => (value === '' ? [] : [[`X-Nightshift-${name}`, asciiHeader(value)]])),
              ),
            },
            date: new Date(this.nowMs).toISOString(),
          },
        },
      ],
    })
    return messageId
  }

  /** Puts a notice into the queue of the second channel, if there is one. */
  notice(notice: WebhookNotice): boolean {
    if (this.state.contract?.hasSecondChannel !== true) return false
    if (this.state.notices.some(({ id }) => id === notice.id)) return true
    this.patch({ notices: [...this.state.notices, { ...notice, queuedAtMs: this.nowMs, attempts: 0, nextAttemptAtMs: this.nowMs }] })
    return true
  }

  silenceOf(incident: Incident): Silence | undefined {
    return this.state.silences.find((silence) => silence.untilMs > this.nowMs && isSilencedBy(incident, silence))
  }
}

/** What is known of a thread after one more message in it. */
export function toldBy(
  told: Told | null,
  message: { messageId: string; sender: string; recipients: readonly string[]; nowMs: number },
  isRepeat: boolean,
): Told {
  const references = [...(told?.references ?? []), message.messageId]
  return {
    threadId: told?.threadId ?? message.messageId,
    // the first stays: it is what the thread hangs on
    references: references.length > MOST_REFERENCES ? [...references.slice(0, 1), ...references.slice(1 - MOST_REFERENCES)] : references,
    lastAtMs: message.nowMs,
    repeats: (told?.repeats ?? 0) + (isRepeat ? 1 : 0),
    sender: message.sender,
    recipients: message.recipients,
  }
}

const domainOf = (address: string): string => address.slice(address.lastIndexOf('@') + 1)

/** A header of ours holds printable ASCII only: filters read it, people do not. */
function asciiHeader(value: string): string {
  return headerText(value, 200).replace(/[^\x20-\x7e]/g, '?')
}
