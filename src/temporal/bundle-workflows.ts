/**
 * Bundles the workflow code for the sandbox, once at build time: `node dist/src/temporal/bundle-workflows.js`.
 * The worker loads the finished file, so a start needs no webpack and bundle and worker are of one build.
 */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker'
import { replaceFile } from '../files/replace-file.js'
import { packageRoot } from './package-root.js'

/** Where the build puts the bundle and the worker finds it. */
export function workflowBundlePath(): string {
  return join(packageRoot(), 'dist', 'workflow-bundle.js')
}

/**
 * Bundles everything that `workflows/index` exports.
 * @param workflowInterceptorModules files that export `interceptors`, put around every workflow
 * @throws Error when workflow code imports what the sandbox does not have
 */
export async function bundleWorkflows(
  workflowsPath: string,
  targetPath: string,
  workflowInterceptorModules: string[] = [],
): Promise<{ readonly bytes: number }> {
  const { code } = await bundleWorkflowCode({ workflowsPath, workflowInterceptorModules, logger: new DefaultLogger('WARN') })
  replaceFile(targetPath, code)
  return { bytes: Buffer.byteLength(code) }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await bundleWorkflows(fileURLToPath(new URL('../workflows/index.js', import.meta.url)), workflowBundlePath())
}
