/** System errors in words: people should not have to know what ENOENT means. */

const WORDS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or folder',
  EACCES: 'this user may not do that',
  EPERM: 'this user may not do that',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of the path is no folder',
  ENOSPC: 'no space is left on the device',
  EROFS: 'the file system is read-only',
  ELOOP: 'too many symbolic links',
}

/** The cause of an error in a few words, with the path when it has one. */
export function plainCause(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { code, path } = error as NodeJS.ErrnoException
  const words = code === undefined ? undefined : WORDS[code]
  if (words === undefined) return error.message
  return path === undefined ? words : `${path}: ${words}`
}
