/** A lab of the benchmark's own, through the lab's command line. */
import { join } from 'node:path'
import { execa } from 'execa'
import { packageRoot } from '../src/temporal/package-root.js'
import { parseEnvLines } from './env-lines.js'

/** One line of a ledger. */
export interface Effect {
  /** The command that made it. */
  readonly by: string
  readonly effect: string
  readonly subject: string
}

export interface BenchLab {
  readonly name: string
  /** Its configuration folder. */
  readonly config: string
  latency(ms: number): Promise<void>
  /** Runs a program in a host, as root. */
  exec(host: string, ...argv: string[]): Promise<string>
  /** What changed a host, oldest first: the ledger of the emulated Proxmox (lab/pve/README.md). Other hosts have none. */
  ledger(host: string): Promise<Effect[]>
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
    const ledger = async (host: string) => {
      const { stdout: lines } = await lab('exec', host, '--', 'sh', '-c', 'f=/var/lib/nightshift-lab/ledger.jsonl; [ ! -e "$f" ] || cat "$f"')
      return lines.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Effect]))
    }
    const exec = async (host: string, ...argv: string[]) => (await lab('exec', host, '--', ...argv)).stdout
    return { name, config, exec, latency: async (ms) => void (await lab('latency', String(ms))), ledger, down }
  } catch (error) {
    await down().catch(() => {})
    throw error
  }
}
