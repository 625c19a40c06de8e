/** An error that a person can act on: one sentence, the command that helps, and the exit code (78 = the machine or its configuration is not ready). */

export const EXIT_USAGE = 64
export const EXIT_CONFIG = 78

export class SetupFailure extends Error {
  /**
   * @param {string} message what is wrong, one sentence
   * @param {string} next what to do about it, a command where there is one
   * @param {number} exitCode
   * @param {boolean} alreadySaid the program that failed has told it on stderr itself
   */
  constructor(message, next, exitCode = EXIT_CONFIG, alreadySaid = false) {
    super(message)
    this.alreadySaid = alreadySaid
    this.name = 'SetupFailure'
    this.next = next
    this.exitCode = exitCode
  }
}
