/**
 * References to secrets: runbook files hold `env:NAME` or `file:PATH`, never the secret. Only activities resolve them,
 * right before use, so that no secret enters a workflow history, an error text or a log.
 */
import { open } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'

export type SecretReference = { readonly kind: 'env'; readonly name: string } | { readonly kind: 'file'; readonly path: string }

/** Cannot be used; says which reference and what to do, and never what was found in it. */
export class SecretError extends Error {
  override readonly name = 'SecretError'

  constructor(
    readonly reference: string,
    cause: string,
    readonly next: string,
  ) {
    super(`the secret ${reference} ${cause}: ${next}`)
  }
}

const MAX_SECRET_BYTES = 64 * 1024

/** Keys whose value is a secret: `password`, `smtp_password`, `client_secret`, `api_token`, `passphrase`. */
export function isSecretKey(key: string): boolean {
  return /(^|[_-])(password|passwd|passphrase|secret|token|api_?key)$/i.test(key)
}

/** True for a text that is written as a reference. */
export function isSecretReference(value: unknown): boolean {
  return typeof value === 'string' && parseReference(value) !== undefined
}

/** `env:NAME` → the variable's name, `file:PATH` → an absolute path (relative ones against the configuration folder, `~/` against the home). Throws SecretError. */
export function parseSecretReference(text: string, configDir: string): SecretReference {
  const reference = parseReference(text)
  // The text may be the secret itself, written where the reference belongs: it is not repeated.
  if (reference === undefined) throw new SecretError('reference', 'is not written as one', 'write env:NAME or file:PATH')
  return reference.kind === 'env' ? reference : { kind: 'file', path: resolveLocalPath(reference.path, configDir) }
}

/** The secret itself, without a trailing line end. For activities only. Throws SecretError when it is absent, empty, too big or readable by others. */
export async function resolveSecret(text: string, configDir: string, environment: NodeJS.ProcessEnv = process.env): Promise<string> {
  const reference = parseSecretReference(text, configDir)
  if (reference.kind === 'env') {
    const value = environment[reference.name]
    if (value === undefined || value === '') throw new SecretError(text, 'is not set', `set the environment variable ${reference.name} for the worker`)
    return value
  }
  return await readSecretFile(text, reference.path)
}

/** A path of a runbook file on this machine: `~/…` is in the home folder, a relative one in the configuration folder. */
export function resolveLocalPath(path: string, configDir: string): string {
  return path.startsWith('~/') ? join(homedir(), path.slice(2)) : resolve(configDir, path)
}

function parseReference(text: string): SecretReference | undefined {
  const environment = /^env:([A-Za-z_][A-Za-z0-9_]{0,127})$/.exec(text)?.[1]
  if (environment !== undefined) return { kind: 'env', name: environment }
  const path = /^file:([^\u0000-\u001f\u007f]{1,1024})$/.exec(text)?.[1]
  return path === undefined ? undefined : { kind: 'file', path }
}

async function readSecretFile(reference: string, path: string): Promise<string> {
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    throw new SecretError(reference, `cannot be read (${error.code ?? 'error'})`, `check that ${path} exists and belongs to the user of the worker`)
  })
  try {
    const stat = await file.stat()
    if (!stat.isFile()) throw new SecretError(reference, 'is no file', `put the secret into the file ${path}`)
    if ((stat.mode & 0o077) !== 0) throw new SecretError(reference, 'may be read by other users', `run: chmod 600 ${path}`)
    if (stat.size > MAX_SECRET_BYTES) throw new SecretError(reference, `is bigger than ${MAX_SECRET_BYTES} bytes`, 'refer to the right file')
    const secret = (await file.readFile('utf8')).replace(/\r?\n$/, '')
    if (secret === '') throw new SecretError(reference, 'is empty', `put the secret into the file ${path}`)
    return secret
  } finally {
    await file.close()
  }
}
