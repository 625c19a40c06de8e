/** The program as a process of its own, and what `nightshift status` loads. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import ts from 'typescript'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CompiledProgram, compileProgram } from '../compiled.js'
import { aStatus, aTarget } from '../state/status-fixture.js'

const SRC = join(import.meta.dirname, '../../../src')

/** Packages that a file loads at once, by following its imports; what is imported only when needed (`import()`) does not count. */
function packagesLoadedBy(files: readonly string[]): Set<string> {
  const packages = new Set<string>()
  const seen = new Set<string>()
  const visit = (path: string): void => {
    if (seen.has(path)) return
    seen.add(path)
    const compiled = ts.transpileModule(readFileSync(path, 'utf8'), {
      compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022, verbatimModuleSyntax: true },
    })
    for (const [, name = ''] of compiled.outputText.matchAll(/^(?:import|export)\b[^;]*?\bfrom ['"]([^'"]+)['"]|^import ['"]([^'"]+)['"]/gm)) {
      if (name.startsWith('.')) visit(join(dirname(path), name.replace(/\.js$/, '.ts')))
      else if (!name.startsWith('node:')) packages.add(name)
    }
  }
  for (const file of files) visit(file)
  return packages
}

describe('nightshift status', () => {
  it('loads neither Temporal nor schemas nor the YAML reader nor the database', () => {
    const loaded = packagesLoadedBy([join(SRC, 'cli/main.ts'), join(SRC, 'cli/commands/status.ts')])
    expect([...loaded].sort()).toEqual(['commander', 'picocolors', 'string-width'])
  })
})

describe('the program', () => {
  let program: CompiledProgram
  let state: string

  beforeAll(() => {
    program = compileProgram()
    state = mkdtempSync(join(tmpdir(), 'nightshift-program-'))
    const targets = Array.from({ length: 3000 }, (_, index) => aTarget({ id: `target-${index}`, severity: 'warning', state: 'LATE' }))
    writeFileSync(join(state, 'status.json'), JSON.stringify(aStatus({ takenAt: new Date().toISOString(), verdict: 'warning', targets })))
  })

  afterAll(() => {
    program.remove()
    rmSync(state, { recursive: true, force: true })
  })

  const shell = (command: string) => {
    const env = { PATH: process.env.PATH ?? '', NIGHTSHIFT_STATE: state, NIGHTSHIFT: join(program.dir, 'bin/nightshift.js'), NODE: process.execPath }
    return spawnSync('bash', ['--norc', '-o', 'pipefail', '-c', command], { encoding: 'utf8', env, cwd: '/' })
  }

  it('prints all of a long table into a pipe and leaves with the verdict', () => {
    const { stdout, stderr, status } = shell('"$NODE" "$NIGHTSHIFT" status | tail -n 1')
    expect(stderr).toBe('')
    expect(stdout).toMatch(/^WARNING estate lab: 3000 warning, 0 ok; .*\n$/)
    expect(status).toBe(1)
  })

  it('does not complain when its reader goes away, and keeps its exit code', () => {
    const { stdout, stderr, status } = shell('"$NODE" "$NIGHTSHIFT" status | head -n 1')
    expect(stderr).toBe('')
    expect(stdout).toMatch(/^WARNING estate lab.*\n$/)
    expect(status).toBe(1)
  })

  it('can be loaded by Node in all of its parts, not only by the test runner', () => {
    const parts = readdirSync(join(program.dir, 'dist/src/cli'), { recursive: true, encoding: 'utf8' }).filter(
      (name) => name.endsWith('.js') && name !== 'main.js',
    )
    expect(parts.length).toBeGreaterThan(20)
    const imports = parts.map((name) => `await import(${JSON.stringify(join(program.dir, 'dist/src/cli', name))})`).join('\n')
    const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', `${imports}\nprocess.exit(0)`], { encoding: 'utf8', cwd: program.dir })
    expect(stderr).toBe('')
    expect(status).toBe(0)
  })

  it('shows its version, and its commands without loading them', () => {
    expect(shell('"$NODE" "$NIGHTSHIFT" --version').stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
    const help = shell('"$NODE" "$NIGHTSHIFT" --help')
    expect(help).toMatchObject({ status: 0, stderr: '' })
    for (const name of ['up', 'doctor', 'trust', 'status', 'run', 'runs', 'receipts']) expect(help.stdout).toMatch(new RegExp(`^ {2}${name} `, 'm'))
  })
})
