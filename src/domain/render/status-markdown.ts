/** The status document as Markdown for the current details of a Temporal run: worst first, cut to a size, inert against injected Markdown and HTML. Pure. */
import type { Severity, StatusDocument } from '../status.js'
import { inert } from './inert.js'
import { duration, instant } from './quantities.js'
import { countsInWords, type Row, statusRows } from './rows.js'

/** Temporal takes at most 20,000 bytes of current details. */
export const MOST_DETAILS_BYTES = 20_000

/** Room kept for the line that says how much was left out. */
const LEFT_OUT_BYTES = 120

const MARK: Readonly<Record<Severity, string>> = { critical: '🔴 critical', unknown: '🟣 unknown', warning: '🟡 warning', ok: '🟢 ok' }

/**
 * @param options.maxBytes UTF-8 bytes of the result, at most (default and ceiling: what Temporal takes)
 */
export function renderStatusMarkdown(document: StatusDocument, options: { readonly maxBytes?: number } = {}): string {
  const maxBytes = Math.min(options.maxBytes ?? MOST_DETAILS_BYTES, MOST_DETAILS_BYTES)
  const { sites, extra, counts } = statusRows(document)
  const placed = sites.flatMap((site) => site.hosts.flatMap((host) => host.rows.map((row) => ({ site: site.site, host: host.host, row }))))
  const problems = placed.filter(({ row }) => row.severity !== 'ok').sort((a, b) => RANK[a.row.severity] - RANK[b.row.severity])
  const fine = placed.filter(({ row }) => row.severity === 'ok' && row.kind === 'target')
  const head = [
    `## ${MARK[document.verdict]}: estate ${markdownText(document.estate)}`,
    '',
    `${countsInWords(counts)}; **${document.seen} of ${document.expected}** enabled targets seen. Pass of ${instant(document.takenAt)}, one every ${duration(document.periodSeconds)}.`,
    '',
  ].join('\n')
  const blocks: Block[] = [
    {
      head: '### The monitor itself\n\n',
      rows: extra.map(
        (finding) => `- ${MARK[finding.severity]} **${markdownText(finding.subject)}**: ${markdownText(finding.message)}${andNext(finding.next)}\n`,
      ),
    },
    {
      head: '### What is wrong\n\n| | where | what | state | cause and next step |\n|---|---|---|---|---|\n',
      rows: problems.map(
        ({ site, host, row }) => `| ${MARK[row.severity]} | ${markdownText(`${site} / ${host}`)} | ${what(row)} | ${stateOf(row)} | ${causeOf(row)} |\n`,
      ),
    },
    {
      head: '### Targets that are fine\n\n| where | target | state | age of limit |\n|---|---|---|---|\n',
      rows: fine.map(
        ({ site, host, row }) => `| ${markdownText(`${site} / ${host}`)} | ${markdownText(row.name)} | ${row.state} | ${markdownText(row.measure)} |\n`,
      ),
    },
  ]
  return fill(head, blocks, maxBytes)
}

/** Text that shows as itself wherever it stands in Markdown: no markup, link, table cell, HTML or automatic link can come out of it. */
export function markdownText(text: string): string {
  return inert(text)
    .replace(/[\\`*_{}[\]()#+!|~<>&$^=@-]/g, (character) => `\\${character}`)
    .replace(/:\/\//g, '\\://')
    .replace(/www\./gi, (www) => `${www.slice(0, 3)}\\.`)
}

interface Block {
  readonly head: string
  readonly rows: readonly string[]
}

const RANK: Readonly<Record<Severity, number>> = { critical: 0, unknown: 1, warning: 2, ok: 3 }

function what(row: Row): string {
  return markdownText(`${row.kind} ${row.name}`)
}

function stateOf(row: Row): string {
  return [row.state, markdownText(row.measure), markdownText(row.mark)].filter((part) => part !== '').join(', ')
}

function causeOf(row: Row): string {
  return `${markdownText(row.cause ?? '')}${andNext(row.next)}`.trim()
}

function andNext(next: string | null): string {
  return next === null ? '' : ` → *${markdownText(next)}*`
}

/** Takes rows in order while they fit; as soon as one does not, says how many are not shown. */
function fill(head: string, blocks: readonly Block[], maxBytes: number): string {
  const total = blocks.reduce((sum, block) => sum + block.rows.length, 0)
  let text = head
  let taken = 0
  for (const block of blocks) {
    for (const [index, row] of block.rows.entries()) {
      const addition = index === 0 ? `${taken === 0 ? '' : '\n'}${block.head}${row}` : row
      const isLast = taken + 1 === total
      if (Buffer.byteLength(text) + Buffer.byteLength(addition) > maxBytes - (isLast ? 0 : LEFT_OUT_BYTES)) {
        return `${text}\n*${total - taken} more rows are left out here; \`nightshift status\` shows all.*\n`
      }
      text += addition
      taken += 1
    }
  }
  return text
}
