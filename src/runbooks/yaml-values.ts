/**
 * The nodes of a YAML document → plain values with the place of each. Written out here because the library's own conversion forgets places,
 * compares every key of a mapping with every other, and walks into an anchor bomb before it counts.
 */
import { isAlias, isMap, isScalar, isSeq, type Node } from 'yaml'
import { codePointName, indexOfForbiddenCharacter, inert } from './text-rules.js'

export const MAX_DEPTH = 40
const MAX_ALIASES = 100
const MAX_VALUES = 100_000

export type PathSegment = string | number
export type Path = readonly PathSegment[]

/** A value and where it stands. Offsets count UTF-16 units of the text. */
export interface Located {
  readonly value: unknown
  readonly offset: number
  /** Where the key stands; the value itself for list items and the root. */
  readonly keyOffset: number
  /** Values under this one, with aliases counted as what they stand for. */
  readonly size: number
  readonly children?: ReadonlyMap<PathSegment, Located>
}

/** Takes note of a problem at an offset of the text. */
export type Report = (offset: number, found: string, allowed: string, hint?: string | null, path?: string) => void

/** `targets[3].stale_after_hours`; keys that are no plain words are quoted. */
export function formatPath(path: Path): string {
  let text = ''
  for (const segment of path) {
    if (typeof segment === 'number') text += `[${segment}]`
    else if (/^[A-Za-z0-9_-]+$/.test(segment)) text += text === '' ? segment : `.${segment}`
    else text += `[${inert(segment)}]`
  }
  return text
}

/** Turns nodes into plain values; an alias shares the value of its anchor, and its size is counted before anybody walks into it. */
export class ValueReader {
  readonly #text: string
  readonly #report: Report
  readonly #anchors = new Map<string, Located>()
  #aliases = 0
  #total = 0
  #gaveUp = false

  constructor(text: string, report: Report) {
    this.#text = text
    this.#report = report
  }

  read(node: Node | null, keyOffset: number, path: Path): Located | undefined {
    if (this.#gaveUp) return undefined
    const offset = node?.range?.[0] ?? keyOffset
    if (path.length > MAX_DEPTH) return this.#giveUp(offset, 'values nested more deeply', `at most ${MAX_DEPTH} levels`, path)
    if (isAlias(node)) return this.#readAlias(node.source, offset, path)
    this.#total += 1
    if (this.#total > MAX_VALUES)
      return this.#giveUp(offset, 'more values', `at most ${MAX_VALUES} values a file, anchors counted as often as they are used`, path)

    const located = this.#readPlain(node, offset, path)
    if (located === undefined) return undefined
    const anchor = isMap(node) || isSeq(node) || isScalar(node) ? node.anchor : undefined
    if (anchor !== undefined) this.#anchors.set(anchor, located)
    return { ...located, keyOffset }
  }

  #readAlias(name: string, offset: number, path: Path): Located | undefined {
    this.#aliases += 1
    if (this.#aliases > MAX_ALIASES) return this.#giveUp(offset, 'more aliases', `at most ${MAX_ALIASES} aliases (*name) a file`, path)
    const target = this.#anchors.get(name)
    if (target === undefined) {
      this.#report(offset, `*${name}, which is not complete here`, 'an alias of an anchor that stands before it', null, formatPath(path))
      return undefined
    }
    this.#total += target.size
    if (this.#total > MAX_VALUES)
      return this.#giveUp(offset, 'aliases that stand for more values', `at most ${MAX_VALUES} values a file, anchors counted as often as they are used`, path)
    return { ...target, offset, keyOffset: offset }
  }

  #readPlain(node: Node | null, offset: number, path: Path): Located | undefined {
    if (isMap(node)) return this.#readMap(node.items as readonly { key: unknown; value: unknown }[], offset, path)
    if (isSeq(node)) return this.#readList(node.items as readonly unknown[], offset, path)
    const value = isScalar(node) ? node.value : null
    this.#checkScalar(value, this.#written(node), offset, path)
    return { value: value ?? null, offset, keyOffset: offset, size: 1 }
  }

  #readMap(items: readonly { key: unknown; value: unknown }[], offset: number, path: Path): Located | undefined {
    const value: Record<string, unknown> = {}
    const children = new Map<PathSegment, Located>()
    let size = 1
    for (const item of items) {
      const keyNode = item.key as Node | null
      const keyOffset = keyNode?.range?.[0] ?? offset
      const key = this.#readKey(keyNode, keyOffset, path)
      if (key === undefined) continue
      if (children.has(key)) {
        const first = children.get(key)
        this.#report(
          keyOffset,
          `${inert(key)} twice`,
          'each key once',
          first === undefined ? null : 'the same key stands further up; remove one of the two',
          formatPath([...path, key]),
        )
        continue
      }
      const child = this.read((item.value ?? null) as Node | null, keyOffset, [...path, key])
      if (child === undefined) continue
      children.set(key, { ...child, keyOffset })
      value[key] = child.value
      size += child.size
    }
    return { value, offset, keyOffset: offset, size, children }
  }

  #readKey(node: Node | null, offset: number, path: Path): string | undefined {
    const raw = isScalar(node) ? node.value : undefined
    if (typeof raw !== 'string' && typeof raw !== 'number' && typeof raw !== 'boolean') {
      this.#report(offset, 'a key that is no plain word', 'words as keys', null, formatPath(path))
      return undefined
    }
    const key = String(raw)
    this.#total += 1
    if (key === '__proto__') {
      this.#report(offset, '__proto__', 'any other key', null, formatPath(path))
      return undefined
    }
    this.#checkScalar(key, this.#written(node), offset, path)
    return key
  }

  #readList(items: readonly unknown[], offset: number, path: Path): Located | undefined {
    const value: unknown[] = []
    const children = new Map<PathSegment, Located>()
    let size = 1
    for (const [index, item] of items.entries()) {
      const node = item as Node | null
      const child = this.read(node, node?.range?.[0] ?? offset, [...path, index])
      if (this.#gaveUp) return undefined
      // A broken item keeps its place, so that the items after it keep their numbers.
      value.push(child?.value ?? null)
      if (child === undefined) continue
      children.set(index, child)
      size += child.size
    }
    return { value, offset, keyOffset: offset, size, children }
  }

  /** The node as it stands in the file, escapes and all. */
  #written(node: Node | null): string {
    return node?.range == null ? '' : this.#text.slice(node.range[0], node.range[1])
  }

  #checkScalar(value: unknown, written: string, offset: number, path: Path): void {
    if (typeof value === 'number' && !Number.isFinite(value)) this.#report(offset, inert(written), 'a finite number', null, formatPath(path))
    else if (typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value)) {
      this.#report(offset, inert(written), 'a whole number up to 9007199254740991', 'quote it if it is no quantity', formatPath(path))
    } else if (typeof value === 'bigint') this.#report(offset, 'a huge number', 'a whole number up to 9007199254740991', null, formatPath(path))
    else if (typeof value === 'string') {
      const index = indexOfForbiddenCharacter(value)
      // What stands in the file as it is has been reported with its own place already; here come the escaped ones.
      if (index >= 0 && indexOfForbiddenCharacter(written.replaceAll('\r\n', '\n')) === -1) {
        this.#report(offset, `the character ${codePointName(value, index)}`, 'printable text', 'remove the control or invisible character', formatPath(path))
      }
    }
  }

  #giveUp(offset: number, found: string, allowed: string, path: Path): undefined {
    this.#report(offset, found, allowed, null, formatPath(path.slice(0, 4)))
    this.#gaveUp = true
    return undefined
  }
}
