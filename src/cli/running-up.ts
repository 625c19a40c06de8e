/** Where the running `nightshift up` of an estate is to be found: a small file in the state folder, so that other commands need no address. */
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { replaceFile } from '../files/replace-file.js'

export interface RunningUp {
  readonly address: string
  readonly namespace: string
  readonly uiUrl: string | null
  readonly pid: number
}

const FILE = 'up.json'

export function rememberRunningUp(stateDir: string, up: Omit<RunningUp, 'pid'>): void {
  replaceFile(join(stateDir, FILE), `${JSON.stringify({ ...up, pid: process.pid })}\n`)
}

export function forgetRunningUp(stateDir: string): void {
  rmSync(join(stateDir, FILE), { force: true })
}

/** The running one; undefined when there is none (its process is gone, the file is not there or not ours). */
export function findRunningUp(stateDir: string): RunningUp | undefined {
  try {
    const up = JSON.parse(readFileSync(join(stateDir, FILE), 'utf8')) as RunningUp
    process.kill(up.pid, 0)
    return up
  } catch {
    return undefined
  }
}
