/** When a mark may be left for a watcher, and what is said when it could not be. */
import type { DeskSnapshot } from '../desk/snapshot.js'
import { OUTBOX_LATE_SECONDS } from '../desk/snapshot.js'
import type { RunbookSet } from '../estate.js'
import type { Finding, StatusDocument } from '../status.js'
import type { MarkOrder } from './watcher.js'

/** What a pass is told before it leaves marks. */
export interface OpenedMarks {
  readonly marks: readonly MarkOrder[]
  /** Why none may be left; null when they may. */
  readonly withheld: string | null
  /** Hosts where the last pass could leave none. */
  readonly unmarked: readonly string[]
}

/** A pass that is older than so many periods says nothing about now: nightshift was off, and the next pass speaks first. */
const OLD_PERIODS = 2

/** Why no mark may be left for the last pass: the desk has not taken it, or mail has been waiting for too long. Null when it may. */
export function whyWithheld(
  status: Pick<StatusDocument, 'passId' | 'takenAt' | 'periodSeconds'> | undefined,
  desk: Pick<DeskSnapshot, 'passId' | 'outbox'> | undefined,
  now: Date,
): string | null {
  if (status === undefined) return 'no pass has been published yet'
  if ((now.getTime() - Date.parse(status.takenAt)) / 1000 > OLD_PERIODS * status.periodSeconds) return `the last pass is that of ${status.takenAt}`
  if (desk?.passId !== status.passId) return 'the alert desk has not taken the last pass'
  const { oldestAt } = desk.outbox
  if (oldestAt !== null && (now.getTime() - Date.parse(oldestAt)) / 1000 >= OUTBOX_LATE_SECONDS) return `a mail has been waiting to be sent since ${oldestAt}`
  return null
}

/** A mark that could not be left is no fault of the backups; but the watcher will say that nightshift is silent, and this is why. */
export function markFindings(status: Pick<StatusDocument, 'hosts'>, set: RunbookSet, unmarked: Readonly<Record<string, string>>): Finding[] {
  return (set.emailRelay?.watchers ?? []).flatMap(({ host }): Finding[] => {
    const why = unmarked[host]
    const site = set.estate.hosts.find(({ name }) => name === host)?.site
    if (why === undefined || site === undefined) return []
    // A host that cannot be read at all is one finding, not two.
    if (isBlind(status, host)) return []
    return [
      {
        subject: `${site}/delivery/watcher-${host}`,
        condition: 'delivery',
        severity: 'warning',
        reason: 'mark_not_left',
        message: `the watcher on ${host} was left no mark, and will say that nightshift is silent: ${why}`,
        next: 'nightshift doctor',
      },
    ]
  })
}

/** True when the pass could not read this host, by itself or as one of a site that is dark. */
export function isBlind({ hosts }: Pick<StatusDocument, 'hosts'>, name: string): boolean {
  return hosts.some(({ host, state }) => host === name && state === 'UNKNOWN')
}
