/** The last line of `npm test` tells the truth about every way a run can go wrong. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { packageRoot } from '../../../src/temporal/package-root.js'

let folder: string

/** Runs `runTests` of the set-up on one test file of a project of its own. */
function closingLineOf(testFile: string | undefined, args: string[] = []): { status: number | null; lastLine: string | undefined } {
  rmSync(join(folder, 'tests'), { recursive: true, force: true })
  mkdirSync(join(folder, 'tests'))
  if (testFile !== undefined) writeFileSync(join(folder, 'tests/a.test.mjs'), `import { it, expect } from 'vitest'\n${testFile}`)
  const runner = `import { runTests } from ${JSON.stringify(join(packageRoot(), 'setup/tests.mjs'))}; process.exitCode = await runTests(${JSON.stringify(['--config', join(folder, 'vitest.config.mjs'), '--root', folder, ...args])})`
  const run = spawnSync(process.execPath, ['--input-type=module', '-e', runner], { encoding: 'utf8', cwd: packageRoot() })
  return { status: run.status, lastLine: run.stdout.trimEnd().split('\n').at(-1) }
}

describe('the closing line', () => {
  beforeAll(() => {
    folder = mkdtempSync(join(packageRoot(), 'node_modules/.closing-line-'))
    writeFileSync(join(folder, 'vitest.config.mjs'), `export default { test: { include: ['tests/*.test.mjs'] } }`)
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it.each([
    ['all pass', `it('a', () => {}); it('b', () => {})`, '2 passed, 0 failed', 0],
    ['one fails', `it('a', () => {}); it('b', () => { expect(1).toBe(2) })`, '1 passed, 1 failed', 1],
    ['one is skipped', `it('a', () => {}); it.skip('b', () => {})`, '1 passed, 1 failed', 1],
    ['one is only promised', `it('a', () => {}); it.todo('b')`, '1 passed, 1 failed', 1],
    ['a file cannot be loaded', `import './nothing.mjs'`, '0 passed, 1 failed', 1],
    [
      'an error escapes a test',
      `it('a', () => { setTimeout(() => { throw new Error('late') }, 0); return new Promise((r) => setTimeout(r, 50)) })`,
      '1 passed, 1 failed',
      1,
    ],
    ['the worker dies', `it('a', () => { process.kill(process.pid, 'SIGKILL') })`, '0 passed, 2 failed', 1],
    ['no test is there', undefined, '0 passed, 1 failed', 1],
  ])('when %s', (_name, testFile, line, status) => {
    const run = closingLineOf(testFile)
    expect(run.lastLine).toBe(line)
    expect(run.status).toBe(status)
  })

  it('does not count what a name pattern leaves out', () => {
    expect(closingLineOf(`it('wanted', () => {}); it('other', () => {})`, ['-t', 'wanted'])).toEqual({ status: 0, lastLine: '1 passed, 0 failed' })
  })
})
