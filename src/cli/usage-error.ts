/** Wrong usage of the command line: exit code 64 (sysexits EX_USAGE). */
export const EXIT_USAGE = 64

export class UsageError extends Error {
  readonly exitCode = EXIT_USAGE

  constructor(
    message: string,
    readonly next: string,
  ) {
    super(message)
    this.name = 'UsageError'
  }
}
