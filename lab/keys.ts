/** Key pairs of a lab, made by `ssh-keygen`; a pair that is there is kept. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { run } from './command.js'

export type KeyType = 'ed25519' | 'ecdsa'

/** In a temporary name first: a key without its `.pub`, left by a kill, would never be noticed. */
export async function ensureKeyPair(path: string, type: KeyType, comment: string): Promise<void> {
  if (existsSync(path) && existsSync(`${path}.pub`)) return
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const making = `${path}.making`
  for (const left of [making, `${making}.pub`]) rmSync(left, { force: true })
  await run(['ssh-keygen', '-q', '-t', type, '-N', '', '-C', comment, '-f', making])
  renameSync(`${making}.pub`, `${path}.pub`)
  renameSync(making, path)
}

/** `type base64`, without the comment. */
export function publicKeyOf(path: string): string {
  return readFileSync(`${path}.pub`, 'utf8').trim().split(' ').slice(0, 2).join(' ')
}

/** Two, so that there is one to choose and one to ignore. No RSA: eleven hosts would wait for theirs, and `test/lab/ssh` tries it. */
export const HOST_KEY_TYPES: readonly KeyType[] = ['ed25519', 'ecdsa']

export function hostKeyPath(type: KeyType): string {
  return `/etc/ssh/ssh_host_${type}_key`
}
