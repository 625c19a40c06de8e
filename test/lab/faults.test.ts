/** A few faults of each changing runbook and of the alert desk, the same ones each time unless NIGHTSHIFT_FAULT_SEED says otherwise; `npm run --silent faults -- RUNBOOK` tries all of them. */
import { join } from 'node:path'
import { execa } from 'execa'
import { beforeAll, describe, expect, it } from 'vitest'
import { packageRoot } from '../../src/temporal/package-root.js'

const POINTS = 6
const seed = Number(process.env.NIGHTSHIFT_FAULT_SEED ?? 7)
const runbooks = ['retentionPrune', 'vzdumpJobs', 'vzdumpEnrollment', 'alertDesk', 'emailRelay']

describe(`the worker and the Temporal server die at ${POINTS} points (seed ${seed})`, () => {
  let said: string
  let exitCode: number | undefined

  // One run for all: it bundles the workflows once and makes one lab.
  beforeAll(async () => {
    const program = join(packageRoot(), 'dist', 'bench', 'faults.js')
    const options = ['--points', String(POINTS), '--seed', String(seed), '--lanes', '1']
    const run = await execa(process.execPath, [program, ...runbooks, ...options], {
      all: true,
      reject: false,
      stdin: 'ignore',
      env: { TEMPORAL_DEBUG: undefined },
    })
    said = run.all
    exitCode = run.exitCode
  }, 1_200_000)

  it.each(runbooks)('and %s has the same effects, the same end and a whole chain of receipts', (runbook) => {
    expect(said).toContain(`${runbook}: ${POINTS} passed, 0 failed`)
  })

  it('and nothing else went wrong', () => {
    expect(exitCode, said).toBe(0)
  })
})
