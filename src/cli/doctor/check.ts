/** What a check of the doctor is, and how checks become a screen and an exit code. */
import { inert } from '../../domain/render/inert.js'
import { wrap } from '../../domain/render/wrap.js'
import { EXIT_CODE_BY_SEVERITY, worstSeverity } from '../../domain/status.js'
import { plainCause } from '../plain-cause.js'

export type CheckResult = 'ok' | 'warn' | 'fail' | 'unknown'

export interface Check {
  /** What it belongs to: `files`, `state`, `receipts`, `temporal`, `host pve`, … */
  readonly area: string
  readonly name: string
  readonly result: CheckResult
  readonly message: string
  /** What to do; null when nothing has to be done. */
  readonly next: string | null
}

const SEVERITY = { ok: 'ok', warn: 'warning', fail: 'critical', unknown: 'unknown' } as const

export const ok = (area: string, name: string, message: string): Check => ({ area, name, result: 'ok', message, next: null })
export const warn = (area: string, name: string, message: string, next: string): Check => ({ area, name, result: 'warn', message, next })
export const fail = (area: string, name: string, message: string, next: string): Check => ({ area, name, result: 'fail', message, next })
export const unknown = (area: string, name: string, message: string, next: string): Check => ({ area, name, result: 'unknown', message, next })

/** The check of a step that threw: its words, and its own advice when it has one. */
export function failedWith(area: string, name: string, error: unknown, advice: string): Check {
  const next = typeof error === 'object' && error !== null && 'next' in error && typeof error.next === 'string' ? error.next : advice
  return fail(area, name, plainCause(error), next)
}

/** 0 all well, 1 warnings, 2 something fails, 3 something could not be looked at (worst wins, as in the verdict of a pass). */
export function doctorExitCode(checks: readonly Check[]): 0 | 1 | 2 | 3 {
  return checks.length === 0 ? EXIT_CODE_BY_SEVERITY.unknown : EXIT_CODE_BY_SEVERITY[worstSeverity(checks.map((check) => SEVERITY[check.result]))]
}

/** Lines for people, in the order of the checks; problems with what to do. */
export function checkLines(check: Check, width: number, paint: (result: CheckResult, text: string) => string): string[] {
  const head = `${check.area}: ${check.name}: ${check.message}`
  const [first = '', ...rest] = wrap(inert(head), Math.max(20, width - WORD_WIDTH))
  const next = check.next === null ? [] : check.next.split('\n').flatMap((line) => wrap(inert(line), Math.max(20, width - WORD_WIDTH - 2)))
  return [
    `${paint(check.result, check.result.padEnd(WORD_WIDTH))}${first}`,
    ...rest.map((line) => ' '.repeat(WORD_WIDTH) + line),
    ...next.map((line, index) => `${' '.repeat(WORD_WIDTH)}${index === 0 ? '→ ' : '  '}${line}`),
  ]
}

const WORD_WIDTH = 9
