/** The status document for people at a terminal: verdict first and last, sites and hosts worst first, the cause in words, what to do next. Pure. */
import stringWidth from 'string-width'
import type { GateResult } from '../gates.js'
import type { Severity, StatusDocument } from '../status.js'
import { inert } from './inert.js'
import { duration, instant } from './quantities.js'
import { countsInWords, type ExtraFinding, type HostGroup, type Row, statusRows } from './rows.js'
import { padded, wrap } from './wrap.js'

/** How to colour; every function returns its text with nothing but colour added. */
export interface Palette {
  readonly severity: Readonly<Record<Severity, (text: string) => string>>
  readonly bold: (text: string) => string
  readonly dim: (text: string) => string
}

const same = (text: string): string => text

/** No colour at all. */
export const PLAIN: Palette = { severity: { ok: same, warning: same, critical: same, unknown: same }, bold: same, dim: same }

export interface TableOptions {
  /** Columns of the terminal; no line is longer. At least 20. Below 80 every entry takes several lines. */
  readonly width: number
  readonly now: Date
  readonly palette?: Palette
  /** Also name every guest, job, storage and host that is fine (targets always are named). */
  readonly all?: boolean
}

const STACKED_BELOW = 80
const SEVERITY_WIDTH = 9
const KIND_WIDTH = 8
const STATE_WIDTH = 9
const ROW_INDENT = 2 + SEVERITY_WIDTH + KIND_WIDTH
/** Names that are longer stand on a line of their own instead of moving everybody's columns away. */
const MOST_NAME_COLUMNS = 44
/** Indent of cause and next step under a row. */
const HANG = 11

/** The whole screen, ending in a newline. */
export function renderStatusTable(document: StatusDocument, options: TableOptions): string {
  const width = Math.max(20, Math.floor(options.width))
  const palette = options.palette ?? PLAIN
  const rows = statusRows(document)
  const verdict = verdictLines(document, countsInWords(rows.counts), width, palette)
  const lines = [...verdict, ...passLines(document, options.now, width, palette), ...deskLines(document.desk, width, palette)]
  const extra = extraLines(rows.extra, width, palette)
  const isUrgent = rows.extra.some((finding) => finding.severity === 'critical' || finding.severity === 'unknown')
  if (isUrgent) lines.push(...extra)
  const nameWidth = nameColumn(
    rows.sites.flatMap((site) => site.hosts).flatMap((host) => host.rows),
    width,
  )
  for (const site of rows.sites) {
    for (const host of site.hosts) {
      const node = host.node === null || host.node === host.host ? '' : ` (node ${host.node})`
      lines.push('', ...wrap(`${site.site} / ${host.host}${node}`, width).map(palette.bold))
      lines.push(...hostLines(host, { width, nameWidth, palette, all: options.all === true }))
    }
  }
  if (!isUrgent) lines.push(...extra)
  lines.push(...gateLines(document.gates ?? [], { width, palette, all: options.all === true }))
  return `${[...lines, '', ...verdict].join('\n')}\n`
}

function extraLines(findings: readonly ExtraFinding[], width: number, palette: Palette): string[] {
  if (findings.length === 0) return []
  const lines = findings.flatMap((finding) => [
    ...headed(finding.severity, `${finding.subject} (${finding.reason})`, width, palette),
    ...explained(finding.message, finding.next, width, palette),
  ])
  return ['', ...wrap('the monitor itself', width).map(palette.bold), ...lines]
}

const GATE_SEVERITY = { passed: 'ok', failed: 'critical', unknown: 'unknown' } as const

