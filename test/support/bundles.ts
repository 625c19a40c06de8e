/**
 * Workflows bundled as a worker runs them, made once for all test files: webpack takes seconds of a processor, and a dozen files want the same few bundles.
 * A bundle lies in the cache with the digest of everything it can be made of, and is made anew when that is another one.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundleWorkflowCode, DefaultLogger, type WorkflowBundle } from '@temporalio/worker'
import { replaceFile } from '../../src/files/replace-file.js'
import { packageRoot } from '../../src/temporal/package-root.js'

/** The product's own workflows. */
export const PRODUCT = fileURLToPath(new URL('../../src/workflows/index.ts', import.meta.url))

const CACHE = join(packageRoot(), 'node_modules/.cache/nightshift/bundles')
/** Where workflow code lies, and what says which packages it stands on. */
const SOURCES = ['src', 'test/support/workflows']
const PACKAGES = 'package-lock.json'

/**
 * @param workflowsPath the file that exports the workflows
 * @param interceptors files that export `interceptors`
 * @throws Error when workflow code imports what the sandbox does not have
 */
export async function bundleOf(workflowsPath: string, interceptors: string[] = []): Promise<WorkflowBundle> {
  const entries = [workflowsPath, ...interceptors]
  const first = `// ${digestOf(entries)}\n`
  const path = join(CACHE, `${entries.map((entry) => basename(entry, '.ts')).join('+')}.js`)
  const cached = readIfThere(path)
  if (cached?.startsWith(first)) return { code: cached.slice(first.length) }
  const { code } = await bundleWorkflowCode({ workflowsPath, workflowInterceptorModules: interceptors, logger: new DefaultLogger('ERROR') })
  mkdirSync(dirname(path), { recursive: true })
  replaceFile(path, first + code)
  return { code }
}

function digestOf(entries: readonly string[]): string {
  const hash = createHash('sha256')
  for (const entry of entries) hash.update(`${relative(packageRoot(), entry)}\0`)
  const files = SOURCES.flatMap((folder) =>
    readdirSync(join(packageRoot(), folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts'))
      .map((file) => join(folder, file)),
  )
  for (const file of [PACKAGES, ...files.sort()])
    hash
      .update(`${file}\0`)
      .update(readFileSync(join(packageRoot(), file)))
      .update('\0')
  return hash.digest('hex')
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
