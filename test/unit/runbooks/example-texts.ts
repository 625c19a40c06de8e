/** The example runbooks as texts that a test may damage, and what the loader says about them then. */
import { readFileSync } from 'node:fs'
import { formatProblem, type LoadedRunbooks, parseRunbooks, RunbookErrors, type RunbookFileName, type RunbookProblem } from '../../../src/runbooks/index.js'

/** `vzdump.yaml` and `email-relay.yaml` may be missing, and are from most folders that tests make. */
export type Texts = Record<Exclude<RunbookFileName, 'vzdump' | 'emailRelay'>, string> & { readonly vzdump?: string; readonly emailRelay?: string }

const NAMES = ['estate', 'inventory', 'calendar', 'alerts', 'vzdump', 'emailRelay'] as const
const fileNameOf = (name: RunbookFileName) => (name === 'emailRelay' ? 'email-relay.yaml' : `${name}.yaml`)
const EXAMPLE = Object.fromEntries(NAMES.map((name) => [name, readFileSync(`runbooks/${fileNameOf(name)}`, 'utf8')])) as Record<RunbookFileName, string>

export function exampleTexts(): Record<RunbookFileName, string> {
  return { ...EXAMPLE }
}

/** Replaces the first occurrence; a test that changes nothing is a mistake of the test. */
export function replaced(text: string, what: string, by: string): string {
  if (!text.includes(what)) throw new Error(`the example does not contain ${JSON.stringify(what)}`)
  return text.replace(what, () => by)
}

export function load(texts: Texts): LoadedRunbooks {
  const given = Object.fromEntries(NAMES.flatMap((name) => (texts[name] === undefined ? [] : [[name, { file: fileNameOf(name), text: texts[name] }]])))
  return parseRunbooks(given as Record<RunbookFileName, { file: string; text: string }>, '/etc/nightshift')
}

/** The problems of a set of texts; none when it loads. Anything else that is thrown is a failure of the loader. */
export function problemsOf(texts: Texts): readonly RunbookProblem[] {
  try {
    load(texts)
    return []
  } catch (error) {
    if (error instanceof RunbookErrors) return error.problems
    throw error
  }
}

/** The example with one replacement in one file. */
export function exampleWith(file: RunbookFileName, what: string, by: string): Record<RunbookFileName, string> {
  const texts = exampleTexts()
  return { ...texts, [file]: replaced(texts[file], what, by) }
}

export function linesOf(problems: readonly RunbookProblem[]): string[] {
  return problems.map(formatProblem)
}

/** A small, whole set in which every line number can be counted by hand. */
export function smallTexts(): Texts {
  return {
    estate: [
      'version: 1',
      'id: small',
      'timezone: UTC',
      'sites: [{ id: shop }]',
      'hosts:',
      '  - { name: pve, site: shop, kind: proxmox }',
      '  - { name: nas, site: shop, kind: nas }',
      'produced_by:',
      '  vm-204: { vzdump: { host: pve, vmid: 204 } }',
      '',
    ].join('\n'),
    inventory: [
      'version: 1',
      'defaults: { timezone: UTC, stale_after_hours: 30 }',
      'targets:',
      '  - name: vm-204',
      '    enabled: true',
      '    kind: file_glob',
      '    host: pve',
      '    base_path: /backups/dump',
      '    glob: "vzdump-qemu-204-*.vma.zst"',
      '    classification: critical',
      '',
    ].join('\n'),
    calendar: [
      'timezone: UTC',
      'dtstart_date: 2026-02-10',
      'calendar_name: Backups',
      'events:',
      '  - id: nightly',
      '    summary: Nightly, all of it',
      '    freq: WEEKLY',
      '    byday: SU',
      '    byhour: 2',
      '    byminute: 0',
      '    duration_minutes: 180',
      '',
    ].join('\n'),
    alerts: ['version: 1', 'sender: alerts@example.org', 'default: { recipients: [ops@example.org] }', ''].join('\n'),
  }
}

/** The small set with one replacement in one file. */
export function smallWith(file: RunbookFileName, what: string, by: string): Texts {
  const texts = smallTexts()
  return { ...texts, [file]: replaced(texts[file] ?? '', what, by) }
}
