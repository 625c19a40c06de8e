/** The order of the test files: the last one to begin decides how long the others' processors wait at the end. */
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Files that take a minute or more, the longest first. Of the others vitest remembers how long they took. */
const LONG = [
  'lab/enrollment',
  'lab/monitor-faults',
  'lab/vzdump-jobs',
  'lab/faults',
  'lab/alert-faults',
  'lab/retention-prune',
  'lab/email-relay',
  'lab/incidents',
  'lab/watcher',
  'lab/lab-lifecycle',
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
