/**
 * The one owner of the state folder: status, the judge's memory, observations, receipts.
 * In here: files and their safety. Not in here: what a status says (`src/domain/judge`), how it looks (`src/domain/render`).
 * `status-file.ts` and `location.ts` may be imported by themselves: they load nothing big.
 */
export { readDeskFile } from './desk-file.js'
export { DeskRecord } from './desk-record.js'
export { isDiskFull, StateError, StateLocked, StateOfAnotherEstate, StateUnusable, StateWriteFailed } from './errors.js'
export { STATE_NAMES, stateDirectory } from './location.js'
export type { Proof, ProofKey, ProofLevel } from './proofs.js'
export type { AppendedReceipt, ReceiptSettings } from './receipts/chain.js'
export { type Head, readMirror, receiptNumbers, receiptPath } from './receipts/chain-files.js'
export { leaveForOwner } from './receipts/pending.js'
export { parseReceipt, type Receipt, type ReceiptBody } from './receipts/receipt.js'
export { receiptDue } from './receipts/receipt-due.js'
export { fingerprint, readTrustedKeys, type TrustedKey } from './receipts/ssh-signature.js'
export { type ChainProblemKind, type ChainVerdict, verifyChain } from './receipts/verify.js'
export { type OpenStateOptions, openState, type PassRow, StateFolder, type StoredObservation, type WritePassResult } from './state-folder.js'
export { readStatusFile } from './status-file.js'
