/** What an enrollment shows while it waits. */
import { inert } from '../render/inert.js'
import type { AwaitInput, WaitingGuest } from './run.js'
import type { EnrollmentLook, EnrollmentVerdict } from './types.js'

const MOST_MISSED = 5

/** Markdown for the run's current details; nothing in it changes while nothing happens. */
export function renderEnrollment(
  { job, route }: Pick<AwaitInput, 'job' | 'route'>,
  guests: readonly WaitingGuest[],
  verdicts: readonly EnrollmentVerdict[],
  seen: EnrollmentLook | undefined,
): string {
  const say = (seconds: number | null | undefined): string => (seconds == null ? '' : (seen?.words[String(seconds)] ?? ''))
  const next = seen?.runs.told[0]
  const rows = guests.map((guest) => {
    const verdict = verdicts.find(({ vmid }) => vmid === guest.vmid)
    if (guest.outcome !== null) return `| ${guest.vmid} | **${guest.outcome.outcome}** | ${inert(guest.outcome.message)} |`
    if (verdict === undefined) return `| ${guest.vmid} | proving | |`
    const overdue = verdict.overdueSinceSeconds === null ? '' : ` · **overdue** since ${say(verdict.overdueSinceSeconds)}`
    return `| ${guest.vmid} | ${verdict.state}${overdue} | ${inert(verdict.message)} |`
  })
  const remarks = verdicts.flatMap(({ vmid, missed, notCounted }) => [
    ...missed.slice(-MOST_MISSED).map(({ dueSeconds, why }) => `- ${vmid}: the run due at ${say(dueSeconds)} was missed: ${inert(why)}`),
    ...notCounted.map(({ name, why }) => `- ${vmid}: ${inert(name)} does not count: ${inert(why)}`),
  ])
  return [
    `**wait** · first scheduled artifact of job ${job} on ${route.host}${next === undefined ? '' : `; next run ${say(next)} (host's time)`}`,
    '',
    '| guest | state | seen |',
    '| --- | --- | --- |',
    ...rows,
    '',
    ...remarks,
  ]
    .join('\n')
    .slice(0, 15_000)
}
