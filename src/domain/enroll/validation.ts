/**
 * One backup by hand, to see that a guest can be backed up at all. It is a validation, never the first scheduled artifact. Pure.
 * vzdump prunes inside of the run that makes the new archive, so the plan shows what that would remove and always needs a yes.
 */
import type { Check, PlanDraft } from '../change/plan.js'
import { listInWords } from '../judge/words.js'
import type { VzdumpObservation } from '../vzdump/observation.js'
import { effectiveRetention } from '../vzdump/plan-job-steps.js'
import { retentionOf } from '../vzdump/wanted.js'
import { retentionText, type VzdumpHost, type WantedJob } from '../vzdump-runbook.js'
import { nextRun } from './next-run.js'

/** @param unit a systemd unit of this run's own, so that nothing of an earlier validation is taken for it */
export function planValidation(seen: VzdumpObservation, entry: VzdumpHost, job: WantedJob, guests: readonly number[], unit: string): PlanDraft {
  const { host } = seen
  const row = seen.jobs.find((each) => each.id === job.id)
  if (row === undefined) throw new RangeError(`${host} has no job ${job.id} whose storage and options a validation could use`)
  const storage = String(row.storage)
  const own = retentionOf(row['prune-backups'])
  const retention = effectiveRetention(seen, row['prune-backups'], seen.storages.find(({ id }) => id === storage)?.retention)
  const asked = job.retention ?? entry.storages.find(({ id }) => id === storage)?.retention
  const run = nextRun(seen, storage, retention, asked === undefined ? '' : retentionText(asked), guests)
  const options = [
    ...(own === null ? [] : ['--prune-backups', retentionText(own)]),
    ...(['mode', 'compress'] as const).flatMap((name) => option(name, row[name])),
  ]
  const state = (stdout: string): Check => ({ kind: 'command', argv: ['systemctl', 'show', '--property=ActiveState', '--value', unit], stdout })
  const words = [`Back up guest ${listInWords(guests.map(String))} now, by hand, to storage ${storage}`, ...run.words]
  return {
    runbook: 'vzdumpEnrollment',
    host,
    title: `Validate guest ${listInWords(guests.map(String))} by one backup by hand`,
    steps: [
      {
        id: `back up ${guests.join(', ')} by hand`,
        what: words.map((sentence) => `${sentence}.`).join(' '),
        host,
        effect: {
          kind: 'command',
          // The unit stays when vzdump has ended, so that its result can be read for as long as it takes.
          argv: [
            'systemd-run',
            '--quiet',
            `--unit=${unit}`,
            '--property=RemainAfterExit=yes',
            'vzdump',
            ...guests.map(String),
            '--storage',
            storage,
            ...options,
          ],
        },
        destructive: run.mayRemove ? ['deletes data'] : [],
        before: [state('inactive')],
        after: [state('active')],
        undo: { none: 'a backup that was made stays, and what its pruning removed cannot be brought back' },
        diff: [],
        removes: run.removes,
      },
    ],
    warnings: [],
    facts: {},
  }
}

function option(name: string, value: unknown): string[] {
  return typeof value === 'string' || typeof value === 'number' ? [`--${name}`, String(value)] : []
}
