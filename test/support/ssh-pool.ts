/** A pool for one user of a test sshd, and the error that a run is expected to end with. */
import { type RunRequest, SshError, SshPool, type SshPoolOptions } from '../../src/ssh/index.js'
import type { TestSshd } from './sshd.js'

/** Lines of an ssh_config block that lead to this sshd. */
export function blockFor(sshd: TestSshd, user: string): string[] {
  return [`HostName ${sshd.host}`, `Port ${sshd.port}`, `User ${user}`, `IdentityFile ${sshd.keyPath}`]
}

/** A pool that knows every given user as a host of the same name. */
export function poolFor(sshd: TestSshd, users: readonly string[], options: Partial<SshPoolOptions> = {}): SshPool {
  const configPath = sshd.sshConfig(Object.fromEntries(users.map((user) => [user, blockFor(sshd, user)])), `ssh_config-${users.join('-')}`)
  return new SshPool({ configPath, knownHostsPaths: [sshd.knownHosts()], connectTimeoutMs: 5000, ...options })
}

/** The SshError of a run; fails when it succeeds or throws something else. */
export async function failureOf(run: Promise<unknown>): Promise<SshError> {
  try {
    await run
  } catch (error) {
    if (error instanceof SshError) return error
    throw error
  }
  throw new Error('the run succeeded')
}

/** Runs a shell script on the host. */
export function script(text: string, more: Partial<RunRequest> = {}): RunRequest {
  return { argv: ['sh', '-s'], stdin: text, deadlineMs: 20_000, ...more }
}

/** Waits until a condition holds; fails with its description after ten seconds. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const end = Date.now() + 10_000
  while (!condition()) {
    if (Date.now() > end) throw new Error(`waited in vain until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
