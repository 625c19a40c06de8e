/** Guests that no longer exist and are still named somewhere: one finding for each, with every place that names it. */
import type { CalendarEvent } from '../estate.js'
import { guestSubject } from './guests.js'
import type { Pass } from './pass.js'
import { guestOfTarget } from './producers.js'
import type { ProxmoxView, ProxmoxViews } from './proxmox.js'
import { isGone } from './proxmox.js'
import { report } from './report.js'
import { listInWords } from './words.js'

interface Mention {
  readonly own: ProxmoxView
  readonly vmid: number
  readonly places: string[]
}

export function reportVanished(pass: Pass, proxmox: ProxmoxViews): void {
  const mentions = new Map<string, Mention>()
  const mention = (own: ProxmoxView, vmid: number, place: string): void => {
    const key = `${own.view.host.name}/${vmid}`
    const known = mentions.get(key) ?? { own, vmid, places: [] }
    known.places.push(place)
    mentions.set(key, known)
  }
  for (const own of proxmox.values()) {
    for (const job of own.jobs ?? []) for (const vmid of job.vanished) mention(own, vmid, `job ${job.seen.id}`)
  }
  for (const target of pass.runbooks.inventory.targets) {
    const guest = target.decommissioned ? null : guestOfTarget(pass, target)
    const own = guest && proxmox.get(guest.host)
    if (guest && own && isGone(own, guest.vmid)) mention(own, guest.vmid, `target ${target.id} (${target.place})`)
  }
  for (const event of pass.runbooks.calendar.events) {
    if (event.decommissioned) continue
    for (const vmid of guestsNamedBy(event)) {
      const own = ownerOf(event, vmid, proxmox, mentions, pass)
      if (own) mention(own, vmid, `calendar event ${event.id} (${event.place})`)
    }
  }
  for (const { own, vmid, places } of mentions.values()) {
    report(pass, guestSubject(own.view, vmid), 'config', {
      reason: 'vanished_guest',
      severity: 'warning',
      message: `guest ${vmid} no longer exists on ${own.view.host.name}, but ${listInWords(places)} still ${places.length === 1 ? 'names' : 'name'} it`,
      next: `take ${vmid} out there, or mark it decommissioned: {reason, date}`,
    })
  }
}

const NAMED_IN_TEXT = /\b(?:VMs?|CTs?|LXCs?|guests?)[\s#]*(\d{3,9}(?:\s*(?:,|and|&|\+|\/)\s*\d{3,9})*)/gi

/** Guests of an event: its `guests` list, and what its summary or description calls a VM or CT. */
export function guestsNamedBy(event: CalendarEvent): number[] {
  const text = `${event.summary}\n${event.description ?? ''}`
  const inText = [...text.matchAll(NAMED_IN_TEXT)].flatMap((match) => (match[1]?.match(/\d+/g) ?? []).map(Number))
  return [...new Set([...(event.guests ?? []), ...inText])].sort((a, b) => a - b)
}

/** Which host's guest an event means; null when the guest exists, or when not every host that may have it was read. */
function ownerOf(event: CalendarEvent, vmid: number, proxmox: ProxmoxViews, mentions: ReadonlyMap<string, Mention>, pass: Pass): ProxmoxView | null {
  const text = `${event.job ?? ''} ${event.source ?? ''} ${event.summary} ${event.description ?? ''}`
  const nodes = [...pass.hosts.values()].filter(({ host }) => host.kind === 'proxmox')
  const named = nodes.filter(({ host }) => new RegExp(`(?:^|[^A-Za-z0-9-])${host.name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}(?:[^A-Za-z0-9-]|$)`).test(text))
  const candidates = (named.length > 0 ? named : nodes).map(({ host }) => proxmox.get(host.name))
  if (candidates.length === 0 || candidates.some((own) => !own || !isGone(own, vmid))) return null
  const gone = candidates as ProxmoxView[]
  return gone.find((own) => mentions.has(`${own.view.host.name}/${vmid}`)) ?? gone[0] ?? null
}
