/**
 * The raw floor: the very bytes that a pass sends to each host, sent by plain OpenSSH processes side by side, with the same keys and the same
 * key exchange, and nothing judged. Whatever we need beyond it is ours.
 */
import { execa } from 'execa'
import { newRunMark, renderRunCommand } from '../src/ssh/remote-command.js'

export interface RawHost {
  readonly alias: string
  readonly script: string
  readonly sudo: boolean
  readonly deadlineMs: number
}

export interface RawOptions {
  readonly sshConfigPath: string
  /** With a folder for control sockets, connections are kept between runs (ControlMaster). */
  readonly controlFolder?: string
}

/** Algorithms that the product negotiates with OpenSSH 9: neither side of the comparison may have a cheaper handshake. */
const SAME_AS_OURS = ['-o', 'KexAlgorithms=curve25519-sha256', '-o', 'HostKeyAlgorithms=ssh-ed25519', '-o', 'Ciphers=aes128-gcm@openssh.com']

/**
 * Reads all hosts once. @throws Error when one of them fails: a floor that looked at less would be no floor
 * @returns bytes of standard output in sum
 */
export async function readRaw(hosts: readonly RawHost[], options: RawOptions): Promise<number> {
  const reuse =
    options.controlFolder === undefined ? [] : ['-o', 'ControlMaster=auto', '-o', `ControlPath=${options.controlFolder}/%C`, '-o', 'ControlPersist=60']
  const outputs = await Promise.all(
    hosts.map(async (host) => {
      const command = renderRunCommand(['sh', '-s'], { mark: newRunMark(), limitMs: host.deadlineMs, sudo: host.sudo, keeper: 'gnu' })
      const { stdout } = await execa('ssh', ['-F', options.sshConfigPath, '-o', 'BatchMode=yes', ...SAME_AS_OURS, ...reuse, host.alias, command], {
        input: host.script,
        maxBuffer: 64 * 1024 * 1024,
        stderr: 'ignore',
      })
      return stdout.length
    }),
  )
  return outputs.reduce((sum, bytes) => sum + bytes, 0)
}

/** Ends kept connections. */
export async function closeRaw(hosts: readonly RawHost[], options: RawOptions): Promise<void> {
  if (options.controlFolder === undefined) return
  await Promise.all(
    hosts.map((host) =>
      execa('ssh', ['-F', options.sshConfigPath, '-o', `ControlPath=${options.controlFolder}/%C`, '-O', 'exit', host.alias], {
        reject: false,
        stdio: 'ignore',
      }),
    ),
  )
}
