/** Runs a program of the machine: argument arrays, errors that carry the last line the program said. */
import { execa } from 'execa'
import { LabError } from './errors.js'

export interface CommandResult {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

export interface CommandOptions {
  readonly stdin?: string | Uint8Array
  readonly timeoutMs?: number
  /** Default true: an exit code other than 0 is a LabError. */
  readonly check?: boolean
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
}

/** The machine's administration tools are in sbin, which is not on every root shell's PATH. */
export const MACHINE_PATH = [...new Set([...(process.env.PATH ?? '').split(':').filter(Boolean), '/usr/sbin', '/usr/bin', '/sbin', '/bin'])].join(':')

/** @throws LabError `config` when the program is not there, `failed` when it ran and failed or took too long */
export async function run(argv: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const [program, ...rest] = argv
  if (program === undefined) throw new TypeError('run() without a program')
  const result = await execa(program, rest, {
    reject: false,
    stripFinalNewline: false,
    env: { PATH: MACHINE_PATH, LC_ALL: 'C.UTF-8', ...options.env },
    ...(options.stdin === undefined ? { stdin: 'ignore' } : { input: options.stdin }),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    timeout: options.timeoutMs ?? 60_000,
    killSignal: 'SIGKILL',
    maxBuffer: 64 * 1024 * 1024,
  })
  if (result.code === 'ENOENT') throw new LabError('config', `the program ${program} is not installed on this machine`, packageAdvice(program))
  if (result.timedOut) throw new LabError('failed', `${shown(argv)} did not end within ${options.timeoutMs ?? 60_000} ms`)
  const outcome = { exitCode: result.exitCode ?? 128 + 9, stdout: result.stdout, stderr: result.stderr }
  if (outcome.exitCode !== 0 && options.check !== false) throw new LabError('failed', `${shown(argv)} failed (exit ${outcome.exitCode}): ${lastLines(outcome)}`)
  return outcome
}

function shown(argv: readonly string[]): string {
  const text = argv.join(' ')
  return text.length > 200 ? `${text.slice(0, 200)}…` : text
}

function lastLines({ stdout, stderr }: CommandResult): string {
  const lines = `${stderr.trim() || stdout.trim()}`.split('\n')
  return lines.slice(-3).join(' | ').slice(-600) || 'it said nothing'
}

const PACKAGES: Readonly<Record<string, string>> = {
  ip: 'iproute2',
  tc: 'iproute2',
  bridge: 'iproute2',
  mmdebstrap: 'mmdebstrap',
  unshare: 'util-linux',
  nsenter: 'util-linux',
  setpriv: 'util-linux',
  flock: 'util-linux',
  mount: 'mount',
  'ssh-keygen': 'openssh-client',
  ssh: 'openssh-client',
  mke2fs: 'e2fsprogs',
}

export function packageAdvice(program: string): string {
  return `apt-get install ${PACKAGES[program] ?? program}`
}
