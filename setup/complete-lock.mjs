/**
 * `node setup/complete-lock.mjs`: adds to `package-lock.json` the optional packages of other platforms that the lock lacks.
 * npm leaves them out when the registry mirror of whoever ran `npm install` does not have them, and then `npm ci` refuses the lock everywhere.
 * Run it after every change of dependencies; `test/unit/setup/lock-file.test.ts` says when it was forgotten.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { root } from './folders.mjs'

/** Optional dependencies without an entry: `[name, version, the package that wants it]`. */
export function missingOptionals(lock) {
  return Object.entries(lock.packages).flatMap(([path, entry]) =>
    Object.entries(entry.optionalDependencies ?? {})
      .filter(([name]) => !resolves(lock, path, name))
      .map(([name, version]) => ({ name, version, wantedBy: entry })),
  )
}

/** Node's own search: beside the package's dependencies, then upwards. */
function resolves(lock, path, name) {
  for (let folder = path; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('/node_modules/')))) {
    if (lock.packages[`${folder === '' ? '' : `${folder}/`}node_modules/${name}`] !== undefined) return true
    if (folder === '') return false
  }
}

/** The platform that such a package is for, read from its name (`…-darwin-arm64`, `…-linux-x64-musl`); undefined when it names none. */
export function platformOf(name) {
  const os = /\b(android|darwin|linux|win32|freebsd|openharmony)\b/.exec(name)?.[1]
  const cpu = /\b(arm64|x64|arm|ia32|ppc64|s390x|riscv64|loong64)\b/.exec(name)?.[1]
  if (os === undefined || cpu === undefined) return undefined
  const libc = os !== 'linux' ? undefined : /musl/.test(name) ? 'musl' : 'glibc'
  return { os: [os], cpu: [cpu], ...(libc !== undefined && { libc: [libc] }) }
}

function complete(lock) {
  let added = 0
  for (const { name, version, wantedBy } of missingOptionals(lock)) {
    const platform = platformOf(name)
    if (platform === undefined || !/^\d/.test(version)) continue
    lock.packages[`node_modules/${name}`] = {
      version,
      cpu: platform.cpu,
      ...(wantedBy.dev && { dev: true }),
      ...(platform.libc && { libc: platform.libc }),
      optional: true,
      os: platform.os,
    }
    added += 1
  }
  const sorted = Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, 'en'))
  lock.packages = Object.fromEntries(sorted)
  return added
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const path = join(root, 'package-lock.json')
  const lock = JSON.parse(readFileSync(path, 'utf8'))
  const added = complete(lock)
  if (added > 0) {
    writeFileSync(`${path}.new`, `${JSON.stringify(lock, undefined, 2)}\n`)
    renameSync(`${path}.new`, path)
  }
  process.stdout.write(`${added} packages of other platforms added to package-lock.json\n`)
}
