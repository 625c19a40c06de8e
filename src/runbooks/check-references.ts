/**
 * What no single value can show: names that have to exist elsewhere, things that are there twice, keys that belong to each other.
 * Works on the parsed values, not on the checked ones, so that it finds its problems beside those of the schemas.
 */
import type { RunbookProblem } from './problems.js'
import { didYouMean, oneOfThese } from './suggest.js'
import { inert } from './text-rules.js'
import type { YamlSource } from './yaml-source.js'
import type { Path } from './yaml-values.js'

export interface Sources {
  readonly estate?: YamlSource | undefined
  readonly inventory?: YamlSource | undefined
  readonly calendar?: YamlSource | undefined
  readonly alerts?: YamlSource | undefined
}

/** Checks references inside of and between the files that could be parsed; those to a file that could not are left alone. */
export function checkReferences(sources: Sources): { problems: RunbookProblem[]; warnings: RunbookProblem[] } {
  const check = new ReferenceCheck(sources)
  check.run()
  return { problems: check.problems, warnings: check.warnings }
}

type Row = Record<string, unknown>

interface Names {
  readonly list: readonly string[]
  readonly set: ReadonlySet<string>
}

/** Looking for what was meant takes time with every name; after so many it helps nobody any more. */
const MAX_SUGGESTIONS = 200

const OTHER_KINDS: readonly unknown[] = ['nas', 'guest', 'linux']

class ReferenceCheck {
  readonly problems: RunbookProblem[] = []
  readonly warnings: RunbookProblem[] = []
  readonly #sources: Sources
  readonly #hosts: readonly Row[]
  readonly #targets: readonly Row[]
  readonly #hostNames: Names
  readonly #proxmoxNames: Names
  /** Absent when the list is not known completely: only then it can tell that a name is not in it. */
  readonly #targetNames: Names | undefined
  #suggestions = 0

  constructor(sources: Sources) {
    this.#sources = sources
    this.#hosts = rowsAt(sources.estate, ['hosts'])
    this.#targets = rowsAt(sources.inventory, ['targets'])
    this.#hostNames = namesOf(this.#hosts, 'name')
    // A kind that is misspelt may have been meant so; it has a problem of its own.
    const maybeProxmox = this.#hosts.filter((host) => !OTHER_KINDS.includes(host.kind))
    this.#proxmoxNames = namesOf(maybeProxmox, 'name')
    const isComplete = Array.isArray(sources.inventory?.at(['targets'])) && this.#targets.every((target) => typeof target.name === 'string')
    this.#targetNames = isComplete ? namesOf(this.#targets, 'name') : undefined
  }

  run(): void {
    const { estate, inventory, calendar, alerts } = this.#sources
    if (estate !== undefined) this.#checkEstate(estate)
    if (inventory !== undefined) this.#checkInventory(inventory)
    if (calendar !== undefined) this.#checkCalendar(calendar)
    if (alerts !== undefined && estate !== undefined) this.#checkAlerts(alerts)
  }

