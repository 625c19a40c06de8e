/** Whatever happens in whatever order: the promises of the desk hold against a model that knows only who is wrong, who is hidden and who was told. */
import { describe, expect, it } from 'vitest'
import { ack, refusalOfAck, refusalOfSilence, silence } from '../../../src/domain/desk/orders.js'
import { type DeskFinding, keyOf } from '../../../src/domain/desk/report.js'
import { CONTRACT, finding, HOUR_MS, PASS_MS, Story } from './story.js'

/** A small generator with a seed, so that a failure can be seen again (mulberry32). */
function dice(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

const CANDIDATES: readonly DeskFinding[] = [
  ...Array.from({ length: 12 }, (_, index) => finding(`shop/target/vm-${index}`, { host: index < 6 ? 'pve' : 'nas' })),
  ...Array.from({ length: 6 }, (_, index) => finding(`home/guest/proxmox-home/${index}`, { condition: 'coverage', host: 'proxmox-home' })),
  finding('shop/storage/pve/tank', { condition: 'space', severity: 'warning', reason: 'nearly_full' }),
  ...['a', 'b', 'c'].map((name) => finding(`shop/host/${name}`, { condition: 'blind', severity: 'unknown', reason: 'connect_timeout', host: null })),
  finding('home/target/late', { severity: 'warning', reason: 'late', host: 'proxmox-home' }),
]
const HOSTS = ['pve', 'nas', 'proxmox-home']

/** What the state says must not be mailed now, by what was mailed since `from`: the model of who is kept quiet, and why. */
function checkQuiet(story: Story, from: number, seed: number): void {
  const { underChange, silences, adoptedAtMs } = story.state
  for (const { decision, why, key, incidentId, severity, atMs } of story.decisions.slice(from)) {
    const isSaid = decision === 'mailed' || decision === 'repeated'
    const incident = story.state.incidents[key]
    if (!isSaid || incident === undefined) continue
    const said = `seed ${seed}: ${decision} ${key} at ${new Date(atMs).toISOString()} (${why})`
    expect(incident.held, `${said} although it could not be looked at`).toBeNull()
    expect(
      silences.filter(({ matching, untilMs }) => matching === incident.subject && untilMs > atMs),
      `${said} although it is silenced`,
    ).toEqual([])
    const isOurs = incident.host !== null && underChange.includes(incident.host) && ['freshness', 'coverage'].includes(incident.condition)
    expect(isOurs, `${said} while a change of ours is being applied`).toBe(false)
    const ackedAtMs = incident.ack?.atMs ?? Number.POSITIVE_INFINITY
    expect(decision === 'repeated' && !why.includes('silence') && ackedAtMs < atMs, `${said} although it is acknowledged`).toBe(false)
    const isWaited = severity !== 'unknown' || atMs === adoptedAtMs || why.includes('silence')
    if (!isWaited) expect(atMs - incident.openedAtMs, `${said} before its limit (${incidentId})`).toBeGreaterThanOrEqual(CONTRACT.unknownAfterMinutes * 60_000)
  }
}

/** One random life of a desk; returns it after everything has been well for longer than the flap window. */
function live(seed: number, passes: number): Story {
  const roll = dice(seed)
  const story = new Story()
  const wrong = new Set<DeskFinding>()
  const down = new Set<string>()
  for (let pass = 0; pass < passes; pass++) {
    const calm = roll() < 0.5
    for (const each of CANDIDATES) if (roll() < (calm ? 0.01 : 0.15)) wrong.has(each) ? wrong.delete(each) : wrong.add(each)
    for (const host of HOSTS) if (roll() < 0.03) down.has(host) ? down.delete(host) : down.add(host)
    if (roll() < 0.02) {
      const each = CANDIDATES[Math.floor(roll() * CANDIDATES.length)] ?? CANDIDATES[0]
      const order = { matching: each?.subject ?? '', by: 'ronny', reason: 'r', until: new Date(story.nowMs + roll() * 30 * HOUR_MS + 1).toISOString() }
      if (refusalOfSilence(story.state, order, story.nowMs) === null) story.state = silence(story.state, order, story.nowMs).state
    }
    if (roll() < 0.05) {
      const open = Object.values(story.state.incidents)
      const order = { incident: open[Math.floor(roll() * open.length)]?.id ?? '', by: 'ronny', reason: 'r' }
      if (refusalOfAck(story.state, order) === null) story.state = ack(story.state, order, story.nowMs).state
    }
    const beforeWait = story.decisions.length
    if (roll() < 0.1) story.wait(Math.floor(roll() * 3 * PASS_MS) + 1)
    checkQuiet(story, beforeWait, seed)
    const beforePass = story.decisions.length
    const known = Object.keys(story.state.incidents)
    const held = CANDIDATES.filter(
      (each) => each.host !== null && down.has(each.host) && known.includes(keyOf(each)) && story.state.incidents[keyOf(each)]?.isAbsent === false,
    )
    story.pass(
      [...wrong].filter((each) => each.host === null || !down.has(each.host)),
      {
        held: held.map((each) => ({ key: keyOf(each), by: `x/host/${each.host}`, why: 'silent' })),
        underChange: roll() < 0.1 ? ['pve'] : [],
        // days have to pass, or nothing is ever repeated
        afterMs: roll() < 0.15 ? 4 * HOUR_MS : PASS_MS,
      },
    )
    checkQuiet(story, beforePass, seed)
    if (roll() < 0.05) {
      const again = story.report([])
      expect(story.take({ ...again, passId: story.state.scopes.monitor?.passId ?? '' })).toBe('duplicate')
      story.report(Object.values(story.state.incidents).filter((incident) => incident.scope === 'monitor' && !incident.isAbsent))
    }
    const expected = [...wrong].filter((each) => each.host === null || !down.has(each.host)).map(keyOf)
    const open = Object.values(story.state.incidents).filter((incident) => incident.scope === 'monitor' && incident.held === null && !incident.isAbsent)
    expect(open.map(({ key }) => key).sort(), `seed ${seed}, pass ${pass}: what is open is what is wrong and can be seen`).toEqual(expected.sort())
  }
  for (let pass = 0; pass < 6 * (CONTRACT.flapping.windowHours + 1); pass++) story.pass([])
  return story
}

describe('over any sequence of observations', () => {
  it.each(Array.from({ length: 25 }, (_, index) => index + 1))(
    'each incident has one problem mail, one recovery and a repeat a day at most (seed %i)',
    (seed) => {
      const story = live(seed, 120)
      const mailed = story.decisions.filter(({ messageId }) => messageId !== null)
      const of = (id: string) => mailed.filter(({ incidentId }) => incidentId === id)
      const ids = [...new Set(story.decisions.map(({ incidentId }) => incidentId))]
      expect(ids.length).toBeGreaterThan(10)
      for (const id of ids) {
        const said = of(id)
        const problems = said.filter(({ decision }) => decision === 'mailed')
        const ends = said.filter(({ decision }) => decision === 'recovered' || decision === 'closed')
        expect(problems.length, `problems of ${id}`).toBeLessThanOrEqual(1)
        expect(ends.length, `whoever was told of ${id} is told of its end, and nobody else`).toBe(problems.length)
        if (problems.length === 1) expect([said[0]?.decision, said.at(-1)?.decision]).toEqual(['mailed', ends[0]?.decision])
        const times = said.filter(({ decision, why }) => decision === 'mailed' || (decision === 'repeated' && !why.includes('silence'))).map(({ atMs }) => atMs)
        for (const [index, time] of times.entries()) if (index > 0) expect(time - (times[index - 1] ?? 0)).toBeGreaterThanOrEqual(24 * HOUR_MS)
      }
      expect(Object.values(story.state.incidents)).toEqual([])
      const messageIds = story.mails.map(({ mail }) => mail.messageId)
      expect(new Set(messageIds).size).toBe(messageIds.length)
      const summaries = story.mails.filter(({ kind }) => kind === 'digest').length
      const days = (story.nowMs - Date.parse('2026-02-12T08:00:00Z')) / (24 * HOUR_MS)
      expect(Math.abs(summaries - days)).toBeLessThan(1.5)
    },
  )

  it('what never is worse than its rule mails is never mailed', () => {
    const story = live(7, 200)
    expect(story.decisions.filter(({ reason, messageId }) => reason === 'late' && messageId !== null && !reason.includes('silence'))).toEqual([])
  })

  it('10,000 observations leave a state of bounded size, and no trace of what is over', () => {
    const story = live(4711, 500)
    expect(500 * CANDIDATES.length).toBeGreaterThanOrEqual(10_000)
    expect(JSON.stringify(story.state).length).toBeLessThan(10_000)
  })
})
