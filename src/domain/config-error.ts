/** The error of wrong configuration or of a machine that is not ready: programs that meet it end with exit code 78 (sysexits EX_CONFIG). */

export const EXIT_CONFIG = 78

/** The first line says what is wrong and where; `next` what to do about it (a command where there is one). */
export class ConfigError extends Error {
  readonly exitCode = EXIT_CONFIG
  readonly next: string

  constructor(message: string, next: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ConfigError'
    this.next = next
  }
}
