/**
 * `nightshift trust HOST`: shows the key of a host, lets a person compare it, and records it in nightshift's own known_hosts, with a receipt.
 * Without a terminal nothing is trusted unless the fingerprint is given. Exit codes: 0 recorded or known already, 1 the person said no, 2 the host.
 */
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { closest, distance } from 'fastest-levenshtein'
import { ConfigError } from '../domain/config-error.js'
import type { RunbookSet } from '../domain/estate.js'
import { inert } from '../domain/render/inert.js'
import { loadRunbooks } from '../runbooks/index.js'
import { type HostKeyScan, type OfferedHostKey, recordHostKey, scanHostKeys } from '../ssh/index.js'
import { leaveForOwner, openState, type ReceiptBody, STATE_NAMES, StateLocked, stateDirectory } from '../state/index.js'
import { operatorName } from './receipts.js'
import { UsageError } from './usage-error.js'

export interface TrustOptions {
  readonly config: string
  readonly json: boolean
  readonly host: string
  /** `SHA256:…`, compared by the operator beforehand. */
  readonly fingerprints: readonly string[]
  /** Take the place of another recorded key. */
  readonly replace: boolean
  readonly version: string
}

/** What `--json` prints. */
export interface TrustOutcome {
  readonly schema: 'nightshift.trust/1'
  readonly host: string
  readonly address: string
  readonly port: number
  readonly state: HostKeyScan['state']
  readonly keys: readonly { readonly type: string; readonly fingerprint: string; readonly state: string }[]
  readonly recorded: readonly string[]
  readonly knownHosts: string
  /** Number of the receipt; `pending` when the worker will write it; null when nothing was recorded. */
  readonly receipt: number | 'pending' | null
}

const REFUSED_BY_PERSON = 1

/** How this command talks; tests give their own. */
export interface TrustTerminal {
  readonly isInteractive: boolean
  say(line: string): void
  ask(question: string): Promise<string>
}

/** @returns the exit code and what happened */
export async function trust(options: TrustOptions, terminal: TrustTerminal): Promise<{ exitCode: number; outcome: TrustOutcome }> {
  const runbooks = await loadRunbooks(options.config)
  const alias = aliasOf(runbooks, options.host)
  const scan = await scanHostKeys(alias, runbooks.estate.ssh)
  for (const line of describeScan(options.host, scan)) terminal.say(line)
  const nothing = (exitCode: number) => ({ exitCode, outcome: outcomeOf(options.host, scan, [], null) })

  if (scan.keys.length === 0)
    throw new ConfigError(`${options.host} showed no host key of a kind that is used here`, 'look at HostKeyAlgorithms in its sshd_config')
  const chosen = options.fingerprints.length > 0 ? options.fingerprints : await confirmedByPerson(options, scan, terminal)
  if (chosen === 'known') return nothing(0)
  if (chosen === 'refused') {
    terminal.say('Nothing was recorded.')
    return nothing(REFUSED_BY_PERSON)
  }
  const result = await recordHostKey(scan, { fingerprints: chosen, replace: options.replace })
  if (result.added.length === 0) {
    terminal.say(`Recorded already in ${scan.knownHostsPath}.`)
    return nothing(0)
  }
  terminal.say(`Recorded in ${result.path}.`)
  const receipt = await leaveEvidence(runbooks, trustReceipt(options, runbooks.digest, scan, chosen, result), terminal)
  return { exitCode: 0, outcome: outcomeOf(options.host, scan, chosen, receipt) }
}

function aliasOf(runbooks: RunbookSet, name: string): string {
  const { hosts } = runbooks.estate
  const host = hosts.find((each) => each.name === name) ?? hosts.find((each) => each.sshAlias === name)
  if (host !== undefined) return host.sshAlias
  const names = hosts.map((each) => each.name)
  const near = names.find((each) => each === closest(name, names) && distance(name, each) <= 2)
  throw new UsageError(`estate.yaml has no host ${JSON.stringify(name)}`, `${near === undefined ? '' : `did you mean ${near}? `}known: ${names.join(', ')}`)
}

