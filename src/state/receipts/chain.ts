/**
 * The one appender of receipts, used under the lock of the state folder.
 *
 * Order of writes: signature, receipt, head mirror, head in the database; each durable before the next begins. What a crash leaves behind:
 *   before the receipt's rename:  perhaps a signature without receipt; it is no part of the chain and is written over by the next append
 *   after it:                     the receipt counts; mirror and database are one behind, which the next open or append mends
 * So at every point the chain verifies, and a repeated append of the same run finds its receipt instead of writing a second one.
 */
import { mkdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { sha256Hex } from '../../domain/canonical.js'
import { removeLeftovers, syncFolder, writeDurably } from '../durable-file.js'
import { StateUnusable, StateWriteFailed } from '../errors.js'
import { type Head, mirrorText, namesIn, readIfThere, readMirror, receiptNumbers, receiptPath } from './chain-files.js'
import { parseReceipt, RECEIPT_SCHEMA, type Receipt, type ReceiptBody, receiptKey, receiptText } from './receipt.js'
import { checkSignature, readTrustedKeys, signMessage } from './ssh-signature.js'

/** From `estate.yaml`: where the signing key lies, and where the head is mirrored to. Absolute paths. */
export interface ReceiptSettings {
  readonly signingKeyPath: string
  readonly headMirrorPath: string
}

/** The second record of the head, inside of the state folder. */
export interface HeadRecord {
  read(): Head | undefined
  write(head: Head): void
}

export interface AppendedReceipt extends Head {
  /** False when the run had its receipt already. */
  readonly appended: boolean
}

export class ReceiptChain {
  private head: Head | undefined
  private readonly byKey = new Map<string, Head>()
  private readonly lastByKind = new Map<string, Receipt>()
  private queue: Promise<unknown> = Promise.resolve()

  private constructor(
    private readonly dir: string,
    private readonly estate: string,
    private readonly headRecord: HeadRecord,
    private readonly now: () => Date,
  ) {}

  /** Reads the chain in `dir` (made when missing) and clears away what a killed append left. Call under the lock. */
  static open(dir: string, estate: string, headRecord: HeadRecord, now: () => Date): ReceiptChain {
    mkdirSync(dir, { recursive: true, mode: 0o700 })
    syncFolder(dirname(dir))
    const chain = new ReceiptChain(dir, estate, headRecord, now)
    chain.load()
    return chain
  }

  /** The last receipt of a kind. */
  last(kind: string): Receipt | undefined {
    return this.lastByKind.get(kind)
  }

  /**
   * Appends the receipt of a run, or finds the one it has.
   * @throws ConfigError (key missing or unusable), StateWriteFailed (disk full; nothing is half there), StateUnusable (the chain ends before its recorded head)
   */
  append(body: ReceiptBody, settings: ReceiptSettings): Promise<AppendedReceipt> {
    const appended = this.queue.then(() => this.appendNow(body, settings))
    this.queue = appended.catch(() => {})
    return appended
  }

  private async appendNow(body: ReceiptBody, settings: ReceiptSettings): Promise<AppendedReceipt> {
    this.refuseLostReceipts(settings.headMirrorPath)
    const existing = this.byKey.get(receiptKey(body))
    if (existing !== undefined) {
      this.recordHead(settings.headMirrorPath)
      return { ...existing, appended: false }
    }
    const receipt: Receipt = {
      ...body,
      schema: RECEIPT_SCHEMA,
      estate: this.estate,
      number: (this.head?.number ?? 0) + 1,
      previous: this.head?.sha256 ?? null,
      writtenAt: this.now().toISOString(),
    }
    const text = receiptText(receipt)
    const signature = await signMessage(text, settings.signingKeyPath)
    const verdict = checkSignature(text, signature, readTrustedKeys(settings.signingKeyPath))
    if (!verdict.ok)
      throw new StateUnusable(
        `the fresh signature of receipt ${receipt.number} does not verify: ${verdict.why}`,
        `check that ${settings.signingKeyPath} and its .pub belong together`,
      )
    const path = receiptPath(this.dir, receipt.number)
    writeDurably('the signature of a receipt', `${path}.sig`, signature)
    writeDurably('a receipt', path, text)
    this.include(receipt, sha256Hex(text))
    this.recordHead(settings.headMirrorPath)
    return { number: receipt.number, sha256: sha256Hex(text), appended: true }
  }

  private load(): void {
    const numbers = receiptNumbers(this.dir)
    for (const number of numbers) {
      const text = readIfThere(receiptPath(this.dir, number))
      const receipt = text === undefined ? undefined : parseReceipt(text)
      // A damaged receipt is for `verify` to tell; here it only has to keep its place and its hash.
      if (receipt === undefined) this.head = { number, sha256: sha256Hex(text ?? '') }
      else this.include({ ...receipt, number }, sha256Hex(text ?? ''))
    }
    const next = (this.head?.number ?? 0) + 1
    for (const name of namesIn(this.dir)) {
      const isHalfWritten = /\.(json|sig)\.\d+$/.test(name)
      const isOrphan = name === `${String(next).padStart(6, '0')}.json.sig`
      if (isHalfWritten || isOrphan) rmSync(join(this.dir, name), { force: true })
    }
  }

  private include(receipt: Receipt, sha256: string): void {
    this.head = { number: receipt.number, sha256 }
    this.byKey.set(receiptKey(receipt), this.head)
    this.lastByKind.set(receipt.kind, receipt)
  }

  /** Brings mirror and database up to the head; both may be behind after a crash. */
  private recordHead(mirrorPath: string): void {
    if (this.head === undefined) return
    const mirror = readMirror(mirrorPath, this.estate)
    if (mirror.state !== 'there' || mirror.head.number !== this.head.number) {
      try {
        mkdirSync(dirname(mirrorPath), { recursive: true })
        removeLeftovers(mirrorPath)
      } catch (error) {
        throw new StateWriteFailed('the mirror of the receipt head', mirrorPath, error)
      }
      writeDurably('the mirror of the receipt head', mirrorPath, mirrorText(this.estate, this.head))
    }
    if (this.headRecord.read()?.number !== this.head.number) this.headRecord.write(this.head)
  }

  /** Going on after receipts were removed would move the recorded head and so hide that they are gone. */
  private refuseLostReceipts(mirrorPath: string): void {
    const mirror = readMirror(mirrorPath, this.estate)
    const records = [
      { where: mirrorPath, head: mirror.state === 'there' ? mirror.head : undefined },
      { where: 'the state database', head: this.headRecord.read() },
    ]
    for (const { where, head } of records) {
      if (head === undefined) continue
      const count = this.head?.number ?? 0
      if (head.number > count) {
        throw new StateUnusable(
          `the chain of receipts in ${this.dir} ends at ${count}, before the head recorded in ${where} (${head.number})`,
          'restore the missing receipts; nightshift writes no further ones over the gap. `nightshift receipts verify` shows more',
        )
      }
      const text = readIfThere(receiptPath(this.dir, head.number))
      if (text === undefined || sha256Hex(text) !== head.sha256) {
        throw new StateUnusable(
          `receipt ${head.number} in ${this.dir} is not the one whose hash is recorded in ${where}`,
          'restore it from a copy. `nightshift receipts verify` shows more',
        )
      }
    }
  }
}
