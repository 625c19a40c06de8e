/** Declares `nightshift receipts list`, `show` and `verify`. */
import type { Command } from 'commander'
import { bareCommand, type CommonOptions, withCommonOptions } from '../command.js'
import { printJson } from '../output.js'
import { listReceipts, readReceipt, receiptLine, verdictLines, verifyExitCode, verifyReceipts } from '../receipts.js'

export function command(): Command {
  return bareCommand('receipts', 'list, show and verify the evidence').addCommand(list()).addCommand(show()).addCommand(verify())
}

function list(): Command {
  const declared = bareCommand('list', 'all receipts, oldest first')
  withCommonOptions(declared, [['nightshift receipts list', 'a line each']])
  return declared.action(async ({ config, json }: CommonOptions) => {
    const rows = await listReceipts(config)
    if (json) printJson(rows)
    else if (rows.length === 0) process.stderr.write('There are no receipts yet; the first pass of the monitor writes one.\n')
    else process.stdout.write(rows.map((row) => `${receiptLine(row)}\n`).join(''))
  })
}

function show(): Command {
  const declared = bareCommand('show', 'one receipt, readable').argument('<number>', 'its number, or `last`')
  withCommonOptions(declared, [
    ['nightshift receipts show last', 'the newest'],
    ['nightshift receipts show 12', 'number 12'],
  ])
  return declared.action(async (which: string, { config }: CommonOptions) => printJson(await readReceipt(config, which)))
}

function verify(): Command {
  const declared = bareCommand('verify', 'check every signature, the chain and its end; needs no server')
  withCommonOptions(declared, [
    ['nightshift receipts verify', '0 good, 2 bad, 3 when it cannot be told'],
    ['nightshift receipts verify --json', '{ok, count, head, firstBad, problem}'],
  ])
  return declared.action(async ({ config, json }: CommonOptions) => {
    const verdict = await verifyReceipts(config)
    if (json) printJson(verdict)
    else
      process.stdout.write(
        verdictLines(verdict)
          .map((line) => `${line}\n`)
          .join(''),
      )
    process.exitCode = verifyExitCode(verdict)
  })
}
