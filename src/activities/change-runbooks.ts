/** Steps on the runbook files: facts read from them, and edits that keep comments and order and refuse a file that changed underneath. */
import { type Document, isSeq, parse } from 'yaml'
import { canonicalJson } from '../domain/canonical.js'
import { asSet, type Check, type Effect, type Json, type PathPart, type RunbookEdit, type RunbookFile } from '../domain/change/plan.js'
import type { Difference } from '../domain/change/remote-program.js'
import { editYamlFile, findRow, type LoadedRunbooks, loadRunbooks, readForEdit } from '../runbooks/index.js'

/** What does not hold of these facts. @throws RunbookErrors when a file is broken */
export async function differencesInRunbooks(configDir: string, checks: readonly Check[]): Promise<Difference[]> {
  if (checks.length === 0) return []
  const set = await loadRunbooks(configDir)
  const found: Difference[] = []
  for (const check of checks) {
    if (check.kind !== 'runbook') throw new TypeError(`a check of kind ${check.kind} cannot be made on runbook files`)
    const { text } = await readForEdit(pathOf(set, check.file))
    const value = at(parse(text), check.path)
    const same = check.set === true ? unordered(value) === unordered(check.value) : canonicalJson(value) === canonicalJson(check.value)
    if (!same) found.push({ subject: pathOf(set, check.file), field: check.path.map(pathText).join('.'), expected: check.value, found: value })
  }
  return found
}

/** All edits of one step, in one replacement of the file. @throws EditConflict, RunbookErrors; the file is then as it was */
export async function editRunbooks(configDir: string, effect: Extract<Effect, { kind: 'runbook' }>): Promise<void> {
  const path = pathOf(await loadRunbooks(configDir), effect.file)
  const { sha256 } = await readForEdit(path)
  await editYamlFile(path, sha256, (document) => {
    for (const edit of effect.edits) carryOut(document, edit)
  })
}

function pathOf(set: LoadedRunbooks, file: RunbookFile): string {
  const path = set.files[file]
  if (path === undefined) throw new TypeError(`there is no ${file}.yaml in ${set.configDir}`)
  return path
}

/** The value at a path; null where there is nothing. */
function at(value: unknown, path: readonly PathPart[]): Json {
  let here: unknown = value
  for (const part of path) {
    if (typeof part === 'object') here = Array.isArray(here) ? here.find((row: unknown) => isRecord(row) && row[part.key] === part.value) : undefined
    else if (Array.isArray(here)) here = here[Number(part)]
    else here = isRecord(here) ? here[part] : undefined
  }
  return (here ?? null) as Json
}

function unordered(value: Json): string {
  const list = Array.isArray(value) ? value.map((each) => canonicalJson(each)).sort() : asSet(value)
  return canonicalJson(list)
}

function carryOut(document: Document, edit: RunbookEdit): void {
  const path = positions(document, edit.path)
  if (edit.op === 'set') {
    if (edit.value === null) document.deleteIn(path)
    else document.setIn(path, document.createNode(edit.value))
    return
  }
  const list = document.getIn(path)
  if (edit.op === 'add-to-list') {
    if (!isSeq(list)) {
      document.setIn(path, document.createNode(edit.values))
      return
    }
    const there = new Set((list.toJSON() as unknown[]).map((each) => canonicalJson(each)))
    for (const value of edit.values) if (!there.has(canonicalJson(value))) list.add(document.createNode(value))
    return
  }
  if (!isSeq(list)) return
  const gone = new Set(edit.values.map((each) => canonicalJson(each)))
  const kept = list.items.filter((_item, index) => !gone.has(canonicalJson((list.toJSON() as unknown[])[index])))
  list.items = kept
}

/** Rows by their key become positions. @throws TypeError when there is no such row */
function positions(document: Document, path: readonly PathPart[]): (string | number)[] {
  const found: (string | number)[] = []
  for (const part of path) {
    if (typeof part !== 'object') {
      found.push(part)
      continue
    }
    const row = findRow(document, found, part.key, part.value)
    const list = document.getIn(found)
    if (row === undefined || !isSeq(list)) throw new TypeError(`there is no row with ${pathText(part)} at ${found.join('.')}`)
    found.push(list.items.indexOf(row))
  }
  return found
}

function pathText(part: PathPart): string {
  return typeof part === 'object' ? `[${part.key}=${String(part.value)}]` : String(part)
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
