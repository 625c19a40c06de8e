/** The order of the test files: the last one to begin decides how long the others' processors wait at the end. */
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/**
 * Files that take half a minute or more, the longest first, but so that those which mostly wait for servers (labs) have some beside them that compute, and that
 * few whole estates are up at the same time. Of the others vitest remembers how long they took.
 */
const LONG = [
  'lab/enrollment',
  'lab/faults',
  'lab/monitor-faults',
  'unit/enroll/run',
  'lab/email-relay',
  'lab/alert-faults',
  'unit/cli/changes',
  'lab/retention-prune',
  'lab/incidents',
  'lab/watcher',
  'unit/change/shell',
  'lab/vzdump-jobs',
  'lab/docs',
  'unit/workflows/desk-through-time',
  'lab/lab-lifecycle',
  'lab/seed-story',
  'unit/workflows/site-worker-away',
  'unit/receipts/chain',
  'unit/style',
]

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const index = LONG.findIndex((name) => moduleId.endsWith(`/test/${name}.test.ts`))
      return index === -1 ? LONG.length : index
    }
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b))
  }
}
