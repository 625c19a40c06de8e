/** The npm packages: `npm ci` when what is installed is not exactly what `package-lock.json` says. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { run } from './command.mjs'
import { root } from './folders.mjs'

export const npmPackages = {
  name: 'npm packages',
  isDone: () => installedEqualsLock(root),
  async run(say) {
    // Under npm its own program is known; NODE_ENV=production must not leave out the compiler.
    const npm = process.env.npm_execpath && /npm-cli\.c?js$/.test(process.env.npm_execpath) ? [process.execPath, process.env.npm_execpath] : ['npm']
    await run(npm[0], [...npm.slice(1), 'ci', '--include=dev', '--no-audit', '--no-fund'], {
      say,
      next: 'check the network and the npm registry settings (npm config get registry; HTTPS_PROXY), then start again',
    })
  },
}

/**
 * npm writes what it installed into `node_modules/.package-lock.json`, as its last act: that file is the stamp.
 * Packages that are optional (other platforms' binaries) may be missing there, and may not be a different version.
 */
export function installedEqualsLock(folder) {
  const wanted = packagesOf(join(folder, 'package-lock.json'))
  const installed = packagesOf(join(folder, 'node_modules', '.package-lock.json'))
  if (wanted === undefined || installed === undefined) return false
  for (const [path, entry] of Object.entries(wanted)) {
    if (path === '') continue
    const there = installed[path]
    if (there === undefined) {
      if (entry.optional || entry.devOptional) continue
      return false
    }
    if (there.version !== entry.version || there.integrity !== entry.integrity) return false
    if (!existsSync(join(folder, path, 'package.json'))) return false
  }
  return Object.keys(installed).every((path) => wanted[path] !== undefined)
}

function packagesOf(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).packages
  } catch {
    return undefined
  }
}
