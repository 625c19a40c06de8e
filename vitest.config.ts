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
      // One more than there are cores: several of them wait for programs they started. (vitest's own choice on two cores is one.)
      { extends: true, test: { name: 'unit', include: ['test/unit/**/*.test.ts'], maxWorkers: 3 } },
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
