/** What counts as done: only what is exactly as wanted. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { buildOf } from '../../../setup/build.mjs'
import { missingOptionals, platformOf } from '../../../setup/complete-lock.mjs'
import { TEMPORAL_CLI_VERSION as setupVersion, temporalBinary } from '../../../setup/folders.mjs'
import { installedEqualsLock } from '../../../setup/npm-packages.mjs'
import { packageRoot } from '../../../src/temporal/package-root.js'
import { cachedBinaryPath } from '../../../src/temporal/server-binary.js'
import { TEMPORAL_CLI_VERSION } from '../../../src/temporal/server-version.js'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nightshift-setup-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function write(path: string, content: unknown): void {
  mkdirSync(join(folder, path, '..'), { recursive: true })
  writeFileSync(join(folder, path), typeof content === 'string' ? content : JSON.stringify(content))
}

describe('npm packages are installed', () => {
  const wanted = { packages: { '': {}, 'node_modules/a': { version: '1.0.0', integrity: 'x' }, 'node_modules/mac-only': { version: '2.0.0', optional: true } } }

  function install(installed: Record<string, unknown>): boolean {
    write('package-lock.json', wanted)
    write('node_modules/.package-lock.json', { packages: installed })
    write('node_modules/a/package.json', {})
    return installedEqualsLock(folder)
  }

  it('when each is there in the locked version; other platforms’ may be missing', () => {
    expect(install({ 'node_modules/a': { version: '1.0.0', integrity: 'x' } })).toBe(true)
  })
  it.each([
    ['nothing is installed', undefined],
    ['a version differs', { 'node_modules/a': { version: '1.0.1', integrity: 'x' } }],
    ['the content differs', { 'node_modules/a': { version: '1.0.0', integrity: 'y' } }],
    ['one is missing', {}],
    ['one is left over', { 'node_modules/a': { version: '1.0.0', integrity: 'x' }, 'node_modules/b': { version: '1.0.0' } }],
  ])('but not when %s', (_why, installed) => {
    if (installed === undefined) write('package-lock.json', wanted)
    expect(installed === undefined ? installedEqualsLock(folder) : install(installed)).toBe(false)
  })
  it('and not when somebody removed a package’s folder', () => {
    install({ 'node_modules/a': { version: '1.0.0', integrity: 'x' } })
    rmSync(join(folder, 'node_modules/a'), { recursive: true })
    expect(installedEqualsLock(folder)).toBe(false)
  })
})

describe('the build', () => {
  const settings = {
    compilerOptions: { module: 'NodeNext', outDir: 'dist', rootDir: '.', incremental: true, tsBuildInfoFile: 'dist/.tsbuildinfo', types: [] },
    include: ['src'],
  }

  it('is current when it is made of exactly these sources and complete; sources that are gone leave nothing', { timeout: 120_000 }, async () => {
    const step = buildOf(folder)
    write('package.json', { type: 'module' })
    write('package-lock.json', {})
    write('tsconfig.json', settings)
    write('src/a.ts', 'export const a: number = 1\n')
    write('src/b.ts', 'export const b = 2\n')
    expect(step.isDone()).toBe(false)
    await step.run(() => {})
    expect(step.isDone()).toBe(true)

    write('src/a.ts', 'export const a: number = 3\n')
    expect(step.isDone()).toBe(false)
    rmSync(join(folder, 'src/b.ts'))
    await step.run(() => {})
    expect(step.isDone()).toBe(true)
    expect(existsSync(join(folder, 'dist/src/b.js'))).toBe(false)

    rmSync(join(folder, 'dist/src/a.js'))
    expect(step.isDone()).toBe(false)
    await step.run(() => {})
    expect(readFileSync(join(folder, 'dist/src/a.js'), 'utf8')).toContain('a = 3')

    write('src/a.ts', "export const a: number = 'x'\n")
    await expect(step.run(() => {})).rejects.toThrow(/src\/a\.ts.*not assignable/s)
    expect(step.isDone()).toBe(false)
  })
})

describe('the lock file', () => {
  const lock = JSON.parse(readFileSync(join(packageRoot(), 'package-lock.json'), 'utf8')) as { packages: Record<string, Record<string, unknown>> }

  it('names the optional packages of all platforms, or npm ci would refuse it (node setup/complete-lock.mjs adds them)', () => {
    expect(missingOptionals(lock).filter(({ name }) => platformOf(name) !== undefined)).toEqual([])
  })
  it('and the check of that can fail', () => {
    expect(missingOptionals({ packages: { 'node_modules/a': { optionalDependencies: { 'a-darwin-arm64': '1.0.0' } } } }).map(({ name }) => name)).toEqual([
      'a-darwin-arm64',
    ])
  })
  it('has one copy of protobufjs and one version of all Temporal packages', () => {
    const paths = Object.keys(lock.packages)
    expect(paths.filter((path) => path.endsWith('node_modules/protobufjs') && /^8/.test(String(lock.packages[path]?.version)))).toHaveLength(1)
    const versions = paths.filter((path) => /node_modules\/@temporalio\/[a-z-]+$/.test(path)).map((path) => lock.packages[path]?.version)
    expect(new Set(versions).size).toBe(1)
  })
  it('and package.json has exact versions only', () => {
    const { dependencies, devDependencies } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as Record<string, Record<string, string>>
    for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies })) expect(`${name} ${version}`).toMatch(/ \d+\.\d+\.\d+$/)
  })
})

describe('set-up and program', () => {
  it('mean the same Temporal CLI at the same place', () => {
    expect(setupVersion).toBe(TEMPORAL_CLI_VERSION)
    expect(temporalBinary()).toBe(cachedBinaryPath())
  })
})
