/** A Temporal server, and workflows bundled as a worker runs them: what tests of workflows begin with. */
import { fileURLToPath } from 'node:url'
import { defineSearchAttributeKey } from '@temporalio/common'
import { TestWorkflowEnvironment } from '@temporalio/testing'
import { bundleWorkflowCode, DefaultLogger, Runtime, type WorkflowBundleWithSourceMap } from '@temporalio/worker'
import { SEARCH_ATTRIBUTES } from '../../src/domain/ids.js'
import { cachedBinaryPath } from '../../src/temporal/server-binary.js'

/** The product's own workflows. */
export const PRODUCT = fileURLToPath(new URL('../../src/workflows/index.ts', import.meta.url))

export interface TestTemporal {
  readonly env: TestWorkflowEnvironment
  readonly bundle: WorkflowBundleWithSourceMap
}

/** What the product puts around them; its activities must beat then. */
export const SIGNS_OF_LIFE = fileURLToPath(new URL('../../src/workflows/signs-of-life.ts', import.meta.url))

/** Bundles workflows; the SDK says only errors from then on. */
export async function bundled(workflowsPath = PRODUCT, workflowInterceptorModules: string[] = []): Promise<WorkflowBundleWithSourceMap> {
  Runtime.install({ logger: new DefaultLogger('ERROR') })
  return await bundleWorkflowCode({ workflowsPath, workflowInterceptorModules, logger: new DefaultLogger('ERROR') })
}

/** Starts the server that the product embeds (`npm test` has fetched it), with our search attributes. Call `env.teardown()` at the end. */
export async function startTestTemporal(workflowsPath = PRODUCT, interceptors: string[] = []): Promise<TestTemporal> {
  const bundle = await bundled(workflowsPath, interceptors)
  const env = await patiently(() =>
    TestWorkflowEnvironment.createLocal({
      server: {
        executable: { type: 'existing-path', path: cachedBinaryPath() },
        searchAttributes: SEARCH_ATTRIBUTES.map((name) => defineSearchAttributeKey(name, 'KEYWORD')),
      },
    }),
  )
  return { env, bundle }
}

const MOST_STARTS = 5

/** The SDK gives a server five seconds to start (sdk-core, ephemeral server); on a busy machine that is not always enough. */
export async function patiently<T>(start: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await start()
    } catch (error) {
      if (attempt === MOST_STARTS || !/did not start within/.test(String(error))) throw error
    }
  }
}
