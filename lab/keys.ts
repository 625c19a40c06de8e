/** Key pairs of a lab, made by `ssh-keygen`; a pair that is there is kept. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { run } from './command.js'

export type KeyType = 'ed25519' | 'ecdsa' | 'rsa'

/** In a temporary name first: a key without its `.pub`, left by a kill, would never be noticed. */
export async function ensureKeyPair(path: string, type: KeyType, comment: string): Promise<void> {
  if (existsSync(path) && existsSync(`${path}.pub`)) return
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const making = `${path}.making`
  for (const left of [making, `${making}.pub`]) rmSync(left, { force: true })
  // 2048 bits: lab keys live for days, and eleven hosts wait for theirs.
  await run(['ssh-keygen', '-q', '-t', type, ...(type === 'rsa' ? ['-b', '2048'] : []), '-N', '', '-C', comment, '-f', making])
  renameSync(`${making}.pub`, `${path}.pub`)
  renameSync(making, path)
}

/** `type base64`, without the comment. */
export function publicKeyOf(path: string): string {
  return readFileSync(`${path}.pub`, 'utf8').trim().split(' ').slice(0, 2).join(' ')
}

export const HOST_KEY_TYPES: readonly KeyType[] = ['ed25519', 'ecdsa', 'rsa']

export function hostKeyPath(type: KeyType): string {
  return `/etc/ssh/ssh_host_${type}_key`
}
