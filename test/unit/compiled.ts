/**
 * The sources as a program that a test can start as a process of its own (to kill it, to measure it): every file of `src/` turned into JavaScript
 * without checking types (the type check is another step), in a temporary folder that looks like an installed package.
 */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import ts from 'typescript'

const ROOT = join(import.meta.dirname, '..', '..')

export interface CompiledProgram {
  /** Folder with `dist/src`, `bin`, `package.json`. */
  readonly dir: string
  remove(): void
}

/** @param folders of `src/` that are needed; all of `src/` unless told */
export function compileProgram(folders: readonly string[] = ['.']): CompiledProgram {
  const dir = mkdtempSync(join(tmpdir(), 'nightshift-compiled-'))
  for (const folder of folders) {
    const source = join(ROOT, 'src', folder)
    for (const name of readdirSync(source, { recursive: true, encoding: 'utf8' })) {
      if (!name.endsWith('.ts')) continue
      const path = join(source, name)
      const target = join(dir, 'dist', relative(ROOT, path)).replace(/\.ts$/, '.js')
      mkdirSync(dirname(target), { recursive: true })
      const options = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022, verbatimModuleSyntax: true }
      writeFileSync(target, ts.transpileModule(readFileSync(path, 'utf8'), { compilerOptions: options, fileName: path }).outputText)
    }
  }
  cpSync(join(ROOT, 'package.json'), join(dir, 'package.json'))
  cpSync(join(ROOT, 'bin'), join(dir, 'bin'), { recursive: true })
  symlinkSync(join(ROOT, 'node_modules'), join(dir, 'node_modules'))
  return { dir, remove: () => rmSync(dir, { recursive: true, force: true }) }
}
