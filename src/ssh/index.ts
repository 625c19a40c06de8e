/** The transport: commands on hosts over SSH, with the host key always checked. Nothing outside this folder imports its other files. */
export type { RunRequest, RunResult } from './command-run.js'
export { loadSshConfig, type ResolvedHost, resolveHost } from './config.js'
export { SshError, type SshErrorDetails, type SshFailureReason, SudoDeniedError } from './errors.js'
export { SshPool, type SshPoolOptions } from './pool.js'
export { quoteArgv } from './remote-command.js'
export {
  type HostKeyScan,
  type OfferedHostKey,
  type OfferedKeyState,
  type RecordedHostKey,
  type RecordRequest,
  type RecordResult,
  recordHostKey,
  scanHostKeys,
} from './trust.js'
