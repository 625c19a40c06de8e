/** Who is written to may change while something is open: what waits, and what is said later in a thread, goes to those whom alerts.yaml names now. */
import type { DeskContract } from './contract.js'
import type { DeskState, Incident, OutboxEntry } from './state.js'

const recipientsOf = (contract: DeskContract): ReadonlySet<string> =>
  new Set([contract.defaultRoute, ...contract.rules].flatMap(({ recipients }) => recipients))
const sendersOf = (contract: DeskContract): ReadonlySet<string> => new Set([contract.sender, ...contract.rules.map(({ sender }) => sender)])

/** True when somebody who was named is named no more. */
export function hasDismissed(before: DeskContract | null, now: DeskContract): boolean {
  if (before === null) return false
  const [recipients, senders] = [recipientsOf(now), sendersOf(now)]
  return [...recipientsOf(before)].some((address) => !recipients.has(address)) || [...sendersOf(before)].some((address) => !senders.has(address))
}

/**
 * A recipient who is named no more is left out; where nobody is left, the default takes its place. A message of which nobody knows whether it arrived stays as it was.
 * Without this a misspelt address would be tried for ever, also once it is mended.
 */
export function readdressed(state: DeskState, contract: DeskContract, nowMs: number): Pick<DeskState, 'outbox' | 'refusals' | 'incidents'> {
  const [recipients, senders] = [recipientsOf(contract), sendersOf(contract)]
  const senderOf = (sender: string) => (sender === '' || senders.has(sender) ? sender : contract.sender)
  const outbox = state.outbox.flatMap((entry): OutboxEntry[] => {
    const { mail } = entry
    const isSame = mail.deliverTo.every((address) => recipients.has(address)) && senders.has(mail.from)
    if (isSame || entry.unknownSinceMs !== null) return [entry]
    const named = mail.deliverTo.filter((address) => recipients.has(address))
    const instead = named.length === mail.deliverTo.length ? [] : contract.defaultRoute.recipients.filter((address) => !mail.to.includes(address))
    const deliverTo = [...new Set([...named, ...instead])]
    // everybody else whom it was for has it
    if (deliverTo.length === 0) return []
    return [{ ...entry, isRefused: false, queuedAtMs: nowMs, nextAttemptAtMs: nowMs, mail: { ...mail, from: senderOf(mail.from), deliverTo } }]
  })
  const refusals = Object.fromEntries(Object.entries(state.refusals).filter(([address]) => recipients.has(address)))
  const told = (incident: Incident): Incident => {
    if (incident.told === null || incident.told.recipients.length === 0) return incident
    const named = incident.told.recipients.filter((address) => recipients.has(address))
    return {
      ...incident,
      told: { ...incident.told, sender: senderOf(incident.told.sender), recipients: named.length > 0 ? named : contract.defaultRoute.recipients },
    }
  }
  const incidents = Object.fromEntries(Object.entries(state.incidents).map(([key, incident]) => [key, told(incident)]))
  return { outbox, refusals, incidents }
}
