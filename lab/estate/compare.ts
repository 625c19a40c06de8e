/**
 * Compares what the monitor said of a hurt lab with what the case expects, and with the healthy pass: the expected subjects are
 * as expected, and nothing else has changed. Pure, on `nightshift.status/1` documents.
 */
import type { GateResult } from '../../src/domain/gates.js'
import type { StatusDocument } from '../../src/domain/status.js'
import type { Expectation, GateExpectation, HurtCase, SubjectKind } from './cases/types.js'

/** One row of a status document, whatever its kind. */
interface Subject {
  readonly kind: SubjectKind
  readonly id: string
  readonly host: string | null
  readonly state: string | null
  readonly reason: string
  readonly severity: string
  readonly message: string
  readonly inhibitedBy: string | null
}

/** What was expected and is not so, one sentence each; empty when all is as it should be. */
export function compareWithExpected(one: Pick<HurtCase, 'expect' | 'verdict' | 'newFindings'>, healthy: StatusDocument, hurt: StatusDocument): string[] {
  const subjects = subjectsOf(hurt)
  const before = new Map(subjectsOf(healthy).map((subject) => [keyOf(subject), subject]))
  const changed = subjects.filter((subject) => differs(subject, before.get(keyOf(subject))))
  const problems: string[] = []
  const explained = new Set<string>()
  for (const expectation of one.expect) {
    for (const { wanted, found } of matches(expectation, subjects)) {
      if (found.length === 0 && !expectation.optional) problems.push(`expected ${expectation.kind} ${wanted}, the status has no such row`)
      for (const subject of found) {
        explained.add(keyOf(subject))
        const isChanged = changed.includes(subject)
        if (expectation.optional && !isChanged) continue
        problems.push(...unmet(expectation, subject).map((what) => `${expectation.kind} ${subject.id}: ${what} (${shown(subject)})`))
      }
    }
  }
  for (const subject of changed) {
    if (explained.has(keyOf(subject)) || (subject.kind === 'finding' && isAbout(subject, explained))) continue
    problems.push(`${subject.kind} ${subject.id} changed although nothing was done to it: ${shown(subject)}`)
  }
  const present = new Set(subjects.map(keyOf))
  for (const [key, subject] of before) {
    if (!present.has(key) && !expectedGone(one.expect, subject)) problems.push(`${subject.kind} ${subject.id} is no longer in the status`)
  }
  const added = changed.filter(({ kind }) => kind === 'finding')
  if (one.newFindings !== undefined && added.length !== one.newFindings)
    problems.push(`${added.length} new findings, expected ${one.newFindings}: ${added.map(({ id, reason }) => `${id} ${reason}`).join(', ')}`)
  if (hurt.verdict !== one.verdict) problems.push(`verdict is ${hurt.verdict}, expected ${one.verdict}`)
  return problems
}

/** What the gates should have said and did not; those that nothing is expected of say what they said before. */
export function compareGates(expected: readonly GateExpectation[], before: readonly GateResult[], now: readonly GateResult[]): string[] {
  const shownGate = (gate: GateResult | undefined) => (gate === undefined ? 'was not looked at' : `${gate.state} ${gate.reason}: ${gate.message}`)
  const problems = expected.flatMap(({ id, state, messageIncludes }) => {
    const gate = now.find((one) => one.id === id)
    const said = gate?.message.toLowerCase() ?? ''
    const missing = messageIncludes.filter((words) => !said.includes(words.toLowerCase()))
    return gate?.state === state && missing.length === 0
      ? []
      : [`gate ${id}: expected ${state}${missing.map((words) => `, saying "${words}"`).join('')}; it ${shownGate(gate)}`]
  })
  const others = before.filter((gate) => !expected.some(({ id }) => id === gate.id))
  for (const gate of others) {
    const again = now.find(({ id }) => id === gate.id)
    if (again?.state !== gate.state || again.reason !== gate.reason)
      problems.push(`gate ${gate.id} changed: before ${shownGate(gate)}; now ${shownGate(again)}`)
  }
  return problems
}

/** What differs between two passes over the same hurt lab: identities and words of state must stay, only ages move. */
export function compareRepeated(first: StatusDocument, second: StatusDocument): string[] {
  const identity = (subject: Subject) => [keyOf(subject), subject.state, subject.reason, subject.severity].join(' ')
  const [one, two] = [first, second].map((status) => new Set(subjectsOf(status).map(identity))) as [Set<string>, Set<string>]
  return [
    ...[...one].filter((key) => !two.has(key)).map((key) => `the second pass has lost: ${key}`),
    ...[...two].filter((key) => !one.has(key)).map((key) => `the second pass has something new: ${key}`),
    ...first.targets.flatMap((target) => {
      const again = second.targets.find((other) => other.id === target.id)
      return again === undefined || again.since === target.since ? [] : [`target ${target.id}: since moved from ${target.since} to ${again.since}`]
    }),
  ]
}

