/** What the alert desk last said about itself (`desk.json`). `nightshift status` and `alerts` read it without the database. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { DeskSnapshot } from '../domain/desk/snapshot.js'
import { STATE_NAMES } from './location.js'

/** The desk's last word; undefined when there is none that can be read. Takes no lock: the file is replaced as a whole. */
export function readDeskFile(dir: string): DeskSnapshot | undefined {
  try {
    const document = JSON.parse(readFileSync(join(dir, STATE_NAMES.desk), 'utf8')) as Partial<DeskSnapshot> | null
    const isOurs = document?.schema === 'nightshift.desk/1' && Array.isArray(document.incidents) && Array.isArray(document.silences)
    return isOurs ? (document as DeskSnapshot) : undefined
  } catch {
    return undefined
  }
}
