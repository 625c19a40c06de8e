/**
 * Which vzdump tasks are runs of a job. Proxmox ties a task to its job in one place only, the job's state file on the node, and only for the latest run
 * (pve-manager PVE/Jobs.pm). An earlier run is told by its start, right after the job was due, together with the head of its log.
 */
import type { TaskView } from '../judge/attempts.js'
import { viewTasks } from '../judge/attempts.js'
import type { JobSeen, JobStateFile, ProxmoxObservation } from '../observation.js'
import { MOST_TASKS } from '../probe/script-proxmox.js'
import type { KnownRuns, MissedRun } from './types.js'

/** The scheduler wakes once a minute and starts one job after the other; later than this nothing that is due is started. */
export const DUE_WINDOW_SECONDS = 600

/** Clocks of the calendar and of the process table agree within this. */
const EARLY_SECONDS = 5

/** Most due times that are remembered: two months of a daily job. */
const MOST_PASSED = 60

export interface JobRun {
  readonly task: TaskView
  readonly dueSeconds: number | null
  readonly tie: 'job state file' | 'due time and log'
  /** The guests named at its head; null when the head says `--all` or a pool. */
  readonly guests: readonly number[] | null
}

/** The first line of a task's log: `starting new backup job: vzdump 100 101 --storage S …`, options in any order, words quoted for a shell. */
export interface RunHead {
  readonly vmids: readonly number[]
  readonly options: Readonly<Record<string, string>>
}

export function readHead(lines: readonly string[]): RunHead | null {
  const text = lines.map((line) => /starting new backup job: vzdump(?: (.*))?$/.exec(line)).find((match) => match !== null)?.[1]
  if (text === undefined) return null
  const words = [...text.matchAll(/'((?:[^']|'\\'')*)'|(\S+)/g)].map((match) => match[1] ?? match[2] ?? '')
  const vmids: number[] = []
  const options: Record<string, string> = {}
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? ''
    if (word.startsWith('--')) options[word.slice(2)] = words[++index] ?? ''
    else if (/^\d+$/.test(word)) vmids.push(Number(word))
  }
  return { vmids, options }
}

/** The host's answer joined to what it told before. */
export function followRuns(known: KnownRuns, job: JobSeen | undefined, seen: ProxmoxObservation, nowSeconds: number): KnownRuns {
  const schedule = job?.schedule ?? null
  const sameSchedule = schedule === known.schedule
  const asked = seen.schedules.find((each) => each.schedule === schedule)?.runs
  const fresh = asked?.ok ? asked.value : job?.nextRunSeconds != null ? [job.nextRunSeconds] : []
  const come = [...known.passed, ...known.told.filter((run) => run <= nowSeconds)]
  const passed = [...new Set(come)].sort((a, b) => a - b).slice(-MOST_PASSED)
  const still = fresh.length > 0 || !sameSchedule ? fresh : known.told
  return { schedule, told: [...still].filter((run) => run > nowSeconds).sort((a, b) => a - b), passed }
}

/** The job's runs, newest first. */
export function runsOf(job: string, seen: ProxmoxObservation, row: JobSeen | undefined, runs: KnownRuns): JobRun[] {
  const logs = seen.taskLogs.ok ? seen.taskLogs.value : []
  const tasks = viewTasks(seen.tasks.ok ? seen.tasks.value : [], logs)
  const users = new Map(seen.tasks.ok ? seen.tasks.value.map((task) => [task.upid, task.user]) : [])
  const state = seen.jobStates.ok ? seen.jobStates.value.find(({ jobId }) => jobId === job) : undefined
  return tasks.flatMap((task): JobRun[] => {
    const head = readHead(logs.find((log) => log.name === task.upid)?.lines ?? [])
    const guests = head === null || head.options.all === '1' || head.options.pool !== undefined ? null : head.vmids
    const dueSeconds = [...runs.passed].reverse().find((due) => isWithin(due, task.startSeconds)) ?? null
    if (state?.upid === task.upid) return [{ task, dueSeconds, tie: 'job state file', guests }]
    const isOurs = head !== null && row !== undefined && fits(head, row) && (users.get(task.upid) ?? 'root@pam') === 'root@pam'
    return dueSeconds !== null && isOurs ? [{ task, dueSeconds, tie: 'due time and log', guests }] : []
  })
}

const isWithin = (due: number, start: number): boolean => start >= due - EARLY_SECONDS && start <= due + DUE_WINDOW_SECONDS

/** The head says what the job says. The list of guests may have changed since, the storage names the job well enough. */
export function fits(head: RunHead, job: JobSeen): boolean {
  if ((head.options.storage ?? null) !== job.storage || (head.options.dumpdir ?? null) !== job.dumpdir) return false
  if (job.pool !== null) return head.options.pool === job.pool
  if (job.all) return head.options.all === '1'
  return head.vmids.some((vmid) => job.vmids?.includes(vmid))
}

/** Due times at which no run of the job began, though a run would be known. */
export function missedRuns(
  job: string,
  seen: ProxmoxObservation,
  found: readonly JobRun[],
  runs: KnownRuns,
  since: number,
  nowSeconds: number,
  say: (seconds: number) => string,
): MissedRun[] {
  if (!seen.tasks.ok) return []
  const listed = seen.tasks.value
  const oldest = listed.length >= MOST_TASKS ? Math.min(...listed.map((task) => task.startSeconds)) : 0
  const read = new Set(seen.taskLogs.ok ? seen.taskLogs.value.map((log) => log.name) : [])
  const state = seen.jobStates.ok ? seen.jobStates.value.find(({ jobId }) => jobId === job) : undefined
  return runs.passed
    .filter((due) => due >= since && due >= oldest && nowSeconds > due + DUE_WINDOW_SECONDS)
    .filter((due) => !found.some((run) => isWithin(due, run.task.startSeconds)))
    .filter((due) => !listed.some((task) => isWithin(due, task.startSeconds) && !read.has(task.upid)))
    .map((due) => {
      return { dueSeconds: due, why: whyMissed(state, due, say) }
    })
}

function whyMissed(state: JobStateFile | undefined, due: number, say: (seconds: number) => string): string {
  const back = state?.updatedSeconds ?? null
  if (state?.state === 'stopped' && state.upid === null && back !== null && back >= due - EARLY_SECONDS && back <= due + DUE_WINDOW_SECONDS)
    return state.message === 'OK'
      ? 'the scheduler found no guest of this node in the job'
      : `the scheduler could not start it: ${state.message ?? 'no reason was given'}`
  if (back !== null && back > due) return `the host or its scheduler was off (it was back at ${say(back)}), and Proxmox does not catch up`
  return 'no run of the job began then; Proxmox does not catch up'
}
