/** Where the state of an estate lies. Only paths: no file is touched, nothing big is loaded (`nightshift status` needs this). */
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { ESTATE_ID } from '../domain/ids.js'

/** Names inside of a state folder. */
export const STATE_NAMES = {
  estate: 'estate.json',
  lock: 'lock.db',
  holder: 'lock.json',
  database: 'state.db',
  status: 'status.json',
  desk: 'desk.json',
  gates: 'gates.json',
  receipts: 'receipts',
  pendingReceipts: 'receipts-pending',
} as const

/**
 * The state folder of an estate: `NIGHTSHIFT_STATE` when set, else `nightshift/<id>` in the XDG state folder.
 * @throws RangeError when the id is none (it becomes part of a path)
 */
export function stateDirectory(estateId: string, env: NodeJS.ProcessEnv = process.env): string {
  if (env.NIGHTSHIFT_STATE) return resolve(env.NIGHTSHIFT_STATE)
  if (!ESTATE_ID.test(estateId)) throw new RangeError(`not an estate id: ${JSON.stringify(estateId)}`)
  // XDG Base Directory Specification: a relative path in XDG_STATE_HOME is invalid and to be ignored.
  const base = env.XDG_STATE_HOME?.startsWith('/') ? env.XDG_STATE_HOME : join(env.HOME || homedir(), '.local', 'state')
  return join(base, 'nightshift', estateId)
}
