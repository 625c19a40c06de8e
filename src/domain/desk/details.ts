/** What the Temporal UI shows of the desk: Markdown within the server's limit. */
import { inert } from '../render/inert.js'
import type { DeskSnapshot } from './snapshot.js'

const MOST_ROWS = 25
const cell = (text: string, most: number): string => inert(text).replaceAll('|', '\\|').slice(0, most)

/** At most some 6 kB. */
export function deskDetails(snapshot: DeskSnapshot): string {
  const { incidents, outbox, silences } = snapshot
  const order = ['critical', 'unknown', 'warning', 'ok']
  const rows = [...incidents].sort((a, b) => order.indexOf(a.severity) - order.indexOf(b.severity)).slice(0, MOST_ROWS)
  return [
    `**${incidents.length} open incidents** · ${silences.length} silences · outbox ${outbox.depth}${outbox.oldestAt === null ? '' : `, the oldest since ${outbox.oldestAt}`}`,
    '',
    ...(outbox.shutSince === null ? [] : [`Mail does not go out since ${outbox.shutSince}: ${cell(outbox.lastReply ?? '', 200)}`, '']),
    ...(rows.length === 0 ? [] : ['| id | severity | subject | what | said |', '|---|---|---|---|---|']),
    ...rows.map((row) => `| ${row.id} | ${row.severity} | ${cell(row.subject, 60)} | ${cell(row.reason, 40)} | ${cell(row.decision, 60)} |`),
    ...(incidents.length > rows.length ? ['', `and ${incidents.length - rows.length} more`] : []),
    '',
    `Last pass ${snapshot.passId ?? 'none'} of ${snapshot.passTakenAt ?? '–'}.`,
  ].join('\n')
}
