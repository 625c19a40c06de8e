/** Writes findings down: one for each cause. */
import type { Finding, Reason, Severity } from '../status.js'
import type { Pass } from './pass.js'

export interface Verdict {
  readonly reason: Reason
  readonly severity: Severity
  readonly message: string
  readonly next: string | null
}

export function report(pass: Pass, subject: string, condition: Finding['condition'], verdict: Verdict): void {
  if (verdict.severity === 'ok') return
  const { reason, severity, message, next } = verdict
  pass.findings.push({ subject, condition, severity, reason, message, next })
}

/** One argument of a command that people copy into a shell. */
export function quoteForPeople(word: string): string {
  return /^[A-Za-z0-9_./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}

/** `ssh HOST 'COMMAND'`, to be copied. */
export const onHost = (alias: string, command: string): string => `ssh ${quoteForPeople(alias)} ${quoteForPeople(command)}`

/** Nobody waits for a guest's first scheduled backup: this does. */
export const enrollCommand = (host: string, vmid: number): string => `nightshift run vzdumpEnrollment '${JSON.stringify({ host, guests: [vmid] })}'`
