/** `npm test`: every test, then one line that says how it went. No test, a skipped test, or a run that died is a failure. */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root } from './folders.mjs'

/**
 * @param {string[]} args for vitest: file names, `--project unit`, `-t PATTERN`
 * @returns {Promise<number>} the exit code
 */
export async function runTests(args) {
  const folder = mkdtempSync(join(tmpdir(), 'nightshift-tests-'))
  const countsPath = join(folder, 'counts.json')
  try {
    const code = await vitest(args, countsPath)
    const counts = readCounts(countsPath)
    const byName = args.some((arg) => /^(-t|--testNamePattern)(=|$)/.test(arg))
    const skipped = byName ? [] : counts.skipped
    for (const name of skipped) process.stdout.write(`skipped, which counts as failed: ${name}\n`)
    if (counts.passed + counts.failed === 0) process.stdout.write('no test ran, which counts as failed\n')
    const none = counts.passed + counts.failed + skipped.length === 0
    const failed = counts.failed + skipped.length + (none || (code !== 0 && counts.failed === 0) ? 1 : 0)
    process.stdout.write(`${counts.passed} passed, ${failed} failed\n`)
    return failed === 0 ? 0 : 1
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function vitest(args, countsPath) {
  const program = join(root, 'node_modules/vitest/vitest.mjs')
  const reporters = ['--reporter=default', `--reporter=${join(root, 'setup/closing-line-reporter.mjs')}`]
  const child = spawn(process.execPath, [program, 'run', ...reporters, ...args], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, NIGHTSHIFT_TEST_COUNTS: countsPath },
  })
  // Ctrl-C reaches vitest through the terminal; we stay for its end and the closing line.
  const ignore = () => {}
  const forward = () => child.kill('SIGTERM')
  process.on('SIGINT', ignore)
  process.on('SIGTERM', forward)
  try {
    return await new Promise((resolve) => {
      child.once('error', () => resolve(1))
      child.once('exit', (code) => resolve(code ?? 1))
    })
  } finally {
    process.off('SIGINT', ignore)
    process.off('SIGTERM', forward)
  }
}

function readCounts(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch {
    return { passed: 0, failed: 0, skipped: [] }
  }
}
