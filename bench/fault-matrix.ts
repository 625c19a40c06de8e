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

/** Tries several runbooks one after the other in the same labs. */
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
    for (const [name, scenario] of Object.entries(scenarios)) {
      const { passed, failed } = await tryScenario(name, scenario, lanes, options)
      tally.passed += passed
      tally.failed += failed
    }
    return tally
  } finally {
    process.off('SIGINT', interrupted).off('SIGTERM', interrupted)
    await cleanUp()
  }
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
  const groups = groupsOf(chosen, scenario.faultsPerRun ?? FAULTS_PER_RUN)
  const tally = { passed: 0, failed: 0 }
  const count = (fault: Fault, wrong: readonly string[]): void => {
    tally[wrong.length === 0 ? 'passed' : 'failed'] += 1
    tell(`${wrong.length === 0 ? 'ok  ' : 'FAIL'} ${name}: ${wordsOf(fault)}${wrong.length === 0 ? '' : `: ${wrong.join('; ')}`}`)
  }
  await Promise.all(
    lanes.map(async (lane, index) => {
      const expected = (unfaulted[index] ?? first).outcome
      for (let group = groups.shift(); group !== undefined; group = groups.shift()) {
        const wrong = await tried(lane, group, expected)
        if (wrong.length === 0 || group.length === 1) for (const fault of group) count(fault, wrong)
        else {
          say(`one of ${group.length} in a run went wrong, so each alone: ${wrong.join('; ')}`)
          for (const fault of group) count(fault, await tried(lane, [fault], expected))
        }
      }
    }),
  )
  say(`${name}: ${tally.passed} passed, ${tally.failed} failed, ${((performance.now() - from) / 1000).toFixed(0)} s`)
  return tally
}

/** @returns what was wrong; empty = nothing */
async function tried(lane: FaultLane, faults: readonly Fault[], expected: Outcome): Promise<string[]> {
  try {
    const { outcome, happened } = await lane.run(faults)
    const missed = faults.filter(({ point }) => !happened.has(point)).map((fault) => `nothing died at ${fault.point}, so nothing was shown`)
    return [...missed, ...differences(expected, outcome)]
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)]
  }
}

/** Every point that the unfaulted run passed, with everything that can die there. */
function faultsOf(scenario: FaultScenario, { passed, outcome }: RunReport): Fault[] {
  const own = [...new Set(passed)].filter((point) => scenario.workflows.some((type) => point.startsWith(`${type}/`)))
  const effects = [...new Set(outcome.effects.map((effect) => `effect ${effect.split(' ').slice(0, 2).join(' ')}`))]
  return [
    ...own.flatMap((point): Fault[] => [
      { point, dies: 'worker' },
      { point, dies: 'server' },
    ]),
    ...effects.flatMap((point): Fault[] => [
      { point, dies: 'worker', host: 'goes on' },
      { point, dies: 'worker', host: 'dies' },
      { point, dies: 'server', host: 'goes on' },
    ]),
  ]
}

function wordsOf({ point, dies, host }: Fault): string {
  const where = host === 'dies' ? `${point}, and the host's command dies` : point
  return `kill -9 of the ${dies} at ${where}`
}

function chooseFaults(all: readonly Fault[], { sample, only }: MatrixOptions): Fault[] {
  const fitting = only === undefined ? [...all] : all.filter((fault) => wordsOf(fault).includes(only))
  if (sample === undefined || sample.count >= fitting.length) return fitting
  const random = seeded(sample.seed)
  const chosen = new Set<Fault>()
  while (chosen.size < sample.count) {
    const fault = fitting[Math.floor(random() * fitting.length)]
    if (fault !== undefined) chosen.add(fault)
  }
  return fitting.filter((fault) => chosen.has(fault))
}

/** Far apart from each other, and never two at one point: an effect is made once. */
function groupsOf(faults: readonly Fault[], perRun: number): Fault[][] {
  const atPoint = (point: string) => faults.filter((fault) => fault.point === point).length
  const runs = Math.max(Math.ceil(faults.length / perRun), ...faults.map(({ point }) => atPoint(point)))
  const groups: Fault[][] = Array.from({ length: runs }, () => [])
  for (const [index, fault] of faults.entries()) groups[index % runs]?.push(fault)
  return groups
}

function differences(expected: Outcome, is: Outcome): string[] {
  const words = { effects: 'other effects', state: 'another final state', receipts: 'other receipts' } as const
  const parts = (outcome: Outcome) => ({ ...outcome, effects: [...outcome.effects].sort() })
  const [was, now] = [parts(expected), parts(is)]
  return (Object.keys(words) as (keyof Outcome)[]).flatMap((key) => {
    const [a, b] = [canonicalJson(was[key]), canonicalJson(now[key])]
    return a === b ? [] : [`${words[key]}: ${firstDifference(a, b)}`]
  })
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
