/**
 * Replays recordings of the real Proxmox command line against the emulated one (lab/pve) and compares everything: stdout, stderr, exit code (zero or not),
 * files changed and removed. Needs no lab: each sequence gets a temporary root. A command counts as passed only if all of it was equal.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import pLimit from 'p-limit'
import { offsetSeconds } from '../src/domain/judge/zone.js'
import { type MaskContext, Masks } from './replay/masks.js'
import { environmentOf, familyOf, type Recording, readRecording, type Sequence, type Step } from './replay/recording.js'
import { type HostRoot, makeHost, snapshot } from './replay/root.js'

export interface StepFailure {
  readonly sequence: string
  readonly step: number
  readonly argv: readonly string[]
  readonly differences: readonly { readonly what: string; readonly expected: string; readonly actual: string }[]
}
export interface FamilyResult {
  readonly name: string
  readonly passed: number
  readonly total: number
  readonly failures: readonly StepFailure[]
}
export interface ReplayResult {
  readonly families: readonly FamilyResult[]
  readonly passed: number
  readonly failed: number
  /** Texts of `masks` that the program does not know; they hid nothing. */
  readonly unknownMasks: readonly string[]
}
export interface ReplayOptions {
  /** Only sequences whose name starts with this text. */
  readonly only?: string
  /** Sequences replayed side by side. */
  readonly atOnce?: number
}

const STEP_DEADLINE_MS = 60_000
const CLOCK_WINDOW_SECONDS = 600
const SCHEDULER_SECONDS = 15

/** Folder of the emulator's programs, found from the source tree as well as from the built one. */
export function emulatorBin(): string {
  let dir = path.dirname(fileURLToPath(import.meta.url))
  while (!existsSync(path.join(dir, 'lab/pve/bin'))) {
    const up = path.dirname(dir)
    if (up === dir) throw new Error('lab/pve/bin was not found above this program: run it from a complete clone')
    dir = up
  }
  return path.join(dir, 'lab/pve/bin')
}

/** Replays one file. Throws when the file is no recording. */
export async function replay(file: string, options: ReplayOptions = {}): Promise<ReplayResult> {
  const recording = await readRecording(file)
  const masks = new Masks(recording.masks)
  const limit = pLimit(options.atOnce ?? 3)
  const sequences = recording.sequences.filter((sequence) => sequence.name.startsWith(options.only ?? ''))
  const done = await Promise.all(sequences.map((sequence) => limit(async () => ({ sequence, failures: await replaySequence(recording, sequence, masks) }))))
  const families = new Map<string, { passed: number; total: number; failures: StepFailure[] }>()
  for (const { sequence, failures } of done) {
    const name = familyOf(sequence)
    const family = families.get(name) ?? { passed: 0, total: 0, failures: [] }
    family.total += sequence.steps.length
    family.passed += sequence.steps.length - failures.length
    family.failures.push(...failures)
    families.set(name, family)
  }
  const rows = [...families].map(([name, family]) => ({ name, ...family }))
  const passed = rows.reduce((sum, row) => sum + row.passed, 0)
  const total = rows.reduce((sum, row) => sum + row.total, 0)
  return { families: rows, passed, failed: total - passed, unknownMasks: masks.unknown }
}

async function replaySequence(recording: Recording, sequence: Sequence, masks: Masks): Promise<StepFailure[]> {
  const environment = environmentOf(recording, sequence)
  const host = await makeHost(recording, sequence, environment)
  const known = JSON.stringify([recording.fixture, sequence.extra_files])
  const failures: StepFailure[] = []
  /** Values that differ by nature (UPIDs, digests) and later come back as arguments: recorded → ours. */
  const renamed = new Map<string, string>()
  try {
    for (const [index, step] of sequence.steps.entries()) {
      const before = await snapshot(host)
      const ran = await runStep(host, step, sequence.steps[index + 1], renamed)
      const after = await snapshot(host)
      const context: MaskContext = {
        argv: step.argv,
        known,
        from: sequence.steps[0]?.now ?? step.now,
        to: sequence.steps.at(-1)?.now ?? step.now,
        utcOffsetSeconds: offsetSeconds(step.now, host.tz),
      }
      learnRenames(step.stdout, ran.stdout, renamed)
      const differences = [...compareOutput(step, ran, masks, context), ...compareFiles(step, before, after, masks, context)]
      if (differences.length > 0) failures.push({ sequence: sequence.name, step: index + 1, argv: step.argv, differences })
    }
  } finally {
    await host.remove()
  }
  return failures
}

interface Ran {
  readonly stdout: string
  readonly stderr: string
  readonly rc: number
}

async function runStep(host: HostRoot, step: Step, next: Step | undefined, renamed: ReadonlyMap<string, string>): Promise<Ran> {
  const [program, ...args] = step.argv.map((word) => [...renamed].reduce((text, [from, to]) => text.replaceAll(from, to), word))
  const seconds = program === 'pvescheduler' ? (next?.now ?? step.now + SCHEDULER_SECONDS) - step.now : 0
  const env = {
    PATH: process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin',
    LC_ALL: 'C',
    TZ: host.tz,
    NIGHTSHIFT_LAB_ROOT: host.dir,
    NIGHTSHIFT_LAB_NOW: String(effectiveClock(step, host.tz)),
    NIGHTSHIFT_LAB_RUN_SECONDS: String(seconds),
  }
  return await new Promise<Ran>((resolve, reject) => {
    const child = spawn(path.join(emulatorBin(), program ?? ''), args, {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: STEP_DEADLINE_MS,
      killSignal: 'SIGKILL',
    })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    child.on('error', (error) => resolve({ stdout: '', stderr: `${program}: ${error.message}`, rc: 127 }))
    child.on('close', (code, signal) =>
      code === null && signal === null ? reject(new Error('the program ended without a status')) : resolve({ stdout, stderr, rc: code ?? 128 }),
    )
  })
}

