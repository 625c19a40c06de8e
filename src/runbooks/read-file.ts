/** One runbook file from disk to text: bounded, UTF-8 only, and never the half of what an editor is just writing. */
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import type { RunbookProblem } from './problems.js'
import { MAX_FILE_BYTES } from './yaml-source.js'

/** A file written this recently may still be in the writing. */
const FRESH_MS = 300
const SETTLE_MS = 60
const MAX_TRIES = 20

export type FileText = { readonly text: string; readonly bytes: Uint8Array } | { readonly problem: RunbookProblem }

/** Reads a file. Problems come back, they are not thrown. */
export async function readRunbookFile(path: string): Promise<FileText> {
  for (let attempt = 1; attempt <= MAX_TRIES; attempt += 1) {
    const result = await readOnce(path)
    if (result !== 'changing') return result
    await delay(SETTLE_MS)
  }
  return { problem: wholeFile(path, 'a file that keeps changing', 'a file at rest', 'see what is writing it, then try again') }
}

async function readOnce(path: string): Promise<FileText | 'changing'> {
  let file: Awaited<ReturnType<typeof open>>
  try {
    // Without O_NONBLOCK a named pipe in the place of a file would hold the load for ever.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    return { problem: ofSystemError(path, error) }
  }
  try {
    const before = await file.stat()
    if (!before.isFile()) return { problem: wholeFile(path, 'no regular file', 'a file', 'put the runbook file there') }
    if (before.size > MAX_FILE_BYTES) return { problem: wholeFile(path, `${before.size} bytes`, `at most ${MAX_FILE_BYTES} bytes`, null) }
    if (Math.abs(Date.now() - before.mtimeMs) < FRESH_MS) return 'changing'
    // One byte more than was promised: a file that grows meanwhile is seen by its length.
    const buffer = new Uint8Array(before.size + 1)
    let length = 0
    for (;;) {
      const { bytesRead } = await file.read(buffer, length, buffer.length - length, length)
      length += bytesRead
      if (bytesRead === 0 || length === buffer.length) break
    }
    const after = await file.stat()
    if (length !== before.size || after.size !== before.size || after.mtimeMs !== before.mtimeMs) return 'changing'
    return decodeUtf8(path, buffer.subarray(0, length))
  } catch (error) {
    return { problem: ofSystemError(path, error) }
  } finally {
    await file.close()
  }
}

/** UTF-8, with or without a byte order mark; the first wrong byte is named with its place. */
export function decodeUtf8(path: string, bytes: Uint8Array): FileText {
  try {
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes), bytes }
  } catch {
    const offset = firstBadByte(bytes)
    const before = new TextDecoder('utf-8').decode(bytes.subarray(0, offset))
    const line = before.split('\n').length
    const column = before.length - before.lastIndexOf('\n')
    const found = `the byte 0x${(bytes[offset] ?? 0).toString(16).padStart(2, '0')}, which is no UTF-8`
    return { problem: { file: path, line, column, path: '', found, allowed: 'UTF-8', hint: 'save the file as UTF-8' } }
  }
}

/** Offset of the first byte of what is no UTF-8: the longest prefix that decodes, without the character that it leaves unfinished. */
function firstBadByte(bytes: Uint8Array): number {
  const decode = (length: number): string | undefined => {
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes.subarray(0, length), { stream: true })
    } catch {
      return undefined
    }
  }
  let good = 0
  let bad = bytes.length + 1
  while (bad - good > 1) {
    const middle = Math.floor((good + bad) / 2)
    if (decode(middle) === undefined) bad = middle
    else good = middle
  }
  return Buffer.byteLength(decode(good) ?? '')
}

function ofSystemError(path: string, error: unknown): RunbookProblem {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'error'
  if (code === 'ENOENT')
    return wholeFile(path, 'no such file', 'a file that exists', 'name the configuration folder with --config, or copy the file from the example in runbooks/')
  if (code === 'EACCES') return wholeFile(path, 'a file that may not be read', 'a readable file', 'run as the user it belongs to')
  return wholeFile(path, `a file that cannot be read (${code})`, 'a readable file', null)
}

function wholeFile(file: string, found: string, allowed: string, hint: string | null): RunbookProblem {
  return { file, line: 1, column: 1, path: '', found, allowed, hint }
}
