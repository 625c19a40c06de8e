/** What the next run of these guests would remove: a run prunes right after each guest, its new archive counted, which a dry run of now cannot know. Pure. */
import type { RemovedArtifact } from '../change/plan.js'
import { listInWords } from '../judge/words.js'
import type { VzdumpObservation } from '../vzdump/observation.js'
import { archivesOf, dryRun, dryRunWords, isoOf } from '../vzdump/plan-job-steps.js'
import type { Retention } from '../vzdump-runbook.js'

export interface NextRun {
  readonly removes: readonly RemovedArtifact[]
  /** The guests have archives there that a pruning run may touch. */
  readonly mayRemove: boolean
  readonly words: readonly string[]
}

/** @param asked the options by which the host's dry run was asked (`VzdumpQuestions.prunes`) */
export function nextRun(seen: VzdumpObservation, storage: string, retention: Retention | null, asked: string, guests: readonly number[]): NextRun {
  const archives = archivesOf(seen, storage).filter(({ vmid }) => vmid !== null && guests.includes(vmid))
  if (archives.length === 0 || retention === null || retention['keep-all'] !== undefined) return { removes: [], mayRemove: false, words: [] }
  const now = dryRun(seen, storage, retention, asked, guests)
  const words = dryRunWords(storage, retention, now)
  const left = archives.filter((archive) => !archive.protected && !now.removes.some(({ volid }) => volid === archive.volid))
  const keepLast = retention['keep-last'] ?? 0
  // Which one another rule lets go, the host alone knows.
  if (now.why !== undefined || Object.keys(retention).length > 1 || keepLast < 1) return { removes: now.removes, mayRemove: true, words }
  const pushedOut = guests.flatMap((vmid) => {
    const own = left.filter((archive) => archive.vmid === vmid).sort((a, b) => (b.createdSeconds ?? 0) - (a.createdSeconds ?? 0))
    return own.slice(keepLast - 1).map(({ volid, sizeBytes, createdSeconds }): RemovedArtifact => {
      return { storage, volid, vmid, sizeBytes, createdAt: createdSeconds === null ? null : isoOf(createdSeconds) }
    })
  })
  const removes = [...now.removes, ...pushedOut]
  const more = pushedOut.length === 0 ? [] : [`With the new archive counted the run also removes ${listInWords(pushedOut.map(({ volid }) => volid))}`]
  return { removes, mayRemove: removes.length > 0, words: [...words, ...more] }
}
