/** Finding the artifacts that a case hurts. */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Surgery } from '../surgery.js'

export interface Found {
  readonly path: string
  readonly sizeBytes: number
  /** Seconds since 1970. */
  readonly mtime: number
}

/** Files of a folder whose name fits, newest first. */
export function filesOf(surgery: Surgery, host: string, folder: string, pattern: RegExp): Found[] {
  return readdirSync(surgery.at(host, folder))
    .filter((name) => pattern.test(name))
    .map((name) => {
      const path = join(folder, name)
      const { size, mtimeMs } = statSync(surgery.at(host, path))
      return { path, sizeBytes: size, mtime: Math.floor(mtimeMs / 1000) }
    })
    .sort((a, b) => b.mtime - a.mtime)
}

/** The newest of them. @throws Error when there is none: the lab is not in the state the case starts from */
export function newestOf(surgery: Surgery, host: string, folder: string, pattern: RegExp): Found {
  const [newest] = filesOf(surgery, host, folder, pattern)
  if (newest === undefined) throw new Error(`no file like ${pattern} in ${host}:${folder}; is the lab in state healthy?`)
  return newest
}

/**
 * Makes the newest fitting file exactly this old; younger ones are moved aside.
 * @param ageSeconds by the host's own clock at this moment
 */
export async function ageTo(surgery: Surgery, host: string, folder: string, pattern: RegExp, ageSeconds: number): Promise<Found> {
  const at = (await surgery.now(host)) - ageSeconds
  const [newest, ...younger] = filesOf(surgery, host, folder, pattern).filter((file) => file.mtime >= at)
  for (const file of younger) surgery.remove(host, file.path)
  const chosen = newest ?? newestOf(surgery, host, folder, pattern)
  surgery.setTime(host, chosen.path, at)
  return { ...chosen, mtime: at }
}

/**
 * A moment for a run that came after the newest fitting archive and is over: forty minutes ago where possible.
 * @returns start and last write, seconds since 1970
 */
export async function afterNewest(surgery: Surgery, host: string, folder: string, pattern: RegExp): Promise<{ begun: number; ended: number }> {
  const now = await surgery.now(host)
  const begun = Math.min(now - 2, Math.max(now - 2400, newestOf(surgery, host, folder, pattern).mtime + 1))
  return { begun, ended: Math.min(now - 1, begun + 540) }
}
