/** All faults of a runbook, tried: several in one run where they lie far apart, and each alone when such a run went wrong. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { canonicalJson } from '../src/domain/canonical.js'
import { bundleWorkflows } from '../src/temporal/bundle-workflows.js'
import { type Fault, FaultLane, type Outcome, type RunReport } from './fault-lane.js'
import type { FaultScenario } from './fault-scenario.js'

/** Deaths in one run. Each costs seconds until it is noticed, but no run of its own. */
const FAULTS_PER_RUN = 8

/** So many faults, of the list in which two or three are at one point, lie between two in one run: what the first broke is mended before the second. */
const FAULTS_APART = 8

/** A point may be missed: how often a host is asked again depends on how long it takes, and another death in the same run may have taken that time. */
const MOST_ATTEMPTS = 3

export interface MatrixOptions {
  /** Labs side by side, each with a Temporal server of its own. */
  readonly lanes: number
  /** Only so many faults, chosen by the seed. */
  readonly sample?: { readonly count: number; readonly seed: number }
  /** Only faults whose words contain this. */
  readonly only?: string
  /** Progress. */
  readonly say: (line: string) => void
  /** A line a fault. */
  readonly tell: (line: string) => void
}

export interface Tally {
  readonly passed: number
  readonly failed: number
}

/** Tries several runbooks in the same labs, side by side where there are lanes enough. */
export async function tryFaults(scenarios: Readonly<Record<string, FaultScenario>>, options: MatrixOptions): Promise<Tally> {
  const work = await mkdtemp(join(tmpdir(), 'nightshift-faults-'))
  const bundle = join(work, 'workflow-bundle.js')
  const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))
  await bundleWorkflows(here('../src/workflows/index.js'), bundle, [here('./fault-workflows.js')])
  const hosts = [...new Set(Object.values(scenarios).flatMap((scenario) => scenario.hosts))]
  const lanes: FaultLane[] = []
  const cleanUp = async () => {
    await Promise.all(lanes.map((lane) => lane.close()))
    await rm(work, { recursive: true, force: true })
  }
  const interrupted = () => void cleanUp().finally(() => process.exit(130))
  process.once('SIGINT', interrupted).once('SIGTERM', interrupted)
  try {
    // One lab after the other: a boot needs both processors.
    for (let number = 1; number <= options.lanes; number += 1) lanes.push(await FaultLane.open(number, { hosts, work, bundle, say: options.say }))
    const tally = { passed: 0, failed: 0 }
    const left = Object.entries(scenarios)
    await Promise.all(
      teamsOf(lanes, left.length).map(async (team) => {
        for (let next = left.shift(); next !== undefined; next = left.shift()) {
          const { passed, failed } = await tryScenario(...next, team, options)
          tally.passed += passed
          tally.failed += failed
        }
      }),
    )
    return tally
  } finally {
    process.off('SIGINT', interrupted).off('SIGTERM', interrupted)
    await cleanUp()
  }
}

/** Each runbook has as many lanes as there are for it, and at least one. */
function teamsOf(lanes: readonly FaultLane[], scenarios: number): FaultLane[][] {
  const size = Math.max(1, Math.floor(lanes.length / scenarios))
  return Array.from({ length: Math.floor(lanes.length / size) }, (_, index) => lanes.slice(index * size, (index + 1) * size))
}

async function tryScenario(name: string, scenario: FaultScenario, lanes: readonly FaultLane[], options: MatrixOptions): Promise<Tally> {
  const { say, tell } = options
  const from = performance.now()
  const unfaulted = await Promise.all(
    lanes.map(async (lane) => {
      await lane.prepare(scenario)
      return (await lane.run([])) as RunReport
    }),
  )
  const [first] = unfaulted as [RunReport, ...RunReport[]]
  const all = faultsOf(scenario, first)
  const chosen = chooseFaults(all, options)
  say(`${name}: ${all.length} faults at ${new Set(all.map(({ point }) => point)).size} points, ${chosen.length} of them are tried`)
  const queue = groupsOf(chosen, all, scenario.faultsPerRun ?? FAULTS_PER_RUN).map((faults) => ({ faults, attempt: 1 }))
  const tally = { passed: 0, failed: 0 }
  const count = (fault: Fault, wrong = ''): void => {
    tally[wrong === '' ? 'passed' : 'failed'] += 1
    tell(`${wrong === '' ? 'ok  ' : 'FAIL'} ${name}: ${wordsOf(fault)}${wrong === '' ? '' : `: ${wrong}`}`)
  }
  await Promise.all(
    lanes.map(async (lane, index) => {
      const expected = (unfaulted[index] ?? first).outcome
      for (let run = queue.shift(); run !== undefined; run = queue.shift()) {
        const { faults, attempt } = run
        const { wrong, happened } = await tried(lane, faults, expected)
        const alone = (fault: Fault) => queue.push({ faults: [fault], attempt: attempt + 1 })
        if (wrong !== '' && faults.length > 1) {
          say(`one of ${faults.length} in a run went wrong, so each alone: ${wrong}`)
          faults.forEach(alone)
        } else {
          for (const fault of faults) {
            if (wrong !== '' || happened.has(fault.point)) count(fault, wrong)
            else if (attempt < MOST_ATTEMPTS) alone(fault)
            else count(fault, 'nothing died there, so nothing was shown')
          }
        }
      }
    }),
  )
  say(`${name}: ${tally.passed} passed, ${tally.failed} failed, ${((performance.now() - from) / 1000).toFixed(0)} s`)
  return tally
}

