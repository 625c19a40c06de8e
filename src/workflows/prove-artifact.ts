/**
 * Proves one archive, levels 1 and 2: complete by what stands beside it, readable to its last byte. The reading itself is a unit on the host; here it is
 * only begun and asked about, so that a worker, a server or a connection that dies in between changes nothing.
 */
import { ActivityFailure, condition, isCancellation, proxyActivities, rootCause, workflowInfo } from '@temporalio/workflow'
import type { ArtifactProofActivities } from '../activities/artifact-proof.js'
import { queueNames } from '../domain/ids.js'
import type { ArtifactFile, HostRoute, ProofResult, Readability } from '../domain/proof/types.js'

/** A site's worker must take up its work within this time. */
const NO_WORKER_AFTER_SECONDS = 30

const POLL = { leastSeconds: 3, mostSeconds: 60 } as const
const WAIT = { leastSeconds: 30, mostSeconds: 600 } as const

/** A reading that found no gap between backups for so long begins anyway: it has idle priority. */
const BEGIN_ANYWAY_AFTER_SECONDS = 24 * 3600

export interface ProofWatch {
  /** Called with one sentence whenever something is known. */
  readonly say: (doing: string) => void
  /** How long a host that cannot be reached is waited for; absent = for ever. */
  readonly patienceSeconds?: number
  /** True ends a wait early (a signal of an operator). */
  readonly woken?: () => boolean
}

/** Activities that need a host; they run at its site. */
export function siteActivities(route: HostRoute) {
  return proxyActivities<ArtifactProofActivities>({
    taskQueue: route.taskQueue ?? workflowInfo().taskQueue,
    scheduleToStartTimeout: route.taskQueue === undefined ? '5 minutes' : `${NO_WORKER_AFTER_SECONDS} seconds`,
    startToCloseTimeout: '1 minute',
    retry: { maximumAttempts: 3, initialInterval: '2 seconds', nonRetryableErrorTypes: ['InvalidInput'] },
  })
}

/** Activities of the one worker that owns the state folder. */
export function stateActivities() {
  return proxyActivities<ArtifactProofActivities>({
    taskQueue: queueNames(workflowInfo().taskQueue).state,
    startToCloseTimeout: '20 seconds',
    retry: { initialInterval: '2 seconds', maximumInterval: '1 minute', nonRetryableErrorTypes: ['InvalidInput', 'InvalidRunbooks'] },
  })
}

/** Never fails for what a host does or says: what could not be found out is `unknown`. */
export async function proveArtifact(route: HostRoute, volid: string, watch: ProofWatch): Promise<ProofResult> {
  watch.say(`Looking at **${volid}** on ${route.host}: is it complete?`)
  const seen = await asked(watch, () => siteActivities(route).inspectArtifact.executeWithOptions({ summary: `Is ${volid} complete?` }, [{ route, volid }]))
  if (seen.state === 'unknown' || seen.state === 'absent') return { outcome: 'unknown', level: 0, message: seen.why, file: null, sha256: null }
  if (seen.state === 'incomplete') return await damaged(route, seen.file, seen.why)
  await keep(route, seen.file, 1, null, false)

  const read = await readWhole(route, seen.file, watch)
  if (read.state === 'damaged') return await damaged(route, seen.file, read.why)
  if (read.state === 'unknown') return { outcome: 'unknown', level: 1, message: read.why, file: seen.file, sha256: null }
  await keep(route, seen.file, 2, read.sha256, false)
  const message = `${volid} is complete and readable to its last byte (${read.seconds} s, sha256 ${read.sha256})`
  return { outcome: 'proven', level: 2, message, file: seen.file, sha256: read.sha256 }
}

async function damaged(route: HostRoute, file: ArtifactFile, why: string): Promise<ProofResult> {
  await keep(route, file, 0, null, true)
  return { outcome: 'damaged', level: 0, message: why, file, sha256: null }
}

function keep(route: HostRoute, file: ArtifactFile, level: 0 | 1 | 2, sha256: string | null, isDamaged: boolean): Promise<void> {
  const summary = isDamaged ? `Keep that ${file.volid} is damaged` : `Keep that ${file.volid} is proven to level ${level}`
  return stateActivities().recordProof.executeWithOptions({ summary }, [{ site: route.site, file, level, sha256, damaged: isDamaged }])
}

type Ended = Exclude<Readability, { state: 'running' | 'waiting' }>

async function readWhole(route: HostRoute, file: ArtifactFile, watch: ProofWatch): Promise<Ended> {
  const storage = file.volid.slice(0, file.volid.indexOf(':'))
  let waitedSeconds = 0
  let seconds: number = POLL.leastSeconds
  for (;;) {
    const request = { ...file, storage, anyway: waitedSeconds >= BEGIN_ANYWAY_AFTER_SECONDS }
    const answer = await asked(watch, () =>
      siteActivities(route).verifyArtifactOnHost.executeWithOptions({ summary: `Read ${file.volid} whole` }, [{ route, request }]),
    )
    if (answer.state !== 'running' && answer.state !== 'waiting') return answer
    const bounds = answer.state === 'running' ? POLL : WAIT
    seconds = Math.min(bounds.mostSeconds, Math.max(bounds.leastSeconds, seconds * 1.5))
    watch.say(answer.state === 'running' ? `Reading **${file.volid}**: ${percent(answer)}` : `**${file.volid}** waits to be read: ${answer.why}`)
    await condition(() => watch.woken?.() === true, seconds * 1000)
    if (answer.state === 'waiting') waitedSeconds += seconds
  }
}

const percent = ({ readBytes, sizeBytes }: { readBytes: number; sizeBytes: number }): string =>
  sizeBytes > 0 ? `${Math.floor((100 * readBytes) / sizeBytes)} % of ${(sizeBytes / 1024 ** 3).toFixed(2)} GB` : 'begun'

/** Asks a host until it answers, with growing pauses; `unknown` when patience ends. */
async function asked<T>(watch: ProofWatch, ask: () => Promise<T>): Promise<T | { readonly state: 'unknown'; readonly why: string }> {
  let seconds: number = WAIT.leastSeconds
  for (let waited = 0; ; waited += seconds, seconds = Math.min(WAIT.mostSeconds, seconds * 2)) {
    try {
      return await ask()
    } catch (error) {
      if (!(error instanceof ActivityFailure) || isCancellation(error)) throw error
      const why = rootCause(error) ?? error.message
      if (watch.patienceSeconds !== undefined && waited >= watch.patienceSeconds) return { state: 'unknown', why }
      watch.say(`Waiting for the host: ${why}`)
      await condition(() => watch.woken?.() === true, seconds * 1000)
    }
  }
}
