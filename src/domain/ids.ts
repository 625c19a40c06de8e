/**
 * Every name that Temporal knows us by, from one place: namespace, task queues, workflow IDs, schedule IDs, search attributes.
 * Pure, and free of imports, so that workflows, worker, command line and set-up all use the same ones.
 */

/** What an estate's id looks like; it becomes part of a namespace, of queues and of file names. */
export const ESTATE_ID = /^[a-z][a-z0-9-]{0,30}$/

const NAMESPACE_PREFIX = 'nightshift-'

/** The namespace of an estate: `nightshift-<id>`. */
export function namespaceOf(estateId: string): string {
  return `${NAMESPACE_PREFIX}${estateId}`
}

/** The estate that a namespace belongs to, or undefined when it is not one of ours. */
export function estateOfNamespace(namespace: string): string | undefined {
  if (!namespace.startsWith(NAMESPACE_PREFIX)) return undefined
  const id = namespace.slice(NAMESPACE_PREFIX.length)
  return ESTATE_ID.test(id) ? id : undefined
}

/** The common task queue of an estate: workflows, and the activities of every site that names no queue of its own. */
export function taskQueueOf(estateId: string): string {
  return `nightshift-${estateId}`
}

/** The queue of the one worker that owns the state folder: `<id>-state`. */
export function stateQueueOf(estateId: string): string {
  return `${estateId}-state`
}

/**
 * All queues that follow from the common one; what a workflow needs, which knows only the queue it runs on.
 * Never throws: a replay runs on a queue that is no estate's.
 */
export function queueNames(commonQueue: string): { readonly common: string; readonly state: string } {
  return { common: commonQueue, state: stateQueueOf(estateOfNamespace(commonQueue) ?? commonQueue) }
}

/** Workflow IDs: one thing, one ID, so that two runs on it cannot overlap. */
export const workflowIds = {
  monitor: (estateId: string) => `monitor/${estateId}`,
  jobs: (host: string) => `jobs/${host}`,
  /** The wait of one enrollment, named like it. */
  firstArtifacts: (enrollmentId: string) => `first-artifacts/${enrollmentId.replace(/^enroll\//, '')}`,
  /** @param of the job, or the guests where no job was named */
  enroll: (host: string, of: string | readonly number[]) => `enroll/${host}/${typeof of === 'string' ? of : guestsInWords(of)}`,
  prune: (host: string, storage: string) => `prune/${host}/${storage}`,
  relay: (host: string) => `relay/${host}`,
  apply: (host: string) => `apply/${host}`,
  verify: (host: string, volid: string) => `verify/${host}/${volid}`,
  drill: (guest: string) => `drill/${guest}`,
  alertDesk: (estateId: string) => `desk/${estateId}`,
  gates: (estateId: string) => `gates/${estateId}`,
  canary: (estateId: string) => `canary/${estateId}`,
} as const

/** `211+212`; of very many the first, the last and how many: an ID has an end. */
function guestsInWords(guests: readonly number[]): string {
  const sorted = [...new Set(guests)].sort((a, b) => a - b)
  return sorted.length <= 30 ? sorted.join('+') : `${sorted[0]}..${sorted.at(-1)}+${sorted.length}`
}

/** Schedule IDs. */
export const scheduleIds = {
  monitor: (estateId: string) => `monitor/${estateId}`,
  gates: (estateId: string) => `gates/${estateId}`,
  canary: (estateId: string) => `canary/${estateId}`,
} as const

/** The search attributes that runs carry; all of them keywords. */
export const SEARCH_ATTRIBUTES = ['NightshiftRunbook', 'NightshiftHost', 'NightshiftTarget', 'NightshiftPhase'] as const

export type SearchAttributeName = (typeof SEARCH_ATTRIBUTES)[number]
