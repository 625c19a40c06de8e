/**
 * Looks at everything that is open and at the clock, and decides what is said now: after each report, and whenever a moment has come
 * (`nextReviewAtMs`). Each incident gets one problem mail, at most one repeat a day, one recovery.
 */
import { type Route, routeOf } from './contract.js'
import { isOwnDelivery, watchDelivery } from './delivery-incidents.js'
import { type Addressed, mailDigest, mailProblems, mailRecoveries, mailRepeat, mailSilenceOver } from './mails.js'
import { isSilencedBy } from './silences.js'
import type { DeskState, Incident } from './state.js'
import { type DeskStep, Turn } from './turn.js'
import { watchRecord } from './watch-record.js'
import { watchReports } from './watch-reports.js'

const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000

/** Conditions that our own change of a host may break for its duration. */
const BROKEN_BY_CHANGES = ['freshness', 'coverage']

export interface ReviewCause {
  readonly isAdoption: boolean
  readonly passId: string | null
  readonly scope: string | null
}

/** The clock went on. */
export function tick(state: DeskState, nowMs: number): DeskStep {
  const turn = new Turn(state, nowMs)
  review(turn, { isAdoption: false, passId: null, scope: null })
  return turn.end()
}

export function review(turn: Turn, cause: ReviewCause): void {
  if (turn.state.contract === null) return
  forgetOldChanges(turn)
  settleFlapping(turn)
  watchReports(turn)
  watchRecord(turn)
  watchDelivery(turn)
  endSilences(turn)
  tellProblems(turn, cause)
  tellRepeats(turn)
  sendDigest(turn)
}

/** The next moment at which `tick` would do something that no report brings about; null: none is known. */
export function nextReviewAtMs(state: DeskState, nowMs: number): number | null {
  const { contract } = state
  if (contract === null) return null
  const moments: number[] = []
  if (state.digestDueAtMs !== null) moments.push(state.digestDueAtMs)
  for (const { untilMs } of state.silences) moments.push(untilMs)
  for (const incident of Object.values(state.incidents)) {
    if (incident.told !== null) moments.push(incident.told.lastAtMs + repeatMs(routeOf(contract, incident)))
    else moments.push(incident.brokenAtMs + contract.unknownAfterMinutes * 60_000, incident.openedAtMs + contract.unknownAfterMinutes * 60_000)
  }
  const later = moments.filter((moment) => moment > nowMs)
  // watches over reports and outbox need no moment of their own: a look every ten minutes is enough for limits of half an hour
  return Math.min(nowMs + 600_000, ...later)
}

const repeatMs = (route: Route): number => Math.max(DAY_MS, route.repeatHours * HOUR_MS)

function forgetOldChanges(turn: Turn): void {
  const windowMs = (turn.state.contract?.flapping.windowHours ?? 12) * HOUR_MS
  const entries = Object.entries(turn.changes)
    .map(([key, times]) => [key, times.filter((time) => time > turn.nowMs - windowMs)] as const)
    .filter(([, times]) => times.length > 0)
  turn.changes = Object.fromEntries(entries)
}

/** Enters and leaves flapping, with two thresholds so that this does not flap itself. */
function settleFlapping(turn: Turn): void {
  const flapping = turn.state.contract?.flapping
  if (flapping === undefined) return
  for (const incident of turn.all()) {
    const changes = turn.changes[incident.key]?.length ?? 0
    if (incident.flappingSinceMs === null && changes >= flapping.enterChanges) {
      const next = turn.put(incident, { flappingSinceMs: turn.nowMs })
      turn.decide(next, 'flapping', `${changes} changes in ${flapping.windowHours} hours: told once until it has settled`)
    } else if (incident.flappingSinceMs !== null && changes <= flapping.leaveChanges) {
      const next = turn.put(incident, { flappingSinceMs: null })
      if (!incident.isAbsent) {
        turn.decide(next, 'settled', `${changes} changes in ${flapping.windowHours} hours: it is wrong, and stays so`)
        continue
      }
      turn.remove(next)
      mailRecoveries(turn, [{ incident: next, why: 'recovered', message: `it has settled: ${incident.message}` }])
    }
  }
}

