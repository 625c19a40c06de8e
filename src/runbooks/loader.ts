/**
 * The configuration folder → one typed set, or all of its problems at once. What comes back is checked completely: no other part of
 * the program validates runbook files again.
 */
import { access } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'
import { canonicalJson, sha256Hex } from '../domain/canonical.js'
import type { RunbookSet } from '../domain/estate.js'
import { alertsSchema } from './alerts-schema.js'
import { calendarSchema } from './calendar-schema.js'
import { checkAlerts } from './check-alerts.js'
import { checkEmailRelay } from './check-email-relay.js'
import { checkReferences } from './check-references.js'
import { checkShape } from './check-shape.js'
import { checkVzdump } from './check-vzdump.js'
import { emailRelaySchema } from './email-relay-schema.js'
import { estateSchema } from './estate-schema.js'
import { inventorySchema } from './inventory-schema.js'
import { normaliseAlerts, normaliseCalendar, normaliseEstate, normaliseInventory } from './normalise.js'
import { normaliseEmailRelay } from './normalise-email-relay.js'
import { normaliseVzdump } from './normalise-vzdump.js'
import { RunbookErrors, type RunbookProblem, sortProblems } from './problems.js'
import { readRunbookFile } from './read-file.js'
import { resolveLocalPath } from './secret-reference.js'
import { vzdumpSchema } from './vzdump-schema.js'
import { parseYaml, type YamlSource } from './yaml-source.js'

/** The files that every configuration folder has. */
type RequiredFile = 'estate' | 'inventory' | 'calendar' | 'alerts'
/** Files whose runbooks cannot be used where they are missing; everything else can. */
type OptionalFile = 'vzdump' | 'emailRelay'
export type RunbookFileName = RequiredFile | OptionalFile

type PerFile<T> = Readonly<Record<RequiredFile, T>> & Readonly<Partial<Record<OptionalFile, T>>>

/** A loaded set, with what may be a mistake in the operator's files, and where the files are. */
export interface LoadedRunbooks extends RunbookSet {
  /** Nothing here stops a pass; each is something that a person should look at. */
  readonly warnings: readonly RunbookProblem[]
  readonly configDir: string
  /** Paths of the files that were read. */
  readonly files: PerFile<string>
}

export type RunbookTexts = PerFile<{ readonly file: string; readonly text: string }>

/**
 * Reads and checks a configuration folder.
 * @throws RunbookErrors with every problem of every file.
 */
export async function loadRunbooks(configDir: string): Promise<LoadedRunbooks> {
  const problems: RunbookProblem[] = []
  if (!(await exists(configDir))) {
    const hint = 'name the configuration folder with --config'
    throw new RunbookErrors([{ file: configDir, line: 1, column: 1, path: '', found: 'no such folder', allowed: 'a folder with estate.yaml in it', hint }])
  }
  const estate = await readInto(join(configDir, 'estate.yaml'), problems)
  const named = estate === undefined ? {} : filesNamedBy(parseYaml(estate.file, estate.text).source)
  const paths = {
    inventory: await choosePath(configDir, named.inventory, ['inventory.yaml', 'backup.inventory.yaml'], problems),
    calendar: await choosePath(configDir, named.calendar, ['calendar.yaml', 'backup.calendar.yaml'], problems),
    alerts: await choosePath(configDir, named.alerts, ['alerts.yaml'], problems),
    vzdump: await chooseOptional(configDir, named.vzdump, 'vzdump.yaml'),
    emailRelay: await chooseOptional(configDir, named.emailRelay, 'email-relay.yaml'),
  }
  const [inventory, calendar, alerts, vzdump, emailRelay] = await Promise.all([
    readInto(paths.inventory, problems),
    readInto(paths.calendar, problems),
    readInto(paths.alerts, problems),
    readInto(paths.vzdump, problems),
    readInto(paths.emailRelay, problems),
  ])
  return check({ estate, inventory, calendar, alerts, vzdump, emailRelay }, problems, configDir)
}

/**
 * Checks texts that are already at hand; reads nothing.
 * @param configDir what relative paths inside of the files are relative to
 * @throws RunbookErrors with every problem of every file.
 */
export function parseRunbooks(texts: RunbookTexts, configDir = '.'): LoadedRunbooks {
  return check(texts, [], configDir)
}

type SomeTexts = { readonly [K in RunbookFileName]?: { readonly file: string; readonly text: string } | undefined }

