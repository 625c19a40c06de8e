/** A lab of the benchmark's own, through the lab's command line. */
import { join } from 'node:path'
import { execa } from 'execa'
import { packageRoot } from '../src/temporal/package-root.js'
import { parseEnvLines } from './env-lines.js'

export interface BenchLab {
  readonly name: string
  /** Its configuration folder. */
  readonly config: string
  latency(ms: number): Promise<void>
  down(): Promise<void>
}

/** Brings up a healthy lab with just these hosts. */
export async function benchLab(hosts: readonly string[], say: (line: string) => void): Promise<BenchLab> {
  const name = `bench-${process.pid}`
  const lab = (...args: string[]) => execa(process.execPath, [join(packageRoot(), 'dist', 'lab', 'cli.js'), '--lab', name, ...args], { stdin: 'ignore' })
  const down = async () => {
    await lab('down')
  }
  say(`lab ${name}: starting ${hosts.length} hosts`)
  try {
    await lab('up', '--hosts', hosts.join(','))
    const { stdout } = await lab('env')
    const config = parseEnvLines(stdout).NIGHTSHIFT_CONFIG
    if (config === undefined) throw new Error('`lab env` names no NIGHTSHIFT_CONFIG')
    return { name, config, latency: async (ms) => void (await lab('latency', String(ms))), down }
  } catch (error) {
    await down().catch(() => {})
    throw error
  }
}
