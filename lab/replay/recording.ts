/**
 * Recordings of the real Proxmox command line (JSON): what a file may hold, and the environment it was recorded in.
 * A recording is: files of a host (`fixture`), sequences of commands with the host's clock, and the texts of what cannot be equal (`masks`).
 */
import { readFile } from 'node:fs/promises'
import { z } from 'zod'

const stepSchema = z.object({
  argv: z.array(z.string()).min(1),
  now: z.number(),
  rc: z.number(),
  stdout: z.string().default(''),
  stderr: z.string().default(''),
  files_changed: z.record(z.string(), z.string()).default({}),
  files_removed: z.array(z.string()).default([]),
})

const sequenceSchema = z.object({
  name: z.string(),
  note: z.string().default(''),
  tz: z.string().optional(),
  extra_files: z.record(z.string(), z.string()).default({}),
  steps: z.array(stepSchema),
})

const recordingSchema = z.object({
  source: z.string().default(''),
  masks: z.array(z.string()).default([]),
  fixture: z.object({
    hostname: z.string().default('pve1'),
    tz: z.string().default('UTC'),
    nodes: z.array(z.string()).default([]),
    files: z.record(z.string(), z.string()).default({}),
    files_by_size: z.record(z.string(), z.number()).default({}),
    notes: z.record(z.string(), z.string()).default({}),
    directories: z.array(z.string()).default([]),
    task_index_lines: z.array(z.string()).default([]),
    task_logs: z.record(z.string(), z.string()).default({}),
    archive_for_restore: z.object({ path: z.string(), text: z.string() }).optional(),
  }),
  sequences: z.array(sequenceSchema),
})

export type Recording = z.infer<typeof recordingSchema>
export type Sequence = z.infer<typeof sequenceSchema>
export type Step = z.infer<typeof stepSchema>

/** Reads a recording; throws an error that names the file and what is wrong in it. */
export async function readRecording(file: string): Promise<Recording> {
  let json: unknown
  try {
    json = JSON.parse(await readFile(file, 'utf8'))
  } catch (error) {
    throw new Error(`${file}: not a readable JSON file (${error instanceof Error ? error.message : String(error)})`)
  }
  const parsed = recordingSchema.safeParse(json)
  if (!parsed.success) throw new Error(`${file}: not a recording: ${parsed.error.issues.map((i) => `${i.path.join('.')}: ${i.message}`).join('; ')}`)
  return parsed.data
}

/** The family of a sequence: the text before the first `:` of its name. */
export function familyOf(sequence: Sequence): string {
  return sequence.name.split(':')[0]?.trim() ?? sequence.name
}

/**
 * What the recording host had in place of hardware; it goes to the emulator's settings (`recording` in pve.json, see lab/pve/lib/LabPVE/Recording.pm).
 * The notes say so in words: guests and transfers are stand-ins, a lock was held for some seconds, guest 100 counts as running.
 */
export interface RecordingEnvironment {
  readonly standin: true
  readonly running: readonly number[]
  readonly archive_bytes: number
  /** The first stand-in printed no `starting backup via QMP command` line and took the disk lines before the mode. */
  readonly qmp_line: boolean
  /** The first recording host had no notification library and no HA stack. */
  readonly notifications: boolean
  readonly no_ha: boolean
  readonly lock_held_from?: number
  readonly lock_held_until?: number
}

const STANDIN_ARCHIVE_BYTES = 1_500_000

export function environmentOf(recording: Recording, sequence: Sequence): RecordingEnvironment {
  const withNotifications = /notification/i.test(recording.source)
  const running = /guests? ([\d, and]+?) counts? as running/i.exec(sequence.note)?.[1]?.match(/\d+/g)?.map(Number)
  return {
    standin: true,
    running: running ?? [100],
    archive_bytes: STANDIN_ARCHIVE_BYTES,
    qmp_line: withNotifications,
    notifications: withNotifications,
    no_ha: !withNotifications,
    ...lockOf(sequence),
  }
}

const ORDINALS = ['first', 'second', 'third', 'fourth', 'fifth', 'sixth', 'seventh', 'eighth', 'ninth', 'tenth']

/** `before the fifth command another process takes /var/run/vzdump.lock for 12 s` → the clock at which that process lets go. */
function lockOf(sequence: Sequence): { lock_held_from?: number; lock_held_until?: number } {
  const told = /before the (\w+) command another process takes \S*vzdump\.lock for (\d+) s/.exec(sequence.note)
  const step = told ? sequence.steps[ORDINALS.indexOf(told[1] ?? '')] : undefined
  if (!told || !step) return {}
  return { lock_held_from: step.now, lock_held_until: step.now + Number(told[2]) }
}
