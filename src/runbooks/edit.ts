/**
 * Edits of runbook files by programs: comments and order stay, the file is replaced in one step, and nothing is written when
 * somebody else changed the file meanwhile.
 */
import { realpathSync } from 'node:fs'
import { type Document, isMap, isSeq, parseDocument, type ToStringOptions, visit, type YAMLMap } from 'yaml'
import { sha256Hex } from '../domain/canonical.js'
import { replaceFile } from '../files/replace-file.js'
import { keepLayout } from './keep-layout.js'
import { RunbookErrors } from './problems.js'
import { readRunbookFile } from './read-file.js'
import { parseYaml } from './yaml-source.js'

/** The file is not the one that the edit was made for: read it again and decide again. */
export class EditConflict extends Error {
  override readonly name = 'EditConflict'

  constructor(
    readonly file: string,
    readonly expectedSha256: string,
    readonly foundSha256: string,
  ) {
    super(
      `${file} was changed meanwhile (expected ${expectedSha256.slice(0, 12)}, found ${foundSha256.slice(0, 12)}): nothing was written; read it again and repeat the edit`,
    )
  }
}

/** Text and SHA-256 (hex, over the bytes) of a file as it is now. @throws RunbookErrors when it cannot be read. */
export async function readForEdit(path: string): Promise<{ text: string; sha256: string }> {
  const read = await readRunbookFile(path)
  if ('problem' in read) throw new RunbookErrors([read.problem])
  return { text: read.text, sha256: sha256Hex(read.bytes) }
}

/**
 * Changes a YAML file by its document: `edit` sets, adds and removes nodes; what it does not touch keeps its comments and order.
 * @param expectedSha256 what `readForEdit` said when the edit was decided
 * @returns whether anything was written, and the SHA-256 of the file as it is then
 * @throws EditConflict when the file is another by now; RunbookErrors when it is no valid YAML before or after the edit;
 * whatever `edit` throws. In all of these cases the file is as it was.
 */
export async function editYamlFile(path: string, expectedSha256: string, edit: (document: Document) => void): Promise<{ changed: boolean; sha256: string }> {
  // The file behind a symbolic link is edited, the link stays. Looked up without waiting: whoever calls first is first in the queue.
  const file = realpathSync(path)
  return await oneAtATime(file, async () => {
    const before = await readForEdit(file)
    if (before.sha256 !== expectedSha256) throw new EditConflict(path, expectedSha256, before.sha256)
    const text = editYamlText(path, before.text, edit)
    if (text === before.text) return { changed: false, sha256: before.sha256 }
    // An editor knows no lock of ours: look once more, right before the file is replaced.
    const again = await readForEdit(file)
    if (again.sha256 !== expectedSha256) throw new EditConflict(path, expectedSha256, again.sha256)
    replaceFile(file, text)
    return { changed: true, sha256: sha256Hex(text) }
  })
}

/** As `editYamlFile`, on a text. @throws RunbookErrors when the text is no valid YAML, before or after. */
export function editYamlText(file: string, text: string, edit: (document: Document) => void): string {
  refuseInvalid(file, text)
  const document = parseDocument(text, { schema: 'core', version: '1.2', merge: false, prettyErrors: false, logLevel: 'silent' })
  const layout = layoutOf(text, document)
  const unedited = document.toString(layout)
  edit(document)
  const edited = document.toString(layout)
  if (edited === unedited) return text
  const kept = keepLayout(text.replaceAll('\r\n', '\n'), unedited, edited)
  const result = text.includes('\r\n') ? kept.replaceAll('\n', '\r\n') : kept
  refuseInvalid(file, result)
  return result
}

/** The row of a list whose `key` has this value: `findRow(document, ['targets'], 'name', 'app-gitea')`. */
export function findRow(document: Document, path: readonly (string | number)[], key: string, value: unknown): YAMLMap | undefined {
  const list = document.getIn(path)
  if (!isSeq(list)) return undefined
  return list.items.find((item): item is YAMLMap => isMap(item) && item.get(key) === value)
}

function refuseInvalid(file: string, text: string): void {
  const { problems } = parseYaml(file, text)
  if (problems.length > 0) throw new RunbookErrors(problems)
}

/** Indentation, and whether lists stand further in than their key: as the file has it, so that an edit of one line changes one line. */
function layoutOf(text: string, document: Document): ToStringOptions {
  const columnOf = (offset: number) => offset - (text.lastIndexOf('\n', offset - 1) + 1)
  let indentSeq = true
  let indent: number | undefined
  visit(document, {
    Pair(_, pair) {
      const { key, value } = pair as { key: { range?: [number, number, number] | null } | null; value: unknown }
      if (!(isSeq(value) || isMap(value)) || value.flow === true || key?.range == null || value.range == null) return undefined
      const step = columnOf(value.range[0]) - columnOf(key.range[0])
      if (isSeq(value) && step === 0) indentSeq = false
      else if (step > 0) indent ??= step
      return undefined
    },
  })
  return { lineWidth: 0, indentSeq, indent: indent ?? 2, flowCollectionPadding: /\{ /.test(text) || !/\{[^\s}]/.test(text) }
}

const queues = new Map<string, Promise<unknown>>()

/** Edits of one file by this program follow one another. */
async function oneAtATime<T>(file: string, work: () => Promise<T>): Promise<T> {
  const run = (queues.get(file) ?? Promise.resolve()).then(work, work)
  queues.set(file, run)
  try {
    return await run
  } finally {
    if (queues.get(file) === run) queues.delete(file)
  }
}
