/** Runs a program for a set-up step: its output goes to a log, its last lines into the error when it fails; still quiet ones are said to be alive. */
import { spawn } from 'node:child_process'
import { createWriteStream, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { SetupFailure } from './failure.mjs'
import { cacheFolder, root } from './folders.mjs'

const STILL_ALIVE_EVERY_MS = 30_000
const TAIL_LINES = 25

/** Where the output of set-up steps is kept. */
export function logPath() {
  return join(cacheFolder(), 'setup.log')
}

/**
 * @param {string} program
 * @param {string[]} args
 * @param {{ env?: Record<string, string>, next?: string, say: (line: string) => void, showStderr?: boolean }} options
 *   `next`: the advice when it fails; `showStderr`: pass its own progress lines on
 * @returns {Promise<string>} its stdout
 */
export async function run(program, args, { env = {}, next, say, showStderr = false }) {
  mkdirSync(dirname(logPath()), { recursive: true })
  const log = createWriteStream(logPath(), { flags: 'a' })
  log.write(`\n$ ${[program, ...args].join(' ')}\n`)
  const started = Date.now()
  const tail = []
  let stdout = ''
  const child = spawn(program, args, { cwd: root, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  const keep = (text) => {
    log.write(text)
    tail.push(...text.split(/[\r\n]+/).filter((line) => line.trim() !== ''))
    tail.splice(0, Math.max(0, tail.length - TAIL_LINES))
  }
  child.stdout.setEncoding('utf8').on('data', (text) => {
    stdout += text
    keep(text)
  })
  child.stderr.setEncoding('utf8').on('data', (text) => {
    keep(text)
    if (showStderr) for (const line of text.split('\n')) if (line.trim() !== '') say(line)
  })
  // An interrupted step is ended and waited for: nothing goes on working behind a prompt that is back.
  let interruptedBy
  const interrupt = (signal) => {
    interruptedBy = signal
    child.kill('SIGTERM')
  }
  process.on('SIGINT', interrupt)
  process.on('SIGTERM', interrupt)
  const alive = setInterval(() => say(`still working (${seconds(Date.now() - started)}): ${(tail.at(-1) ?? '').slice(0, 100)}`), STILL_ALIVE_EVERY_MS)
  try {
    const how = await new Promise((resolve) => {
      child.once('error', (error) => resolve(error.message))
      child.once('close', (code, signal) => resolve(signal ? `ended by ${signal}` : code === 0 ? undefined : code === 78 ? 78 : `exit code ${code}`))
    })
    if (interruptedBy !== undefined)
      throw new SetupFailure('The set-up was interrupted.', 'start again: what is done stays done', interruptedBy === 'SIGINT' ? 130 : 143)
    if (how === undefined) return stdout
    // 78 is our own programs' word for "not ready": their sentences are the message.
    if (how === 78) throw new SetupFailure(tail.slice(-6).join('\n'), next ?? `the whole output: ${logPath()}`, 78, showStderr)
    throw new SetupFailure(`${program} failed (${how}):\n${tail.map((line) => `    ${line}`).join('\n')}`, next ?? `the whole output: ${logPath()}`, 1)
  } finally {
    process.off('SIGINT', interrupt)
    process.off('SIGTERM', interrupt)
    clearInterval(alive)
    log.end()
  }
}

/** 8 s, 2 min 5 s */
export function seconds(ms) {
  const whole = Math.round(ms / 1000)
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`
}
