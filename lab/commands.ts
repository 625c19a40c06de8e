/** What each command of the lab program does; `cli.ts` says how they are called. Results go to stdout, progress to stderr. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:os'
import { printJson } from '../src/cli/output.js'
import { parseClock } from './clock.js'
import { MACHINE_PATH } from './command.js'
import { writeConfig } from './config.js'
import { downLab } from './down.js'
import { labEnvironment, shellLines } from './env.js'
import { LabError } from './errors.js'
import { applyState, cases, heal, hurt } from './estate/index.js'
import { resetClock, setClock, setLatency } from './faults.js'
import { type Lab, openLab } from './lab.js'
import { lockLab } from './lock.js'
import { mendAll } from './mend.js'
import { describeStatus, labStatus } from './status.js'
import { ensureTree } from './tree.js'
import { stopLab, upLab } from './up.js'

export interface Common {
  readonly lab: string
  readonly json: boolean
}

export type NamedState = 'healthy' | 'as-found'

const say = (line: string): void => void process.stderr.write(`${line}\n`)

/** Another lab program must not change the lab meanwhile. */
async function exclusively(name: string, work: () => Promise<void>): Promise<void> {
  const held = await lockLab(name)
  try {
    await work()
  } finally {
    await held.release()
  }
}

function show(lab: Lab, json: boolean): void {
  const status = labStatus(lab)
  if (json) printJson(status)
  else process.stdout.write(`${describeStatus(status)}\n`)
}

/** Puts the whole estate into a named state: faults mended, runbooks fresh, content of all hosts written. */
async function fill(lab: Lab, state: NamedState): Promise<void> {
  await mendAll(lab)
  await writeConfig(lab)
  await applyState(lab, state, { log: say })
}

export async function up({ lab: name, json, hosts, state }: Common & { hosts?: readonly string[]; state: NamedState | 'none' }): Promise<void> {
  const held = await lockLab(name)
  let lab: Lab
  try {
    lab = await upLab(name, { hosts, say, held })
    if (state !== 'none' && lab.record.state === null) await fill(lab, state)
  } finally {
    await held.release()
  }
  show(lab, json)
}

export async function down({ lab, json }: Common): Promise<void> {
  const removed = await downLab(lab, { say })
  if (json) printJson({ schema: 'nightshift.lab-down/1', name: lab, removed })
  else if (!removed) say(`there is no lab "${lab}", and nothing of one`)
}

export async function stop({ lab, json }: Common): Promise<void> {
  await exclusively(lab, async () => {
    const open = await openLab(lab)
    await stopLab(open)
    show(open, json)
  })
}

export async function reset({ lab: name, json }: Common): Promise<void> {
  await setState({ lab: name, json }, 'healthy')
}

export async function setState({ lab: name, json }: Common, state: NamedState): Promise<void> {
  const held = await lockLab(name)
  try {
    const lab = await upLab(name, { say, held })
    await fill(lab, state)
    show(lab, json)
  } finally {
    await held.release()
  }
}

export async function env({ lab, json }: Common): Promise<void> {
  const variables = labEnvironment(await openLab(lab))
  if (json) printJson({ schema: 'nightshift.lab-env/1', ...variables })
  else process.stdout.write(`${shellLines(variables)}\n`)
}

export async function status({ lab, json }: Common): Promise<void> {
  show(await openLab(lab), json)
}

/** Runs a program in a host with this program's own stdin, stdout and stderr. @returns its exit code, 128 + n when a signal ended it */
export async function exec({ lab }: Common, hostName: string, argv: readonly string[]): Promise<number> {
  if (argv.length === 0) throw new LabError('usage', 'no command to run', `npm run --silent lab -- --lab ${lab} exec ${hostName} -- CMD…`)
  const [program = '', ...rest] = (await openLab(lab)).host(hostName).enterArgv(argv)
  const child = spawn(program, rest, { stdio: 'inherit', env: { PATH: MACHINE_PATH } })
  // The program in the host is in our foreground group and gets Ctrl-C itself; we wait for what it does about it.
  const ignore = () => {}
  for (const signal of ['SIGINT', 'SIGQUIT'] as const) process.on(signal, ignore)
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null]
  return code ?? 128 + (signal === null ? 0 : constants.signals[signal])
}

/** On every host, or on the ones named. */
export async function clock({ lab: name, json }: Common, setting: string, hosts: readonly string[] | undefined): Promise<void> {
  await exclusively(name, async () => {
    const lab = await openLab(name)
    const offset = setting === 'reset' ? undefined : parseClock(setting, new Date())
    const chosen = hosts === undefined ? [...lab.hosts.values()] : hosts.map((host) => lab.host(host))
    await Promise.all(chosen.map((host) => (offset === undefined ? resetClock(host) : setClock(host, offset))))
    if (json) printJson({ schema: 'nightshift.lab-clock/1', name, offsetSeconds: offset ?? 0, hosts: chosen.map((host) => host.name) })
    else
      say(
        offset === undefined
          ? `clocks of ${chosen.length} hosts are true`
          : `clocks of ${chosen.length} hosts are ${Math.abs(offset)} s ${offset < 0 ? 'behind' : 'ahead'}`,
      )
  })
}

export async function latency({ lab: name, json }: Common, milliseconds: number): Promise<void> {
  await exclusively(name, async () => {
    const chosen = [...(await openLab(name)).hosts.values()].filter((host) => host.kind === 'proxmox')
    for (const host of chosen) setLatency(host, milliseconds)
    if (json) printJson({ schema: 'nightshift.lab-latency/1', name, milliseconds, hosts: chosen.map((host) => host.name) })
    else say(`each Proxmox program takes ${milliseconds} ms more on ${chosen.map((host) => host.name).join(', ')}`)
  })
}

export async function hurtCase({ lab: name, json }: Common, caseName: string, undo: boolean): Promise<void> {
  await exclusively(name, async () => {
    const lab = await openLab(name)
    await (undo ? heal(lab, caseName) : hurt(lab, caseName))
    if (json) printJson({ schema: 'nightshift.lab-hurt/1', name, hurt: lab.record.hurt })
    else say(lab.record.hurt.length === 0 ? `lab "${name}": no case is in force` : `lab "${name}": in force: ${lab.record.hurt.join(', ')}`)
  })
}

export function listCases({ json }: Common): void {
  const all = cases()
  if (json) printJson({ schema: 'nightshift.lab-cases/1', cases: all })
  else for (const { name, title } of all) process.stdout.write(`${name.padEnd(24)} ${title}\n`)
}

export async function tree({ json }: Common): Promise<void> {
  const path = await ensureTree(say)
  if (json) printJson({ schema: 'nightshift.lab-tree/1', path })
  else process.stdout.write(`${path}\n`)
}
