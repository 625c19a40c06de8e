/** What `plan`, `approve` and `reject` make of a question to a run that failed. */
import { ServiceError } from '@temporalio/client'
import { describe, expect, it } from 'vitest'
import { asAnswer } from '../../../src/cli/plan.js'

/** As the SDK throws it: the cause is what gRPC said. */
const failed = (code: number, details: string) =>
  new ServiceError('Failed to query Workflow', { cause: Object.assign(new Error(`${code} ${details}`), { code, details, metadata: {} }) })

describe('a question to a run', () => {
  it.each([
    [1, 'Call cancelled'],
    [4, 'Deadline exceeded'],
    [8, 'consistent query buffer is full'],
    [14, 'No connection established'],
  ])('that nobody could answer just now (%i, %s) is unknown, not a defect', (code, details) => {
    expect(asAnswer(failed(code, details), 'jobs/pve')).toMatchObject({ exitCode: 3, message: 'no worker answers for jobs/pve' })
  })

  it('that fails otherwise stays what it is', () => {
    const error = failed(13, 'internal')
    expect(asAnswer(error, 'jobs/pve')).toBe(error)
  })
})
