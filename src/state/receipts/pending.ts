/**
 * Receipts of commands that run beside the worker (`nightshift trust`): only the owner of the state folder appends, so others leave the body here,
 * and the owner takes it up. Written durably; taken away only after it is in the chain, and the chain knows it by its run: never lost, never doubled.
 */
import { mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { writeDurably } from '../durable-file.js'
import { namesIn, readIfThere } from './chain-files.js'
import { isBody, type ReceiptBody } from './receipt.js'

export interface PendingReceipt {
  readonly path: string
  readonly body: ReceiptBody
}

/** Leaves a receipt for the owner of the state folder. @param dir the folder of pending receipts, made when missing. @throws StateWriteFailed */
export function leaveForOwner(dir: string, body: ReceiptBody): void {
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  writeDurably('a receipt to be', join(dir, `${body.run.runId}.json`), JSON.stringify(body))
}

/** What waits, by time of leaving; what cannot be understood is renamed `….rejected` and told. */
export function readPending(dir: string, notices: string[]): PendingReceipt[] {
  return namesIn(dir)
    .filter((name) => name.endsWith('.json'))
    .flatMap((name) => {
      const path = join(dir, name)
      const body = parseBody(readIfThere(path))
      if (body !== undefined) return [{ path, body }]
      renameSync(path, `${path}.rejected`)
      notices.push(`${path} is no receipt of nightshift; it was renamed ${name}.rejected`)
      return []
    })
    .sort((a, b) => firstTime(a.body).localeCompare(firstTime(b.body)))
}

/** Takes one away that is in the chain now. */
export function removePending(pending: PendingReceipt): void {
  rmSync(pending.path, { force: true })
}

function parseBody(text: string | undefined): ReceiptBody | undefined {
  try {
    const value: unknown = JSON.parse(text ?? '')
    return isBody(value) ? value : undefined
  } catch {
    return undefined
  }
}

function firstTime(body: ReceiptBody): string {
  return Object.values(body.times).sort()[0] ?? ''
}
