/** Makes the state folder (0700) and sees to it that it is one, and of the right estate. */
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { ESTATE_ID } from '../domain/ids.js'
import { writeDurably } from './durable-file.js'
import { errorCode, StateOfAnotherEstate, StateUnusable } from './errors.js'
import { STATE_NAMES } from './location.js'

const SCHEMA = 'nightshift.state/1'

/**
 * Creates the folder where missing and refuses a foreign one. Writes nothing into it yet: that is for the holder of the lock (`markFolder`).
 * @throws StateOfAnotherEstate, StateUnusable
 */
export function prepareFolder(dir: string, estateId: string): void {
  if (!ESTATE_ID.test(estateId))
    throw new StateUnusable(`not an estate id: ${JSON.stringify(estateId)}`, 'set `id` in estate.yaml to lower-case letters, digits and dashes')
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 })
    if (!statSync(dir).isDirectory()) throw new Error('it is not a folder')
    const found = readEstateMark(dir)
    if (found === undefined) refuseForeignFiles(dir)
    else if (found !== estateId) throw new StateOfAnotherEstate(dir, found, estateId)
    chmodSync(dir, 0o700)
  } catch (error) {
    if (error instanceof StateUnusable || error instanceof StateOfAnotherEstate) throw error
    throw new StateUnusable(
      `the state folder ${dir} cannot be used: ${error instanceof Error ? error.message : String(error)}`,
      'give nightshift a folder that it may write, with NIGHTSHIFT_STATE or XDG_STATE_HOME',
      { cause: error },
    )
  }
}

/** Records whose state this is, once. Call under the lock. */
export function markFolder(dir: string, estateId: string, now: Date): void {
  if (readEstateMark(dir) !== undefined) return
  const mark = { schema: SCHEMA, estate: estateId, createdAt: now.toISOString() }
  writeDurably('the mark of the estate', join(dir, STATE_NAMES.estate), `${JSON.stringify(mark)}\n`)
}

/** The estate whose state this folder is; undefined when nothing says so yet. @throws StateUnusable when the mark cannot be understood */
export function readEstateMark(dir: string): string | undefined {
  const path = join(dir, STATE_NAMES.estate)
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  }
  let mark: unknown
  try {
    mark = JSON.parse(text)
  } catch {
    mark = undefined
  }
  if (typeof mark === 'object' && mark !== null && 'estate' in mark && typeof mark.estate === 'string' && 'schema' in mark && mark.schema === SCHEMA)
    return mark.estate
  throw new StateUnusable(`${path} does not say whose state this is`, `restore it, or move ${dir} away: nightshift then begins a new one`)
}

/** A folder with other people's files in it was named by mistake; an empty one, or one where a first start was killed, is fine. */
function refuseForeignFiles(dir: string): void {
  const ours: readonly string[] = [STATE_NAMES.lock, `${STATE_NAMES.lock}-journal`, STATE_NAMES.holder, STATE_NAMES.pendingReceipts, 'lost+found']
  const foreign = readdirSync(dir).filter((name) => !ours.includes(name) && !name.startsWith(`${STATE_NAMES.estate}.`))
  if (foreign.length === 0) return
  throw new StateUnusable(
    `${dir} is no state folder of nightshift: it holds ${foreign.slice(0, 3).join(', ')}${foreign.length > 3 ? ' and more' : ''}`,
    'name an empty folder',
  )
}
