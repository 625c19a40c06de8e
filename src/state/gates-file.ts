/** What the last look at the gates found (`gates.json`). `nightshift status` reads it without the database, as it reads the status. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { GatesDocument } from '../domain/gates.js'
import { STATE_NAMES } from './location.js'

/** The last document; undefined when there is none that can be read. Takes no lock: the file is replaced as a whole. */
export function readGatesFile(dir: string): GatesDocument | undefined {
  try {
    const document = JSON.parse(readFileSync(join(dir, STATE_NAMES.gates), 'utf8')) as Partial<GatesDocument> | null
    return document?.schema === 'nightshift.gates/1' && Array.isArray(document.gates) ? (document as GatesDocument) : undefined
  } catch {
    return undefined
  }
}
