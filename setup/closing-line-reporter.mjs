/**
 * A vitest reporter that writes the counts of a run to the file named by NIGHTSHIFT_TEST_COUNTS; `tests.mjs` prints them as the last line.
 * A file that could not be loaded and an error outside of any test count as failures.
 */
import { writeFileSync } from 'node:fs'

export default class ClosingLineReporter {
  onTestRunEnd(modules, unhandledErrors) {
    const counts = { passed: 0, failed: 0, skipped: [] }
    for (const testModule of modules) {
      let failedHere = 0
      for (const test of testModule.children.allTests()) {
        const { state } = test.result()
        if (state === 'passed') counts.passed += 1
        else if (state === 'failed') failedHere += 1
        else counts.skipped.push(`${testModule.relativeModuleId ?? testModule.moduleId}: ${test.fullName}`)
      }
      if (failedHere === 0 && !testModule.ok()) failedHere = 1
      counts.failed += failedHere
    }
    counts.failed += unhandledErrors.length
    writeFileSync(process.env.NIGHTSHIFT_TEST_COUNTS, JSON.stringify(counts))
  }
}
