/** Worker processes that die and are started again. One that is loaded already stands by: a supervisor's restart without the time that loading takes. */

import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { execa } from 'execa'
import { packageRoot } from '../src/temporal/package-root.js'
import type { FaultWorkerSettings } from './fault-worker.js'

const launch = () => execa(process.execPath, [join(packageRoot(), 'dist', 'bench', 'fault-worker.js')], { reject: false, stderr: 'inherit', buffer: false })
type Child = ReturnType<typeof launch>

export interface FaultWorker {
  readonly ready: Promise<unknown>
  /** Rejects when a worker ends that was not killed. */
  readonly crashed: Promise<never>
  kill(): void
  /** Ends it for good. */
  end(): Promise<void>
}

type KillServer = (onDead: () => void) => Promise<void>

export class SpareWorkers {
  private spare: Child = launch()

  /** @param killServer kills the Temporal server, tells when it is dead, and resolves when it is back */
  start(settings: FaultWorkerSettings, killServer: KillServer): FaultWorker {
    return new SupervisedWorker(settings, killServer, () => this.take())
  }

  async end(): Promise<void> {
    this.spare.kill('SIGKILL')
    await this.spare
  }

  private take(): Child {
    const child = this.spare
    this.spare = launch()
    return child
  }
}

class SupervisedWorker implements FaultWorker {
  readonly ready: Promise<unknown>
  readonly crashed: Promise<never>
  private child: Child
  private isEnding = false
  private readonly over: Promise<void>
  private tellReady: () => void = () => {}
  private restarting: Promise<void> = Promise.resolve()

  constructor(
    private readonly settings: FaultWorkerSettings,
    private readonly killServer: KillServer,
    private readonly take: () => Child,
  ) {
    const isReady = new Promise<void>((resolve) => {
      this.tellReady = resolve
    })
    this.child = this.begin()
    this.over = this.supervise()
    this.crashed = this.over.then(() => new Promise<never>(() => {}))
    this.crashed.catch(() => {})
    this.ready = Promise.race([isReady, this.crashed])
  }

  kill(): void {
    this.child.kill('SIGKILL')
  }

  async end(): Promise<void> {
    this.isEnding = true
    this.kill()
    await this.over.catch(() => {})
    await this.restarting.catch(() => {})
  }

  private async supervise(): Promise<void> {
    for (;;) {
      const { signal, exitCode } = await this.child
      if (this.isEnding) return
      if (signal !== 'SIGKILL') throw new Error(`the worker ended by itself (${signal ?? `exit code ${exitCode}`}); its words are above`)
      this.child = this.begin()
    }
  }

  private begin(): Child {
    const child = this.take()
    child.stdin.on('error', () => {})
    child.stdin.write(`${JSON.stringify(this.settings)}\n`)
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line === 'ready') this.tellReady()
      if (!line.startsWith('kill the server')) return
      // It goes on beside a server that is not there yet.
      this.restarting = this.killServer(() => child.stdin.write('go\n'))
      this.restarting.catch(() => {})
    })
    return child
  }
}
