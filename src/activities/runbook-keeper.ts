/**
 * Holds the runbooks in force. A file that is broken while nightshift runs never takes the last good set out of force;
 * what is wrong is kept beside it and said in every pass.
 */

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
    try {
      const { warnings, ...set } = await loadRunbooks(this.configDir)
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
