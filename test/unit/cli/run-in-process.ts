/** Runs a `nightshift` command inside of the test and catches what it prints and its exit code. */
import { vi } from 'vitest'
import { runNightshift } from '../../../src/cli/program.js'

export interface CommandResult {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

export async function runInProcess(argv: readonly string[], env: Record<string, string | undefined> = {}): Promise<CommandResult> {
  const said = { stdout: '', stderr: '' }
  const spies = (['stdout', 'stderr'] as const).map((name) =>
    vi.spyOn(process[name], 'write').mockImplementation((chunk: string | Uint8Array) => {
      said[name] += String(chunk)
      return true
    }),
  )
  const clean = { NIGHTSHIFT_STATE: undefined, NIGHTSHIFT_CONFIG: undefined, FORCE_COLOR: undefined, NO_COLOR: '1', COLUMNS: '100' }
  const before = process.exitCode
  process.exitCode = undefined
  for (const [name, value] of Object.entries({ ...clean, ...env })) vi.stubEnv(name, value)
  try {
    await runNightshift(argv)
    return { exitCode: Number(process.exitCode ?? 0), ...said }
  } finally {
    process.exitCode = before
    vi.unstubAllEnvs()
    for (const spy of spies) spy.mockRestore()
  }
}
