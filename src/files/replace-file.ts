/**
 * Replaces small files whole: whatever happens in between, the file is the old one or the new one.
 * Not by `write-file-atomic` (7.0.1): it writes with one `write(2)` and does not look how much was taken, so on a disk with a few pages left it renames
 * a cut-off file into place and reports success (test/unit/state/disk-full.test.ts). `fs.writeFileSync` goes on until all is written or an error says why not.
 */
import { closeSync, fchmodSync, fchownSync, fsyncSync, openSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'

let temporaryFiles = 0

export interface ReplaceOptions {
  /** Mode of a file that is new; one that is there keeps its mode and owner. */
  readonly mode?: number
  /** Called when the new content is on disk, right before the rename; what it throws leaves the old file in place. */
  readonly beforeRename?: () => void
}

/**
 * Temporary file beside it (`name.<number>`), fsync, rename, fsync of the folder. After a return the new content survives a power cut; after an error or a crash the old file is whole.
 * @throws Error with an errno code (ENOSPC, EROFS, …); the temporary file is removed
 */
export function replaceFile(path: string, content: string | Uint8Array, options: ReplaceOptions = {}): void {
  temporaryFiles += 1
  const temporary = `${path}.${process.pid}${String(temporaryFiles).padStart(6, '0')}`
  const before = statSync(path, { throwIfNoEntry: false })
  try {
    const fd = openSync(temporary, 'w', options.mode ?? 0o600)
    try {
      if (before !== undefined) {
        fchmodSync(fd, before.mode & 0o7777)
        if (process.getuid?.() === 0) fchownSync(fd, before.uid, before.gid)
      }
      writeFileSync(fd, content)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    options.beforeRename?.()
    renameSync(temporary, path)
    syncFolder(dirname(path))
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
}

/** A rename is durable only once its folder is (fsync(2), "Calling fsync() does not necessarily ensure that the entry in the directory … has also reached disk"). */
export function syncFolder(dir: string): void {
  const fd = openSync(dir, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