function check(texts: SomeTexts, problemsSoFar: readonly RunbookProblem[], configDir: string): LoadedRunbooks {
  const problems = [...problemsSoFar]
  const parse = (name: RunbookFileName): YamlSource | undefined => {
    const given = texts[name]
    if (given === undefined) return undefined
    const parsed = parseYaml(given.file, given.text)
    problems.push(...parsed.problems)
    return parsed.source
  }
  const sources = {
    estate: parse('estate'),
    inventory: parse('inventory'),
    calendar: parse('calendar'),
    alerts: parse('alerts'),
    vzdump: parse('vzdump'),
    emailRelay: parse('emailRelay'),
  }
  const shapes = {
    estate: sources.estate && checkShape(sources.estate, estateSchema),
    inventory: sources.inventory && checkShape(sources.inventory, inventorySchema),
    calendar: sources.calendar && checkShape(sources.calendar, calendarSchema),
    alerts: sources.alerts && checkShape(sources.alerts, alertsSchema),
    vzdump: sources.vzdump && checkShape(sources.vzdump, vzdumpSchema),
    emailRelay: sources.emailRelay && checkShape(sources.emailRelay, emailRelaySchema),
  }
  const results = [
    ...Object.values(shapes),
    checkReferences(sources),
    sources.alerts && checkAlerts(sources.alerts),
    sources.vzdump && checkVzdump(sources.vzdump, sources.estate),
    sources.emailRelay && checkEmailRelay(sources.emailRelay, sources.estate),
  ]
  problems.push(...results.flatMap((result) => result?.problems ?? []))
  const warnings = results.flatMap((result) => result?.warnings ?? [])

  const order = Object.values(texts).flatMap((text) => (text === undefined ? [] : [text.file]))
  const [estateFile, inventoryFile, calendarFile, alertsFile] = [shapes.estate?.data, shapes.inventory?.data, shapes.calendar?.data, shapes.alerts?.data]
  if (problems.length > 0 || !estateFile || !inventoryFile || !calendarFile || !alertsFile) throw new RunbookErrors(sortProblems(problems, order))

  const estate = normaliseEstate(estateFile, configDir)
  return {
    estate,
    inventory: normaliseInventory(inventoryFile, estate, placeOfRow(sources.inventory, 'targets', 'inventory.yaml')),
    calendar: normaliseCalendar(calendarFile, estate, placeOfRow(sources.calendar, 'events', 'calendar.yaml')),
    alerts: normaliseAlerts(alertsFile, configDir),
    ...(sources.vzdump && shapes.vzdump?.data ? { vzdump: normaliseVzdump(shapes.vzdump.data, sources.vzdump) } : {}),
    ...(sources.emailRelay && shapes.emailRelay?.data ? { emailRelay: normaliseEmailRelay(shapes.emailRelay.data, sources.emailRelay, configDir) } : {}),
    digest: digestOf(sources),
    warnings: sortProblems(warnings, order),
    configDir,
    files: {
      estate: fileOf(sources.estate),
      inventory: fileOf(sources.inventory),
      calendar: fileOf(sources.calendar),
      alerts: fileOf(sources.alerts),
      ...(sources.vzdump === undefined ? {} : { vzdump: sources.vzdump.file }),
      ...(sources.emailRelay === undefined ? {} : { emailRelay: sources.emailRelay.file }),
    },
  }
}

/** SHA-256 over the canonical form of what the files say: comments, order and layout do not count, unknown keys do. */
function digestOf({ vzdump, emailRelay, ...required }: Record<RunbookFileName, YamlSource | undefined>): string {
  const there = { ...required, ...(vzdump === undefined ? {} : { vzdump }), ...(emailRelay === undefined ? {} : { emailRelay }) }
  const values = Object.fromEntries(Object.entries(there).map(([name, source]) => [name, source?.value ?? null]))
  return sha256Hex(canonicalJson(values))
}

function placeOfRow(source: YamlSource | undefined, list: string, fallback: string): (index: number) => string {
  return (index) => (source === undefined ? fallback : `${baseName(source.file)}:${source.place([list, index]).line}`)
}

function fileOf(source: YamlSource | undefined): string {
  return source?.file ?? ''
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

async function readInto(path: string | undefined, problems: RunbookProblem[]): Promise<{ file: string; text: string } | undefined> {
  if (path === undefined) return undefined
  const read = await readRunbookFile(path)
  if ('problem' in read) {
    problems.push(read.problem)
    return undefined
  }
  return { file: path, text: read.text }
}

function filesNamedBy(estate: YamlSource | undefined): Partial<Record<RunbookFileName, string>> {
  const named: Partial<Record<RunbookFileName, string>> = {}
  for (const name of ['inventory', 'calendar', 'alerts', 'vzdump', 'emailRelay'] as const) {
    const path = estate?.at(['files', name === 'emailRelay' ? 'email_relay' : name])
    if (typeof path === 'string' && !path.includes('\0')) named[name] = path
  }
  return named
}

async function choosePath(
  configDir: string,
  named: string | undefined,
  usual: readonly [string, ...string[]],
  problems: RunbookProblem[],
): Promise<string | undefined> {
  if (named !== undefined) return pathOfNamed(configDir, named)
  const there: string[] = []
  for (const name of usual) if (await exists(join(configDir, name))) there.push(name)
  if (there.length > 1) {
    const allowed = 'one of the two'
    problems.push({
      file: join(configDir, there[1] ?? ''),
      line: 1,
      column: 1,
      path: '',
      found: there.join(' and '),
      allowed,
      hint: 'remove one, or name the right one under `files:` in estate.yaml',
    })
    return undefined
  }
  return join(configDir, there[0] ?? usual[0])
}

/** A file that is named has to be there; one that is not named may be missing. */
async function chooseOptional(configDir: string, named: string | undefined, usual: string): Promise<string | undefined> {
  if (named !== undefined) return pathOfNamed(configDir, named)
  const path = join(configDir, usual)
  return (await exists(path)) ? path : undefined
}

function pathOfNamed(configDir: string, named: string): string {
  return isAbsolute(named) || named.startsWith('~/') ? resolveLocalPath(named, configDir) : join(configDir, named)
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  )
}
