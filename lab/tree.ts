/**
 * Makes the lab's root tree: once, with mmdebstrap, from the machine's own apt sources, under a temporary name that becomes the real one when
 * all is done. A run that was killed leaves only a folder `making-…`, which the next run removes.
 */
import { constants, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { MACHINE_PATH, packageAdvice, run } from './command.js'
import { LabError } from './errors.js'
import { withLockOn } from './lock.js'
import { isTreeCurrent, machineSuite, TREE_PACKAGES, treeDigest, treePath, treesFolder } from './tree-check.js'
import { finishTree } from './tree-finish.js'

export type Say = (line: string) => void

/**
 * Makes the tree when it is not there; one program at a time, the others wait.
 * @returns its folder
 * @throws LabError `config` when the machine cannot make it, with mmdebstrap's last words
 */
export async function ensureTree(say: Say): Promise<string> {
  if (isTreeCurrent()) return treePath()
  mkdirSync(treesFolder(), { recursive: true })
  await withLockOn(
    treesFolder(),
    constants.O_RDONLY | constants.O_DIRECTORY,
    async () => {
      if (!isTreeCurrent()) await makeTree(say)
    },
    () => say('another program is making the lab root tree; waiting for it'),
  )
  return treePath()
}

async function makeTree(say: Say): Promise<void> {
  const suite = machineSuite()
  if (suite === '')
    throw new LabError('config', '/etc/os-release names no release (VERSION_CODENAME)', 'run the lab on Debian 12 or later, or on an Ubuntu LTS')
  for (const name of readdirSync(treesFolder())) if (name.startsWith('making-')) rmSync(join(treesFolder(), name), { recursive: true, force: true })
  const making = join(treesFolder(), `making-${treeDigest()}-${process.pid}`)
  const sources = await distributionSources(suite)
  say(`making the lab root tree (${suite}, ${TREE_PACKAGES.length} packages and what they need, about 0.6 GB): one to three minutes, once`)
  const started = Date.now()
  try {
    await mmdebstrap(suite, making, sources, say)
    finishTree(making)
    renameSync(making, treePath())
  } catch (error) {
    rmSync(making, { recursive: true, force: true })
    throw error
  }
  say(`lab root tree ready after ${Math.round((Date.now() - started) / 1000)} s: ${treePath()}`)
}

/** The steps of mmdebstrap that take long, in words. */
const MILESTONE = /^I: (running apt-get update|downloading packages|extracting archives|installing essential|installing remaining|cleaning|success)/

async function mmdebstrap(suite: string, target: string, sources: readonly string[], say: Say): Promise<void> {
  const argv = [
    '--variant=minbase',
    `--include=${TREE_PACKAGES.join(',')}`,
    '--dpkgopt=force-unsafe-io',
    '--dpkgopt=path-exclude=/usr/share/doc/*',
    '--dpkgopt=path-exclude=/usr/share/man/*',
    '--dpkgopt=path-exclude=/usr/share/locale/*',
    '--aptopt=Acquire::Languages "none"',
    '--aptopt=APT::Sandbox::User "root"',
    ...(await machineAptOptions()).map((line) => `--aptopt=${line}`),
    suite,
    target,
    '-',
  ]
  // When this program is killed, the kernel tells mmdebstrap to end, which cleans up after itself.
  const child = execa('setpriv', ['--pdeathsig', 'TERM', 'mmdebstrap', ...argv], {
    reject: false,
    env: { PATH: MACHINE_PATH, LC_ALL: 'C.UTF-8', DEBIAN_FRONTEND: 'noninteractive' },
    input: `${sources.join('\n')}\n`,
    stdout: 'ignore',
    stderr: 'pipe',
    all: false,
  })
  const tail: string[] = []
  for await (const line of child.iterable({ from: 'stderr' })) {
    if (MILESTONE.test(line)) say(line.slice(3))
    tail.push(line)
    if (tail.length > 12) tail.shift()
  }
  const result = await child
  if (result.exitCode === 127) throw new LabError('config', 'mmdebstrap is not installed on this machine', packageAdvice('mmdebstrap'))
  if (result.exitCode !== 0) {
    const words = tail.filter((line) => /^(E:|W:|Err:|dpkg: error)/.test(line)).join(' | ') || tail.slice(-3).join(' | ')
    throw new LabError(
      'config',
      `the lab root tree could not be made: ${words || result.shortMessage}`,
      'check that `apt-get update` works on this machine, then try again',
    )
  }
}

/**
 * The sources of the distribution itself, as deb lines: third-party repositories of the machine have nothing that belongs into the tree.
 * apt answers for both formats (one-line and deb822); ORIGIN is known once lists were fetched (apt-get(8) indextargets).
 */
async function distributionSources(suite: string): Promise<string[]> {
  const format = '$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(ORIGIN)|$(SIGNED_BY)'
  const { stdout } = await run(['apt-get', 'indextargets', '--format', format, 'Created-By: Packages'])
  const lines = new Set<string>()
  for (const line of stdout.split('\n')) {
    // A field that apt does not know here is printed as it was asked for: `$(SIGNED_BY)`.
    const [uri = '', release = '', component = '', origin = '', signedBy = ''] = line.split('|').map((field) => (field.startsWith('$(') ? '' : field))
    if (release.split(/[-/]/)[0] !== suite || (origin !== '' && origin !== 'Debian' && origin !== 'Ubuntu')) continue
    if (!['main', 'universe'].includes(component)) continue
    const keyring = signedBy.startsWith('/') ? signedBy : KEYRINGS.find((path) => existsSync(path))
    lines.add(`deb ${keyring === undefined ? '' : `[signed-by=${keyring}] `}${uri} ${release} ${component}`)
  }
  if (lines.size === 0)
    throw new LabError(
      'config',
      `apt knows no source of ${suite} on this machine`,
      'check /etc/apt/sources.list and /etc/apt/sources.list.d, then: apt-get update',
    )
  return [...lines]
}

/** Where the distributions keep their own keys. */
const KEYRINGS = [
  '/usr/share/keyrings/debian-archive-keyring.gpg',
  '/usr/share/keyrings/debian-archive-keyring.pgp',
  '/usr/share/keyrings/ubuntu-archive-keyring.gpg',
]

/** Proxies and certificates that the machine's apt uses, so that the tree comes by the same way. */
async function machineAptOptions(): Promise<string[]> {
  const { stdout } = await run(['apt-config', 'dump', '--format', '%f "%v";%n'])
  return stdout
    .split('\n')
    .filter((line) => /^Acquire::(https?|ftp)::(Proxy|CaInfo|CaPath|Verify-Peer|Verify-Host|Timeout|No-Cache)/i.test(line) && !line.endsWith('"";'))
}
