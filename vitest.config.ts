import { defineConfig } from 'vitest/config'

/**
 * Two kinds of tests: `unit` needs nothing but Node; `lab` runs against the real servers of a lab (started once by its global set-up).
 * Files run one after the other where they share the lab: there are two cores and one estate.
 */
export default defineConfig({
  test: {
    pool: 'forks',
    testTimeout: 30_000,
    hookTimeout: 120_000,
    projects: [
      { extends: true, test: { name: 'unit', include: ['test/unit/**/*.test.ts'] } },
      {
        extends: true,
        test: {
          name: 'lab',
          include: ['test/lab/**/*.test.ts'],
          globalSetup: ['test/lab/global-setup.ts'],
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 600_000,
        },
      },
    ],
  },
})