/** One run. `wrong` is empty when nothing was. */
async function tried(lane: FaultLane, faults: readonly Fault[], expected: Outcome): Promise<{ wrong: string; happened: ReadonlySet<string> }> {
  try {
    const { outcome, happened } = await lane.run(faults)
    const died = faults.some(({ host }) => host === 'dies')
    return { wrong: died ? difference(withoutTasks(expected), withoutTasks(outcome)) : difference(expected, outcome), happened }
  } catch (error) {
    return { wrong: error instanceof Error ? error.message : String(error), happened: new Set() }
  }
}

/** Every point that the unfaulted run passed, with everything that can die there. */
function faultsOf(scenario: FaultScenario, { passed, effects }: RunReport): Fault[] {
  const points = [...new Set(passed)].filter((point) => isEffect(point) || scenario.workflows.some((type) => point.startsWith(`${type}/`)))
  return points.flatMap((point): Fault[] => {
    const subject = effects.find((effect) => effect.point === point)?.subject
    if (subject === undefined)
      return [
        { point, dies: 'worker' },
        { point, dies: 'server' },
      ]
    return [
      { point, subject, dies: 'worker', host: 'goes on' },
      { point, subject, dies: 'worker', host: 'dies' },
      { point, subject, dies: 'server', host: 'goes on' },
    ]
  })
}

const isEffect = (point: string): boolean => point.startsWith('effect ')

function wordsOf({ point, subject, dies, host }: Fault): string {
  const where = `${point}${subject === undefined ? '' : ` (${subject})`}${host === 'dies' ? ", and the host's command dies" : ''}`
  return `kill -9 of the ${dies} at ${where}`
}

/** A sample is drawn evenly from the whole run: one fault of each of as many parts of the list. */
function chooseFaults(all: readonly Fault[], { sample, only }: MatrixOptions): Fault[] {
  const fitting = only === undefined ? [...all] : all.filter((fault) => wordsOf(fault).includes(only))
  if (sample === undefined || sample.count >= fitting.length) return fitting
  const random = seeded(sample.seed)
  const part = fitting.length / sample.count
  return Array.from({ length: sample.count }, (_, index) => fitting[Math.floor((index + random()) * part)] as Fault)
}

/** Each fault into the run whose last one is the longest ago; one of its own where that is not long enough. */
function groupsOf(faults: readonly Fault[], all: readonly Fault[], perRun: number): Fault[][] {
  const groups = Array.from({ length: Math.ceil(faults.length / perRun) }, () => ({ last: Number.NEGATIVE_INFINITY, faults: [] as Fault[] }))
  for (const fault of faults) {
    const at = all.indexOf(fault)
    const [oldest] = groups.filter((group) => group.faults.length < perRun).sort((a, b) => a.last - b.last)
    const group = oldest !== undefined && at - oldest.last >= FAULTS_APART ? oldest : { last: at, faults: [] }
    if (group !== oldest) groups.push(group)
    group.last = at
    group.faults.push(fault)
  }
  return groups.map((group) => group.faults).filter((group) => group.length > 0)
}

/** A command of the host that dies leaves its task without an end, and the next attempt begins another: what they did still is the same. */
function withoutTasks(outcome: Outcome): Outcome {
  return { ...outcome, effects: outcome.effects.filter((effect) => !/^task\.(start|end) /.test(effect)) }
}

function difference(expected: Outcome, is: Outcome): string {
  const words = { effects: 'other effects', state: 'another final state', receipts: 'other receipts' } as const
  const parts = (outcome: Outcome) => ({ ...outcome, effects: [...outcome.effects].sort() })
  const [was, now] = [parts(expected), parts(is)]
  const different = (Object.keys(words) as (keyof Outcome)[]).flatMap((key) => {
    const [a, b] = [canonicalJson(was[key]), canonicalJson(now[key])]
    return a === b ? [] : [`${words[key]}: ${firstDifference(a, b)}`]
  })
  return different.join('; ')
}

/** The place where two texts begin to differ, with a little of both. */
function firstDifference(was: string, is: string): string {
  let at = 0
  while (at < was.length && was[at] === is[at]) at += 1
  const from = Math.max(0, at - 40)
  return `${is.slice(from, from + 240)} instead of ${was.slice(from, from + 240)}`
}

/** mulberry32: the same numbers for the same seed, on every machine. */
function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}
