/**
 * `lab incidents`: everything that really went wrong once, staged in a lab of its own, and what the monitor says of it.
 * From `healthy`, one after the other: hurt, pass, compare with what must be said and with the healthy pass, heal.
 */
import { randomBytes } from 'node:crypto'
import type { StatusDocument } from '../../src/domain/status.js'
import { downLab } from '../down.js'
import { describeError, LabError } from '../errors.js'
import type { Lab } from '../lab.js'
import { upLab } from '../up.js'
import { CASES, type HurtCase, isIncident } from './cases/index.js'
import { compareGates, compareRepeated, compareWithExpected, subjectsOf } from './compare.js'
import { editConfig } from './config-edits.js'
import { applyState, heal, hurt } from './index.js'
import { Product } from './product.js'

export interface IncidentResult {
  readonly name: string
  readonly title: string
  readonly passed: boolean
  /** What was expected and is not so; empty when it passed. */
  readonly problems: readonly string[]
  /** What the monitor said of the subjects that were expected to change. */
  readonly said: readonly string[]
  readonly seconds: number
}

/**
 * Makes a lab and a Temporal server of its own, runs the cases, removes both, also when it is told to stop.
 * Results go to stdout (a line each, or one JSON document at the end), progress to `log`.
 * @param only names of cases; the operator's incidents unless told
 * @returns the exit code: 0 all passed, 1 not
 */
export async function incidents({ json, log, only }: { json: boolean; log: (line: string) => void; only?: readonly string[] }): Promise<number> {
  const name = `incidents-${randomBytes(3).toString('hex')}`
  const chosen = CASES.filter((one) => (only === undefined ? isIncident(one) : only.includes(one.name)))
  const results: IncidentResult[] = []
  const tell = (result: IncidentResult) => {
    results.push(result)
    if (!json) print(lines(result).join('\n'))
  }
  const told = toldToStop()
  try {
    await Promise.race([inLabOfItsOwn(name, chosen, tell, log), told.promise])
  } finally {
    told.release()
    await downLab(name, { say: log })
  }
  const passed = results.filter((result) => result.passed).length
  const closing = { passed, failed: results.length - passed }
  print(json ? JSON.stringify({ schema: 'nightshift.lab-incidents/1', ...closing, results }) : `${closing.passed} passed, ${closing.failed} failed`)
  return closing.failed === 0 && results.length > 0 ? 0 : 1
}

async function inLabOfItsOwn(name: string, chosen: readonly HurtCase[], tell: (result: IncidentResult) => void, log: (line: string) => void): Promise<void> {
  const lab = await upLab(name, { say: log })
  await applyState(lab, 'healthy', { log })
  onlyPassesOnDemand(lab)
  const product = await Product.start(lab)
  try {
    await runAll(lab, product, chosen, tell)
  } finally {
    await product.stop()
  }
}

const print = (text: string): void => void process.stdout.write(`${text}\n`)

/** A signal ends the run as a failure does: the lab is removed first. */
function toldToStop(): { promise: Promise<never>; release: () => void } {
  let listener = () => {}
  const promise = new Promise<never>((_resolve, reject) => {
    listener = () => reject(new LabError('failed', 'told to stop before all incidents were staged'))
  })
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const signal of signals) process.once(signal, listener)
  return { promise, release: () => signals.forEach((signal) => void process.off(signal, listener)) }
}

/** A scheduled pass could begin in the middle of a staging. */
export function onlyPassesOnDemand(lab: Lab): void {
  editConfig(lab.paths.config, 'estate.yaml', (document) => document.setIn(['monitor', 'every_minutes'], 1440))
}

/** Stages each case on a healthy lab that a product watches already. */
export async function runAll(lab: Lab, product: Product, chosen: readonly HurtCase[], tell: (result: IncidentResult) => void): Promise<void> {
  const healthy = await product.pass()
  tell(await timed('healthy', 'Nothing is wrong', async () => ({ problems: wrongIn(healthy), said: [] })))
  for (const one of chosen) tell(await timed(one.name, one.title, () => stage(lab, product, one, healthy)))
  tell(
    await timed('healed', 'Everything is taken back', async () => ({
      problems: compareWithExpected({ expect: [], verdict: healthy.verdict }, healthy, await product.pass()),
      said: [],
    })),
  )
}

/** Words that a healthy pass must not say. */
export function wrongIn(status: StatusDocument): string[] {
  const wrong = subjectsOf(status).filter((subject) => subject.severity !== 'ok')
  return [
    ...wrong.map((subject) => `${subject.kind} ${subject.id}: ${subject.state} ${subject.reason}: ${subject.message}`),
    ...(status.verdict === 'ok' ? [] : [`verdict is ${status.verdict}`]),
  ]
}

/** Hurts, passes, compares, heals. @param healthy the pass before anything was hurt */
export async function stage(lab: Lab, product: Product, one: HurtCase, healthy: StatusDocument): Promise<{ problems: string[]; said: string[] }> {
  const problems: string[] = []
  const gates = one.gates === undefined ? [] : await product.gates()
  let said: string[] = []
  try {
    await hurt(lab, one.name)
    const first = await product.pass()
    problems.push(...compareWithExpected(one, healthy, first))
    said = saidOf(one, first)
    let latest = first
    for (let again = 1; again < (one.passes ?? 1); again++) {
      const next = await product.pass()
      problems.push(...compareRepeated(latest, next))
      latest = next
    }
    problems.push(...((await one.also?.(lab, product)) ?? []))
    if (one.gates !== undefined) {
      const found = await product.gates()
      problems.push(...compareGates(one.gates, gates, found))
      said = one.gates.flatMap(({ id }) => found.filter((gate) => gate.id === id).map(({ state, message }) => `gate ${id}: ${state}: ${message}`))
    }
  } finally {
    await heal(lab, one.name)
  }
  if (one.gates !== undefined) problems.push(...compareGates([], gates, await product.gates()).map((what) => `healed: ${what}`))
  return { problems, said }
}

/** The sentences about what the case expects, for people to judge. */
function saidOf(one: HurtCase, status: StatusDocument): string[] {
  const about = subjectsOf(status).filter((subject) =>
    one.expect.some(
      (expectation) => expectation.kind === subject.kind && !expectation.optional && expectation.ids !== 'all' && expectation.ids.includes(subject.id),
    ),
  )
  return about.slice(0, 3).map((subject) => `${subject.kind} ${subject.id}: ${subject.state} ${subject.reason}: ${subject.message}`)
}

async function timed(name: string, title: string, work: () => Promise<{ problems: string[]; said: string[] }>): Promise<IncidentResult> {
  const started = Date.now()
  const outcome = await work().catch((error: unknown) => ({ problems: [describeError(error)], said: [] }))
  return { name, title, passed: outcome.problems.length === 0, ...outcome, seconds: (Date.now() - started) / 1000 }
}

function lines(result: IncidentResult): string[] {
  const first = `${result.passed ? 'ok  ' : 'FAIL'} ${result.name.padEnd(8)} ${result.title} (${result.seconds.toFixed(1)} s)`
  return [first, ...(result.passed ? result.said : result.problems).map((line) => `       ${line}`)]
}
