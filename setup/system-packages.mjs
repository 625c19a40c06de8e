/**
 * The Debian packages that the lab and the tests use on this machine: tools only. The servers of the lab live in the lab's own root tree.
 * What will be installed is printed before it is; no service is started.
 */
import { spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { run } from './command.mjs'

/** program → package */
export const LAB_TOOLS = {
  mmdebstrap: 'mmdebstrap',
  ip: 'iproute2',
  ssh: 'openssh-client',
  'ssh-keygen': 'openssh-client',
  openssl: 'openssl',
  zstd: 'zstd',
  flock: 'util-linux',
  nsenter: 'util-linux',
  setpriv: 'util-linux',
  unshare: 'util-linux',
  mount: 'mount',
  perl: 'perl',
}

/** What only the tests use besides. */
export const TEST_TOOLS = { ...LAB_TOOLS, 'docker-compose': 'docker-compose', java: 'default-jre-headless', mvn: 'maven' }

/** @param {Record<string, string>} tools */
export function systemPackages(tools) {
  return {
    name: 'system packages',
    isDone: () => missingPackages(tools).length === 0,
    async run(say) {
      const packages = missingPackages(tools)
      const env = { DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' }
      let plan = await simulate(packages, env).catch(() => undefined)
      if (plan === undefined) {
        say('reading the package lists (apt-get update)')
        await run('apt-get', ['-o', 'DPkg::Lock::Timeout=300', 'update'], { env, say, next: 'check the network and /etc/apt/sources.list, then start again' })
        plan = await simulate(packages, env)
      }
      const others = plan.filter((name) => !packages.includes(name))
      say(`installing on this machine: ${packages.join(', ')}${others.length === 0 ? '' : ` (they need: ${others.join(', ')})`}`)
      await run('apt-get', [...INSTALL, ...packages], { env, say, next: `apt-get install --no-install-recommends ${packages.join(' ')}` })
    },
  }
}

const INSTALL = ['-o', 'DPkg::Lock::Timeout=300', 'install', '--yes', '--no-install-recommends']

/** Everything that apt would install or upgrade for these packages; rejects when it does not know one (old or no lists). */
async function simulate(packages, env) {
  const plan = await run('apt-get', ['--simulate', ...INSTALL, ...packages], { env, say: () => {}, next: `apt-get install ${packages.join(' ')}` })
  return [...plan.matchAll(/^Inst (\S+)/gm)].map(([, name]) => name)
}

function missingPackages(tools) {
  return [...new Set(Object.entries(tools).flatMap(([program, name]) => (isThere(program) ? [] : [name])))].sort()
}

/** Docker's own plugin reads Compose files as well as Debian's program does. */
function isThere(program) {
  if (findProgram(program)) return true
  return program === 'docker-compose' && spawnSync('docker', ['compose', 'version']).status === 0
}

/** Looks along PATH and the system folders that a root shell may lack. */
export function findProgram(program) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin']
  return folders.map((folder) => join(folder, program)).find(isExecutable)
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
