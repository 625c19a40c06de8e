/** Reads what the proving programs print, and judges level 1. Pure: whatever a host answers becomes a verdict, never an exception. */
import { z } from 'zod'
import { examine } from '../judge/artifacts.js'
import { isZone } from '../judge/zone.js'
import { oneLine } from '../probe/text.js'
import type { Completeness, Readability } from './types.js'

const inspected = z.discriminatedUnion('state', [
  z.object({ state: z.literal('unknown'), why: z.string() }),
  z.object({ state: z.literal('absent'), why: z.string() }),
  z.object({
    state: z.literal('found'),
    path: z.string(),
    now: z.number(),
    zone: z.string(),
    log_name: z.string(),
    has_log: z.boolean(),
    log: z.array(z.string()),
    files: z.array(z.object({ name: z.string(), size: z.number(), mtime: z.number(), dir: z.boolean() })),
  }),
])

const verified = z.discriminatedUnion('state', [
  z.object({ state: z.literal('running'), readBytes: z.number(), sizeBytes: z.number() }),
  z.object({ state: z.literal('waiting'), why: z.string() }),
  z.object({ state: z.literal('readable'), sha256: z.string().regex(/^[0-9a-f]{64}$/), seconds: z.number() }),
  z.object({ state: z.literal('damaged'), why: z.string() }),
  z.object({ state: z.literal('unknown'), why: z.string() }),
])

const validated = z.discriminatedUnion('state', [
  z.object({ state: z.literal('running') }),
  z.object({ state: z.literal('over'), guests: z.array(z.object({ vmid: z.number(), volid: z.string().nullable(), said: z.string() })) }),
])

export type ValidationSeen = z.infer<typeof validated>

/** How far a backup by hand is; null when the answer cannot be read. @param text what `validationProgram` printed */
export function readValidationAnswer(text: string): ValidationSeen | null {
  return parse(validated, text)
}

/** Level 1 of one archive, by the same rules as the monitor's. @param text what `inspectProgram` printed */
export function readInspection(volid: string, text: string): Completeness {
  const answer = parse(inspected, text)
  if (answer === null) return { state: 'unknown', why: `the host gave no answer that can be read: ${oneLine(text).slice(0, 200)}` }
  if (answer.state !== 'found') return { state: answer.state, why: oneLine(answer.why) }
  const slash = answer.path.lastIndexOf('/')
  const basePath = answer.path.slice(0, slash)
  const name = answer.path.slice(slash + 1)
  const zone = answer.zone.replace(/^.*zoneinfo\//, '')
  const set = examine(
    {
      state: 'present',
      files: answer.files.map((file) => ({ name: file.name, sizeBytes: file.size, mtimeSeconds: file.mtime, type: file.dir ? 'directory' : 'file', glob: -1 })),
      temporary: [],
      counts: [],
      unlooked: 0,
      freeBytes: null,
      totalBytes: null,
      mountPoint: null,
      logs: answer.has_log ? [{ name: answer.log_name, lines: answer.log }] : [],
    },
    {
      basePath,
      glob: 'vzdump-*',
      globIndex: -1,
      hostNowSeconds: answer.now,
      zone: isZone(zone) ? zone : 'UTC',
      ownDumpFolder: true,
      running: () => null,
      belongs: () => true,
      remembered: {},
    },
  )
  const artifact = set.artifacts.find((each) => each.name === name)
  if (artifact === undefined) return { state: 'absent', why: `${answer.path} is not there` }
  const file = { volid, path: answer.path, sizeBytes: artifact.sizeBytes, modifiedSeconds: artifact.mtimeSeconds }
  return artifact.problem === null ? { state: 'complete', file } : { state: 'incomplete', file, why: artifact.problem.text }
}

/** Level 2 as far as it is. @param text what `verifyProgram` printed */
export function readVerification(text: string): Readability {
  const answer = parse(verified, text)
  if (answer === null) return { state: 'unknown', why: `the host gave no answer that can be read: ${oneLine(text).slice(0, 200)}` }
  return 'why' in answer ? { ...answer, why: oneLine(answer.why) } : answer
}

function parse<T>(schema: z.ZodType<T>, text: string): T | null {
  try {
    const result = schema.safeParse(JSON.parse(text))
    return result.success ? result.data : null
  } catch {
    return null
  }
}
