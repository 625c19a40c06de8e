/**
 * Every command in the documents is run. A block marked `sh` is run line by line; a command inside a sentence must at least exist with the flags it is shown with.
 * Every command in a block has to succeed; one may use what an earlier one set. Marks of a block: `exit=any` asks of its commands only that they are used rightly;
 * `given=NAME` brings a host into the state that the page speaks of, and back; `in=checkout` runs in the checkout instead of a scratch folder; `by=ci` is what CI
 * itself runs. `temporal` finds the estate as `docs/operations.md` says.
 */
import { cp, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeRealArchives } from '../../lab/estate/real-archives.js'
import { packageRoot } from '../../src/temporal/package-root.js'
import { cachedBinaryPath } from '../../src/temporal/server-binary.js'
import { testLab } from '../support/lab.js'
import { environmentOf, PROGRAM, type RunningUp, startUp } from '../support/nightshift.js'

const root = packageRoot()

interface Block {
  readonly file: string
  readonly line: number
  readonly marks: Readonly<Record<string, string>>
  readonly commands: readonly string[]
}

async function documents(): Promise<string[]> {
  const pages = await readdir(join(root, 'docs'), { recursive: true })
  return ['README.md', 'CONTRIBUTING.md', ...pages.filter((page) => page.endsWith('.md')).map((page) => join('docs', page))]
}

function blocksOf(file: string, text: string): Block[] {
  const blocks: Block[] = []
  for (const match of text.matchAll(/^```sh([^\n]*)\n([\s\S]*?)^```$/gm)) {
    const marks = Object.fromEntries([...(match[1] ?? '').matchAll(/(\w+)=(\S+)/g)].map((mark) => [mark[1], mark[2]]))
    const commands = (match[2] ?? '')
      .replaceAll('\\\n', ' ')
      .split('\n')
      .filter((line) => line.trim() !== '' && !line.startsWith('#'))
    blocks.push({ file, line: text.slice(0, match.index).split('\n').length + 1, marks, commands })
  }
  return blocks
}

const pages = await Promise.all((await documents()).map(async (file) => ({ file, text: await readFile(join(root, file), 'utf8') })))
const blocks = pages.flatMap(({ file, text }) => blocksOf(file, text)).filter((block) => block.marks.by !== 'ci')
const inline = pages.flatMap(({ file, text }) =>
  [...text.replace(/^```[\s\S]*?^```$/gm, '').matchAll(/`(nightshift [a-z][^`]*)`/g)].map((match) => ({ file, command: match[1] ?? '' })),
)

const lab = await testLab('docs')
const { paths } = lab
let scratch: string
let up: RunningUp | undefined
let env: NodeJS.ProcessEnv

/** What `docs/operations.md` tells a reader to set. */
const temporal = () => ({
  TEMPORAL_ADDRESS: `127.0.0.1:${up?.temporalPort}`,
  TEMPORAL_NAMESPACE: `nightshift-${lab.name}`,
  PATH: `${dirname(cachedBinaryPath())}:${env.PATH}`,
})

/** How hosts come to be as a page says, and back. */
const GIVEN: Readonly<Record<string, () => Promise<() => Promise<unknown>>>> = {
  nothing: async () => async () => {},
  'edited-job': async () => {
    const set = (mode: string) => lab.host('proxmox-home').exec(['pvesh', 'set', '/cluster/backup/backup-home-p0-daily', '--mode', mode])
    await set('suspend')
    return () => set('snapshot')
  },
  'guest-out-of-job': async () => {
    const job = '/cluster/backup/backup-pve-daily'
    const { stdout } = await lab.host('pve').exec(['pvesh', 'get', job, '--output-format', 'json'])
    const { vmid } = JSON.parse(stdout) as { vmid: string }
    const set = (guests: string) => lab.host('pve').exec(['pvesh', 'set', job, '--vmid', guests])
    await set(vmid.replace(/,?\b214\b/, ''))
    return () => set(vmid)
  },
  'folder-gone': async () => {
    const move = (from: string, to: string) => lab.host('nas').exec(['mv', `/volume1/backups/apps/${from}`, `/volume1/backups/apps/${to}`])
    await move('gitea', 'gitea.away')
    return () => move('gitea.away', 'gitea')
  },
  'other-relay': async () => {
    const pve = lab.host('pve')
    const { stdout } = await pve.exec(['postconf', '-h', 'relayhost'])
    await pve.exec(['postconf', '-e', 'relayhost=[smtp.elsewhere.example]'])
    return () => pve.exec(['postconf', '-e', `relayhost=${stdout.trim()}`])
  },
  'four-nights': async () => {
    await makeRealArchives(lab.host('pve'), { vmid: 211, storage: 'tank-backups', folder: '/tank/backups/vzdump/dump', nightsAgo: [1, 2, 3, 4] })
    return async () => {}
  },
}

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'nightshift-docs-'))
  await cp(join(root, 'runbooks'), join(scratch, 'runbooks'), { recursive: true })
  await writeFile(join(scratch, 'nightshift'), `#!/bin/sh\nexec "${process.execPath}" "${PROGRAM}" "$@"\n`, { mode: 0o755 })
  await symlink(join(root, 'package.json'), join(scratch, 'package.json'))
  env = { ...environmentOf({ config: paths.config, state: paths.state }), PATH: `${scratch}:${process.env.PATH}` }
  up = await startUp({ config: paths.config, state: paths.state })
}, 120_000)

