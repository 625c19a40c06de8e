/** The code is formatted, linted and typed: sources, lab, benchmarks, set-up and tests. */
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { packageRoot } from '../../src/temporal/package-root.js'

const root = packageRoot()

function run(script: string, ...args: string[]): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'node_modules', script), ...args], { cwd: root, encoding: 'utf8' })
  return { status, output: stdout + stderr }
}

describe('the code', () => {
  it('is formatted and linted', { timeout: 60_000 }, () => {
    expect(run('@biomejs/biome/bin/biome', 'ci', '--diagnostic-level=error', '.')).toMatchObject({ status: 0 })
  })

  it('is typed, tests included', { timeout: 240_000 }, () => {
    // The compiler's notes name each file by its content: only what changed, or stands on what changed, is checked again.
    const notes = join(root, 'node_modules/.cache/nightshift/tests.tsbuildinfo')
    expect(run('typescript/bin/tsc', '--noEmit', '--incremental', '--tsBuildInfoFile', notes, '-p', 'tsconfig.test.json')).toEqual({ status: 0, output: '' })
  })

  it('has no overlong file, nothing unsafe, and no test that is left out', () => {
    const problems = ['src', 'lab', 'bench', 'setup', 'test'].flatMap(sources).flatMap((path) => {
      const text = readFileSync(join(root, path), 'utf8')
      const wrong: string[] = []
      if (!path.startsWith('test/') && text.split('\n').length > 450) wrong.push(`${path}: ${text.split('\n').length} lines`)
      if (/@ts-(ignore|nocheck)/.test(text) && !path.endsWith('style.test.ts')) wrong.push(`${path}: silences the compiler`)
      if (/\b(it|test|describe)\.(skip|todo|only)\(/.test(text) && !/(style|closing-line)\.test\.ts$/.test(path)) wrong.push(`${path}: leaves a test out`)
      return wrong
    })
    expect(problems).toEqual([])
  })
})

/** TypeScript and set-up sources below a folder, relative to the root. */
function sources(folder: string): string[] {
  const path = join(root, folder)
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return []
  return readdirSync(path, { withFileTypes: true }).flatMap((entry) => {
    const inner = `${folder}/${entry.name}`
    if (entry.isDirectory()) return sources(inner)
    return /\.(ts|mts|mjs|cjs)$/.test(entry.name) ? [inner] : []
  })
}