/**
 * The clock of a command. A recorded clock ran on while the command ran; ours stands still. Where the command left archives or logs named by their time,
 * their earliest time is when it really began.
 */
function effectiveClock(step: Step, tz: string): number {
  if (step.argv[0] === 'pvescheduler') return step.now
  const offset = offsetSeconds(step.now, tz)
  const lockWait = /trying to get global lock/.test(step.stdout)
  const times = Object.keys(step.files_changed).flatMap((name) => {
    const m = /-(\d{4})_(\d\d)_(\d\d)-(\d\d)_(\d\d)_(\d\d)\./.exec(name)
    if (!m) return []
    const [year, month, day, hour, minute, second] = m.slice(1).map(Number)
    return [Date.UTC(year ?? 0, (month ?? 1) - 1, day, hour, minute, second) / 1000 - offset]
  })
  const first = Math.min(...times.filter((time) => time >= step.now && time <= step.now + CLOCK_WINDOW_SECONDS))
  return Number.isFinite(first) && !lockWait ? first : step.now
}

function learnRenames(expected: string, actual: string, renamed: Map<string, string>): void {
  for (const pattern of [/UPID:[^\s"]+:/g, /(?<="digest":")[0-9a-f]{40,64}/g]) {
    const recorded = expected.match(pattern) ?? []
    const ours = actual.match(pattern) ?? []
    if (recorded.length !== ours.length) continue
    for (const [i, from] of recorded.entries()) if (from !== ours[i]) renamed.set(from, ours[i] ?? from)
  }
}

function compareOutput(step: Step, ran: Ran, masks: Masks, context: MaskContext): StepFailure['differences'] {
  const found: { what: string; expected: string; actual: string }[] = []
  // The daemon's own exit code is of no interest: it was ended by a signal (note of the recording).
  if ((step.rc === 0) !== (ran.rc === 0) && step.argv[0] !== 'pvescheduler')
    found.push({ what: 'exit code', expected: String(step.rc), actual: String(ran.rc) })
  const stdout = [masks.stdout(step.stdout, context), masks.stdout(ran.stdout, context)] as const
  if (stdout[0] !== stdout[1]) found.push({ what: 'stdout', expected: stdout[0], actual: stdout[1] })
  const stderr = [masks.stderr(step.stderr, context), masks.stderr(ran.stderr, context)] as const
  if (stderr[0] !== stderr[1]) found.push({ what: 'stderr', expected: stderr[0], actual: stderr[1] })
  return found
}

function compareFiles(
  step: Step,
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
  masks: Masks,
  context: MaskContext,
): StepFailure['differences'] {
  const found: { what: string; expected: string; actual: string }[] = []
  for (const [name, expected] of Object.entries(step.files_changed)) {
    const actual = after.get(name)
    const wanted = masks.file(name, expected, context)
    const got = actual === undefined ? '<no such file>' : masks.file(name, actual, context)
    if (wanted !== got) found.push({ what: `file ${name}`, expected: wanted, actual: got })
  }
  for (const [name, actual] of after) {
    if (name in step.files_changed || before.get(name) === actual) continue
    // A file rewritten with the same meaning (order of words) is no change.
    if (before.has(name) && masks.file(name, before.get(name) ?? '', context) === masks.file(name, actual, context)) continue
    found.push({ what: `file ${name}`, expected: '<unchanged>', actual })
  }
  const gone = [...before.keys()].filter((name) => !after.has(name)).sort()
  const expectedGone = [...step.files_removed].sort()
  if (gone.join('\n') !== expectedGone.join('\n')) found.push({ what: 'files removed', expected: expectedGone.join(', '), actual: gone.join(', ') })
  return found
}

/** `lab replay FILE`: prints a line a family, with `verbose` a difference per failed command, last `N passed, M failed`. Gives the exit code: 0 when all passed, 1 else. */
export async function replayCommand(file: string, options: { json?: boolean; verbose?: boolean } & ReplayOptions = {}): Promise<number> {
  const result = await replay(file, options)
  if (options.json) {
    process.stdout.write(`${JSON.stringify(result)}\n`)
    return result.failed === 0 ? 0 : 1
  }
  const out = (text: string): void => void process.stdout.write(`${text}\n`)
  for (const family of result.families) {
    if (options.verbose) for (const failure of family.failures) out(describe(failure))
    out(`${family.name}: ${family.passed} of ${family.total}`)
  }
  for (const mask of result.unknownMasks) process.stderr.write(`mask not known, nothing hidden for it: ${mask}\n`)
  out(`${result.passed} passed, ${result.failed} failed`)
  return result.failed === 0 ? 0 : 1
}

function describe(failure: StepFailure): string {
  const lines = [`--- ${failure.sequence}, command ${failure.step}: ${failure.argv.join(' ')}`]
  for (const difference of failure.differences)
    lines.push(`  ${difference.what}`, ...indent('  expected ', difference.expected), ...indent('  actual   ', difference.actual))
  return lines.join('\n')
}

function indent(head: string, text: string): string[] {
  return text.split('\n').map((line) => `${head}| ${line}`)
}
