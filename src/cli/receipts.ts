/** `nightshift receipts`: list, show, verify. Reads files only; needs no server and takes no lock. */
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { ConfigError } from '../domain/config-error.js'
import { inert } from '../domain/render/inert.js'
import { instant } from '../domain/render/quantities.js'
import { loadRunbooks } from '../runbooks/index.js'
import { STATE_NAMES, stateDirectory } from '../state/location.js'
import { readIfThere, receiptNumbers, receiptPath } from '../state/receipts/chain-files.js'
import { parseReceipt, type Receipt } from '../state/receipts/receipt.js'
import { readTrustedKeys } from '../state/receipts/ssh-signature.js'
import { type ChainVerdict, verifyChain } from '../state/receipts/verify.js'
import { estateIdOf } from './estate-id.js'
import { UsageError } from './usage-error.js'

/** One line of `receipts list`. A receipt that cannot be read is listed as such. */
export interface ReceiptRow {
  readonly number: number
  readonly readable: boolean
  readonly writtenAt: string | null
  readonly kind: string | null
  readonly requestedBy: string | null
  readonly workflowId: string | null
  readonly runId: string | null
  /** The verdict of a pass, how a change ended and where, or what was recorded. */
  readonly outcome: string | null
}

/** All receipts of the estate, oldest first. */
export async function listReceipts(configDir: string): Promise<ReceiptRow[]> {
  const dir = await receiptsFolder(configDir)
  return receiptNumbers(dir).map((number) => {
    const receipt = parseReceipt(readIfThere(receiptPath(dir, number)) ?? '')
    if (receipt === undefined) return { number, readable: false, writtenAt: null, kind: null, requestedBy: null, workflowId: null, runId: null, outcome: null }
    const { writtenAt, kind, requestedBy, run } = receipt
    return { number, readable: true, writtenAt, kind, requestedBy, workflowId: run.workflowId, runId: run.runId, outcome: outcomeOf(receipt) }
  })
}

/** For people: a line each. */
export function receiptLine(row: ReceiptRow): string {
  const number = String(row.number).padStart(6)
  if (!row.readable || row.writtenAt === null) return `${number}  cannot be read: nightshift receipts verify`
  return `${number}  ${instant(row.writtenAt)}  ${inert(row.kind ?? '').padEnd(8)}  ${inert(row.outcome ?? '')}  (asked by ${inert(row.requestedBy ?? '')})`
}

/** @param which a number, or `last` @throws UsageError when there is no such receipt */
export async function readReceipt(configDir: string, which: string): Promise<Receipt> {
  const dir = await receiptsFolder(configDir)
  const numbers = receiptNumbers(dir)
  const number = which === 'last' ? numbers.at(-1) : Number(which)
  if (number === undefined || !numbers.includes(number)) {
    const known = numbers.length === 0 ? `there are none in ${dir} yet` : `there are ${numbers[0]} to ${numbers.at(-1)}`
    throw new UsageError(`there is no receipt ${which}`, `${known}; nightshift receipts list shows them`)
  }
  const receipt = parseReceipt(readIfThere(receiptPath(dir, number)) ?? '')
  if (receipt === undefined) throw new ConfigError(`${receiptPath(dir, number)} cannot be read as a receipt`, 'nightshift receipts verify says more')
  return receipt
}

/** Checks the whole chain of the estate. @throws ConfigError when the public key is missing */
export async function verifyReceipts(configDir: string): Promise<ChainVerdict> {
  const { estate } = await loadRunbooks(configDir)
  return verifyChain({
    dir: join(stateDirectory(estate.id), STATE_NAMES.receipts),
    estate: estate.id,
    trusted: readTrustedKeys(estate.receipts.signingKeyPath),
    mirrorPath: estate.receipts.headMirrorPath,
  })
}

/** 0 good, 2 bad, 3 when it cannot be told (no receipts yet, head mirror missing or unreadable). */
export function verifyExitCode(verdict: ChainVerdict): 0 | 2 | 3 {
  if (verdict.ok) return 0
  return verdict.problem?.kind === 'broken' || verdict.problem?.kind === 'not_ours' || verdict.problem?.kind === 'ends_before_head' ? 2 : 3
}

/** For people. */
export function verdictLines(verdict: ChainVerdict): string[] {
  if (verdict.problem !== null) return [inert(verdict.problem.message), `→ ${inert(verdict.problem.next)}`]
  return [
    `${verdict.count} receipts hold together: every signature is ours, none is missing, and the head mirror agrees.`,
    `Head ${verdict.head?.number} ${verdict.head?.sha256}`,
  ]
}

/** Who runs this command, for `requestedBy`. */
export function operatorName(env: NodeJS.ProcessEnv = process.env): string {
  const user = userInfo().username
  return env.SUDO_USER && env.SUDO_USER !== user ? `${env.SUDO_USER} (as ${user})` : user
}

async function receiptsFolder(configDir: string): Promise<string> {
  const estateId = process.env.NIGHTSHIFT_STATE ? '' : await estateIdOf(configDir)
  return join(stateDirectory(estateId), STATE_NAMES.receipts)
}

function outcomeOf(receipt: Receipt): string {
  const { verdict, why, recorded, state } = receipt.outcome
  if (typeof verdict === 'string') return typeof why === 'string' ? `${verdict}, ${why.replaceAll('_', ' ')}` : verdict
  if (typeof state === 'string') return `${state.replaceAll('_', ' ')}${typeof receipt.observed.host === 'string' ? `, ${receipt.observed.host}` : ''}`
  if (Array.isArray(recorded)) return `recorded ${recorded.join(', ')}`
  return ''
}
