/** `lab.json`: what a lab remembers between two commands. Written whole and atomically; `down` does not depend on it. */
import { mkdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { z } from 'zod'
import { replaceFile } from '../src/files/replace-file.js'
import { errorCode, LabError } from './errors.js'
import { type LabPaths, labPaths } from './names.js'

const recordSchema = z.object({
  version: z.literal(1),
  name: z.string(),
  /** The first three numbers of the lab's /24: `10.213.7`. */
  subnet: z.string().regex(/^10\.\d{1,3}\.\d{1,3}$/),
  hosts: z.array(z.string()),
  /** The root tree that the overlays lie on; it cannot be exchanged under them. */
  tree: z.string(),
  state: z.enum(['healthy', 'as-found']).nullable(),
  /** Cases in force. */
  hurt: z.array(z.string()),
  createdAt: z.string(),
})

export type LabRecord = Readonly<z.infer<typeof recordSchema>>

/** @returns undefined when there is no such lab; throws LabError when its file cannot be understood */
export function readRecord(paths: LabPaths): LabRecord | undefined {
  let text: string
  try {
    text = readFileSync(paths.record, 'utf8')
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  }
  try {
    return recordSchema.parse(JSON.parse(text))
  } catch (error) {
    throw new LabError('config', `${paths.record} cannot be understood`, 'remove this lab and make it anew: npm run lab -- reset', { cause: error })
  }
}

export function writeRecord(record: LabRecord): void {
  const { record: path } = labPaths(record.name)
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  replaceFile(path, `${JSON.stringify(record, null, 2)}\n`)
}
