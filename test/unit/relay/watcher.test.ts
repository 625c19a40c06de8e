/** The watcher's own script, run by the machine's shells; times are those of files. (BusyBox and systemd: test/lab/watcher.test.ts.) */
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type MarkOrder, markProgram, type WatcherOrder, type WatcherPaths, watcherFiles } from '../../../src/domain/relay/watcher.js'

/** Short, because a host that started less than this ago is given time. */
const LIMIT_SECONDS = 40
const ORDER: WatcherOrder = {
  estate: 'ronny',
  watches: 'shop',
  host: 'proxmox-home',
  mailTo: 'ronny@spine.ronny.works',
  mailFrom: 'alerts@spine.ronny.works',
  webhook: null,
  limitSeconds: LIMIT_SECONDS,
}
const MARK: MarkOrder = {
  route: { host: 'proxmox-home', site: 'home', sshAlias: 'proxmox-home', sudo: false, node: 'pve' },
  estate: 'ronny',
  passId: 'pass-1',
  takenAt: '2026-11-21T14:00:00.000Z',
}

let root: string
let paths: WatcherPaths

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'nightshift-watcher-'))
  paths = { script: join(root, 'watcher'), service: join(root, 'w.service'), timer: join(root, 'w.timer'), folder: join(root, 'state') }
  mkdirSync(paths.folder)
  mkdirSync(join(root, 'bin'))
  program('sendmail', `{ echo "args: $*"; cat; echo "---"; } >> ${root}/mails`)
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

function program(name: string, text: string): void {
  writeFileSync(join(root, 'bin', name), `#!/bin/sh\n${text}\n`)
  chmodSync(join(root, 'bin', name), 0o755)
}

function install(change: Partial<WatcherOrder> = {}): void {
  writeFileSync(paths.script, watcherFiles({ ...ORDER, ...change }, paths).script.content)
}

const environment = () => ({ PATH: `${join(root, 'bin')}:${process.env.PATH}` })
const mark = (shell = 'sh') => spawnSync(shell, ['-s'], { input: markProgram(MARK, paths), encoding: 'utf8', env: environment() })
const look = (shell = 'sh') => spawnSync(shell, [paths.script], { encoding: 'utf8', env: environment() })
const aged = (path: string, seconds: number) => utimesSync(path, Date.now() / 1000 - seconds, Date.now() / 1000 - seconds)
const markAged = (seconds: number) => aged(join(paths.folder, 'mark'), seconds)
const mails = () => (existsSync(join(root, 'mails')) ? readFileSync(join(root, 'mails'), 'utf8').split('---\n').slice(0, -1) : [])

describe.each(['dash', 'sh'])('a silence, under %s', (shell) => {
  it('is mailed once, and its end once more', () => {
    install()
    expect(mark(shell).stdout).toBe('written\n')
    markAged(LIMIT_SECONDS - 5)
    look(shell)
    expect(mails()).toEqual([])
    markAged(LIMIT_SECONDS + 5)
    for (let minute = 0; minute < 3; minute++) expect(look(shell)).toMatchObject({ status: 0, stderr: '' })
    expect(mails()).toHaveLength(1)
    expect(mails()[0]).toMatch(
      /^args: -i -f alerts@spine.ronny.works ronny@spine.ronny.works\nFrom: alerts@spine.ronny.works\nTo: ronny@spine.ronny.works\nSubject: nightshift of ronny is silent\n/,
    )
    expect(mails()[0]).toContain('Last mark: 2026-11-21T14:00:00.000Z\n')
    mark(shell)
    for (let minute = 0; minute < 3; minute++) expect(look(shell)).toMatchObject({ status: 0, stderr: '' })
    expect(mails()).toHaveLength(2)
    expect(mails()[1]).toContain('Subject: nightshift of ronny is back\n')
  })
})

it('a mail that is not taken is tried again, and only then counts as said', () => {
  install()
  mark()
  markAged(LIMIT_SECONDS + 5)
  program('sendmail', 'cat > /dev/null; exit 75')
  expect(look().status).toBe(1)
  program('sendmail', `{ cat; echo "---"; } >> ${root}/mails`)
  look()
  look()
  expect(mails()).toHaveLength(1)
})

it('goes by the webhook where that is declared, and is said when one of two ways takes it', () => {
  program('curl', `{ printf '%s\\n' "$@"; cat; echo "---"; } >> ${root}/mails`)
  program('sendmail', 'cat > /dev/null; exit 75')
  install({ webhook: "https://ntfy.example.org/it's" })
  mark()
  markAged(LIMIT_SECONDS + 5)
  look()
  look()
  expect(mails()).toHaveLength(1)
  expect(mails()[0]?.split('\n')).toEqual(
    expect.arrayContaining(['Title: nightshift of ronny is silent', "https://ntfy.example.org/it's", 'Last mark: 2026-11-21T14:00:00.000Z']),
  )
})

it('without any mark it counts from when it was put there', () => {
  install()
  look()
  expect(mails()).toEqual([])
  aged(paths.script, LIMIT_SECONDS + 5)
  look()
  expect(mails()[0]).toContain('Last mark: none\n')
})

it('a host that has just started gives nightshift the same time', () => {
  install({ limitSeconds: 10 * 365 * 86_400 })
  mark()
  markAged(11 * 365 * 86_400)
  look()
  expect(mails()).toEqual([])
})

it('a mark from the future, of a clock that was ahead, begins to count now', () => {
  install()
  mark()
  markAged(-3600)
  look()
  expect(Math.abs(Date.now() - statSync(join(paths.folder, 'mark')).mtimeMs)).toBeLessThan(60_000)
  markAged(LIMIT_SECONDS + 5)
  look()
  expect(mails()).toHaveLength(1)
})

it('no mark is left where nobody has put a watcher', () => {
  expect(mark().stdout).toBe('absent\n')
  expect(existsSync(join(paths.folder, 'mark'))).toBe(false)
})

it('a mark is replaced whole: whoever reads it meanwhile reads the old one', () => {
  install()
  mark()
  const before = statSync(join(paths.folder, 'mark')).ino
  mark()
  expect(statSync(join(paths.folder, 'mark')).ino).not.toBe(before)
  expect(readFileSync(join(paths.folder, 'mark'), 'utf8')).toBe('at=2026-11-21T14:00:00.000Z\npass=pass-1\nestate=ronny\n')
})
