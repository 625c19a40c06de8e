/** Runs the product as a person would: the compiled program, its own process, its own exit code. */
import { join } from 'node:path'
import { execa, type ResultPromise } from 'execa'
import { packageRoot } from '../../src/temporal/package-root.js'
import { anyFreePort } from '../../src/temporal/ports.js'

export const PROGRAM = join(packageRoot(), 'bin', 'nightshift.js')

export interface Place {
  /** Configuration folder. */
  readonly config: string
  /** State folder. */
  readonly state: string
}

/** The environment of a place; no Temporal of the caller's shines through. */
export function environmentOf(place: Place): NodeJS.ProcessEnv {
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(TEMPORAL|NIGHTSHIFT)_/.test(name)))
  return { ...inherited, NIGHTSHIFT_CONFIG: place.config, NIGHTSHIFT_STATE: place.state, NO_COLOR: '1' }
}

/** Runs one command and returns whatever comes of it. */
export function nightshift(place: Place, args: readonly string[], more: { env?: NodeJS.ProcessEnv; input?: string } = {}) {
  return execa(process.execPath, [PROGRAM, ...args], {
    env: { ...environmentOf(place), ...more.env },
    extendEnv: false,
    reject: false,
    ...(more.input === undefined ? { stdin: 'ignore' as const } : { input: more.input }),
  })
}

export interface RunningUp {
  readonly process: ResultPromise
  readonly temporalPort: number
  readonly uiPort: number
  readonly metricsPort: number
  /** Everything it printed so far, both streams. */
  output(): string
  /** Resolves when the text was printed. @throws Error when it ends before */
  until(text: string | RegExp): Promise<void>
  /** Ctrl-C, and the exit code. */
  stop(): Promise<number | undefined>
  /** No goodbye. */
  kill(): Promise<void>
}

/** Starts `nightshift up` on ports of its own and waits until its worker is up. */
export async function startUp(
  place: Place,
  args: readonly string[] = [],
  ready: string | RegExp = 'worker is up',
  ports?: { temporalPort: number; uiPort: number; metricsPort: number },
): Promise<RunningUp> {
  const { temporalPort, uiPort, metricsPort } = ports ?? { temporalPort: await anyFreePort(), uiPort: await anyFreePort(), metricsPort: await anyFreePort() }
  const options = ['up', '--temporal-port', String(temporalPort), '--ui-port', String(uiPort), '--metrics-address', `127.0.0.1:${metricsPort}`, ...args]
  const child = execa(process.execPath, [PROGRAM, ...options], { env: environmentOf(place), extendEnv: false, reject: false, all: true, stdin: 'ignore' })
  let printed = ''
  const listeners = new Set<() => void>()
  child.all.on('data', (chunk: Buffer) => {
    printed += chunk.toString('utf8')
    for (const listener of listeners) listener()
  })
  const ended = child.then((result) => {
    for (const listener of listeners) listener()
    return result
  })
  let isOver = false
  void ended.then(() => {
    isOver = true
    for (const listener of listeners) listener()
  })
  const up: RunningUp = {
    process: child as unknown as ResultPromise,
    temporalPort,
    uiPort,
    metricsPort,
    output: () => printed,
    until(text) {
      return new Promise((resolve, reject) => {
        const look = () => {
          const found = typeof text === 'string' ? printed.includes(text) : text.test(printed)
          if (!found && !isOver) return
          listeners.delete(look)
          if (found) resolve()
          else reject(new Error(`nightshift up ended before it printed ${String(text)}:\n${printed}`))
        }
        listeners.add(look)
        look()
      })
    },
    async stop() {
      child.kill('SIGINT')
      return (await ended).exitCode
    },
    async kill() {
      child.kill('SIGKILL')
      await ended
    },
  }
  await up.until(ready)
  return up
}
