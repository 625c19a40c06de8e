/** A Temporal server, and workflows bundled as a worker runs them: what tests of workflows begin with. */
import { fileURLToPath } from 'node:url'
import { defineSearchAttributeKey } from '@temporalio/common'
import { TestWorkflowEnvironment } from '@temporalio/testing'
import { DefaultLogger, Runtime, type WorkflowBundle } from '@temporalio/worker'
import { SEARCH_ATTRIBUTES } from '../../src/domain/ids.js'
import { cachedBinaryPath } from '../../src/temporal/server-binary.js'
import { bundleOf, PRODUCT } from './bundles.js'

export interface TestTemporal {
  readonly env: TestWorkflowEnvironment
  readonly bundle: WorkflowBundle
}

/** What the product puts around them; its activities must beat then. */
export const SIGNS_OF_LIFE = fileURLToPath(new URL('../../src/workflows/signs-of-life.ts', import.meta.url))

/** Bundles workflows; the SDK says only errors from then on. */
export async function bundled(workflowsPath = PRODUCT, interceptors: string[] = []): Promise<WorkflowBundle> {
  Runtime.install({ logger: new DefaultLogger('ERROR') })
  return await bundleOf(workflowsPath, interceptors)
}

/** Starts the server that the product embeds (`npm test` has fetched it), with our search attributes. Call `env.teardown()` at the end. */
export async function startTestTemporal(workflowsPath = PRODUCT, interceptors: string[] = []): Promise<TestTemporal> {
  const bundle = await bundled(workflowsPath, interceptors)
  return { env: await startLocal('default'), bundle }
}

/** The server alone, with our search attributes. */
export async function startLocal(namespace: string): Promise<TestWorkflowEnvironment> {
  return await patiently(() =>
    TestWorkflowEnvironment.createLocal({
      server: {
        namespace,
        executable: { type: 'existing-path', path: cachedBinaryPath() },
        searchAttributes: SEARCH_ATTRIBUTES.map((name) => defineSearchAttributeKey(name, 'KEYWORD')),
      },
    }),
  )
}

const MOST_STARTS = 12

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