async function confirmedByPerson(options: TrustOptions, scan: HostKeyScan, terminal: TrustTerminal): Promise<readonly string[] | 'known' | 'refused'> {
  if (scan.state === 'same') return 'known'
  const offered = scan.keys.filter((key) => key.state !== 'same')
  const revoked = offered.find((key) => key.state === 'revoked')
  if (revoked !== undefined) throw new ConfigError(`the key that ${options.host} shows is revoked (${whereRecorded(revoked)})`, 'give the host a new host key')
  const isReplacement = offered.some((key) => key.state === 'mismatch')
  const fingerprints = offered.map((key) => key.fingerprint)
  if (options.json || !terminal.isInteractive) {
    throw new UsageError(
      `${options.host} shows ${fingerprints.join(', ')}, and there is no terminal to ask on`,
      `compare it on the host's own console (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), then give it: nightshift trust ${options.host} --fingerprint ${fingerprints[0]}${isReplacement ? ' --replace' : ''}`,
    )
  }
  if (isReplacement && !options.replace) {
    throw new UsageError(
      `${options.host} shows another key than the recorded one`,
      `find out why first: it may be another machine. Only when the host was set up anew: nightshift trust ${options.host} --replace`,
    )
  }
  terminal.say("Compare with what the host's own console says: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub")
  const answer = await terminal.ask(`Are these the keys of ${options.host}? Type yes to record them: `)
  return answer.trim().toLowerCase() === 'yes' ? fingerprints : 'refused'
}

function describeScan(host: string, scan: HostKeyScan): string[] {
  const words = { same: 'recorded', unknown: 'not recorded yet', mismatch: 'DIFFERENT FROM THE RECORDED KEY', revoked: 'REVOKED' }
  return [
    `${inert(host)} (${inert(scan.host)}:${scan.port}) shows:`,
    ...scan.keys.map((key) => `  ${key.fingerprint}  ${inert(key.type)}  ${words[key.state]}${key.recorded.length > 0 ? `: ${whereRecorded(key)}` : ''}`),
  ]
}

function whereRecorded(key: OfferedHostKey): string {
  return key.recorded.map((recorded) => `${recorded.fingerprint} in ${inert(recorded.path)}:${recorded.line}`).join(', ')
}

function trustReceipt(
  options: TrustOptions,
  runbookDigest: string,
  scan: HostKeyScan,
  chosen: readonly string[],
  result: { readonly path: string; readonly added: readonly string[]; readonly removed: readonly string[] },
): ReceiptBody {
  return {
    kind: 'trust',
    run: { runbook: 'trust', runbookDigest, workflowId: `trust/${options.host}`, runId: randomUUID(), version: options.version },
    requestedBy: operatorName(),
    approval: null,
    observed: {
      host: options.host,
      address: scan.host,
      port: scan.port,
      keys: scan.keys.map(({ type, fingerprint, state }) => ({ type, fingerprint, state })),
    },
    steps: [
      {
        what: `record ${result.added.length} keys under ${scan.name}${result.removed.length > 0 ? `, taking ${result.removed.length} lines away` : ''}`,
        outcome: 'done',
      },
    ],
    outcome: { recorded: chosen, compared: options.fingerprints.length > 0 ? 'fingerprint given' : 'confirmed on a terminal' },
    times: { recordedAt: new Date().toISOString() },
  }
}

/** The key is recorded by now: its evidence is left in the state folder first, and put into the chain at once when no worker holds it. */
async function leaveEvidence(runbooks: RunbookSet, body: ReceiptBody, terminal: TrustTerminal): Promise<number | 'pending'> {
  const { estate } = runbooks
  const dir = stateDirectory(estate.id)
  leaveForOwner(join(dir, STATE_NAMES.pendingReceipts), body)
  try {
    const state = await openState({ dir, estateId: estate.id })
    try {
      await state.appendPending(estate.receipts)
      const { number } = await state.appendReceipt(body, estate.receipts)
      terminal.say(`Receipt ${number}.`)
      return number
    } finally {
      state.close()
    }
  } catch (error) {
    const why =
      error instanceof StateLocked ? 'the running worker writes it with its next pass' : `not yet: ${error instanceof Error ? error.message : String(error)}`
    terminal.say(`Receipt: ${inert(why)}.`)
    return 'pending'
  }
}

function outcomeOf(host: string, scan: HostKeyScan, recorded: readonly string[], receipt: TrustOutcome['receipt']): TrustOutcome {
  return {
    schema: 'nightshift.trust/1',
    host,
    address: scan.host,
    port: scan.port,
    state: scan.state,
    keys: scan.keys.map(({ type, fingerprint, state }) => ({ type, fingerprint, state })),
    recorded,
    knownHosts: scan.knownHostsPath,
    receipt,
  }
}

/** The real terminal: lines on stderr, so that `--json` has stdout for itself. */
export function realTerminal(): TrustTerminal {
  return {
    isInteractive: process.stdin.isTTY === true && process.stderr.isTTY === true,
    say: (line) => void process.stderr.write(`${line}\n`),
    ask: async (question) => {
      const lines = createInterface({ input: process.stdin, output: process.stderr })
      try {
        return await lines.question(question)
      } finally {
        lines.close()
      }
    },
  }
}