export function subjectsOf(status: StatusDocument): Subject[] {
  const plain = { inhibitedBy: null }
  return [
    ...status.targets.map((row) => ({ ...plain, ...row, kind: 'target' as const })),
    ...status.guests.map((row) => ({ ...plain, ...row, kind: 'guest' as const, id: String(row.vmid) })),
    ...status.jobs.map((row) => ({ ...plain, ...row, kind: 'job' as const })),
    ...status.storages.map((row) => ({ ...plain, ...row, kind: 'storage' as const })),
    ...status.hosts.map((row) => ({ ...plain, ...row, kind: 'host' as const, id: row.host })),
    ...status.findings.map((row) => ({ ...plain, ...row, kind: 'finding' as const, id: row.subject, host: null, state: row.condition })),
  ]
}

const keyOf = (subject: Subject) =>
  [subject.kind, subject.host ?? '', subject.id, subject.kind === 'finding' ? `${subject.state}/${subject.reason}` : ''].join('|')

const differs = (now: Subject, then: Subject | undefined) =>
  then === undefined || now.state !== then.state || now.reason !== then.reason || now.severity !== then.severity

/** The rows that an expectation is about: for each id it names, what fits. */
function matches(expectation: Expectation, subjects: readonly Subject[]): { wanted: string; found: Subject[] }[] {
  const hosts = expectation.host === undefined ? undefined : [expectation.host].flat()
  const fitting = subjects.filter((subject) => subject.kind === expectation.kind && (hosts === undefined || hosts.includes(subject.host ?? '')))
  if (expectation.ids === 'all') return [{ wanted: `on ${hosts?.join(', ') ?? 'any host'}`, found: fitting }]
  // Of findings one of the named subjects is enough: it is the judge's choice which subject it puts a cause to.
  if (expectation.kind === 'finding')
    return [
      {
        wanted: expectation.ids.join(' or '),
        found: fitting.filter((subject) => (expectation.ids as readonly string[]).some((id) => fits(id, subject.id)) && saysAll(expectation, subject)),
      },
    ]
  return expectation.ids.map((id) => ({ wanted: id, found: fitting.filter((subject) => fits(id, subject.id)) }))
}

/** `*` stands for anything. */
function fits(pattern: string, id: string): boolean {
  const parts = pattern.split('*').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}$`).test(id)
}

function saysAll(expectation: Expectation, subject: Subject): boolean {
  const said = subject.message.toLowerCase()
  return (expectation.messageIncludes ?? []).every((words) => said.includes(words.toLowerCase()))
}

function unmet(expectation: Expectation, subject: Subject): string[] {
  const problems: string[] = []
  const is = (what: string, wanted: string | readonly string[] | undefined, got: string | null) => {
    if (wanted !== undefined && ![wanted].flat().includes(got ?? '')) problems.push(`${what} is ${got}, expected ${[wanted].flat().join(' or ')}`)
  }
  is('state', expectation.state, subject.state)
  is('reason', expectation.reason, subject.reason)
  is('severity', expectation.severity, subject.severity)
  const said = subject.message.toLowerCase()
  for (const words of expectation.messageIncludes ?? []) if (!said.includes(words.toLowerCase())) problems.push(`the message does not say "${words}"`)
  if (expectation.inhibited && subject.inhibitedBy === null) problems.push('it is not marked as held back by its cause')
  return problems
}

/** A finding about a row that is explained already is the same news once more. */
function isAbout(finding: Subject, explained: ReadonlySet<string>): boolean {
  return [...explained].some((key) => {
    const [kind, host = '', id = ''] = key.split('|')
    return kind !== 'finding' && finding.id.includes(`/${kind}/`) && finding.id.endsWith(id) && (kind !== 'guest' || finding.id.includes(host))
  })
}

function expectedGone(expect: readonly Expectation[], subject: Subject): boolean {
  return expect.some(
    (one) =>
      one.kind === subject.kind &&
      one.optional &&
      (one.ids === 'all' || one.ids.includes(subject.id)) &&
      (one.host === undefined || [one.host].flat().includes(subject.host ?? '')),
  )
}

function shown(subject: Subject): string {
  return `${subject.state} ${subject.reason}, ${subject.severity}: ${subject.message}`
}
