/** What the judges of the channels share: findings, who may be written to, and how a text is read for addresses. */
import type { RelayChannel, RelayHost, RelayServer } from '../email-relay-runbook.js'

/** One way by which mail can go elsewhere. */
export interface RelayFinding {
  readonly channel: RelayChannel
  /** Exactly where, as an exception names it: `/etc/aliases: root`, `job nightly: mailto`. No line numbers, which move. */
  readonly place: string
  readonly found: string
  /** What a person does about it: a command where there is one. */
  readonly fix: string
  /** The runbook changes it by itself, by plan and approval. */
  readonly isPlanned: boolean
}

export interface RelayContext {
  readonly relay: RelayServer
  readonly host: Pick<RelayHost, 'host' | 'mode'>
  /** Names by which Postfix takes mail for this host itself. */
  readonly localNames: readonly string[]
  /** Files that nightshift itself put there, and that are as it wrote them: no way of somebody else's. */
  readonly ownFiles: readonly string[]
}

/** A finding of a channel, as its judge tells it. */
export type Found = Omit<RelayFinding, 'channel' | 'isPlanned'> & { readonly isPlanned?: boolean }

/** Addresses and local names of a value: `root, ops@example.org`. */
export function addressesIn(value: string): string[] {
  return value
    .replace(/["'<>;]/g, ' ')
    .split(/[\s,]+/)
    .filter((part) => part !== '')
}

/** True for a user of the host itself: no domain, or one of its own names. */
export function isLocal(address: string, context: RelayContext): boolean {
  const at = address.lastIndexOf('@')
  if (at < 0) return true
  const domain = address.slice(at + 1).toLowerCase()
  return ['localhost', 'localhost.localdomain', ...context.localNames].some((name) => name.toLowerCase() === domain)
}

/** True for those who may be written to: local users, who reads root's mail, and the sender itself. */
export function isAllowed(address: string, context: RelayContext): boolean {
  const { rootMailTo, sender } = context.relay
  return isLocal(address, context) || [rootMailTo, sender].some((allowed) => allowed.toLowerCase() === address.toLowerCase())
}

/** Those of a list that may not be written to. */
export function strangers(addresses: readonly string[], context: RelayContext): string[] {
  return addresses.filter((address) => !isAllowed(address, context))
}