function endSilences(turn: Turn): void {
  const over = turn.state.silences.filter(({ untilMs }) => untilMs <= turn.nowMs)
  if (over.length === 0) return
  turn.patch({ silences: turn.state.silences.filter(({ untilMs }) => untilMs > turn.nowMs) })
  for (const silence of over) {
    const to = defaultAddress(turn)
    const still = turn.all().filter((incident) => {
      if (!isSilencedBy(incident, silence) || turn.silenceOf(incident) !== undefined || incident.held !== null || incident.isAbsent) return false
      if (isBrokenByChange(turn, incident)) return false
      const route = routeOfIncident(turn, incident)
      return route.isMailed && (incident.told !== null || sameAddress(route, to))
    })
    for (const incident of turn.all()) {
      if (isSilencedBy(incident, silence) && turn.silenceOf(incident) === undefined)
        turn.decide(incident, 'silence over', `that of ${silence.by} came to its end`)
    }
    mailSilenceOver(turn, silence, still, to)
  }
}

/** Why an incident that was never told is not told now; null: it is. */
function holdsBack(turn: Turn, incident: Incident, route: Route): readonly [Parameters<Turn['decide']>[1], string] | null {
  const { contract } = turn.state
  if (!route.isMailed) return ['summary only', `${route.by} mails ${incident.condition} only when it is worse than ${incident.severity} (${incident.reason})`]
  const silence = turn.silenceOf(incident)
  if (silence !== undefined) return ['silenced', `by ${silence.by} until ${new Date(silence.untilMs).toISOString()}: ${silence.reason}`]
  if (incident.held !== null) return incident.held.by === null ? ['held', incident.held.why] : ['inhibited', `by ${incident.held.by}: ${incident.held.why}`]
  if (isBrokenByChange(turn, incident)) return ['under change', `a change of ours is being applied to ${incident.host}`]
  const waitMs = (contract?.unknownAfterMinutes ?? 0) * 60_000
  if (incident.severity === 'unknown' && turn.nowMs - Math.min(incident.brokenAtMs, incident.openedAtMs) < waitMs) {
    return ['waiting', `what is unknown is mailed after ${contract?.unknownAfterMinutes ?? 0} minutes`]
  }
  return null
}

/** Our own change may be the cause, and its end decides: nothing is mailed about it meanwhile but its recovery. */
function isBrokenByChange(turn: Turn, { host, condition }: Incident): boolean {
  return host !== null && turn.state.underChange.includes(host) && BROKEN_BY_CHANGES.includes(condition)
}

function tellProblems(turn: Turn, cause: ReviewCause): void {
  const groups = new Map<string, { to: Addressed; incidents: Incident[] }>()
  for (const incident of turn.all()) {
    if (incident.told !== null || isOwnDelivery(incident)) continue
    const route = routeOfIncident(turn, incident)
    const held = holdsBack(turn, incident, route)
    if (held !== null && !(cause.isAdoption && held[0] === 'waiting')) {
      turn.decide(incident, held[0], held[1])
      continue
    }
    const key = JSON.stringify([cause.isAdoption ? '' : incident.site, route.sender, route.recipients])
    const group = groups.get(key) ?? { to: { sender: route.sender, recipients: route.recipients }, incidents: [] }
    group.incidents.push(incident)
    groups.set(key, group)
  }
  for (const { to, incidents } of groups.values()) mailProblems(turn, incidents, to, { isAdoption: cause.isAdoption })
}

function tellRepeats(turn: Turn): void {
  const threads = new Map<string, Incident[]>()
  for (const incident of turn.all()) {
    const { told } = incident
    if (told === null || isOwnDelivery(incident) || incident.ack !== null || incident.held !== null || isBrokenByChange(turn, incident)) continue
    const route = routeOfIncident(turn, incident)
    if (!route.isMailed || turn.silenceOf(incident) !== undefined || turn.nowMs - told.lastAtMs < repeatMs(route)) continue
    threads.set(told.threadId, [...(threads.get(told.threadId) ?? []), incident])
  }
  for (const incidents of threads.values()) mailRepeat(turn, incidents)
}

function sendDigest(turn: Turn): void {
  const due = turn.state.digestDueAtMs
  if (due === null || due > turn.nowMs) return
  mailDigest(turn, defaultAddress(turn), due)
  // the next report says the right time; until then a day later, and never a time that is over
  const missed = Math.floor((turn.nowMs - due) / DAY_MS)
  turn.patch({ digestDueAtMs: due + (missed + 1) * DAY_MS })
}

function routeOfIncident(turn: Turn, incident: Incident): Route {
  const { contract } = turn.state
  if (contract === null) throw new RangeError('no contract yet')
  return routeOf(contract, incident)
}

function defaultAddress(turn: Turn): Addressed {
  const { contract } = turn.state
  if (contract === null) throw new RangeError('no contract yet')
  return { sender: contract.sender, recipients: contract.defaultRoute.recipients }
}

const sameAddress = (a: Addressed, b: Addressed): boolean => a.sender === b.sender && [...a.recipients].sort().join() === [...b.recipients].sort().join()
