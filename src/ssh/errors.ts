/** What can go wrong between us and a host, typed by what the reader can do about it. */

export type SshFailureReason =
  | 'connect_refused'
  | 'connect_timeout'
  | 'name_unresolved'
  | 'auth_denied'
  | 'host_key_unknown'
  | 'host_key_mismatch'
  | 'host_key_revoked'
  | 'connection_lost'
  | 'output_too_large'
  | 'deadline'
  | 'cancelled'
  | 'exit_code'
  | 'signal'
  | 'outcome_unknown'
  | 'unsupported_ssh_config'
  | 'bad_ssh_key'

export interface SshErrorDetails {
  reason: SshFailureReason
  /** The name that the caller used (the alias of `ssh_config`), not the address. */
  host: string
  /** First line: the cause in plain words with host, address and port. More lines may follow. */
  message: string
  /** What a person can do now, with the command for it where there is one. */
  next: string
  exitCode?: number
  signal?: string
  /** The end of what the remote program wrote to stderr: at most 2 KiB, redacted, without control characters. */
  stderrTail?: string
  cause?: unknown
}

/** Every failure of this folder. Never holds stdin, environment values or arguments of a command. */
export class SshError extends Error {
  readonly reason: SshFailureReason
  readonly host: string
  readonly next: string
  readonly exitCode?: number
  readonly signal?: string
  readonly stderrTail?: string

  constructor(details: SshErrorDetails) {
    super(details.message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = 'SshError'
    this.reason = details.reason
    this.host = details.host
    this.next = details.next
    this.exitCode = details.exitCode
    this.signal = details.signal
    this.stderrTail = details.stderrTail
  }
}

/** The login worked, but `sudo -n` did not let the command run. Its reason is `auth_denied`: a person has to allow it. */
export class SudoDeniedError extends SshError {
  constructor(details: Omit<SshErrorDetails, 'reason'>) {
    super({ ...details, reason: 'auth_denied' })
    this.name = 'SudoDeniedError'
  }
}
