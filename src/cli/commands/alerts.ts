/** Declares `nightshift alerts`. */
import type { Command } from 'commander'
import { deskOf, listLines, order, readQueue, showIncident, showLines } from '../alerts.js'
import { bareCommand, type CommonOptions, durationSeconds, withCommonOptions } from '../command.js'
import { printJson } from '../output.js'
import { UsageError } from '../usage-error.js'
import { whyExitCode, whyLines, whyOf } from '../why.js'

interface OrderOptions extends CommonOptions {
  readonly as: string
  readonly reason: string
}

export function command(): Command {
  const parts = [list(), show(), why(), ack(), silence(), unsilence(), adopt(), closeAdopted(), canary()]
  return parts.reduce((all, part) => all.addCommand(part), bareCommand('alerts', 'what is open and what was said; acknowledge and silence'))
}

const say = (lines: readonly string[]): void => void process.stdout.write(lines.map((line) => `${line}\n`).join(''))

function list(): Command {
  const declared = bareCommand('list', 'open incidents, silences, outbox')
  withCommonOptions(declared, [
    ['nightshift alerts list', 'a line each, the worst first'],
    ['nightshift alerts list --json | jq .outbox.depth', 'for scripts'],
  ])
  return declared.action(async ({ config, json }: CommonOptions) => {
    const snapshot = await deskOf(config)
    if (json) printJson(snapshot)
    else say(listLines(snapshot))
  })
}

function show(): Command {
  const declared = bareCommand('show', 'one open incident and what was decided about it').argument('<incident>', 'its id, or its subject')
  withCommonOptions(declared, [['nightshift alerts show 1f0c22ab', 'the id stands in the mail']])
  return declared.action(async (incident: string, { config, json }: CommonOptions) => {
    const shown = await showIncident(config, incident)
    if (json) printJson(shown)
    else say(showLines(shown))
  })
}

function why(): Command {
  const declared = bareCommand('why', 'why something was, or was not, mailed at a time').argument(
    '<name>',
    'a target, guest, job, storage or host, or a part of its name, or the id of an incident',
  )
  declared.option('--at <instant>', 'the time that is asked about; now unless told')
  withCommonOptions(declared, [
    ['nightshift alerts why vm-204-infra-core-primary', 'the decision in force, and those before'],
    ['nightshift alerts why vm-204 --at 2026-02-10T07:00:00Z', 'why no mail last Tuesday'],
  ])
  return declared.action(async (name: string, { config, json, at }: CommonOptions & { at?: string }) => {
    const found = await whyOf(config, name, at, new Date())
    if (json) printJson(found)
    else say(whyLines(found))
    process.exitCode = whyExitCode(found)
  })
}

function ack(): Command {
  const declared = ordered(bareCommand('ack', 'no repeats until the incident is over').argument('<incident>', 'its id'))
  withCommonOptions(declared, [['nightshift alerts ack 1f0c22ab --as ronny --reason "disk ordered"', 'the recovery is still mailed']])
  return declared.action(async (incident: string, { config, json, as, reason }: OrderOptions) =>
    answer(json, await order(config, 'ack', { incident, by: as, reason })),
  )
}

function silence(): Command {
  const declared = ordered(
    bareCommand('silence', 'no mails about something until a time').argument('<matching>', 'an incident, a subject, or a pattern such as shop/target/*'),
  )
  declared.option('--for <duration>', 'from now on (90s, 15m, 26h, 7d)', durationSeconds).option('--until <instant>', 'until then')
  withCommonOptions(declared, [
    ['nightshift alerts silence "shop/target/vm-2*" --for 4h --as ronny --reason "moving house"', 'its end is announced'],
    ['nightshift alerts silence home/host/nas --until 2026-02-14T08:00:00Z --as ronny --reason "new disks"', 'at most 90 days'],
  ])
  return declared.action(async (matching: string, options: OrderOptions & { for?: number; until?: string }) => {
    const { config, json, as, reason } = options
    if ((options.for === undefined) === (options.until === undefined))
      throw new UsageError('a silence needs an end', 'give --for 4h or --until 2026-02-14T08:00:00Z')
    const until = options.until ?? new Date(Date.now() + (options.for ?? 0) * 1000).toISOString()
    answer(json, await order(config, 'silence', { matching, by: as, reason, until }))
  })
}

function unsilence(): Command {
  const declared = ordered(bareCommand('unsilence', 'end a silence now').argument('<silence>', 'its id, or what it matches'))
  withCommonOptions(declared, [['nightshift alerts unsilence 9ab01c22 --as ronny --reason "done earlier"', 'what is still wrong is mailed']])
  return declared.action(async (silenceId: string, { config, json, as, reason }: OrderOptions) =>
    answer(json, await order(config, 'unsilence', { silence: silenceId, by: as, reason })),
  )
}

function adopt(): Command {
  const declared = bareCommand('adopt', 'list the unsent alerts of an earlier system once')
    .argument('<name>', 'how you call that queue')
    .argument('<file>', 'a JSON list, or one alert a line')
  declared.requiredOption('--as <name>', 'who you are')
  withCommonOptions(declared, [['nightshift alerts adopt comms-queue queue.json --as ronny', 'one mail lists them; nothing is sent again']])
  return declared.action(async (name: string, file: string, { config, json, as }: OrderOptions) =>
    answer(json, await order(config, 'adopt', { name, by: as, ...readQueue(file) })),
  )
}

function closeAdopted(): Command {
  const declared = ordered(bareCommand('close-adopted', 'decide that an adopted queue needs nothing more; leaves a receipt').argument('<name>', 'the queue'))
  withCommonOptions(declared, [['nightshift alerts close-adopted comms-queue --as ronny --reason "all looked at"', 'gone from the daily summary']])
  return declared.action(async (name: string, { config, json, as, reason }: OrderOptions) =>
    answer(json, await order(config, 'closeAdopted', { name, by: as, reason })),
  )
}

function canary(): Command {
  const declared = bareCommand('canary', 'mail ourselves and look for it in the mailbox')
  withCommonOptions(declared, [['nightshift alerts canary', 'status --json has the result under desk.canary']])
  return declared.action(async ({ config, json }: CommonOptions) => answer(json, await order(config, 'canary')))
}

function ordered(declared: Command): Command {
  return declared.requiredOption('--as <name>', 'who you are').requiredOption('--reason <text>', 'why; kept in the record')
}

function answer(json: boolean, said: string): void {
  if (json) printJson({ answer: said })
  else say([said])
}
