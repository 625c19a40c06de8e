/**
 * The product, as the lab uses it: as a program, by its command line, like any operator. Nothing of it is imported.
 */
import { createWriteStream } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { execa, type ResultPromise } from 'execa'
import type { DeskSnapshot } from '../../src/domain/desk/snapshot.js'
import type { GateResult } from '../../src/domain/gates.js'
import type { StatusDocument } from '../../src/domain/status.js'
import { packageRoot } from '../../src/temporal/package-root.js'
import { anyFreePort } from '../../src/temporal/ports.js'
import { LabError } from '../errors.js'
import type { Lab } from '../lab.js'

const PASS_TIMEOUT_MS = 180_000
const START_TIMEOUT_MS = 240_000

/** A running `nightshift up` of a lab. */
export class Product {
  private constructor(
    readonly lab: Lab,
    private readonly child: ResultPromise,
    readonly logPath: string,
  ) {}

  /** Starts it with a Temporal server of its own; done when the first pass has left a status. @throws LabError when it ends before */
  static async start(lab: Lab): Promise<Product> {
    await mkdir(lab.paths.temporal, { recursive: true })
    const logPath = join(lab.paths.home, 'nightshift-up.log')
    const log = createWriteStream(logPath)
    const argv = [
      'up',
      '--config',
      lab.paths.config,
      '--temporal-port',
      String(await anyFreePort()),
      '--ui-port',
      String(await anyFreePort()),
      '--temporal-data',
      lab.paths.temporal,
      '--json',
    ]
    const child = execa(process.execPath, [program(), ...argv], {
      env: environment(lab),
      extendEnv: false,
      reject: false,
      stdin: 'ignore',
      stdout: 'ignore',
      stderr: 'pipe',
      buffer: false,
      forceKillAfterDelay: 20_000,
    })
    child.stderr?.pipe(log)
    const product = new Product(lab, child, logPath)
    try {
      await product.waitForStatus()
      return product
    } catch (error) {
      await product.stop()
      throw error
    }
  }

  private async waitForStatus(): Promise<void> {
    const deadline = Date.now() + START_TIMEOUT_MS
    // A lab that was watched before has an older status lying there.
    const startedAt = new Date().toISOString()
    while (((await this.status())?.takenAt ?? '') < startedAt) {
      if (this.child.exitCode !== null)
        throw new LabError('failed', `nightshift up ended with ${this.child.exitCode} before its first pass`, `read ${this.logPath}`)
      if (Date.now() > deadline) throw new LabError('failed', `nightshift up made no pass within ${START_TIMEOUT_MS / 1000} s`, `read ${this.logPath}`)
      await delay(300)
    }
  }

  /** One pass from now, and what it found. @throws LabError when the pass did not end well */
  async pass(): Promise<StatusDocument> {
    const { exitCode, stdout, stderr } = await this.nightshift(['run', 'backupMonitor', '{}', '--wait', `${PASS_TIMEOUT_MS / 1000}s`, '--json'])
    if (exitCode !== 0) throw new LabError('failed', `nightshift run backupMonitor ended with ${exitCode}: ${(stderr || stdout).trim().slice(-800)}`)
    const { result } = JSON.parse(stdout) as { result: { passId: string } }
    const status = await this.status()
    if (status?.passId !== result.passId) throw new LabError('failed', `the status is of pass ${status?.passId}, not of ${result.passId}`)
    return status
  }

  /** Looks at all gates. @throws LabError when the run did not end well */
  async gates(): Promise<readonly GateResult[]> {
    const { exitCode, stdout, stderr } = await this.nightshift(['run', 'driftGates', '{}', '--wait', `${PASS_TIMEOUT_MS / 1000}s`, '--json'])
    // 2 and 3: gates that failed or are unknown, which is an answer too
    if (![0, 2, 3].includes(exitCode) || !stdout.includes('"gates"'))
      throw new LabError('failed', `nightshift run driftGates ended with ${exitCode}: ${(stderr || stdout).trim().slice(-800)}`)
    return (JSON.parse(stdout) as { result: { gates: readonly GateResult[] } }).result.gates
  }

  /** What the alert desk says of itself. @throws LabError when it never said anything */
  async desk(): Promise<DeskSnapshot> {
    const { exitCode, stdout, stderr } = await this.nightshift(['alerts', 'list', '--json'])
    if (exitCode !== 0) throw new LabError('failed', `nightshift alerts list ended with ${exitCode}: ${(stderr || stdout).trim().slice(-800)}`)
    return JSON.parse(stdout) as DeskSnapshot
  }

  private async status(): Promise<StatusDocument | undefined> {
    const { stdout } = await this.nightshift(['status', '--json'])
    try {
      const document = JSON.parse(stdout) as StatusDocument
      return document.schema === 'nightshift.status/1' && Array.isArray(document.targets) && document.passId ? document : undefined
    } catch {
      return undefined
    }
  }

  private async nightshift(argv: readonly string[]): Promise<{ exitCode: number; stdout: string; stderr: string }> {
    const result = await execa(process.execPath, [program(), ...argv, '--config', this.lab.paths.config], {
      env: environment(this.lab),
      extendEnv: false,
      reject: false,
      timeout: PASS_TIMEOUT_MS + 20_000,
    })
    return { exitCode: result.exitCode ?? 1, stdout: result.stdout, stderr: result.stderr }
  }

  /** Tells it to stop and waits until it has. */
  async stop(): Promise<void> {
    this.child.kill('SIGTERM')
    await this.child
  }
}

const program = () => join(packageRoot(), 'bin', 'nightshift.js')

/** No address of another Temporal may reach it. */
function environment(lab: Lab): Record<string, string> {
  const kept = Object.entries(process.env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && !entry[0].startsWith('TEMPORAL_') && !entry[0].startsWith('NIGHTSHIFT_'),
  )
  return { ...Object.fromEntries(kept), NIGHTSHIFT_STATE: lab.paths.state }
}
