/**
 * What vzdump's own pruning will do: it runs right after each guest's backup, inside the job, and asks nobody whether the new archive is any good
 * (pve-manager PVE/VZDump.pm exec_backup_task). With keep-last=2, two bad nights leave two bad archives.
 */
import type { PlanWarning } from '../change/plan.js'
import { type Retention, retentionText } from '../vzdump-runbook.js'
import { type Dated, keepsAll, kept } from './keep.js'

/** How many nights in a row may go wrong unnoticed: a backup can finish, be of the usual size, and not be readable. */
export const BAD_NIGHTS = 2

const DAY_SECONDS = 86_400

export interface Foreseen {
  /** Good archives now, and after each bad night. */
  readonly goodLeft: readonly number[]
}

/**
 * How many good archives of one guest are left after each of the next bad nights.
 * @param archives those that are there; `isGood` = what the caller counts on (complete, or proven)
 * @param nights when the next runs begin, seconds; a missing one is a day after the one before
 * @param zone IANA name of the host's zone
 */
export function foresee(archives: readonly (Dated & { readonly isGood: boolean })[], options: Retention, nights: readonly number[], zone: string): Foreseen {
  let there = [...archives]
  const goodLeft = [there.filter(({ isGood }) => isGood).length]
  let night = Math.max(0, ...archives.map(({ startedSeconds }) => startedSeconds))
  for (let index = 0; index < BAD_NIGHTS; index++) {
    night = Math.max(night + 1, nights[index] ?? night + DAY_SECONDS)
    there = kept([...there, { startedSeconds: night, isProtected: false, isGood: false }], options, zone)
    goodLeft.push(there.filter(({ isGood }) => isGood).length)
  }
  return { goodLeft }
}

/** Of one job and one of its guests, for `foreseenPruning`. */
export interface PrunedByJob {
  readonly job: string
  readonly storage: string
  readonly vmid: number
  /** The options in force for that job: its own, else the storage's, taken whole. */
  readonly options: Retention
  /** When its next runs begin, seconds since the epoch; may be empty. */
  readonly nextRuns: readonly number[]
  readonly archives: readonly (Dated & { readonly isGood: boolean })[]
}

/** I17: one warning for each job and number of nights, naming the guests that two bad nights would leave without a good archive. */
export function foreseenPruning(pruned: readonly PrunedByJob[], zone: string): PlanWarning[] {
  const byJob = new Map<string, { first: PrunedByJob; vmids: number[] }>()
  for (const each of pruned) {
    if (keepsAll(each.options)) continue
    const { goodLeft } = foresee(each.archives, each.options, each.nextRuns, zone)
    if ((goodLeft[0] ?? 0) === 0 || (goodLeft[BAD_NIGHTS] ?? 0) > 0) continue
    const key = `${each.job}\n${each.storage}\n${retentionText(each.options)}`
    const known = byJob.get(key)
    if (known) known.vmids.push(each.vmid)
    else byJob.set(key, { first: each, vmids: [each.vmid] })
  }
  return [...byJob.values()].map(({ first, vmids }) => ({
    code: 'two_bad_nights',
    message: `job ${first.job} prunes ${first.storage} by ${retentionText(first.options)} right after each backup: two bad nights would leave no good archive of ${vmids.length === 1 ? 'guest' : 'guests'} ${vmids.sort((a, b) => a - b).join(', ')}; keep at least one more`,
  }))
}
