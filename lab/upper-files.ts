/**
 * Writes files into an overlay's upper folder before it is mounted. A folder that exists only above hides the mode and owner of the one below,
 * so every folder on the way is made like its original.
 */
import { chmodSync, chownSync, existsSync, lstatSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

export interface FileAttributes {
  readonly mode?: number
  readonly uid?: number
  readonly gid?: number
}

export class UpperFiles {
  constructor(
    private readonly tree: string,
    private readonly upper: string,
  ) {
    mkdirSync(upper, { recursive: true })
    chmodSync(upper, 0o755)
  }

  /** A folder; those above it are made like in the tree, or 0755 of root. */
  folder(path: string, attributes: FileAttributes = {}): void {
    const full = join(this.upper, path)
    if (!existsSync(full)) {
      if (path !== '/') this.folder(dirname(path))
      mkdirSync(full)
      const original = this.original(path)
      chownSync(full, original?.uid ?? 0, original?.gid ?? 0)
      chmodSync(full, original?.mode ?? 0o755)
    }
    if (attributes.uid !== undefined || attributes.gid !== undefined) chownSync(full, attributes.uid ?? 0, attributes.gid ?? 0)
    if (attributes.mode !== undefined) chmodSync(full, attributes.mode)
  }

  write(path: string, content: string | Uint8Array, { mode = 0o644, uid = 0, gid = 0 }: FileAttributes = {}): void {
    const full = join(this.upper, path)
    this.folder(dirname(path))
    rmSync(full, { force: true })
    writeFileSync(full, content, { mode })
    chownSync(full, uid, gid)
    chmodSync(full, mode)
  }

  link(path: string, target: string): void {
    const full = join(this.upper, path)
    this.folder(dirname(path))
    rmSync(full, { force: true })
    symlinkSync(target, full)
  }

  /** What a host would read there now. */
  read(path: string): string {
    const above = join(this.upper, path)
    return readFileSync(existsSync(above) ? above : join(this.tree, path), 'utf8')
  }

  /** Where the file is on this machine, for programs that write it themselves; its folder is made. */
  place(path: string): string {
    this.folder(dirname(path))
    return join(this.upper, path)
  }

  private original(path: string): { mode: number; uid: number; gid: number } | undefined {
    try {
      const { mode, uid, gid } = lstatSync(join(this.tree, path))
      return { mode: mode & 0o7777, uid, gid }
    } catch {
      return undefined
    }
  }
}
