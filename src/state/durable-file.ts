/**
 * Small files that are either the old or the new one, whole, whatever happens in between.
 * Not by `write-file-atomic` (7.0.1): it writes with one `write(2)` and does not look how much was taken, so on a disk with a few pages left it renames
 * a cut-off file into place and reports success (test/unit/state/disk-full.test.ts). `fs.writeFileSync` goes on until all is written or an error says why not.
 */
import { closeSync, fsyncSync, openSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { StateWriteFailed } from './errors.js'

let temporaryFiles = 0

/**
 * Replaces `path` by `content`: temporary file beside it, fsync, rename, fsync of the folder. After a return the new content survives a power cut;
 * after an error or a crash the old file is whole.
 * @throws StateWriteFailed (disk full, read-only, …); the temporary file is removed
 */
export function writeDurably(what: string, path: string, content: string): void {
  temporaryFiles += 1
  const temporary = `${path}.${process.pid}${String(temporaryFiles).padStart(6, '0')}`
  try {
    const fd = openSync(temporary, 'w', 0o600)
    try {
      writeFileSync(fd, content)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    renameSync(temporary, path)
    syncFolder(dirname(path))
  } catch (error) {
    rmSync(temporary, { force: true })
    throw new StateWriteFailed(what, path, error)
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

/** Removes what a killed `writeDurably` left beside `path` (`name.<number>`). Only for the one writer of that file. */
export function removeLeftovers(path: string): void {
  const dir = dirname(path)
  const prefix = `${basename(path)}.`
  for (const name of readdirSync(dir)) if (name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length))) rmSync(join(dir, name), { force: true })
}
