/**
 * Bundles the workflow code for the sandbox, once at build time: `node dist/src/temporal/bundle-workflows.js`.
 * The worker loads the finished file, so a start needs no webpack and bundle and worker are of one build.
 */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker'
import { replaceFile } from '../files/replace-file.js'
import { packageRoot } from './package-root.js'

/** Settings of a worker that its workflows go by. None of them may change what a history replays to. */
export interface WorkflowSettings {
  readonly heartbeatSeconds: number
}

/** The code of a finished bundle with the worker's settings in front of it, where `workflows/signs-of-life.ts` reads them. */
export function withSettings(code: string, { heartbeatSeconds }: WorkflowSettings): string {
  // On its first line, so that the source map stays right.
  return `globalThis.nightshiftHeartbeatSeconds=${JSON.stringify(heartbeatSeconds)};${code}`
}

/** Where the build puts the bundle and the worker finds it. */
export function workflowBundlePath(): string {
  return join(packageRoot(), 'dist', 'workflow-bundle.js')
}

/**
 * Bundles everything that `workflows/index` exports, with what is put around every workflow (`signs-of-life` beside it).
 * @param further more files that export `interceptors`
 * @throws Error when workflow code imports what the sandbox does not have
 */
export async function bundleWorkflows(workflowsPath: string, targetPath: string, further: string[] = []): Promise<{ readonly bytes: number }> {
  const workflowInterceptorModules = [workflowsPath.replace(/index(\.[jt]s)$/, 'signs-of-life$1'), ...further]
  const { code } = await bundleWorkflowCode({ workflowsPath, workflowInterceptorModules, logger: new DefaultLogger('WARN') })
  replaceFile(targetPath, code)
  return { bytes: Buffer.byteLength(code) }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await bundleWorkflows(fileURLToPath(new URL('../workflows/index.js', import.meta.url)), workflowBundlePath())
}
