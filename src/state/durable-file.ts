/** Small files of the state folder, replaced whole; failures are told as StateWriteFailed. */
import { readdirSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { replaceFile } from '../files/replace-file.js'
import { StateWriteFailed } from './errors.js'

export { syncFolder } from '../files/replace-file.js'

/**
 * Replaces `path` by `content`, durably.
 * @throws StateWriteFailed (disk full, read-only, …); the old file is whole
 */
export function writeDurably(what: string, path: string, content: string): void {
  try {
    replaceFile(path, content)
  } catch (error) {
    throw new StateWriteFailed(what, path, error)
  }
}

/** Removes what a killed `writeDurably` left beside `path` (`name.<number>`). Only for the one writer of that file. */
export function removeLeftovers(path: string): void {
  const dir = dirname(path)
  const prefix = `${basename(path)}.`
  for (const name of readdirSync(dir)) if (name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length))) rmSync(join(dir, name), { force: true })
}