  /** What an alert goes through stands on a host that is there, or `elsewhere`. */
  #checkAlerts(alerts: YamlSource): void {
    for (const path of [
      ['mail', 'host'],
      ['mail', 'mailbox', 'host'],
      ['second_channel', 'host'],
    ]) {
      const name = alerts.at(path)
      if (name !== 'elsewhere') this.#expectName(alerts, path, name, this.#hostNames, 'elsewhere, or a host of estate.yaml')
    }
  }

  #checkEstate(estate: YamlSource): void {
    const sites = rowsAt(estate, ['sites'])
    this.#refuseTwice(estate, ['sites'], sites, 'id', 'site')
    this.#refuseTwice(estate, ['hosts'], this.#hosts, 'name', 'host')
    const siteIds = namesOf(sites, 'id')
    const guestsSeen = new Map<string, number>()
    for (const [index, host] of this.#hosts.entries()) {
      this.#expectName(estate, ['hosts', index, 'site'], host.site, siteIds, 'a site of this file')
      this.#checkHostKind(estate, index, host)
      if (isRow(host.guest)) this.#checkGuestIdentity(estate, ['hosts', index, 'guest'], host.guest, guestsSeen)
    }
    const decided = new Map<string, number>()
    for (const [index, guest] of rowsAt(estate, ['guests']).entries()) this.#checkGuestIdentity(estate, ['guests', index], guest, decided)
    const producers = estate.at(['produced_by'])
    if (isRow(producers)) for (const [target, producer] of Object.entries(producers)) this.#checkProducer(estate, target, producer)
  }

  #checkHostKind(estate: YamlSource, index: number, host: Row): void {
    const path: Path = ['hosts', index]
    if (host.kind === 'guest' && host.guest === undefined) {
      this.problems.push(
        estate.problem([...path, 'guest'], {
          allowed: '`guest: { host, vmid }` for a host of kind guest',
          hint: 'say which guest of which Proxmox host it is',
        }),
      )
    }
    if (host.kind !== 'guest' && host.guest !== undefined) {
      this.problems.push(
        estate.problem([...path, 'guest'], { found: `guest on a host of kind ${inert(host.kind)}`, allowed: 'guest only with kind: guest', of: 'key' }),
      )
    }
    if (host.kind !== 'proxmox' && host.node !== undefined) {
      this.problems.push(
        estate.problem([...path, 'node'], { found: `node on a host of kind ${inert(host.kind)}`, allowed: 'node only with kind: proxmox', of: 'key' }),
      )
    }
  }

  #checkGuestIdentity(estate: YamlSource, path: Path, guest: Row, seen: Map<string, number>): void {
    this.#expectProxmoxHost(estate, [...path, 'host'], guest.host)
    if (typeof guest.host !== 'string' || typeof guest.vmid !== 'number') return
    const identity = `${guest.host}/${guest.vmid}`
    const { line } = estate.place([...path, 'vmid'], 'key')
    const first = seen.get(identity)
    if (first === undefined) seen.set(identity, line)
    else
      this.problems.push(
        estate.problem([...path, 'vmid'], {
          found: `guest ${guest.vmid} of ${inert(guest.host)} again`,
          allowed: 'each guest once',
          hint: `it stands in line ${first} already`,
        }),
      )
  }

  #checkProducer(estate: YamlSource, target: string, producer: unknown): void {
    const path: Path = ['produced_by', target]
    const known = this.#targetNames
    if (known !== undefined && !known.set.has(target)) {
      const details = {
        found: `a producer of ${inert(target)}`,
        allowed: oneOfThese('the name of a target of the inventory', known.list),
        hint: this.#suggest(target, known),
        of: 'key' as const,
      }
      this.problems.push(estate.problem(path, details))
    }
    if (!isRow(producer)) return
    const part = (key: string): Row => (isRow(producer[key]) ? producer[key] : {})
    this.#expectProxmoxHost(estate, [...path, 'vzdump', 'host'], part('vzdump').host)
    this.#expectHost(estate, [...path, 'cron', 'host'], part('cron').host)
    this.#expectHost(estate, [...path, 'timer', 'host'], part('timer').host)
    this.#expectHost(estate, [...path, 'transfer', 'from'], part('transfer').from)
    this.#expectHost(estate, [...path, 'transfer', 'to'], part('transfer').to)
  }

  #checkInventory(inventory: YamlSource): void {
    this.#refuseTwice(inventory, ['targets'], this.#targets, 'name', 'target')
    // A target on a host that nobody knows stays: the pass answers it with unknown_host, and the rest is still watched.
    const known = this.#hostNames
    for (const [index, target] of this.#targets.entries()) {
      if (this.#sources.estate === undefined || typeof target.host !== 'string' || known.set.has(target.host)) continue
      const allowed = oneOfThese('a host of estate.yaml', known.list)
      this.warnings.push(
        inventory.problem(['targets', index, 'host'], { allowed, hint: this.#suggest(target.host, known) ?? 'until then the target is UNKNOWN' }),
      )
    }
    if (Array.isArray(inventory.at(['targets'])) && !this.#targets.some((target) => target.enabled !== false)) {
      this.warnings.push(
        inventory.problem(['targets'], {
          found: 'no enabled target',
          allowed: 'at least one target with `enabled: true`',
          hint: 'nothing is watched',
          of: 'key',
        }),
      )
    }
  }

  #checkCalendar(calendar: YamlSource): void {
    const events = rowsAt(calendar, ['events'])
    this.#refuseTwice(calendar, ['events'], events, 'id', 'event')
    for (const [index, event] of events.entries()) {
      const path: Path = ['events', index]
      if (event.freq === 'WEEKLY' && event.byday === undefined) this.#warnOfMissingDay(calendar, path, 'byday', 'a weekly event')
      if (event.freq === 'MONTHLY' && event.bymonthday === undefined && event.byday === undefined)
        this.#warnOfMissingDay(calendar, path, 'bymonthday', 'a monthly event')
      if (typeof event.job === 'string' && event.job.includes('/'))
        this.#expectProxmoxHost(calendar, [...path, 'job'], event.job.slice(0, event.job.indexOf('/')))
    }
  }

  #warnOfMissingDay(calendar: YamlSource, path: Path, key: string, what: string): void {
    const details = {
      found: `${what} without ${key}`,
      allowed: `\`${key}:\` with ${what}`,
      hint: 'without it the day is that of dtstart_date alone',
      of: 'key' as const,
    }
    this.warnings.push(calendar.problem([...path, 'freq'], details))
  }

  #suggest(word: string, known: Names): string | null {
    this.#suggestions += 1
    return this.#suggestions > MAX_SUGGESTIONS ? null : didYouMean(word, known.list)
  }

  #refuseTwice(source: YamlSource, path: Path, rows: readonly Row[], key: string, what: string): void {
    const firstLines = new Map<string, number>()
    for (const [index, row] of rows.entries()) {
      const value = row[key]
      if (typeof value !== 'string') continue
      const first = firstLines.get(value)
      if (first === undefined) firstLines.set(value, source.place([...path, index, key]).line)
      else
        this.problems.push(
          source.problem([...path, index, key], {
            found: `the ${what} ${inert(value)} again`,
            allowed: `each ${what} once`,
            hint: `it stands in line ${first} already`,
          }),
        )
    }
  }

  #expectName(source: YamlSource, path: Path, value: unknown, known: Names, what: string): void {
    if (typeof value !== 'string' || known.set.has(value)) return
    this.problems.push(source.problem(path, { found: inert(value), allowed: oneOfThese(what, known.list), hint: this.#suggest(value, known) }))
  }

  #expectHost(source: YamlSource, path: Path, value: unknown): void {
    if (this.#sources.estate !== undefined) this.#expectName(source, path, value, this.#hostNames, 'a host of estate.yaml')
  }

  #expectProxmoxHost(source: YamlSource, path: Path, value: unknown): void {
    if (this.#sources.estate !== undefined) this.#expectName(source, path, value, this.#proxmoxNames, 'a host of kind proxmox in estate.yaml')
  }
}

function rowsAt(source: YamlSource | undefined, path: Path): Row[] {
  const value = source?.at(path)
  // Places count by index: what is no mapping stays as an empty one.
  return Array.isArray(value) ? value.map((row: unknown) => (isRow(row) ? row : {})) : []
}

function namesOf(rows: readonly Row[], key: string): Names {
  const list = rows.map((row) => row[key]).filter((value): value is string => typeof value === 'string')
  return { list, set: new Set(list) }
}

function isRow(value: unknown): value is Row {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
