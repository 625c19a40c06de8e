/** What goes wrong in the lab program, typed by what the caller can do about it. */
import { ConfigError } from '../src/domain/config-error.js'

export type LabErrorKind =
  /** The command line is wrong: exit 64. */
  | 'usage'
  /** The machine or the lab is not in a state for it: exit 78. */
  | 'config'
  /** It was tried and failed: exit 1. */
  | 'failed'

export class LabError extends Error {
  override readonly name = 'LabError'
  constructor(
    readonly kind: LabErrorKind,
    message: string,
    /** A command or an action that helps. */
    readonly next?: string,
    options?: ErrorOptions,
  ) {
    super(message, options)
  }

  /** sysexits.h: 64 wrong usage, 78 wrong configuration. */
  get exitCode(): number {
    return { usage: 64, config: 78, failed: 1 }[this.kind]
  }
}

export function exitCodeOf(error: unknown): number {
  return error instanceof LabError || error instanceof ConfigError ? error.exitCode : 1
}

/** The one or two lines that a person reads. */
export function describeError(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  const next = error instanceof LabError || error instanceof ConfigError ? error.next : undefined
  return next ? `${message}\nnext: ${next}` : message
}

export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}