/** Gates that did not pass; with `all` the others too. */
function gateLines(gates: readonly GateResult[], layout: Pick<Layout, 'width' | 'palette' | 'all'>): string[] {
  const shown = gates.filter((gate) => layout.all || gate.state !== 'passed')
  if (shown.length === 0) return []
  const lines = shown.flatMap((gate) => [
    ...headed(GATE_SEVERITY[gate.state], `gate ${inert(gate.id)} (${gate.state})`, layout.width, layout.palette),
    ...explained(inert(gate.message), gate.next === null ? null : inert(gate.next), layout.width, layout.palette),
    // The first is the one that was just told.
    ...(gate.places ?? [])
      .slice(1)
      .flatMap(({ place, found, next }) => explained(`${inert(place)}, found ${inert(found)}`, inert(next), layout.width, layout.palette)),
  ])
  return ['', ...wrap('gates', layout.width).map(layout.palette.bold), ...lines]
}

interface Layout {
  readonly width: number
  readonly nameWidth: number
  readonly palette: Palette
  readonly all: boolean
}

function hostLines(host: HostGroup, layout: Layout): string[] {
  const shown = host.rows.filter((row) => layout.all || row.severity !== 'ok' || row.kind === 'target')
  const lines = shown.flatMap((row) => (layout.width < STACKED_BELOW ? stackedRow(row, layout) : wideRow(row, layout)))
  const quiet = host.rows.filter((row) => !shown.includes(row))
  if (quiet.length > 0) {
    const kinds = (['host', 'storage', 'job', 'guest'] as const).map((kind) => [kind, quiet.filter((row) => row.kind === kind).length] as const)
    const words = kinds
      .filter(([, count]) => count > 0)
      .map(([kind, count]) => (kind === 'host' ? 'the host itself' : `${count} ${kind}${count === 1 ? '' : 's'}`))
    lines.push(...indented(`fine: ${words.join(', ')}`, 2, layout.width).map(layout.palette.dim))
  }
  return lines
}

function wideRow(row: Row, layout: Layout): string[] {
  const { palette, nameWidth } = layout
  const head = `  ${palette.severity[row.severity](padded(severityWord(row.severity), SEVERITY_WIDTH))}${palette.dim(padded(row.kind, KIND_WIDTH))}`
  const measures = [row.measure, row.mark].filter((text) => text !== '').join(', ')
  const explanation = row.severity === 'ok' && row.state === 'OK' ? [] : explained(row.cause, row.next, layout.width, palette)
  if (stringWidth(row.name) > nameWidth) {
    const [first = '', ...rest] = wrap(row.name, layout.width - ROW_INDENT)
    const details = [row.state, measures].filter((text) => text !== '').join(', ')
    return [head + first, ...rest.map((line) => ' '.repeat(ROW_INDENT) + line), ...indented(details, HANG, layout.width), ...explanation]
  }
  const columns = `${head}${padded(row.name, nameWidth)} ${padded(row.state, STATE_WIDTH)}`
  const room = layout.width - ROW_INDENT - nameWidth - 1 - STATE_WIDTH
  if (stringWidth(measures) <= room) return [(columns + measures).trimEnd(), ...explanation]
  return [columns.trimEnd(), ...indented(measures, HANG, layout.width), ...explanation]
}

function stackedRow(row: Row, layout: Layout): string[] {
  const details = [row.state, row.measure, row.mark].filter((text) => text !== '').join(', ')
  return [
    ...headed(row.severity, `${row.kind} ${row.name}`, layout.width, layout.palette),
    ...indented(details, 4, layout.width),
    ...(row.severity === 'ok' && row.state === 'OK' ? [] : explained(row.cause, row.next, layout.width, layout.palette)),
  ]
}

/** `  CRITICAL what`, continued under itself. */
function headed(severity: Severity, text: string, width: number, palette: Palette): string[] {
  const [first = '', ...rest] = wrap(text, width - 2 - SEVERITY_WIDTH)
  const head = `  ${palette.severity[severity](padded(severityWord(severity), SEVERITY_WIDTH))}${first}`
  return [head, ...rest.map((line) => ' '.repeat(2 + SEVERITY_WIDTH) + line)]
}

