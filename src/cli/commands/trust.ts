/** Declares `nightshift trust`. */
import { type Command, InvalidArgumentError } from 'commander'
import { bareCommand, type CommonOptions, withCommonOptions } from '../command.js'
import { printJson } from '../output.js'
import { programVersion } from '../version.js'

interface Options extends CommonOptions {
  readonly fingerprint: readonly string[]
  readonly replace: boolean
}

export function command(): Command {
  const declared = bareCommand('trust', 'look at the key of a host and record it as known')
    .argument('<host>', 'a host of estate.yaml')
    .option('--fingerprint <SHA256:…>', 'the fingerprint, compared beforehand; may be repeated', collectFingerprint, [])
    .option('--replace', 'take the place of another key that is recorded', false)
  withCommonOptions(declared, [
    ['nightshift trust pve', 'shows the fingerprints and asks'],
    ['nightshift trust pve --fingerprint SHA256:…', 'records that key and no other; needs no terminal'],
    ['nightshift trust pve --replace', 'after the host was set up anew'],
  ])
  return declared.action(async (host: string, { config, json, fingerprint, replace }: Options) => {
    const { realTerminal, trust } = await import('../trust.js')
    const { exitCode, outcome } = await trust({ config, json, host, fingerprints: fingerprint, replace, version: programVersion() }, realTerminal())
    if (json) printJson(outcome)
    process.exitCode = exitCode
  })
}

function collectFingerprint(text: string, before: readonly string[]): readonly string[] {
  if (!/^SHA256:[A-Za-z0-9+/]{43}$/.test(text)) throw new InvalidArgumentError('it looks like SHA256: and 43 characters (ssh-keygen -lf KEY.pub).')
  return [...before, text]
}
