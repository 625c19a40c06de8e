/** Private keys for the login: read and parsed once, refused clearly when they cannot be used. */
import { statSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import ssh2, { type ParsedKey } from 'ssh2'
import type { ResolvedHost } from './config.js'
import { SshError } from './errors.js'
import { FileCache } from './file-cache.js'

export interface LoginKey {
  path: string
  key: ParsedKey
}

export interface LoginKeys {
  keys: LoginKey[]
  /** Named in the configuration, but not there. Said when the login fails. */
  missing: string[]
}

const DEFAULT_KEY_FILES = ['id_ed25519', 'id_ecdsa', 'id_rsa']

const cache = new FileCache((content, path) => parsePrivateKey(content, path))

function parsePrivateKey(content: Buffer, path: string): ParsedKey | string {
  const parsed = ssh2.utils.parseKey(content)
  if (parsed instanceof Error)
    return /encrypted/i.test(parsed.message)
      ? `${path}: this key has a passphrase, and nobody is there at night to type it`
      : `${path}: this is not a private key that can be read`
  const key = Array.isArray(parsed) ? parsed[0] : parsed
  if (key === undefined || !key.isPrivateKey()) return `${path}: this is a public key; the private key is needed`
  return key
}

function bad(host: ResolvedHost, message: string, next: string): SshError {
  return new SshError({ reason: 'bad_ssh_key', host: host.alias, message, next })
}

function unusable(host: ResolvedHost, problem: string): SshError {
  const next = `make a key without passphrase for nightshift alone (\`ssh-keygen -t ed25519 -N '' -f FILE\`) and name it in IdentityFile for host ${host.alias}`
  return bad(host, problem, next)
}

/** OpenSSH's rule: a key of ours that others may read is not used (sshkey_perm_ok in authfile.c). */
function refuseOpenPermissions(host: ResolvedHost, path: string): void {
  const stat = statSync(path)
  if (stat.uid === process.getuid?.() && (stat.mode & 0o077) !== 0)
    throw bad(host, `${path}: others than its owner can read this private key (mode ${(stat.mode & 0o777).toString(8).padStart(4, '0')})`, `chmod 600 ${path}`)
}

/**
 * The keys to try for a host, in the order of `IdentityFile`; without any, the usual ones of ~/.ssh.
 * Throws SshError `bad_ssh_key`: no key at all, a passphrase, not a key, readable for others.
 */
export function loadLoginKeys(host: ResolvedHost): LoginKeys {
  const configured = host.identityFiles.length > 0
  const paths = configured ? host.identityFiles : DEFAULT_KEY_FILES.map((name) => join(homedir(), '.ssh', name))
  const result: LoginKeys = { keys: [], missing: [] }
  let firstProblem: string | undefined
  for (const path of paths) {
    let parsed: ParsedKey | string | undefined
    try {
      parsed = cache.read(path)
    } catch (cause) {
      throw bad(
        host,
        `${path}: this key cannot be read (${(cause as NodeJS.ErrnoException).code ?? 'error'})`,
        'make it readable for the user that nightshift runs as',
      )
    }
    if (parsed === undefined) {
      result.missing.push(path)
      continue
    }
    if (typeof parsed === 'string') {
      // Of the usual keys nobody promised that they fit; a key that is named must.
      if (configured) throw unusable(host, parsed)
      firstProblem ??= parsed
      continue
    }
    refuseOpenPermissions(host, path)
    result.keys.push({ path, key: parsed })
  }
  if (result.keys.length === 0 && firstProblem !== undefined) throw unusable(host, firstProblem)
  if (result.keys.length === 0) {
    const looked = result.missing.join(', ')
    throw bad(
      host,
      `no private key for ${host.alias}: ${looked} ${result.missing.length === 1 ? 'does' : 'do'} not exist`,
      `name a key with \`IdentityFile\` under \`Host ${host.alias}\``,
    )
  }
  return result
}
