import { defineConfig } from 'vitest/config'
import { LongestFirst } from './test/support/longest-first.js'

/**
 * Two kinds of tests: `unit` needs nothing but Node; `lab` runs against real servers, each file in a lab of its own. Both share one pool, so that files that
 * wait for servers and files that compute run side by side: more than twice as many as the cores of the machine this was measured on, where four left a fifth of
 * the processors' time unused.
 */
export default defineConfig({
  test: {
    pool: 'forks',
    maxWorkers: 5,
    testTimeout: 30_000,
    hookTimeout: 120_000,
    // Workflows run on the thread of the test: each worker would begin another one, and load the SDK and the bundle there (0.3 s of a processor, some hundred workers).
    // The product is not given it where a test starts it as a program (`environmentOf`).
    // Their Temporal servers (Go) live for seconds beside others: with one thread and fewer collections they take a quarter less of the processors.
    env: { TEMPORAL_DEBUG: '1', GOMAXPROCS: '1', GOGC: '400' },
    sequence: { sequencer: LongestFirst },
    projects: [
      { extends: true, test: { name: 'unit', include: ['test/unit/**/*.test.ts'] } },
      {
        extends: true,
        test: {
          name: 'lab',
          include: ['test/lab/**/*.test.ts'],
          globalSetup: ['test/lab/global-setup.ts'],
          testTimeout: 180_000,
          hookTimeout: 600_000,
        },
      },
    ],
  },
})
