/** Checks a chain of receipts offline: needs the folder, the public key and the head mirror; no server, no lock, no program. */
import { dirname } from 'node:path'
import { canonicalJson, sha256Hex } from '../../domain/canonical.js'
import { type Head, readIfThere, readMirror, receiptNumbers, receiptPath } from './chain-files.js'
import { parseReceipt } from './receipt.js'
import { checkSignature, type TrustedKey } from './ssh-signature.js'

export type ChainProblemKind =
  /** A receipt is changed, missing, misplaced or not signed rightly. */
  | 'broken'
  /** A right signature, but by a key that is not this estate's. */
  | 'not_ours'
  /** Fewer receipts than the recorded head says. */
  | 'ends_before_head'
  /** Without the recorded head nobody can tell whether the last ones are missing. */
  | 'mirror_missing'
  | 'mirror_unreadable'
  | 'no_receipts'

export interface ChainVerdict {
  readonly ok: boolean
  /** Receipts that are there. */
  readonly count: number
  /** The last one; null when there is none. */
  readonly head: Head | null
  /** Number of the first receipt that is bad or missing; null when none is, or when it cannot be told. */
  readonly firstBad: number | null
  readonly problem: { readonly kind: ChainProblemKind; readonly message: string; readonly next: string } | null
  readonly mirror: { readonly path: string; readonly number: number | null }
}

export interface VerifyRequest {
  /** The folder `receipts` of a state folder, or a copy of it. */
  readonly dir: string
  readonly estate: string
  readonly trusted: readonly TrustedKey[]
  readonly mirrorPath: string
}

/** The verdict over a whole chain. */
export function verifyChain(request: VerifyRequest): ChainVerdict {
  const numbers = receiptNumbers(request.dir)
  const mirror = readMirror(request.mirrorPath, request.estate)
  const walked = walk(numbers, request)
  const base = {
    count: numbers.length,
    head: walked.head ?? null,
    mirror: { path: request.mirrorPath, number: mirror.state === 'there' ? mirror.head.number : null },
  }
  const bad = (kind: ChainProblemKind, firstBad: number | null, message: string, next: string): ChainVerdict => ({
    ...base,
    ok: false,
    firstBad,
    problem: { kind, message, next },
  })

  if (walked.bad !== undefined) {
    const { number, kind, why } = walked.bad
    const said = kind === 'not_ours' ? `receipt ${number} is not ours: ${why}` : `the chain is broken at ${number}: ${why}`
    return bad(kind, number, said, `compare ${receiptPath(request.dir, number)} with a copy (backup, other site) from before it was changed`)
  }
  if (mirror.state === 'there') {
    const { head } = mirror
    if (head.number > numbers.length) {
      return bad(
        'ends_before_head',
        numbers.length + 1,
        `the chain ends at ${numbers.length}, before the recorded head ${head.number} (${request.mirrorPath})`,
        'the missing receipts were removed or never arrived here: restore them from a copy',
      )
    }
    if (walked.hashes.get(head.number) !== head.sha256) {
      return bad(
        'broken',
        head.number,
        `the chain is broken at ${head.number}: it is not the receipt whose hash the head mirror recorded`,
        `compare with ${request.mirrorPath}`,
      )
    }
  }
  if (numbers.length === 0)
    return bad('no_receipts', null, `there are no receipts in ${request.dir}`, 'the first pass of the monitor writes one: nightshift up')
  if (mirror.state === 'missing') {
    return bad(
      'mirror_missing',
      null,
      `the ${numbers.length} receipts hold together, but the head mirror ${request.mirrorPath} is missing: whether later ones were removed cannot be told`,
      'bring the mirror back from where it is copied to; the next receipt writes a new one',
    )
  }
  if (mirror.state === 'unreadable') {
    return bad(
      'mirror_unreadable',
      null,
      `the ${numbers.length} receipts hold together, but the head mirror ${request.mirrorPath} cannot be used: ${mirror.why}`,
      `look at ${dirname(request.mirrorPath)}; the next receipt writes a new one`,
    )
  }
  return { ...base, ok: true, firstBad: null, problem: null }
}

interface Walked {
  readonly head?: Head
  readonly hashes: ReadonlyMap<number, string>
  readonly bad?: { readonly number: number; readonly kind: 'broken' | 'not_ours'; readonly why: string }
}

/** From the first receipt to the last, stopping at the first bad one. */
function walk(numbers: readonly number[], request: VerifyRequest): Walked {
  const hashes = new Map<number, string>()
  let head: Head | undefined
  const last = numbers.at(-1)
  const newest = last === undefined ? undefined : { number: last, sha256: sha256Hex(readIfThere(receiptPath(request.dir, last)) ?? '') }
  for (const [index, number] of numbers.entries()) {
    const expected = index + 1
    const finding = number === expected ? checkOne(number, head?.sha256 ?? null, request) : { kind: 'broken' as const, why: 'it is missing' }
    if (!('sha256' in finding)) return { head: newest, hashes, bad: { number: expected, ...finding } }
    head = { number, sha256: finding.sha256 }
    hashes.set(number, finding.sha256)
  }
  return { head, hashes }
}

function checkOne(number: number, previous: string | null, request: VerifyRequest): { sha256: string } | { kind: 'broken' | 'not_ours'; why: string } {
  const broken = (why: string) => ({ kind: 'broken' as const, why })
  const path = receiptPath(request.dir, number)
  const text = readIfThere(path)
  if (text === undefined) return broken('it is missing')
  const signature = readIfThere(`${path}.sig`)
  if (signature === undefined) return broken('its signature is missing')
  const receipt = parseReceipt(text)
  if (receipt === undefined) return broken('it cannot be read as a receipt')
  // The signature is over the bytes; this refuses two texts that read the same but differ (a repeated key, other spacing).
  if (canonicalJson(receipt) !== text) return broken('it is not in canonical form')
  if (receipt.estate !== request.estate) return broken(`it is of estate ${JSON.stringify(receipt.estate)}`)
  if (receipt.number !== number) return broken(`it says to be number ${receipt.number}`)
  const verdict = checkSignature(text, signature, request.trusted)
  if (!verdict.ok) return { kind: verdict.kind, why: verdict.why }
  if (receipt.previous !== previous) return broken('it does not continue the receipt before')
  return { sha256: sha256Hex(text) }
}
