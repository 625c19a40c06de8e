/** Readings of real Postfix and of the emulated Proxmox in a lab, which tests change at one place. */
import { readFileSync } from 'node:fs'
import type { Answer, RelayObservation } from '../../../src/domain/relay/observation.js'
import { exampleTexts, load } from '../runbooks/example-texts.js'

const reading = (name: string) => JSON.parse(readFileSync(`test/fixtures/relay/${name}.json`, 'utf8')) as RelayObservation
export const HEALTHY = reading('healthy-host')
export const AS_FOUND = reading('host-as-found')
export const RUNBOOK = (() => {
  const { emailRelay } = load(exampleTexts())
  if (emailRelay === undefined) throw new Error('the example has no email-relay.yaml')
  return emailRelay
})()
export const HOME = (() => {
  const host = RUNBOOK.hosts.find((each) => each.host === 'proxmox-home')
  if (host === undefined) throw new Error('the example has no proxmox-home')
  return host
})()
export const TODAY = '2026-11-21'

export const withAnswer = (name: string, answer: Answer, seen = HEALTHY): RelayObservation => ({ ...seen, answers: { ...seen.answers, [name]: answer } })

/** A file as it stands on a host, as far as the question's pattern shows it. */
export const withLines = (name: string, path: string, text: string, seen = HEALTHY): RelayObservation => {
  const lines = text.split('\n').flatMap((line, index) => (line === '' ? [] : [{ line: index + 1, text: line }]))
  return withAnswer(name, { kind: 'lines', files: [{ path, lines, error: null }] }, seen)
}

export const withRows = (name: string, change: (rows: Record<string, unknown>[]) => unknown, seen = HEALTHY): RelayObservation => {
  const answer = seen.answers[name]
  const rows = answer?.kind === 'run' ? (JSON.parse(answer.out) as Record<string, unknown>[]) : []
  return withAnswer(name, { kind: 'run', exit: 0, out: JSON.stringify(change(rows)), err: '' }, seen)
}

export const withOutput = (name: string, change: (out: string) => string, seen = HEALTHY): RelayObservation => {
  const answer = seen.answers[name]
  if (answer?.kind !== 'run') throw new Error(`"${name}" is no program`)
  return withAnswer(name, { ...answer, out: change(answer.out) }, seen)
}
