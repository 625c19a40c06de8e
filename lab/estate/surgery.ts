/**
 * Hurting a lab so that it can be healed exactly: every change notes, before it is made, how it is taken back.
 * The notes lie in the lab's folder (`hurt/CASE.json`), so another process can heal what this one hurt, also after a crash.
 * Nothing is copied: what goes away is moved aside on its own file system and moved back with inode, size and times.
 */
import { chownSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { replaceFile } from '../../src/files/replace-file.js'
import type { Lab } from '../lab.js'
import { type FaultName, undoFault } from './faults-undo.js'
import type { PlannedFile } from './file-plan.js'
import { powerStatePath } from './proxmox-plan.js'
import { writePlan } from './write-files.js'

type Note =
  | { readonly kind: 'added'; readonly host: string; readonly path: string }
  | { readonly kind: 'stashed'; readonly host: string; readonly path: string; readonly stash: string }
  | { readonly kind: 'times'; readonly host: string; readonly path: string; readonly mtime: number }
  | { readonly kind: 'config'; readonly file: string; readonly text: string }
  | { readonly kind: 'fault'; readonly fault: FaultName; readonly host: string; readonly detail?: string }

/** File systems of their own on the hosts: what is moved aside must stay on the same one. */
const DISKS = ['/tank', '/mnt/pve/synology-backups', '/volume1'] as const
const STASH = '.nightshift-lab-stash'

export class Surgery {
  readonly #notes: Note[]

  constructor(
    readonly lab: Lab,
    readonly caseName: string,
  ) {
    const path = this.#notesPath
    this.#notes = existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Note[]) : []
  }

  get #notesPath(): string {
    return join(this.lab.paths.home, 'hurt', `${this.caseName}.json`)
  }

  #note(note: Note): void {
    this.#notes.push(note)
    mkdirSync(dirname(this.#notesPath), { recursive: true })
    replaceFile(this.#notesPath, JSON.stringify(this.#notes))
  }

  /** Where a host's file is, seen from the machine. */
  at(host: string, path: string): string {
    return join(this.lab.host(host).root(), path)
  }

  read(host: string, path: string): string {
    return readFileSync(this.at(host, path), 'utf8')
  }

  /** Seconds since 1970 on that host (a lab's clock can be off on purpose, so the host is asked). */
  async now(host: string): Promise<number> {
    return Number((await this.lab.host(host).exec(['date', '+%s'])).stdout.trim())
  }

  /** A new file; what stood there is moved aside. */
  write(host: string, file: PlannedFile, now: number): void {
    if (existsSync(this.at(host, file.path))) this.remove(host, file.path)
    this.#note({ kind: 'added', host, path: this.#firstMissing(host, file.path) })
    writePlan(this.lab.host(host).root(), { disks: [], emptied: [], folders: [], files: [file] }, now)
  }

  /** The topmost folder that would have to be made for this path, or the path itself. */
  #firstMissing(host: string, path: string): string {
    let missing = path
    while (dirname(missing) !== '/' && !existsSync(this.at(host, dirname(missing)))) missing = dirname(missing)
    return missing
  }

  /** Changes a text file, keeping its mode and owner, with a fresh mtime. */
  edit(host: string, path: string, change: (text: string) => string): void {
    const before = this.read(host, path)
    const after = change(before)
    if (after === before) throw new Error(`case ${this.caseName}: the change of ${host}:${path} changes nothing`)
    const { mode, uid, gid } = statSync(this.at(host, path))
    this.write(host, { path, content: after, mode: mode & 0o7777 }, Math.floor(Date.now() / 1000))
    chownSync(this.at(host, path), uid, gid)
  }

  /** The file or folder is gone (moved aside). */
  remove(host: string, path: string): void {
    const disk = DISKS.find((one) => path.startsWith(`${one}/`)) ?? '/var/lib'
    const folder = `${disk}/${STASH}/${this.caseName}`
    mkdirSync(this.at(host, folder), { recursive: true })
    const stash = `${folder}/${this.#notes.length}`
    this.#note({ kind: 'stashed', host, path, stash })
    renameSync(this.at(host, path), this.at(host, stash))
  }

  /** The folder is there and holds nothing (what it held is moved aside). */
  emptyFolder(host: string, path: string): void {
    const { mode, uid, gid } = statSync(this.at(host, path))
    this.remove(host, path)
    this.#note({ kind: 'added', host, path })
    mkdirSync(this.at(host, path), { mode: mode & 0o7777 })
    chownSync(this.at(host, path), uid, gid)
  }

  /** The same file under another name. */
  rename(host: string, from: string, to: string): void {
    this.#note({ kind: 'stashed', host, path: from, stash: to })
    renameSync(this.at(host, from), this.at(host, to))
  }

  /** @param mtime seconds since 1970 */
  setTime(host: string, path: string, mtime: number): void {
    const file = this.at(host, path)
    this.#note({ kind: 'times', host, path, mtime: statSync(file).mtimeMs / 1000 })
    utimesSync(file, mtime, mtime)
  }

  /** The guest's agent answers no more; the machine runs on. */
  agentDead(host: string, vmid: number): void {
    this.edit(host, powerStatePath(vmid), (text) => JSON.stringify({ ...(JSON.parse(text) as object), agent: 'dead' }))
  }

  /** Changes a file of the lab's configuration folder by `change(folder)`. */
  config(file: string, change: (folder: string) => void): void {
    this.#note({ kind: 'config', file, text: readFileSync(join(this.lab.paths.config, file), 'utf8') })
    change(this.lab.paths.config)
  }

  /** Something done to a host by `act`, undone by the fault's own undo. */
  async fault(fault: FaultName, host: string, act: () => Promise<void>, detail?: string): Promise<void> {
    this.#note({ kind: 'fault', fault, host, ...(detail === undefined ? {} : { detail }) })
    await act()
  }

  /** Takes everything back, last change first. Safe to repeat. */
  async heal(): Promise<void> {
    while (this.#notes.length > 0) {
      await this.#undo(this.#notes.at(-1) as Note)
      this.#notes.pop()
      replaceFile(this.#notesPath, JSON.stringify(this.#notes))
    }
    rmSync(this.#notesPath, { force: true })
    for (const [name, host] of this.lab.hosts) {
      if (!host.isRunning()) continue
      for (const disk of [...DISKS, '/var/lib']) rmSync(this.at(name, `${disk}/${STASH}/${this.caseName}`), { recursive: true, force: true })
    }
  }

  async #undo(note: Note): Promise<void> {
    if (note.kind === 'config') replaceFile(join(this.lab.paths.config, note.file), note.text)
    else if (note.kind === 'fault') await undoFault(this.lab, note)
    else if (note.kind === 'added') rmSync(this.at(note.host, note.path), { recursive: true, force: true })
    else if (note.kind === 'times') utimesSync(this.at(note.host, note.path), note.mtime, note.mtime)
    else if (existsSync(this.at(note.host, note.stash))) {
      rmSync(this.at(note.host, note.path), { recursive: true, force: true })
      mkdirSync(dirname(this.at(note.host, note.path)), { recursive: true })
      renameSync(this.at(note.host, note.stash), this.at(note.host, note.path))
    }
  }
}

/** Whether a case has notes that are not taken back yet. */
export function isHurt(lab: Lab, caseName: string): boolean {
  return existsSync(join(lab.paths.home, 'hurt', `${caseName}.json`))
}
