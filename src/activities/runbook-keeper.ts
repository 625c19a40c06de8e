/**
 * Holds the runbooks in force. A file that is broken while nightshift runs never takes the last good set out of force;
 * what is wrong is kept beside it and said in every pass.
 */

import { stat } from 'node:fs/promises'
import type { RunbookSet } from '../domain/estate.js'
import { formatProblem, loadRunbooks, RunbookErrors } from '../runbooks/index.js'

export interface RunbooksInForce {
  readonly set: RunbookSet
  /** Findings about the files that do not stop them from being used (a key that looks mistyped, a host nobody declared). */
  readonly warnings: readonly string[]
  /** Why the files as they are now are not in force; absent when they are. */
  readonly problem?: { readonly errors: readonly string[]; readonly inForceSince: string }
}

export class RunbookKeeper {
  #inForce: RunbooksInForce | undefined
  /** What the files in force looked like; while they look the same they need no reading. */
  #look: { readonly paths: readonly string[]; readonly seen: string } | undefined
  #since = ''

  constructor(
    readonly configDir: string,
    private readonly now: () => Date = () => new Date(),
  ) {}

  /**
   * Reads the files again and returns what is in force now.
   * @throws RunbookErrors when the files are broken and no good set was ever read
   */
  async refresh(): Promise<RunbooksInForce> {
    if (this.#inForce !== undefined && this.#look !== undefined && (await lookOf(this.#look.paths)).seen === this.#look.seen) return this.#inForce
    this.#look = undefined
    try {
      const startedMs = Date.now()
      const { warnings, ...set } = await loadRunbooks(this.configDir)
      // The look is remembered only for files that were at rest before the reading began: one that changed meanwhile is read again next time.
      // A file that may be missing and is: its folder changes when it comes.
      const { vzdump, emailRelay } = set.files
      const paths = [...Object.values(set.files), ...(vzdump === undefined || emailRelay === undefined ? [this.configDir] : [])]
      const { seen, newestMs } = await lookOf(paths)
      if (newestMs < startedMs - AT_REST_MS) this.#look = { paths, seen }
      if (this.#inForce?.set.digest !== set.digest) this.#since = this.now().toISOString()
      this.#inForce = { set, warnings: warnings.map(formatProblem) }
    } catch (error) {
      if (!(error instanceof RunbookErrors) || this.#inForce === undefined) throw error
      this.#inForce = { ...this.#inForce, problem: { errors: error.problems.map(formatProblem), inForceSince: this.#since } }
    }
    return this.#inForce
  }

  /** The set that the last `refresh` put in force. */
  async current(): Promise<RunbooksInForce> {
    return this.#inForce ?? (await this.refresh())
  }
}

/** Coarser than any file system's clock. */
const AT_REST_MS = 2_000

/** Size, times and inode of each file: every way of changing a file changes its ctime, which nobody can set. */
async function lookOf(paths: readonly string[]): Promise<{ seen: string; newestMs: number }> {
  const stats = await Promise.all(paths.map((path) => stat(path, { bigint: true }).catch(() => undefined)))
  return {
    seen: stats.map((each) => (each === undefined ? 'gone' : `${each.ino}/${each.size}/${each.mtimeNs}/${each.ctimeNs}`)).join(' '),
    newestMs: Math.max(...stats.map((each) => (each === undefined ? Number.POSITIVE_INFINITY : Number(each.ctimeNs / 1_000_000n)))),
  }
}
