/** Files that are read for every connection (configuration, known_hosts, keys) are parsed once and again only when they changed. */
import { readFileSync, statSync } from 'node:fs'

interface Entry<T> {
  stamp: string
  value: T
}

/**
 * A cache of parsed files, keyed by path; an entry is used while inode, size and modification time of the file are the same.
 * `read` returns undefined for a file that does not exist, throws what `parse` and the file system throw.
 */
export class FileCache<T> {
  readonly #entries = new Map<string, Entry<T>>()
  readonly #parse: (content: Buffer, path: string) => T

  constructor(parse: (content: Buffer, path: string) => T) {
    this.#parse = parse
  }

  read(path: string): T | undefined {
    const stat = statSync(path, { throwIfNoEntry: false, bigint: true })
    if (stat === undefined) {
      this.#entries.delete(path)
      return undefined
    }
    const stamp = `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}:${stat.ctimeNs}:${stat.mode}`
    const known = this.#entries.get(path)
    if (known?.stamp === stamp) return known.value
    const value = this.#parse(readFileSync(path), path)
    this.#entries.set(path, { stamp, value })
    return value
  }
}