afterAll(async () => {
  await up?.stop()
  if (scratch !== undefined) await rm(scratch, { recursive: true, force: true })
})

describe('the commands in the documents', () => {
  it('are there at all', () => {
    expect(blocks.length).toBeGreaterThan(3)
    expect(inline.length).toBeGreaterThan(3)
  })

  it.each(blocks.map((block) => [`${block.file}:${block.line}`, block] as const))(
    '%s does what it shows',
    async (_place, block) => {
      const cwd = block.marks.in === 'checkout' ? root : scratch
      const given = GIVEN[block.marks.given ?? 'nothing']
      if (given === undefined) throw new Error(`nobody knows how a host comes to be given=${block.marks.given}`)
      const takeBack = await given()
      for (const command of block.marks.exit === 'any' ? block.commands : [`set -ex\n${block.commands.join('\n')}`]) {
        // A page that sets up a folder of its own must not be served by the lab's state.
        const own = / --config conf\b/.test(command) ? { NIGHTSHIFT_STATE: join(scratch, 'conf-state') } : {}
        const run = await execa('sh', ['-c', command], {
          cwd,
          env: { ...env, ...own, ...(/^temporal |\(temporal /m.test(command) ? temporal() : {}) },
          extendEnv: false,
          reject: false,
          all: true,
          stdin: 'ignore',
          timeout: 170_000,
        })
        expect(run.exitCode, `${command}\n${run.all}`).not.toBe(64)
        if (block.marks.exit !== 'any') expect(run.exitCode, `${command}\n${run.all}`).toBe(0)
      }
      await takeBack()
    },
    180_000,
  )

  it.each(
    [...new Map(inline.map((each) => [each.command, each])).values()].map(
      (each) => [`${relative(root, join(root, each.file))}: ${each.command}`, each] as const,
    ),
  )('%s has the flags it is shown with', async (_place, { command }) => {
    const words = command.split(/\s+/)
    // `alerts ack` is a command of its own; what follows it (INCIDENT, jobs/pve, backupMonitor, --as) is not.
    const rest = words.slice(1)
    const end = rest.findIndex((word) => !/^[a-z][a-z-]*$/.test(word))
    const path = end === -1 ? rest : rest.slice(0, Math.max(1, end))
    const help = await execa(process.execPath, [PROGRAM, ...path, '--help'], { env, extendEnv: false, reject: false })
    expect(help.exitCode, help.stderr).toBe(0)
    for (const flag of words.filter((word) => word.startsWith('--'))) expect(help.stdout).toContain(flag.split('=')[0])
  })
})