function explained(cause: string | null, next: string | null, width: number, palette: Palette): string[] {
  const hang = width < STACKED_BELOW ? 4 : HANG
  const lines = cause === null || cause === '' ? [] : indented(cause, hang, width)
  if (next !== null && next !== '') {
    const [first = '', ...rest] = wrap(next, width - hang - 2)
    lines.push(palette.bold(`${' '.repeat(hang)}→ ${first}`), ...rest.map((line) => palette.bold(' '.repeat(hang + 2) + line)))
  }
  return lines
}

function verdictLines(document: StatusDocument, counts: string, width: number, palette: Palette): string[] {
  const seen = `${document.seen} of ${document.expected} enabled targets seen`
  const [first = '', ...rest] = wrap(`${document.verdict.toUpperCase()} estate ${inert(document.estate)}: ${counts}; ${seen}`, width)
  return [first, ...rest].map((line) => palette.bold(palette.severity[document.verdict](line)))
}

function passLines(document: StatusDocument, now: Date, width: number, palette: Palette): string[] {
  const ageSeconds = (now.getTime() - Date.parse(document.takenAt)) / 1000
  const age = ageSeconds >= 0 ? `${duration(ageSeconds)} ago` : `${duration(-ageSeconds)} in the future`
  const lines = wrap(`pass of ${instant(document.takenAt)}, ${age}; one is due every ${duration(document.periodSeconds)}`, width).map(palette.dim)
  if (!document.stale) return lines
  const warning =
    ageSeconds >= 0
      ? 'What follows is old news: no pass has been written for more than three periods, so nobody knows how things are now.'
      : 'This pass is dated in the future: the clock of the worker or of this machine is wrong, so nobody knows how old it is.'
  const next = '→ see what stopped the monitor: nightshift doctor'
  return [...lines, ...[warning, next].flatMap((text) => wrap(text, width)).map((line) => palette.bold(palette.severity.unknown(line)))]
}

const CANARY: Readonly<Record<string, string>> = { arrived: 'arrived', lost: 'was lost', cannot_tell: 'was not found', waiting: 'is on its way' }

/** How the way of the alerts stands, in one line; louder when something waits, or the canary did not come. */
function deskLines(desk: StatusDocument['desk'], width: number, palette: Palette): string[] {
  if (desk === undefined) return []
  const { outbox, canary } = desk
  const waits = outbox.depth + outbox.secondChannelDepth
  const since = outbox.oldestAt === null ? '' : ` since ${instant(outbox.oldestAt)}`
  const reply = outbox.lastReply === null ? '' : `: ${inert(outbox.lastReply)}`
  const parts = [
    `${desk.open} open${desk.silences === 0 ? '' : `, ${desk.silences} ${desk.silences === 1 ? 'silence' : 'silences'}`}`,
    waits === 0 ? 'nothing waits to be sent' : `${waits} ${waits === 1 ? 'waits' : 'wait'} to be sent${since}${reply}`,
    canary === null
      ? 'no canary was ever sent'
      : `the canary ${canary.sentAt === null ? '' : `of ${instant(canary.sentAt)} `}${CANARY[canary.state] ?? inert(canary.state)}`,
  ]
  const isFine = waits === 0 && (canary === null || ['arrived', 'waiting'].includes(canary.state))
  return wrap(`alerts: ${parts.join('; ')}`, width).map(isFine ? palette.dim : palette.severity.warning)
}

function nameColumn(rows: readonly Row[], width: number): number {
  const most = Math.min(MOST_NAME_COLUMNS, width - ROW_INDENT - 1 - STATE_WIDTH - 20)
  return Math.max(0, ...rows.map((row) => stringWidth(row.name)).filter((columns) => columns <= most))
}

function indented(text: string, indent: number, width: number): string[] {
  return wrap(text, width - indent).map((line) => ' '.repeat(indent) + line)
}

function severityWord(severity: Severity): string {
  return severity === 'ok' ? 'ok' : severity.toUpperCase()
}
