/** The archives that the lab makes in memory are read by the real programs. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { tarOf, zipOf } from '../../../lab/estate/small-archives.js'

const ENTRIES = [
  { name: 'a.txt', content: 'hello\n', mtime: 1_700_000_000 },
  { name: 'folder/rows.sql', content: 'INSERT INTO t VALUES (1);\n'.repeat(500), mtime: 1_700_000_001 },
]
let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nightshift-archives-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

test('GNU tar lists and extracts the tar', () => {
  const path = join(folder, 'x.tar')
  writeFileSync(path, tarOf(ENTRIES))
  expect(execFileSync('tar', ['-tf', path], { encoding: 'utf8' })).toBe('a.txt\nfolder/rows.sql\n')
  expect(execFileSync('tar', ['-xOf', path, 'folder/rows.sql'], { encoding: 'utf8' })).toBe(ENTRIES[1]?.content)
})

test('Python reads the zip, checksums included', () => {
  const path = join(folder, 'x.zip')
  writeFileSync(path, zipOf(ENTRIES))
  const script =
    'import sys,zipfile\nz=zipfile.ZipFile(sys.argv[1])\nassert z.testzip() is None\nsys.stdout.write("|".join(z.namelist())+"|"+z.read("folder/rows.sql").decode())'
  expect(execFileSync('python3', ['-c', script, path], { encoding: 'utf8' })).toBe(`a.txt|folder/rows.sql|${ENTRIES[1]?.content}`)
})
