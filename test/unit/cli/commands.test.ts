/** What every command of the program keeps to; a new one is found here by itself. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { COMMANDS } from '../../../src/cli/program.js'
import { runInProcess } from './run-in-process.js'

interface Leaf {
  readonly path: readonly string[]
  readonly command: Command
}

function leavesOf(command: Command, path: readonly string[]): Leaf[] {
  return command.commands.length === 0 ? [{ path, command }] : command.commands.flatMap((part) => leavesOf(part, [...path, part.name()]))
}

const declared = await Promise.all(Object.entries(COMMANDS).map(async ([name, { load }]) => ({ name, command: (await load()).command() })))
const leaves = declared.flatMap(({ name, command }) => leavesOf(command, [name])).map((leaf) => [leaf.path.join(' '), leaf] as const)

const folder = mkdtempSync(join(tmpdir(), 'nightshift-commands-'))
beforeAll(() => writeFileSync(join(folder, 'queue.json'), '[{"subject":"an old alert"}]'))
afterAll(() => rmSync(folder, { recursive: true }))

/** Values that a command's own checks take. */
const VALUES: Readonly<Record<string, string>> = { digest: 'a'.repeat(64), host: 'pve', runbook: 'vzdumpJobs', for: '4h', file: join(folder, 'queue.json') }

/** The shortest line that a command takes. */
function shortest({ path, command }: Leaf): string[] {
  const given = command.registeredArguments.filter(({ required }) => required).map((argument) => VALUES[argument.name()] ?? 'x')
  const options = command.options.filter(({ mandatory }) => mandatory).flatMap(({ long }) => [long ?? '', VALUES[(long ?? '').slice(2)] ?? 'x'])
  return [...path, ...given, ...options, ...(path[1] === 'silence' ? ['--for', '4h'] : [])]
}

describe.each(leaves)('nightshift %s', (name, leaf) => {
  it('takes --config and --json, and shows examples of itself with flags that it has', async () => {
    const help = await runInProcess([...leaf.path, '--help'])
    expect(help).toMatchObject({ exitCode: 0, stderr: '' })
    for (const option of ['--config <dir>', '--json', '-h, --help']) expect(help.stdout).toContain(option)
    const examples = help.stdout.split('\nExamples:\n')[1]?.trimEnd().split('\n') ?? []
    expect(examples.length).toBeGreaterThan(0)
    for (const example of examples) {
      expect(example).toMatch(new RegExp(`^  \\$ (?:[A-Z_]+=\\S+ )?nightshift ${name}\\b.*  # \\S`))
      for (const [flag] of example.split('  # ')[0]?.matchAll(/--[a-z-]+/g) ?? []) expect(help.stdout).toMatch(new RegExp(`${flag}\\b`))
    }
  })

  it('says wrong usage with 64, for people with the next step, and as a document', async () => {
    const line = [...shortest(leaf), '--no-such-option']
    const said = await runInProcess(line)
    expect(said).toMatchObject({ exitCode: 64, stdout: '' })
    expect(said.stderr).toMatch(/^nightshift: unknown option '--no-such-option'\n {2}→ .*--help/)
    const json = await runInProcess([...line, '--json'])
    expect(json).toMatchObject({ exitCode: 64, stderr: '' })
    expect(JSON.parse(json.stdout)).toMatchObject({
      schema: 'nightshift.error/1',
      errors: [{ found: "unknown option '--no-such-option'", hint: expect.any(String) }],
    })
    if (shortest(leaf).length > leaf.path.length) expect((await runInProcess(leaf.path)).exitCode).toBe(64)
  })

  it('says which folder is not there, and what to do, for people and as a document', async () => {
    const line = [...shortest(leaf), '--config', '/nowhere']
    const said = await runInProcess(line)
    expect([said.exitCode, `${said.stdout}${said.stderr}`]).toEqual([name === 'doctor' ? 2 : 78, expect.stringMatching(/\/nowhere.*estate\.yaml/)])
    const json = await runInProcess([...line, '--json'])
    expect(json.stderr).toBe('')
    expect(JSON.stringify(JSON.parse(json.stdout))).toContain('/nowhere')
    expect(`${said.stderr}${said.stdout}`).toMatch(/→|next/)
  })
})
