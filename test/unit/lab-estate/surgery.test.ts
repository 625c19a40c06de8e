/** What a case does to a host is taken back exactly, also by another process and after half of it. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { isHurt, Surgery } from '../../../lab/estate/surgery.js'
import type { Lab } from '../../../lab/lab.js'

let home: string
let lab: Lab

/** Every path below the host with size, time and content. */
function snapshot(folder = join(home, 'root'), into: Record<string, string> = {}): Record<string, string> {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name)
    const { size, mtimeMs, mode, ino } = statSync(path)
    if (statSync(path).isDirectory()) {
      if (name !== '.nightshift-lab-stash') into[path] = 'folder'
      snapshot(path, into)
    } else into[path] = `${size} ${mtimeMs} ${mode} ${ino} ${readFileSync(path, 'utf8')}`
  }
  return into
}

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'nightshift-surgery-'))
  for (const folder of ['root/etc/cron.d', 'root/volume1/dumps', 'root/var/lib', 'config']) mkdirSync(join(home, folder), { recursive: true })
  writeFileSync(join(home, 'root/etc/passwd'), 'root:x:0:0::/root:/bin/sh\n')
  writeFileSync(join(home, 'root/etc/cron.d/dump'), '0 2 * * * root dump\n')
  for (const [index, name] of ['old.gz', 'new.gz'].entries()) {
    writeFileSync(join(home, 'root/volume1/dumps', name), name)
    utimesSync(join(home, 'root/volume1/dumps', name), 1_700_000_000 + index, 1_700_000_000 + index)
  }
  writeFileSync(join(home, 'config/inventory.yaml'), 'targets: [] # none yet\n')
  const host = { root: () => join(home, 'root'), isRunning: () => true }
  lab = { paths: { home, config: join(home, 'config') }, hosts: new Map([['nas', host]]), host: () => host } as unknown as Lab
})
afterEach(() => rmSync(home, { recursive: true, force: true }))

function hurtEverything(surgery: Surgery): void {
  surgery.edit('nas', '/etc/cron.d/dump', (text) => `#${text}`)
  surgery.setTime('nas', '/volume1/dumps/old.gz', 1_800_000_000)
  surgery.remove('nas', '/volume1/dumps/old.gz')
  surgery.write('nas', { path: '/volume1/dumps/new.gz', content: '' }, 1_800_000_000)
  surgery.write('nas', { path: '/volume1/half/run.tmp/x.conf', content: 'x' }, 1_800_000_000)
  surgery.emptyFolder('nas', '/volume1/dumps')
  surgery.config('inventory.yaml', (folder) => writeFileSync(join(folder, 'inventory.yaml'), 'broken: ['))
}

test('healing gives back every file with its content, size, time, mode and inode, and removes what was added', async () => {
  const before = snapshot()
  const surgery = new Surgery(lab, 'X1')
  hurtEverything(surgery)
  expect(snapshot()).not.toEqual(before)
  expect(readdirSync(join(home, 'root/volume1/dumps'))).toEqual([])
  expect(isHurt(lab, 'X1')).toBe(true)
  await surgery.heal()
  const after = snapshot()
  for (const path of [...Object.keys(after)]) if (path.includes('.nightshift-lab-stash') || path.endsWith('/var/lib')) delete after[path]
  expect(after).toEqual(Object.fromEntries(Object.entries(before).filter(([path]) => !path.endsWith('/var/lib'))))
  expect(readFileSync(join(home, 'config/inventory.yaml'), 'utf8')).toBe('targets: [] # none yet\n')
  expect(isHurt(lab, 'X1')).toBe(false)
})

test('another process heals from the notes of the one that hurt', async () => {
  hurtEverything(new Surgery(lab, 'X2'))
  await new Surgery(lab, 'X2').heal()
  expect(readFileSync(join(home, 'root/etc/cron.d/dump'), 'utf8')).toBe('0 2 * * * root dump\n')
  expect(readdirSync(join(home, 'root/volume1/dumps')).sort()).toEqual(['new.gz', 'old.gz'])
  expect(existsSync(join(home, 'root/volume1/half'))).toBe(false)
})

test('healing twice, and healing what was never hurt, changes nothing', async () => {
  const surgery = new Surgery(lab, 'X3')
  surgery.remove('nas', '/volume1/dumps/old.gz')
  await surgery.heal()
  const healed = snapshot()
  await surgery.heal()
  await new Surgery(lab, 'never').heal()
  expect(snapshot()).toEqual(healed)
})

test('a change that changes nothing is a mistake of the case and says so', () => {
  expect(() => new Surgery(lab, 'X4').edit('nas', '/etc/cron.d/dump', (text) => text)).toThrow(/X4.*changes nothing/)
})
