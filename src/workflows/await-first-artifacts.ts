/**
 * Waits for the first scheduled artifact of each guest, proves it and says so in the runbook files. Hours or weeks: it holds nothing but what it was
 * told by the host, looks when something can be there, and starts over with a fresh history before that grows long.
 */
import {
  ActivityFailure,
  allHandlersFinished,
  CancellationScope,
  condition,
  continueAsNew,
  defineSignal,
  getExternalWorkflowHandle,
  isCancellation,
  proxyActivities,
  rootCause,
  setCurrentDetails,
  setHandler,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow'
import type { EnrollmentActivities } from '../activities/enrollment.js'
import type { OpenEnrollment } from '../domain/enroll/open.js'
import { renderEnrollment } from '../domain/enroll/render.js'
import type { AwaitInput, GuestOutcome, WaitingGuest } from '../domain/enroll/run.js'
import type { EnrollmentLook, EnrollmentVerdict, KnownRuns, ScheduledArtifact } from '../domain/enroll/types.js'
import { proveArtifact } from './prove-artifact.js'
import { atHome, atSite } from './routes.js'
import { runbookAttributes } from './shell.js'

export const lookSignal = defineSignal('look')
export const dismissSignal = defineSignal<[{ guests: readonly number[]; message: string }]>('dismiss')
export const seenSignal = defineSignal<[{ details: string; overdue: readonly number[] }]>('seen')

/** Looks before the history begins anew. */
const MOST_LOOKS = 150

/** A proof that could not be had is tried again after this. */
const UNKNOWN_AGAIN_SECONDS = 900

/** Where the host does not answer, pauses grow to this. */
const LONGEST_PAUSE_SECONDS = 3600

export async function awaitFirstArtifacts(input: AwaitInput): Promise<readonly GuestOutcome[]> {
  const wait = new FirstArtifacts(input)
  setHandler(lookSignal, () => wait.wake(), { description: 'Look at the host now.' })
  setHandler(dismissSignal, ({ guests, message }) => wait.dismiss(guests, message), { description: 'These guests are not waited for any more.' })
  upsertSearchAttributes(runbookAttributes('awaitFirstArtifacts', { host: input.route.host, target: input.job }))
  try {
    return await untilAllCame(wait)
  } catch (error) {
    // Nobody waits any more: the monitor must not say that somebody does.
    if (isCancellation(error)) await CancellationScope.nonCancellable(() => wait.forget())
    throw error
  }
}

async function untilAllCame(wait: FirstArtifacts): Promise<readonly GuestOutcome[]> {
  for (let looks = 0; ; looks += 1) {
    const seconds = await wait.look()
    if (wait.isOver()) break
    if ((looks >= MOST_LOOKS || workflowInfo().continueAsNewSuggested) && wait.isIdle()) {
      await condition(allHandlersFinished)
      await continueAsNew<typeof awaitFirstArtifacts>(wait.carried())
    }
    await wait.pause(seconds)
  }
  await wait.closeDismissed()
  await condition(allHandlersFinished)
  return wait.outcomes()
}

class FirstArtifacts {
  private runs: KnownRuns
  private guests: readonly WaitingGuest[]
  private woken = false
  private blindLooks = 0
  private readonly proving = new Map<number, string>()
  private lastSeen: EnrollmentLook | undefined
  private said = ''

  constructor(private readonly input: AwaitInput) {
    this.runs = input.runs
    this.guests = input.guests
  }

  wake(): void {
    this.woken = true
  }

  dismiss(vmids: readonly number[], message: string): void {
    for (const vmid of vmids) this.settle(vmid, { ...nothing(vmid), outcome: 'rolled_out', message })
    this.woken = true
  }

  /** The monitor has heard nothing of guests that were given up last: no look follows. */
  async closeDismissed(): Promise<void> {
    const gone = this.guests.filter(({ outcome }) => outcome?.outcome === 'rolled_out').map(({ vmid }) => vmid)
    if (gone.length > 0) await this.close(gone)
  }

  isOver(): boolean {
    return this.isIdle() && this.guests.every(({ outcome }) => outcome !== null)
  }

  isIdle(): boolean {
    return this.proving.size === 0
  }

  outcomes(): readonly GuestOutcome[] {
    return this.guests.flatMap(({ outcome }) => (outcome === null ? [] : [outcome]))
  }

  carried(): AwaitInput {
    return { ...this.input, runs: this.runs, guests: this.guests }
  }

  /** @returns seconds after which another look can see something new */
  async look(): Promise<number> {
    const { route, probe, job } = this.input
    const open = this.guests.filter(({ outcome, vmid }) => outcome === null && !this.proving.has(vmid))
    if (open.length === 0) return LONGEST_PAUSE_SECONDS
    const question = { job, runs: this.runs, guests: open.map(({ vmid, sinceSeconds, identity, rejected }) => ({ vmid, sinceSeconds, identity, rejected })) }
    const seen = await this.ask(() =>
      siteActivities(this.input).lookAtEnrollment.executeWithOptions(
        { summary: `Has ${job} made the first artifact of ${open.map(({ vmid }) => vmid).join(', ')}?` },
        [{ route, probe, question }],
      ),
    )
    if (seen === null) return this.blindPause()
    this.blindLooks = seen.nowSeconds === null ? this.blindLooks : 0
    this.runs = seen.runs
    this.lastSeen = seen
    for (const verdict of seen.verdicts) this.take(verdict)
    await this.tell(seen.verdicts)
    return seen.nowSeconds === null ? this.blindPause() : seen.lookAgainInSeconds
  }

  async pause(seconds: number): Promise<void> {
    await condition(() => this.woken, seconds * 1000)
    this.woken = false
  }

  private take(verdict: EnrollmentVerdict): void {
    const { vmid, identity, artifact, name, type } = verdict
    this.change(vmid, { identity })
    if (verdict.state === 'guest_gone') this.settle(vmid, { ...nothing(vmid), outcome: 'guest_gone', message: verdict.message, missed: verdict.missed })
    if (artifact === null || name === null || type === null || this.proving.has(vmid)) return
    this.proving.set(vmid, artifact.volid)
    void this.prove(verdict, artifact, name, type).then(
      () => this.proved(vmid),
      (error: unknown) => {
        this.failure = error
        this.proved(vmid)
      },
    )
  }

  private failure: unknown

  private proved(vmid: number): void {
    this.proving.delete(vmid)
    this.woken = true
  }

  /** Levels 1 and 2, then the runbook files. */
  private async prove(verdict: EnrollmentVerdict, artifact: ScheduledArtifact, name: string, type: 'qemu' | 'lxc'): Promise<void> {
    const { route, job } = this.input
    const { vmid, missed, notCounted } = verdict
    const proof = await proveArtifact(route, artifact.volid, { say: (doing) => this.show(doing), woken: () => false })
    if (proof.outcome === 'damaged') {
      const guest = this.guests.find((each) => each.vmid === vmid)
      this.change(vmid, { rejected: [...(guest?.rejected ?? []), { path: artifact.path, why: proof.message }].slice(-20) })
      return
    }
    // What could not be found out is tried again, but not at once.
    if (proof.outcome === 'unknown') {
      this.show(`${artifact.volid} could not be proven: ${proof.message}`)
      await condition(() => this.woken, UNKNOWN_AGAIN_SECONDS * 1000)
      return
    }
    const written = await homeActivities().recordEnrolled.executeWithOptions({ summary: `Enable the target of ${vmid} in inventory.yaml` }, [
      { host: route.host, job, vmid, name, type, artifact: { path: artifact.path } },
    ])
    const message = `${artifact.volid} is the first scheduled artifact${missedWords(verdict, this.lastSeen)}; ${proof.message}`
    this.settle(vmid, { vmid, outcome: 'proven', message, artifact, sha256: proof.sha256, level: 2, missed, notCounted, written })
    await this.close([vmid])
  }

  private change(vmid: number, more: Partial<WaitingGuest>): void {
    this.guests = this.guests.map((guest) => (guest.vmid === vmid ? { ...guest, ...more } : guest))
  }

  private settle(vmid: number, outcome: GuestOutcome): void {
    if (this.guests.some((guest) => guest.vmid === vmid && guest.outcome === null)) this.change(vmid, { outcome })
  }

  /** The monitor and the enrollment hear what was seen; a look that saw nothing new says nothing. */
  private async tell(verdicts: readonly EnrollmentVerdict[]): Promise<void> {
    if (this.failure !== undefined) throw this.failure
    const { route, job, parentWorkflowId } = this.input
    const waiting = this.guests.filter(({ outcome }) => outcome === null).map(({ vmid }) => vmid)
    const open: OpenEnrollment[] = verdicts
      .filter(({ vmid, state }) => waiting.includes(vmid) && state !== 'unreachable')
      .map(({ vmid, expectedBySeconds, overdueSinceSeconds, message }) => ({
        host: route.host,
        vmid,
        job,
        workflowId: parentWorkflowId,
        expectedBySeconds,
        overdueSinceSeconds,
        message,
      }))
    const details = renderEnrollment(this.input, this.guests, verdicts, this.lastSeen)
    if (details === this.said) return
    this.said = details
    this.show('')
    await homeActivities().noteEnrollments.executeWithOptions({ summary: 'Tell the monitor what is waited for' }, [
      { workflowId: parentWorkflowId, open, closed: this.guests.filter(({ outcome }) => outcome !== null).map(({ vmid }) => ({ host: route.host, vmid })) },
    ])
    const overdue = verdicts.filter(({ overdueSinceSeconds }) => overdueSinceSeconds !== null).map(({ vmid }) => vmid)
    // Whoever started this may be over; the wait is then over too, by its cancellation.
    await getExternalWorkflowHandle(parentWorkflowId)
      .signal(seenSignal, { details, overdue })
      .catch((error: unknown) => {
        if (isCancellation(error)) throw error
      })
  }

  private async close(vmids: readonly number[]): Promise<void> {
    const { route, parentWorkflowId } = this.input
    await homeActivities().noteEnrollments.executeWithOptions({ summary: `Nobody waits for ${vmids.join(', ')} any more` }, [
      { workflowId: parentWorkflowId, open: [], closed: vmids.map((vmid) => ({ host: route.host, vmid })) },
    ])
  }

  forget(): Promise<void> {
    return this.close(this.guests.map(({ vmid }) => vmid))
  }

  private show(doing: string): void {
    setCurrentDetails(doing === '' ? this.said : `${this.said}\n\n${doing}`)
  }

  /** A host, or a site's worker, that is away: waited for. */
  private async ask(work: () => Promise<EnrollmentLook>): Promise<EnrollmentLook | null> {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof ActivityFailure) || isCancellation(error)) throw error
      this.show(`${this.input.route.host} could not be looked at: ${rootCause(error) ?? error.message}`)
      return null
    }
  }

  private blindPause(): number {
    this.blindLooks += 1
    return Math.min(LONGEST_PAUSE_SECONDS, 30 * 2 ** Math.min(this.blindLooks, 7))
  }
}

const nothing = (vmid: number) => ({ vmid, artifact: null, sha256: null, level: 0 as const, missed: [], notCounted: [], written: [] })

function missedWords({ missed }: EnrollmentVerdict, seen: EnrollmentLook | undefined): string {
  if (missed.length === 0) return ''
  return ` (the run due at ${missed.map(({ dueSeconds, why }) => `${seen?.words[String(dueSeconds)] ?? dueSeconds} was missed: ${why}`).join('; ')})`
}

function siteActivities({ route }: AwaitInput) {
  return proxyActivities<EnrollmentActivities>({
    ...atSite(route),
    startToCloseTimeout: '2 minutes',
    retry: { maximumAttempts: 3, initialInterval: '2 seconds', nonRetryableErrorTypes: ['InvalidInput'] },
  })
}

/** Runbook files may be broken or under an editor for a while; the wait outlasts that. */
function homeActivities() {
  return proxyActivities<EnrollmentActivities>({
    ...atHome(),
    startToCloseTimeout: '30 seconds',
    retry: { initialInterval: '1 second', maximumInterval: '5 minutes' },
  })
}
