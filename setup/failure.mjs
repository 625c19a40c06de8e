/** An error that a person can act on: one sentence, the command that helps, and the exit code (78 = the machine or its configuration is not ready). */

export const EXIT_USAGE = 64
export const EXIT_CONFIG = 78

export class SetupFailure extends Error {
  /**
   * @param {string} message what is wrong, one sentence
   * @param {string} next what to do about it, a command where there is one
   * @param {number} exitCode
   */
  constructor(message, next, exitCode = EXIT_CONFIG) {
    super(message)
    this.name = 'SetupFailure'
    this.next = next
    this.exitCode = exitCode
  }
}
