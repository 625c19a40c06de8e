/** The build: TypeScript into `dist/` and the workflow bundle, only when the content of a source changed. */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { run } from './command.mjs'
import { root } from './folders.mjs'

const SOURCE_FOLDERS = ['src', 'lab', 'bench']
const SETTINGS = ['tsconfig.json', 'package.json', 'package-lock.json']
const STAMP = 'dist/.build-stamp'
const BUNDLER = 'dist/src/temporal/bundle-workflows.js'
const BUNDLE = 'dist/workflow-bundle.js'

export const build = {
  name: 'build',
  isDone: () => isBuilt(root),
  async run(say) {
    const sources = sourcesOf(root)
    const digest = digestOf(root, sources)
    rmSync(join(root, STAMP), { force: true })
    removeOrphans(root, sources)
    // tsc trusts its notes: when an output is gone they are worthless.
    if (!outputsExist(root, sources)) rmSync(join(root, 'dist/.tsbuildinfo'), { force: true })
    await run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', join(root, 'tsconfig.json')], { say, next: 'fix what the compiler says' })
    if (existsSync(join(root, BUNDLER)))
      await run(process.execPath, [join(root, BUNDLER)], { say, next: 'fix what the bundler says: workflow code may import nothing of Node' })
    writeAtomically(join(root, STAMP), digest)
  },
}

/** Is `dist/` made of exactly these sources, and complete? */
export function isBuilt(folder) {
  if (!existsSync(join(folder, STAMP))) return false
  const sources = sourcesOf(folder)
  if (readFileSync(join(folder, STAMP), 'utf8') !== digestOf(folder, sources)) return false
  return outputsExist(folder, sources) && (!existsSync(join(folder, BUNDLER)) || existsSync(join(folder, BUNDLE)))
}

/** Paths of all TypeScript sources, relative to the folder, sorted. */
function sourcesOf(folder) {
  return SOURCE_FOLDERS.flatMap((name) => filesBelow(folder, name, '.ts'))
    .filter((path) => !path.endsWith('.d.ts'))
    .sort()
}

function filesBelow(folder, name, suffix) {
  const path = join(folder, name)
  if (!existsSync(path)) return []
  return readdirSync(path, { withFileTypes: true }).flatMap((entry) => {
    const inner = `${name}/${entry.name}`
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : filesBelow(folder, inner, suffix)
    return entry.isFile() && entry.name.endsWith(suffix) ? [inner] : []
  })
}

/** By content, not by time: a checkout or a copy sets times as it likes. */
function digestOf(folder, sources) {
  const hash = createHash('sha256')
  for (const path of [...SETTINGS, ...sources])
    hash
      .update(`${path}\0`)
      .update(readFileSync(join(folder, path)))
      .update('\0')
  return hash.digest('hex')
}

function outputsExist(folder, sources) {
  return sources.every((path) => existsSync(join(folder, 'dist', path.replace(/\.ts$/, '.js'))))
}

/** Outputs whose source is gone would still be importable. */
function removeOrphans(folder, sources) {
  const wanted = new Set(sources.map((path) => path.replace(/\.ts$/, '.js')))
  for (const name of SOURCE_FOLDERS) {
    for (const path of filesBelow(join(folder, 'dist'), name, '.js')) {
      if (!wanted.has(path)) for (const end of ['', '.map']) rmSync(join(folder, 'dist', path + end), { force: true })
    }
  }
}

function writeAtomically(path, text) {
  mkdirSync(join(path, '..'), { recursive: true })
  writeFileSync(`${path}.${process.pid}`, text)
  renameSync(`${path}.${process.pid}`, path)
}
