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

export const build = buildOf(root)

/** @param {string} folder of the checkout */
export function buildOf(folder) {
  return {
    name: 'build',
    isDone: () => isBuilt(folder),
    async run(say) {
      const sources = sourcesOf(folder)
      const digest = digestOf(folder, sources)
      rmSync(join(folder, STAMP), { force: true })
      removeOrphans(folder, sources)
      // tsc trusts its notes: when an output is gone they are worthless.
      if (!outputsExist(folder, sources)) rmSync(join(folder, 'dist/.tsbuildinfo'), { force: true })
      const compiler = join(root, 'node_modules/typescript/bin/tsc')
      await run(process.execPath, [compiler, '-p', join(folder, 'tsconfig.json')], { say, next: 'fix what the compiler says' })
      const bundler = join(folder, BUNDLER)
      if (existsSync(bundler)) await run(process.execPath, [bundler], { say, next: 'fix what the bundler says: workflow code may import nothing of Node' })
      writeAtomically(join(folder, STAMP), digest)
    },
  }
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
