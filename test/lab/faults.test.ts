/** A few faults of each changing runbook, the same ones each time unless NIGHTSHIFT_FAULT_SEED says otherwise; `npm run --silent faults -- RUNBOOK` tries all of them. */
import { join } from 'node:path'
import { execa } from 'execa'
import { describe, expect, it } from 'vitest'
import { packageRoot } from '../../src/temporal/package-root.js'

const POINTS = 6
const seed = Number(process.env.NIGHTSHIFT_FAULT_SEED ?? 7)
const changing = ['retentionPrune', 'vzdumpJobs', 'vzdumpEnrollment']

describe(`the worker and the Temporal server die at ${POINTS} points (seed ${seed})`, () => {
  it.each(changing)(
    'and %s has the same effects, the same end and a whole chain of receipts',
    async (runbook) => {
      const program = join(packageRoot(), 'dist', 'bench', 'faults.js')
      const { all, exitCode } = await execa(process.execPath, [program, runbook, '--points', String(POINTS), '--seed', String(seed), '--lanes', '1'], {
        all: true,
        reject: false,
        stdin: 'ignore',
      })
      expect(all).toContain(`${POINTS} passed, 0 failed`)
      expect(exitCode).toBe(0)
    },
    600_000,
  )
})
