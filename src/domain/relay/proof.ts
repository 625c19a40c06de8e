/** What shows that a host's mail goes through the relay: a message as the mailbox has it, and what the host's mail log says. Pure. */
import type { RelayServer } from '../email-relay-runbook.js'
import type { Instant } from '../status.js'

/** A message that was read back. */
export interface ReadMail {
  readonly folder: string
  readonly uid: number
  /** INTERNALDATE: when the server filed it. */
  readonly arrivedAt: Instant
  readonly messageId: string
  readonly subject: string
  readonly from: string
  /** Envelope sender as the server noted it; null where it notes none. */
  readonly returnPath: string | null
  /** `Received` lines, the newest first, unfolded. */
  readonly received: readonly string[]
}

export interface Route {
  /** From the host to the mailbox: who took it over from whom. */
  readonly path: readonly string[]
  readonly protocol: string
  readonly sender: string
}

interface Hop {
  readonly from: string | null
  readonly by: string
  readonly protocol: string
  readonly line: string
}

/** `from A (…) by B (…) with P id …; date` */
function hopOf(line: string): Hop {
  const bare = line.replace(/\([^()]*(?:\([^()]*\)[^()]*)*\)/g, ' ')
  return {
    from: /(?:^|\s)from\s+(\S+)/i.exec(bare)?.[1] ?? null,
    by: (/(?:^|\s)by\s+(\S+)/i.exec(bare)?.[1] ?? '').replace(/;$/, ''),
    protocol: (/(?:^|\s)with\s+(\S+)/i.exec(bare)?.[1] ?? '').replace(/;$/, '').toUpperCase(),
    line,
  }
}

/** True when this host handed the message over. */
export function cameFrom(mail: Pick<ReadMail, 'received'>, fqdn: string): boolean {
  return mail.received.map(hopOf).some(({ by }) => by.toLowerCase() === fqdn.toLowerCase())
}

/**
 * The way of a message, when it is the one through the relay: made on the host, handed by it and nobody else to the server with TLS and a login
 * (`ESMTPSA`, RFC 3848), from the sender that the server knows. @returns why it is another way, as text
 */
export function routeOfMail(mail: ReadMail, relay: RelayServer, fqdn: string): Route | string {
  const hops = mail.received.map(hopOf)
  const isHost = (name: string | null) => name?.toLowerCase() === fqdn.toLowerCase()
  const at = hops.findIndex(({ by }) => by.toLowerCase() === relay.receivedBy.toLowerCase())
  const server = hops[at]
  if (server === undefined) {
    return `no Received line of ${relay.receivedBy}: ${hops[0]?.line.slice(0, 160) ?? 'it has none'}; let the server add them also for logged-in senders, or name it under received_by`
  }
  const foreign = hops.find(({ by }) => by.toLowerCase() !== relay.receivedBy.toLowerCase() && !isHost(by))
  if (foreign !== undefined) return `it passed ${foreign.by}: ${foreign.line.slice(0, 160)}`
  const handedOver = hops.findLast(({ by }) => by.toLowerCase() === relay.receivedBy.toLowerCase())
  if (handedOver === undefined || !isHost(handedOver.from)) return `the server got it from ${handedOver?.from ?? 'nobody'}, not from ${fqdn}`
  if (!/^(E|UTF8)SMTPSA$/.test(handedOver.protocol))
    return `the server took it with ${handedOver.protocol || 'an unnamed protocol'}, not with TLS and a login (ESMTPSA)`
  if (!hops.some(({ by }) => isHost(by))) return `no Received line of ${fqdn}`
  if (mail.returnPath === null) return 'the server noted no envelope sender (Return-Path)'
  if (mail.returnPath.toLowerCase() !== relay.sender.toLowerCase()) return `its sender is ${mail.returnPath || 'the null sender'}, not ${relay.sender}`
  return { path: hops.toReversed().map(({ by }) => by), protocol: handedOver.protocol, sender: mail.returnPath }
}

/** A line of Postfix about one recipient of one message. */
export interface Delivery {
  /** `smtp`, `local`, `pipe`, `error`, … */
  readonly by: string
  readonly queueId: string
  readonly to: string
  /** `mail.example.org[10.0.0.1]:465`, `local`, `none` */
  readonly relay: string
  readonly status: string
  readonly said: string
  /** When the log has it; absent where it says so in no seconds. */
  readonly at?: Instant
}

/** Lines of the mail log that tell of a delivery; everything else is passed over. */
export function deliveriesIn(log: string): Delivery[] {
  const pattern =
    /\bpostfix(?:\/[\w.-]+)*\/(?<by>[\w-]+)\[\d+\]: (?<queueId>[0-9A-Za-z]+): to=<(?<to>[^>]*)>.*?, relay=(?<relay>[^,]+),.*? status=(?<status>\w+) \((?<said>.*)\)\s*$/
  return log.split('\n').flatMap((line) => {
    const groups = pattern.exec(line)?.groups
    if (groups === undefined) return []
    const { by = '', queueId = '', to = '', relay = '', status = '', said = '' } = groups
    const seconds = /^(\d+(?:\.\d+)?)\s/.exec(line)?.[1]
    return [
      { by, queueId, to, relay, status, said: said.slice(0, 300), ...(seconds === undefined ? {} : { at: new Date(Number(seconds) * 1000).toISOString() }) },
    ]
  })
}

/** Deliveries that went another way than they may. @param relay null: none may leave the host */
export function otherRoutes(deliveries: readonly Delivery[], relay: Pick<RelayServer, 'server' | 'port'> | null): Delivery[] {
  const isRelay = (name: string) => relay !== null && name.toLowerCase().startsWith(`${relay.server.toLowerCase()}[`) && name.endsWith(`]:${relay.port}`)
  return deliveries.filter(
    ({ by, relay: name, status }) => (by === 'smtp' && name !== 'none' && !isRelay(name)) || by === 'lmtp' || (by === 'pipe' && status === 'sent'),
  )
}

/**
 * The newest, and of those before them the first of each way: a log that is long shows every way all the same.
 * @param most of the newest
 */
export function newestOf(deliveries: readonly Delivery[], most: number): Delivery[] {
  const ways = new Map(deliveries.toReversed().map((delivery) => [`${delivery.by} ${delivery.relay} ${delivery.status}`, delivery]))
  const older = new Set(deliveries.slice(0, -most).filter((delivery) => [...ways.values()].includes(delivery)))
  return [...older, ...deliveries.slice(-most)]
}

/** Refusals that no later attempt mends: wrong login, wrong certificate, refused for good. @param to of whose mail; that of others proves nothing */
export function hopeless(deliveries: readonly Delivery[], to: string): Delivery | undefined {
  return deliveries.find(
    (delivery) =>
      delivery.by !== 'local' &&
      ((delivery.status === 'bounced' && delivery.to.toLowerCase() === to.toLowerCase()) ||
        (delivery.status === 'deferred' &&
          /\b535\b|not verified|not trusted|no mechanism available|authentication failed|TLS engine (is )?unavailable/i.test(delivery.said))),
  )
}
