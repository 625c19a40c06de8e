/** The configuration folder on disk: which files are read, and what a file in motion does. */
import { execFileSync } from 'node:child_process'
import { closeSync, ftruncateSync, mkdtempSync, openSync, renameSync, rmSync, truncateSync, utimesSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { formatRunbookErrors, loadRunbooks, RunbookErrors } from '../../../src/runbooks/index.js'
import { replaced, smallTexts } from './example-texts.js'

let folder: string

/** Writes a file as one that has been at rest for a minute. */
function put(name: string, content: string | Uint8Array): void {
  writeFileSync(join(folder, name), content)
  const aMinuteAgo = new Date(Date.now() - 60_000)
  utimesSync(join(folder, name), aMinuteAgo, aMinuteAgo)
}

async function linesOfLoad(): Promise<string[]> {
  try {
    await loadRunbooks(folder)
    return []
  } catch (error) {
    if (!(error instanceof RunbookErrors)) throw error
    return formatRunbookErrors(error).replaceAll(`${folder}/`, '').split('\n')
  }
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nightshift-config-'))
  for (const [name, text] of Object.entries(smallTexts())) put(`${name}.yaml`, text)
})
afterEach(() => rmSync(folder, { recursive: true }))

describe('the configuration folder', () => {
  test('resolves paths against itself', async () => {
    const { estate, files } = await loadRunbooks(folder)
    expect(estate.ssh.configPath).toBe(join(folder, 'ssh_config'))
    expect(files.inventory).toBe(join(folder, 'inventory.yaml'))
  })

  test("takes the operator's own file names", async () => {
    renameSync(join(folder, 'inventory.yaml'), join(folder, 'backup.inventory.yaml'))
    renameSync(join(folder, 'calendar.yaml'), join(folder, 'backup.calendar.yaml'))
    const set = await loadRunbooks(folder)
    expect(set.inventory.targets[0]?.place).toBe('backup.inventory.yaml:4')
  })

  test('refuses to choose between two inventories', async () => {
    put('backup.inventory.yaml', smallTexts().inventory)
    expect(await linesOfLoad()).toEqual([
      expect.stringMatching(
        /^backup\.inventory\.yaml:1:1: found inventory\.yaml and backup\.inventory\.yaml, allowed one of the two, .*`files:` in estate\.yaml$/,
      ),
    ])
    put('estate.yaml', `${smallTexts().estate}files: { inventory: backup.inventory.yaml }\n`)
    expect((await loadRunbooks(folder)).files.inventory).toBe(join(folder, 'backup.inventory.yaml'))
  })

  test('says which files are missing, all at once, beside the mistakes in those that are there', async () => {
    rmSync(join(folder, 'calendar.yaml'))
    rmSync(join(folder, 'alerts.yaml'))
    put('inventory.yaml', replaced(smallTexts().inventory, 'enabled: true', 'enabled: yes'))
    const lines = await linesOfLoad()
    expect(lines).toHaveLength(3)
    expect(lines.join('\n')).toMatch(/calendar\.yaml:1:1: found no such file/)
    expect(lines.join('\n')).toMatch(/alerts\.yaml:1:1: found no such file/)
    expect(lines.join('\n')).toMatch(/inventory\.yaml:5:14 targets\[0\]\.enabled/)
  })

  test('that is not there is one problem, with what to do', async () => {
    await expect(loadRunbooks(join(folder, 'nowhere'))).rejects.toThrow(
      /nowhere:1:1: found no such folder, allowed a folder with estate\.yaml in it, name the configuration folder with --config$/,
    )
  })

  test('names the first byte that is no UTF-8', async () => {
    put('alerts.yaml', Buffer.concat([Buffer.from('# caf\u00e9\nsender: "caf'), Buffer.from([0xe9]), Buffer.from('"\n')]))
    expect(await linesOfLoad()).toEqual(['alerts.yaml:2:13: found the byte 0xe9, which is no UTF-8, allowed UTF-8, save the file as UTF-8'])
  })

  test('names UTF-16 as what it is not, and a character that is cut off at the end', async () => {
    put('alerts.yaml', Buffer.from(`\ufeff${smallTexts().alerts}`, 'utf16le'))
    expect(await linesOfLoad()).toEqual([expect.stringMatching(/^alerts\.yaml:1:1: found the byte 0xff, which is no UTF-8/)])
    put('alerts.yaml', Buffer.concat([Buffer.from(smallTexts().alerts), Buffer.from([0xe2, 0x82])]))
    expect(await linesOfLoad()).toEqual([expect.stringMatching(/^alerts\.yaml:4:\d: found the byte 0x/)])
  })

  test('refuses a file above 1 MiB without reading it, a folder, and a pipe that nobody writes to', async () => {
    put('inventory.yaml', '')
    truncateSync(join(folder, 'inventory.yaml'), 1024 * 1024 * 1024)
    rmSync(join(folder, 'alerts.yaml'))
    execFileSync('mkfifo', [join(folder, 'alerts.yaml')])
    rmSync(join(folder, 'calendar.yaml'))
    execFileSync('mkdir', [join(folder, 'calendar.yaml')])
    expect((await linesOfLoad()).sort()).toEqual([
      expect.stringMatching(/^alerts\.yaml:1:1: found no regular file/),
      expect.stringMatching(/^calendar\.yaml:1:1: found no regular file/),
      'inventory.yaml:1:1: found 1073741824 bytes, allowed at most 1048576 bytes',
    ])
  })
})

describe('a file that is being written', () => {
  test('is read when it is whole: an editor that truncates, waits and writes loses no target', async () => {
    const text = smallTexts().inventory
    const second = text.slice(text.indexOf('  - name')).replace('vm-204', 'vm-205')
    const file = openSync(join(folder, 'inventory.yaml'), 'r+')
    ftruncateSync(file, 0)
    writeSync(file, text)
    // What stands in the file now would load, with one target of two.
    const loading = loadRunbooks(folder)
    setTimeout(() => {
      writeSync(file, second)
      closeSync(file)
    }, 50)
    expect((await loading).inventory.targets.map((target) => target.id)).toEqual(['vm-204', 'vm-205'])
  })
})
