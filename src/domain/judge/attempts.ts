/**
 * What the task logs say about each guest: every vzdump run of a guest is one attempt with an outcome.
 * The verdict lines are those of pve-manager PVE/VZDump.pm (proxmox.md §3.3); a started guest without one was cut off, or runs still.
 */
import type { LogExcerpt, TaskSeen } from '../observation.js'
import { causeOf } from './artifacts.js'

export interface Attempt {
  readonly vmid: number
  readonly upid: string
  /** Start of the task, seconds. */
  readonly startSeconds: number
  readonly outcome: 'finished' | 'failed' | 'running' | 'lost'
  /** For `failed`: the cause in the log's words. */
  readonly cause: string
  readonly archivePath: string | null
  readonly durationSeconds: number | null
  readonly pruneFailed: boolean
}

export interface TaskView {
  readonly upid: string
  readonly startSeconds: number
  readonly endSeconds: number | null
  readonly status: string
  readonly running: boolean
  readonly attempts: readonly Attempt[]
  /** Its log was among those read. */
  readonly logRead: boolean
}

const STARTED = /Starting Backup of VM (\d+) \(/
const FINISHED = /Finished Backup of VM (\d+) \((\d+):(\d\d):(\d\d)\)/
const FAILED = /Backup of VM (\d+) failed - /
const ARCHIVE = /creating (?:vzdump )?archive '([^']+)'/

/** Tasks of the list and those only known by their log (a job's latest run may be older than the list), newest first. */
export function viewTasks(tasks: readonly TaskSeen[], logs: readonly LogExcerpt[]): TaskView[] {
  const logByUpid = new Map(logs.map((log) => [log.name, log]))
  const views = new Map<string, TaskView>()
  for (const task of tasks) {
    const log = logByUpid.get(task.upid)
    views.set(task.upid, viewTask(task.upid, task.startSeconds, task.endSeconds, task.status, log))
  }
  for (const log of logs) {
    const start = /^UPID:[^:]+:[0-9A-Fa-f]+:[0-9A-Fa-f]+:([0-9A-Fa-f]{8}):/.exec(log.name)?.[1]
    if (!start || views.has(log.name)) continue
    views.set(log.name, viewTask(log.name, Number.parseInt(start, 16), null, statusOfLog(log), log))
  }
  return [...views.values()].sort((a, b) => b.startSeconds - a.startSeconds || (a.upid < b.upid ? 1 : -1))
}

/** The status by the last line of a task's log (`TASK OK`, `TASK ERROR: …`, `TASK WARNINGS: n`). */
function statusOfLog(log: LogExcerpt): string {
  const last = [...log.lines].reverse().find((line) => line.startsWith('TASK '))
  if (!last) return 'unexpected status'
  return last.startsWith('TASK ERROR: ') ? last.slice('TASK ERROR: '.length) : last.slice('TASK '.length)
}

function viewTask(upid: string, startSeconds: number, endSeconds: number | null, status: string, log: LogExcerpt | undefined): TaskView {
  const running = status === 'RUNNING'
  return {
    upid,
    startSeconds,
    endSeconds,
    status,
    running,
    logRead: log !== undefined,
    attempts: log ? readAttempts(upid, startSeconds, running, log.lines) : [],
  }
}

function readAttempts(upid: string, startSeconds: number, running: boolean, lines: readonly string[]): Attempt[] {
  const attempts: Attempt[] = []
  let vmid: number | null = null
  let block: string[] = []
  const close = (outcome: Attempt['outcome'], guest: number, durationSeconds: number | null): void => {
    attempts.push({
      vmid: guest,
      upid,
      startSeconds,
      outcome,
      cause: outcome === 'failed' ? causeOf(block, guest) : '',
      archivePath: block.map((line) => ARCHIVE.exec(line)?.[1]).find((path) => path !== undefined) ?? null,
      durationSeconds,
      pruneFailed: outcome === 'failed' && block.some((line) => line.includes('failed - error pruning backups')),
    })
    vmid = null
    block = []
  }
  for (const line of lines) {
    const started = STARTED.exec(line)
    if (started) {
      if (vmid !== null) close('lost', vmid, null)
      vmid = Number(started[1])
      block = []
    }
    block.push(line)
    const finished = FINISHED.exec(line)
    const failed = FAILED.exec(line)
    if (finished) close('finished', Number(finished[1]), Number(finished[2]) * 3600 + Number(finished[3]) * 60 + Number(finished[4]))
    else if (failed) close('failed', Number(failed[1]), null)
  }
  if (vmid !== null) close(running ? 'running' : 'lost', vmid, null)
  return attempts
}
