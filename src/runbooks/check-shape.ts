/**
 * One parsed file against its schema: zod's issues become problems with places and suggestions, and keys of the operator's files
 * that look like a slip of the pen become warnings.
 */
import { z } from 'zod'
import type { RunbookProblem } from './problems.js'
import { isSecretKey, isSecretReference } from './secret-reference.js'
import { didYouMean, nearest } from './suggest.js'
import { inert } from './text-rules.js'
import type { YamlSource } from './yaml-source.js'
import { formatPath, type Path } from './yaml-values.js'

export interface ShapeResult<T> {
  /** Present when the file fits its schema. */
  readonly data?: T
  readonly problems: RunbookProblem[]
  readonly warnings: RunbookProblem[]
}

/** Checks the whole file; all problems at once. */
export function checkShape<T>(source: YamlSource, schema: z.ZodType<T>): ShapeResult<T> {
  const root = unwrap(schema)
  const walk = new KeyWalk(source, root instanceof z.ZodObject && isStrict(root))
  walk.visit(source.value, schema, [])
  const parsed = schema.safeParse(source.value)
  const problems = [...walk.problems]
  if (parsed.success) return { ...(problems.length === 0 ? { data: parsed.data } : {}), problems, warnings: walk.warnings }
  const seen = new Set<string>()
  for (const issue of parsed.error.issues) {
    if (issue.code === 'unrecognized_keys') continue
    const path = issue.path.filter((segment): segment is string | number => typeof segment !== 'symbol')
    // One value, one problem: the first rule that it breaks says enough.
    const key = JSON.stringify(path)
    if (seen.has(key)) continue
    seen.add(key)
    if (isSaidAlready(source, schema, issue, path, walk.problems)) continue
    problems.push(problemOfIssue(source, schema, issue, path))
  }
  return { problems, warnings: walk.warnings }
}

/** One slip, one problem: an unknown key of ours says itself what is missing, and what does not fit together because of it. */
function isSaidAlready(source: YamlSource, schema: z.ZodType, issue: z.core.$ZodIssue, path: Path, said: readonly RunbookProblem[]): boolean {
  if (issue.code === 'custom') {
    const prefix = `${formatPath(path)}.`
    return said.some((problem) => problem.path.startsWith(prefix))
  }
  const parent = unwrap(schemaAt(schema, path.slice(0, -1)))
  return source.at(path) === undefined && parent instanceof z.ZodObject && isStrict(parent) && slipFor(source, schema, path) !== undefined
}

function problemOfIssue(source: YamlSource, schema: z.ZodType, issue: z.core.$ZodIssue, path: Path): RunbookProblem {
  if (issue.code === 'invalid_key') {
    const nested = issue.issues[0]
    return source.problem(path, { found: `the key ${inert(path.at(-1))}`, allowed: nested?.message ?? 'another name', of: 'key' })
  }
  const value = source.at(path)
  if (value === undefined) return source.problem(path, { found: 'nothing', allowed: issue.message, hint: hintForMissing(source, schema, path) })
  const holdsLogin = typeof value === 'string' && /:\/\/[^/\s]*@/.test(value)
  const secret = holdsLogin || path.some((segment) => typeof segment === 'string' && isSecretKey(segment))
  return source.problem(path, {
    found: secret ? 'a value that is not shown' : inert(value),
    allowed: issue.message,
    hint: hintForValue(value, issue, schema, path),
  })
}

function hintForMissing(source: YamlSource, schema: z.ZodType, path: Path): string | null {
  const slip = slipFor(source, schema, path)
  return slip === undefined ? `add \`${path.at(-1)}:\`` : `did you mean ${path.at(-1)} where ${inert(slip)} stands?`
}

/** The unknown key that is likely meant to be the missing one. */
function slipFor(source: YamlSource, schema: z.ZodType, path: Path): string | undefined {
  const parent = source.at(path.slice(0, -1))
  const key = path.at(-1)
  if (typeof key !== 'string' || !isRecord(parent)) return undefined
  const known = keysOf(schemaAt(schema, path.slice(0, -1)))
  return Object.keys(parent).find(
    (candidate) =>
      !known.includes(candidate) &&
      nearest(
        candidate,
        known.filter((word) => !(word in parent)),
      ) === key,
  )
}

