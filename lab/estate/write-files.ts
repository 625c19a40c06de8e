/**
 * Puts a host's plan onto its file system: empties what an earlier state left, then writes folders and files with owners and times.
 * Thousands of small files, so everything is synchronous and each path is touched as few times as possible.
 */
import { chownSync, closeSync, existsSync, ftruncateSync, lchownSync, mkdirSync, openSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { HostPlan, PlannedFile } from './file-plan.js'

interface Owner {
  readonly uid: number
  readonly gid: number
}

/**
 * @param root the host's `/` as seen from here
 * @param now seconds since 1970: the time of files that name none
 * @throws Error when a plan names an owner that the host does not have
 */
export function writePlan(root: string, plan: HostPlan, now: number): void {
  const ownerOf = readOwners(root)
  for (const path of plan.emptied) rmSync(join(root, path), { recursive: true, force: true })
  const made = new Set<string>()
  const makeFolder = (path: string, owner?: Owner) => {
    if (made.has(path)) return
    made.add(path)
    if (existsSync(join(root, path))) return
    if (path !== '/') makeFolder(dirname(path), owner)
    mkdirSync(join(root, path))
    if (owner !== undefined) chownSync(join(root, path), owner.uid, owner.gid)
  }
  for (const folder of plan.folders) {
    makeFolder(folder.path)
    mkdirSync(join(root, folder.path), { recursive: true, mode: folder.mode ?? 0o755 })
    if (folder.owner !== undefined) {
      const { uid, gid } = ownerOf(folder.owner)
      lchownSync(join(root, folder.path), uid, gid)
    }
  }
  for (const file of plan.files) {
    const owner = file.owner === undefined ? undefined : ownerOf(file.owner)
    makeFolder(dirname(file.path), owner)
    writeFile(join(root, file.path), file, now, owner)
  }
}

function writeFile(path: string, file: PlannedFile, now: number, owner: Owner | undefined): void {
  const mode = file.mode ?? 0o644
  // A new inode each time: a file that somebody has open, or that is linked elsewhere, keeps its old content.
  rmSync(path, { force: true })
  if (file.sizeBytes === undefined) writeFileSync(path, file.content ?? '', { mode })
  else {
    const handle = openSync(path, 'w', mode)
    ftruncateSync(handle, file.sizeBytes)
    closeSync(handle)
  }
  if (owner !== undefined) chownSync(path, owner.uid, owner.gid)
  const mtime = file.mtime ?? now
  utimesSync(path, mtime, mtime)
}

function readOwners(root: string): (name: string) => Owner {
  const users = new Map<string, Owner>()
  for (const line of readFileSync(join(root, '/etc/passwd'), 'utf8').split('\n')) {
    const [name, , uid, gid] = line.split(':')
    if (name) users.set(name, { uid: Number(uid), gid: Number(gid) })
  }
  return (name) => {
    const owner = users.get(name)
    if (owner === undefined) throw new Error(`the lab host at ${root} has no user ${name}`)
    return owner
  }
}
