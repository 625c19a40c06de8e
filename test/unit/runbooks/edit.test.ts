/** Edits by programs: what is not touched stays as it is, and a file that somebody else changed is left alone. */
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { EditConflict, editYamlFile, editYamlText, findRow, RunbookErrors, readForEdit } from '../../../src/runbooks/index.js'
import { exampleTexts } from './example-texts.js'

let folder: string
let file: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nightshift-edit-'))
  file = join(folder, 'inventory.yaml')
  writeFileSync(file, exampleTexts().inventory)
})
afterEach(() => rmSync(folder, { recursive: true }))

function changedLines(before: string, after: string): { removed: string[]; added: string[] } {
  const [old, now] = [before.split('\n'), after.split('\n')]
  return { removed: old.filter((line) => !now.includes(line)), added: now.filter((line) => !old.includes(line)) }
}

describe('an edit', () => {
  test('changes one line and keeps all comments, blank lines and the order', async () => {
    const before = await readForEdit(file)
    const result = await editYamlFile(file, before.sha256, (document) => {
      findRow(document, ['targets'], 'name', 'app-gitea')?.set('enabled', false)
    })
    const after = readFileSync(file, 'utf8')
    expect(result).toEqual({ changed: true, sha256: (await readForEdit(file)).sha256 })
    expect(after.split('\n')).toHaveLength(before.text.split('\n').length)
    const at = after.split('\n').indexOf('  - name: app-gitea')
    expect(after.split('\n')[at + 1]).toBe('    enabled: false')
    expect(after.split('\n').toSpliced(at + 1, 1)).toEqual(before.text.split('\n').toSpliced(at + 1, 1))
  })

  test.each(['estate', 'inventory', 'calendar', 'alerts'] as const)(
    'leaves the rest of the example %s.yaml to the byte when a key is added at its end',
    (name) => {
      const text = exampleTexts()[name]
      expect(editYamlText(`${name}.yaml`, text, (document) => document.set('added', 1))).toBe(`${text}added: 1\n`)
    },
  )

  test('adds a waiver as one line', () => {
    const text = exampleTexts().inventory
    const edited = editYamlText('inventory.yaml', text, (document) => {
      const waiver = document.createNode({ reason: 'no room, yet', until: '2026-12-31' }, { flow: true })
      findRow(document, ['targets'], 'name', 'app-minio')?.set('waiver', waiver)
    })
    expect(changedLines(text, edited)).toEqual({ removed: [], added: ['    waiver: { reason: "no room, yet", until: 2026-12-31 }'] })
  })

  test('gives the lines that it does not touch their own layout back, also between two edits', () => {
    const text = '# top\n\n\na: {x: 1,   y: [1,2]}   # aligned\n\nb:   1\nlist:\n    -   p\n    -   q\n\n\nc: { z: 2 }\n'
    const edited = editYamlText('x.yaml', text, (document) => {
      document.set('b', 2)
      document.deleteIn(['list', 1])
      document.set('d', 3)
    })
    expect(edited).toBe('# top\n\n\na: {x: 1,   y: [1,2]}   # aligned\n\nb: 2\nlist:\n    -   p\n\n\nc: { z: 2 }\nd: 3\n')
  })

  test('never changes the meaning for the sake of layout: text over several lines', () => {
    const text = 'a: one\n  two\nb: |\n  x  y\n\n\n  z\nc: 1\n'
    const edited = editYamlText('x.yaml', text, (document) => document.set('c', 2))
    expect(parse(edited)).toEqual({ a: 'one two', b: 'x  y\n\n\nz\n', c: 2 })
  })

  test('keeps lists that stand below their key, wide indents and carriage returns', () => {
    const text = 'targets:\n- name: a   \n  enabled: true # on\n- name: b\n  sub:\n    x: 1\n'
    const edited = editYamlText('x.yaml', text.replaceAll('\n', '\r\n'), (document) => {
      findRow(document, ['targets'], 'name', 'b')?.set('enabled', true)
    })
    expect(edited).toBe('targets:\r\n- name: a   \r\n  enabled: true # on\r\n- name: b\r\n  sub:\r\n    x: 1\r\n  enabled: true\r\n')
  })

  test('that changes nothing writes nothing', async () => {
    const { sha256 } = await readForEdit(file)
    const { ino } = statSync(file)
    expect(await editYamlFile(file, sha256, () => undefined)).toEqual({ changed: false, sha256 })
    expect(statSync(file).ino).toBe(ino)
  })

  test('keeps the mode of the file, and the symbolic link to it', async () => {
    chmodSync(file, 0o640)
    const link = join(folder, 'link.yaml')
    symlinkSync(file, link)
    await editYamlFile(link, (await readForEdit(link)).sha256, (document) => document.set('added', 1))
    expect(statSync(file).mode & 0o777).toBe(0o640)
    expect(readFileSync(file, 'utf8')).toMatch(/added: 1\n$/)
    expect(readdirSync(folder).sort()).toEqual(['inventory.yaml', 'link.yaml'])
  })
})

describe('an edit is refused, and the file stays as it was,', () => {
  test('when somebody changed the file since it was read', async () => {
    const { sha256 } = await readForEdit(file)
    writeFileSync(file, `${exampleTexts().inventory}# by hand\n`)
    await expect(editYamlFile(file, sha256, (document) => document.set('added', 1))).rejects.toThrow(EditConflict)
    expect(readFileSync(file, 'utf8')).toBe(`${exampleTexts().inventory}# by hand\n`)
  })

  test('when somebody changes the file while the edit is made', async () => {
    const { sha256 } = await readForEdit(file)
    const edit = editYamlFile(file, sha256, (document) => {
      document.set('added', 1)
      writeFileSync(file, 'targets: []\n')
    })
    await expect(edit).rejects.toThrow(/was changed meanwhile .*: nothing was written; read it again/)
    expect(readFileSync(file, 'utf8')).toBe('targets: []\n')
  })

  test('for the second of two edits that were decided on the same file', async () => {
    const { sha256 } = await readForEdit(file)
    const outcomes = await Promise.allSettled([1, 2].map((value) => editYamlFile(file, sha256, (document) => document.set('added', value))))
    expect(outcomes.map((outcome) => outcome.status)).toEqual(['fulfilled', 'rejected'])
    expect(readFileSync(file, 'utf8')).toMatch(/added: 1\n$/)
  })

  test('when the file is no YAML', async () => {
    writeFileSync(file, 'a: [1\n')
    await expect(editYamlFile(file, (await readForEdit(file)).sha256, (document) => document.set('b', 1))).rejects.toThrow(RunbookErrors)
    expect(readFileSync(file, 'utf8')).toBe('a: [1\n')
  })

  test('when what it would write cannot be read back', async () => {
    const { sha256, text } = await readForEdit(file)
    await expect(editYamlFile(file, sha256, (document) => document.set('note', 'a\0b'))).rejects.toThrow(/U\+0000/)
    expect(readFileSync(file, 'utf8')).toBe(text)
  })

  test('when the edit itself throws', async () => {
    const { sha256, text } = await readForEdit(file)
    const edit = editYamlFile(file, sha256, () => {
      throw new Error('no such target')
    })
    await expect(edit).rejects.toThrow('no such target')
    expect(readFileSync(file, 'utf8')).toBe(text)
  })
})