function hintForValue(value: unknown, issue: z.core.$ZodIssue, schema: z.ZodType, path: Path): string | null {
  const wanted = unwrap(schemaAt(schema, path))
  if (wanted instanceof z.ZodBoolean) {
    if (typeof value === 'string' && /^(yes|on|y|true)$/i.test(value)) return 'write true'
    if (typeof value === 'string' && /^(no|off|n|false)$/i.test(value)) return 'write false'
  }
  if (issue.code === 'invalid_value') return didYouMean(value, issue.values.map(String))
  if (wanted instanceof z.ZodNumber && typeof value === 'string' && value.trim() !== '' && Number.isFinite(Number(value))) return 'remove the quotes'
  if (wanted instanceof z.ZodString && (typeof value === 'number' || typeof value === 'boolean')) return 'put it into quotes'
  if (wanted instanceof z.ZodString && issue.message.includes('time zone')) return didYouMean(value, Intl.supportedValuesOf('timeZone'))
  if (wanted instanceof z.ZodArray && value !== null) return 'write it as a list: [ … ]'
  if (value === null) return 'give a value, or remove the key'
  return null
}

/** Walks values and schema side by side, looking at keys only. */
class KeyWalk {
  readonly problems: RunbookProblem[] = []
  readonly warnings: RunbookProblem[] = []

  constructor(
    private readonly source: YamlSource,
    /** A file of ours; in one of the operator's a plain secret is warned of, for it is theirs and nobody reads it. */
    private readonly isOurs: boolean,
  ) {}

  visit(value: unknown, schema: z.ZodType | undefined, path: Path): void {
    const plain = unwrap(schema)
    if (Array.isArray(value)) {
      const element = plain instanceof z.ZodArray ? asSchema(plain.element) : undefined
      for (const [index, item] of value.entries()) this.visit(item, element, [...path, index])
      return
    }
    if (!isRecord(value)) return
    for (const [key, child] of Object.entries(value)) {
      const childPath = [...path, key]
      if (plain instanceof z.ZodObject) this.#checkKey(key, value, plain, childPath)
      this.#checkSecret(key, child, childPath)
      this.visit(child, childSchema(plain, key), childPath)
    }
  }

  #checkKey(key: string, parent: Record<string, unknown>, schema: z.ZodObject, path: Path): void {
    const known = Object.keys(schema.shape)
    if (known.includes(key)) return
    if (key === '<<') {
      this.problems.push(
        this.source.problem(path, { found: 'a merge key `<<`', allowed: 'keys that are written out', hint: 'write the merged keys out here', of: 'key' }),
      )
      return
    }
    if (isStrict(schema)) {
      const free = known.filter((candidate) => !(candidate in parent))
      const details = { found: `the unknown key ${inert(key)}`, allowed: known.join(', '), hint: didYouMean(key, free), of: 'key' as const }
      this.problems.push(this.source.problem(path, details))
      return
    }
    const likely = nearest(
      key,
      known.filter((candidate) => !(candidate in parent)),
    )
    if (likely === undefined) return
    const details = {
      found: `the unknown key ${inert(key)}, which is not read`,
      allowed: known.join(', '),
      hint: `did you mean ${likely}?`,
      of: 'key' as const,
    }
    this.warnings.push(this.source.problem(path, details))
  }

  #checkSecret(key: string, value: unknown, path: Path): void {
    if (!isSecretKey(key) || (typeof value !== 'string' && typeof value !== 'number') || isSecretReference(value)) return
    const hint = 'keep the secret in a file of mode 600 or in the environment, and refer to it'
    const list = this.isOurs ? this.problems : this.warnings
    list.push(this.source.problem(path, { found: 'a secret in plain text (not shown)', allowed: 'env:NAME or file:PATH', hint }))
  }
}

function isStrict(schema: z.ZodObject): boolean {
  return schema.def.catchall instanceof z.ZodNever
}

function keysOf(schema: z.ZodType | undefined): string[] {
  const plain = unwrap(schema)
  return plain instanceof z.ZodObject ? Object.keys(plain.shape) : []
}

function schemaAt(schema: z.ZodType, path: Path): z.ZodType | undefined {
  let at: z.ZodType | undefined = schema
  for (const segment of path) {
    const plain: z.ZodType | undefined = unwrap(at)
    at =
      typeof segment === 'number' && plain instanceof z.ZodArray
        ? asSchema(plain.element)
        : typeof segment === 'string'
          ? childSchema(plain, segment)
          : undefined
  }
  return at
}

function childSchema(plain: z.ZodType | undefined, key: string): z.ZodType | undefined {
  if (plain instanceof z.ZodObject) return Object.hasOwn(plain.shape, key) ? asSchema(plain.shape[key]) : undefined
  if (plain instanceof z.ZodRecord) return asSchema(plain.valueType)
  return undefined
}

function unwrap(schema: z.ZodType | undefined): z.ZodType | undefined {
  let plain = schema
  while (plain instanceof z.ZodOptional || plain instanceof z.ZodNullable) plain = asSchema(plain.unwrap())
  return plain
}

/** zod types the parts of a schema as its core classes; all of ours are made by the classic API. */
function asSchema(schema: unknown): z.ZodType | undefined {
  return schema instanceof z.ZodType ? schema : undefined
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
