/**
 * `nightshift status`: the last published pass, with what gates and alert desk said last, as a table or as JSON. Reads three files; loads neither Temporal nor schemas nor the database,
 * so that it is quick and works when everything else is down. Exit codes: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.
 */
import picocolors from 'picocolors'
import { ConfigError } from '../domain/config-error.js'
import { deskStatusOf, withSilences } from '../domain/desk/marks.js'
import type { DeskSnapshot } from '../domain/desk/snapshot.js'
import { gatesShown } from '../domain/gates.js'
import { asOf } from '../domain/render/staleness.js'
import { type Palette, renderStatusTable } from '../domain/render/status-table.js'
import { EXIT_CODE_BY_SEVERITY, type StatusDocument } from '../domain/status.js'
import { readDeskFile } from '../state/desk-file.js'
import { readGatesFile } from '../state/gates-file.js'
import { stateDirectory } from '../state/location.js'
import { readStatusFile } from '../state/status-file.js'
import { estateIdOf } from './estate-id.js'
import { outputWidth, printJson, wantsColour } from './output.js'

export interface StatusOptions {
  readonly config: string
  /** The folder was named on the command line: then the state must be of that estate. */
  readonly configIsExplicit: boolean
  readonly json: boolean
  readonly all: boolean
}

/** There is nothing to show: UNKNOWN, by the same exit code as an unknown verdict. */
class NoStatus extends Error {
  readonly exitCode = EXIT_CODE_BY_SEVERITY.unknown
  constructor(
    message: string,
    readonly next: string,
  ) {
    super(message)
  }
}

/** @returns the exit code; throws what `reportError` shows */
export async function status(options: StatusOptions, now: Date = new Date()): Promise<number> {
  const { dir, estateId } = await whereFrom(options)
  const published = readPublished(dir)
  if (published === undefined) {
    throw new NoStatus(
      `no pass of the monitor has been published yet in ${dir}, so the state of the backups is unknown`,
      `start the monitor: nightshift up --config ${options.config}`,
    )
  }
  if (estateId !== undefined && published.estate !== estateId) {
    throw new ConfigError(
      `the state folder ${dir} is of estate "${published.estate}", but ${options.config} is estate "${estateId}"`,
      'unset NIGHTSHIFT_STATE, or name the configuration folder that belongs to it',
    )
  }
  const document = { ...withDesk(asOf(published, now), readDeskFile(dir), now), gates: gatesShown(readGatesFile(dir), now) }
  printStatus(document, { json: options.json, all: options.all, now })
  return EXIT_CODE_BY_SEVERITY[document.verdict]
}

/** Prints a document as it is: one JSON document, or the table in the width and colours of the terminal. */
export function printStatus(document: StatusDocument, options: { readonly json: boolean; readonly all?: boolean; readonly now?: Date }): void {
  if (options.json) {
    printJson(document)
    return
  }
  const palette = terminalPalette(wantsColour())
  process.stdout.write(renderStatusTable(document, { width: outputWidth(), now: options.now ?? new Date(), palette, all: options.all === true }))
}

/** The desk speaks between passes too: what was silenced or sent since the pass shows at once. */
function withDesk(published: StatusDocument, desk: DeskSnapshot | undefined, now: Date): StatusDocument {
  if (desk === undefined) return published
  return { ...published, targets: withSilences(published.targets, desk, now.getTime()), desk: deskStatusOf(desk) }
}

function readPublished(dir: string): StatusDocument | undefined {
  try {
    return readStatusFile(dir)
  } catch (error) {
    if (!(error instanceof Error && 'next' in error && typeof error.next === 'string')) throw error
    throw new NoStatus(error.message, error.next)
  }
}

async function whereFrom(options: StatusOptions): Promise<{ dir: string; estateId?: string }> {
  if (process.env.NIGHTSHIFT_STATE && !options.configIsExplicit) return { dir: stateDirectory('') }
  const estateId = await estateIdOf(options.config)
  return { dir: stateDirectory(estateId), estateId }
}

function terminalPalette(colour: boolean): Palette {
  const paint = picocolors.createColors(colour)
  return {
    severity: { ok: paint.green, warning: paint.yellow, critical: paint.red, unknown: paint.magenta },
    bold: paint.bold,
    dim: paint.dim,
  }
}
