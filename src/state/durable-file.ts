/** Small files that are either the old or the new one, whole, whatever happens in between. */
import { closeSync, fsyncSync, openSync, readdirSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import writeFileAtomic from 'write-file-atomic'
import { StateWriteFailed } from './errors.js'

/**
 * Replaces `path` by `content`: temporary file beside it, fsync, rename, fsync of the folder. After a return the new content survives a power cut;
 * after an error or a crash the old file is whole.
 * @throws StateWriteFailed (disk full, read-only, …); the temporary file is removed
 */
export function writeDurably(what: string, path: string, content: string): void {
  try {
    writeFileAtomic.sync(path, content, { mode: 0o600, fsync: true })
    syncFolder(dirname(path))
  } catch (error) {
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
