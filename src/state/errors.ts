/** The ways in which the state folder can refuse, each with what to do about it. Tiny: `nightshift status` loads it. */

/** Base of all errors of this folder: `message` names cause and place, `next` says what to do, `exitCode` follows sysexits. */
export class StateError extends Error {
  override readonly name: string = 'StateError'
  constructor(
    message: string,
    readonly next: string,
    readonly exitCode: number,
    options?: ErrorOptions,
  ) {
    super(message, options)
  }
}

/** Another process owns the state folder. `holderPid` is null when the holder has not said who it is. */
export class StateLocked extends StateError {
  override readonly name = 'StateLocked'
  constructor(
    readonly dir: string,
    readonly holderPid: number | null,
    readonly since: string | null,
  ) {
    const who = holderPid === null ? 'another process' : `process ${holderPid}`
    super(
      `the state folder ${dir} is in use by ${who}${since === null ? '' : ` since ${since}`}`,
      'one worker owns the state of an estate: stop that one first, or give this one a state folder of its own (NIGHTSHIFT_STATE)',
      78,
    )
  }
}

/** The folder belongs to another estate, or is no state folder at all. Estates never mix. */
export class StateOfAnotherEstate extends StateError {
  override readonly name = 'StateOfAnotherEstate'
  constructor(
    readonly dir: string,
    readonly foundEstate: string,
    readonly wantedEstate: string,
  ) {
    super(
      `the state folder ${dir} belongs to estate "${foundEstate}", not to "${wantedEstate}"`,
      `set NIGHTSHIFT_STATE to the state folder of "${wantedEstate}", or leave it unset for the default one`,
      78,
    )
  }
}

/** The folder cannot be used as it is: permissions, foreign files, an unknown format. */
export class StateUnusable extends StateError {
  override readonly name = 'StateUnusable'
  constructor(message: string, next: string, options?: ErrorOptions) {
    super(message, next, 78, options)
  }
}

/** A write did not happen; what was there before is intact and the next write may succeed. */
export class StateWriteFailed extends StateError {
  override readonly name = 'StateWriteFailed'
  constructor(
    readonly what: string,
    readonly path: string,
    cause: unknown,
  ) {
    const full = isDiskFull(cause)
    const why = full ? 'no space is left on the device' : cause instanceof Error ? cause.message : String(cause)
    super(
      `${what} could not be written to ${path}: ${why}`,
      full
        ? `free some space on the file system of ${path}; the next pass writes again by itself`
        : `check that ${path} can be written; the next pass tries again by itself`,
      73,
      { cause },
    )
  }
}

/** True for "disk full" and "quota exceeded", whether the file system or SQLite says it. */
export function isDiskFull(error: unknown): boolean {
  const code = errorCode(error)
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'SQLITE_FULL' || (error instanceof StateWriteFailed && isDiskFull(error.cause))
}

/** The `code` of a system or SQLite error, if it has one. */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}
