/** Judges the backup jobs: enabled, able to run, run when due, with a result that fits what is on disk. */
import type { JobStatus } from '../status.js'
import type { HostView, Pass } from './pass.js'
import { isoOf, severityOf, subjectOf } from './pass.js'
import type { JobView, ProxmoxView, ProxmoxViews } from './proxmox.js'
import { failedBeforeAnyGuest } from './proxmox.js'
import type { Verdict } from './report.js'
import { onHost, report } from './report.js'
import { ageInWords, listInWords, timeInWords } from './words.js'

export const jobSubject = (view: HostView, id: string): string => subjectOf(view.host.site, 'job', `${view.host.name}/${id}`)

type State = JobStatus['state']
type JobVerdict = Verdict & { readonly state: State; readonly silent?: boolean; readonly condition?: 'config' | 'job-result' | 'freshness' }

export function judgeJobs(pass: Pass, proxmox: ProxmoxViews): JobStatus[] {
  const rows: JobStatus[] = []
  for (const view of pass.hosts.values()) {
    if (view.host.kind !== 'proxmox') continue
    const own = proxmox.get(view.host.name)
    if (own?.jobs) for (const job of own.jobs) rows.push(judgeOne(pass, own, job))
    else rows.push(...rememberedJobs(pass, view, own))
  }
  return rows
}

/** Jobs of a host that could not be looked at: still listed, and unknown. */
function rememberedJobs(pass: Pass, view: HostView, own: ProxmoxView | undefined): JobStatus[] {
  const prefix = `${view.host.name}/`
  const why = own && !own.seen.jobs.ok ? own.seen.jobs.why : `${view.host.name} could not be looked at`
  return Object.keys(pass.memory.jobs)
    .filter((key) => key.startsWith(prefix))
    .sort()
    .map((key) => {
      const known = pass.memory.jobs[key]
      if (known) pass.draft.jobs[key] = known
      return {
        site: view.host.site,
        host: view.host.name,
        id: key.slice(prefix.length),
        state: 'UNKNOWN' as const,
        reason: view.up ? 'probe_failed' : view.reason,
        severity: 'unknown' as const,
        message: `not looked at: ${why}`,
        next: null,
        nextRunAt: null,
      }
    })
}

function judgeOne(pass: Pass, own: ProxmoxView, job: JobView): JobStatus {
  const { state, silent, condition, ...verdict } = verdictOf(own, job)
  if (!silent) report(pass, jobSubject(own.view, job.seen.id), condition ?? 'config', verdict)
  const next = job.seen.enabled ? job.timing.nextRunSeconds : null
  return { site: own.view.host.site, host: own.view.host.name, id: job.seen.id, state, ...verdict, nextRunAt: next === null ? null : isoOf(next) }
}

function verdictOf(own: ProxmoxView, job: JobView): JobVerdict {
  const { seen } = job
  const host = own.view.host.name
  const alias = own.view.host.sshAlias
  const show = onHost(alias, `pvesh get /cluster/backup/${seen.id}`)
  if (!seen.enabled) return disabled(own, job)
  if (job.broken === 'no_such_storage') {
    return {
      state: 'MISSING',
      reason: 'no_such_storage',
      severity: 'critical',
      message: `job ${seen.id} on ${host} writes to storage ${seen.storage}, which does not exist`,
      next: `choose an existing one (${onHost(alias, 'pvesm status')}) or delete the job`,
    }
  }
  if (job.broken === 'wrong_node') {
    const nodes = own.seen.nodes.ok ? own.seen.nodes.value : []
    if (nodes.includes(seen.node ?? '')) return { state: 'OK', reason: 'other_node', severity: 'ok', message: `runs on node ${seen.node} only`, next: null }
    return {
      state: 'MISSING',
      reason: 'wrong_node',
      severity: 'critical',
      message: `job ${seen.id} on ${host} is limited to node ${seen.node}, which does not exist`,
      next: show,
    }
  }
  if (job.broken === 'no_such_pool')
    return {
      state: 'MISSING',
      reason: 'no_such_pool',
      severity: 'critical',
      message: `job ${seen.id} on ${host} backs up pool ${seen.pool}, which does not exist`,
      next: show,
    }
  if (job.broken === 'never_fires')
    return {
      state: 'MISSING',
      reason: 'never_fires',
      severity: 'critical',
      message: `the schedule of job ${seen.id} on ${host} never comes: ${seen.schedule ?? 'none'}`,
      next: show,
    }
  if (own.guests === null)
    return {
      state: 'UNKNOWN',
      reason: own.disbelief ? 'node_name_mismatch' : 'probe_failed',
      severity: 'unknown',
      message: `which guests job ${seen.id} covers is unknown: ${own.disbelief ?? 'the guests could not be read'}`,
      next: null,
      silent: true,
    }
  const failed = failedRun(own, job)
  if (job.covers.size === 0) {
    const named =
      job.vanished.length > 0 ? `: ${listInWords(job.vanished.map(String))} ${job.vanished.length === 1 ? 'no longer exists' : 'no longer exist'}` : ''
    return {
      state: 'MISSING',
      reason: 'dead_job',
      severity: 'warning',
      message: `job ${seen.id} on ${host} has no existing guest to back up${named}`,
      next: onHost(alias, `pvesh delete /cluster/backup/${seen.id}`),
      silent: job.vanished.length > 0,
    }
  }
  if (failed) return failed
  if (job.vanished.length > 0) {
    return {
      state: 'MISSING',
      reason: 'vanished_guest',
      severity: 'warning',
      message: `job ${seen.id} on ${host} still names ${listInWords(job.vanished.map(String))}, which no longer exist${job.vanished.length === 1 ? 's' : ''}; its other guests are backed up`,
      next: onHost(alias, `pvesh set /cluster/backup/${seen.id} --vmid ${[...job.covers].join(',')}`),
      silent: true,
    }
  }
  if (job.timing.late && job.timing.lastDueSeconds !== null) {
    return {
      state: 'LATE',
      reason: 'late',
      severity: 'warning',
      condition: 'freshness',
      message: `job ${seen.id} on ${host} was due at ${timeInWords(job.timing.lastDueSeconds, own.view.zone)} and has not run since`,
      next: `is the scheduler up? ${onHost(alias, 'systemctl status pvescheduler')}`,
    }
  }
  const endless = runsTooLong(own, job)
  if (endless) return endless
  const runs = runningTask(own, job)
  const next = job.timing.nextRunSeconds
  const guests = `${job.covers.size} ${job.covers.size === 1 ? 'guest' : 'guests'}`
  return {
    state: 'OK',
    reason: 'ok',
    severity: 'ok',
    message: `${guests}${runs ? ', running now' : ''}${next === null ? '' : `, next ${timeInWords(next, own.view.zone)}`}`,
    next: null,
  }
}

function disabled(own: ProxmoxView, job: JobView): JobVerdict {
  const { seen } = job
  const missing = job.broken === 'no_such_storage' ? `, and its storage ${seen.storage} does not exist` : ''
  const nobody = own.guests !== null && job.covers.size === 0 ? ', and none of its guests exists' : ''
  return {
    state: 'DISABLED',
    reason: job.broken === 'no_such_storage' ? 'no_such_storage' : 'disabled',
    severity: 'warning',
    message: `job ${seen.id} on ${own.view.host.name} is disabled${missing}${nobody}`,
    next:
      missing || nobody
        ? onHost(own.view.host.sshAlias, `pvesh delete /cluster/backup/${seen.id}`)
        : onHost(own.view.host.sshAlias, `pvesh set /cluster/backup/${seen.id} --enabled 1`),
  }
}

/** A run that goes on for ever (a hung agent, a hung share) is late too: three times the usual time, and at least six hours more. */
function runsTooLong(own: ProxmoxView, job: JobView): JobVerdict | null {
  const task = job.lastTask
  if (!task?.running) return null
  const { usualSeconds } = job.timing
  const going = own.view.clockSeconds - task.startSeconds
  if (going <= Math.max(3 * usualSeconds, usualSeconds + 6 * 3600)) return null
  const at = task.attempts.find(({ outcome }) => outcome === 'running')
  return {
    state: 'LATE',
    reason: 'runs_too_long',
    severity: 'warning',
    condition: 'freshness',
    message: `the run of ${job.seen.id} on ${own.view.host.name} has been going for ${ageInWords(going)}, usually it takes ${ageInWords(usualSeconds)}${at ? `; it is at guest ${at.vmid}` : ''}`,
    next: onHost(own.view.host.sshAlias, `pvesh get /nodes/${own.node}/tasks/${task.upid}/log --limit 0`),
  }
}

const runningTask = (own: ProxmoxView, job: JobView): boolean =>
  (own.tasks ?? []).some((task) => task.running && task.attempts.some(({ vmid }) => job.covers.has(vmid)))

/** The job's last run, where it did not end well. Guests that were backed up again since do not count any more. */
function failedRun(own: ProxmoxView, job: JobView): JobVerdict | null {
  const task = job.lastTask
  if (!task || task.running || task.status === 'OK' || task.status.startsWith('WARNINGS')) return null
  const when = timeInWords(task.startSeconds, own.view.zone)
  const log = onHost(own.view.host.sshAlias, `pvesh get /nodes/${own.node}/tasks/${task.upid}/log --limit 0`)
  const failures = task.attempts.filter((attempt) => attempt.outcome === 'failed' || attempt.outcome === 'lost')
  const still = failures.filter((attempt) => own.guests?.has(attempt.vmid) && own.latestAttempt(attempt.vmid)?.outcome !== 'finished')
  const pruning = still.filter((attempt) => attempt.pruneFailed)
  if (still.length > 0 && still.length === pruning.length) {
    return {
      state: 'FAILED',
      reason: 'prune_failed',
      severity: 'warning',
      condition: 'job-result',
      message: `the run of ${job.seen.id} at ${when} could not delete older archives of ${listInWords(pruning.map(({ vmid }) => String(vmid)))}; the new archives are complete`,
      next: log,
    }
  }
  if (still.length > 0) {
    const causes = still.map(({ vmid, cause, outcome }) => `${vmid}: ${outcome === 'lost' ? 'cut off without a result' : cause}`)
    // each of these guests has a finding of its own, with this cause
    return {
      state: 'FAILED',
      reason: 'job_failed',
      severity: severityOf('FAILED', false),
      condition: 'job-result',
      message: `the run of ${job.seen.id} at ${when} failed for ${still.length} of ${Math.max(job.covers.size, still.length)} guests: ${listInWords(causes, 3)}`,
      next: log,
      silent: true,
    }
  }
  if (failedBeforeAnyGuest(task)) return wholeRunFailed(job, `failed before any guest: ${task.status}`, when, log)
  return task.logRead ? null : wholeRunFailed(job, `ended with "${task.status}"; its log could not be read`, when, log)
}

function wholeRunFailed(job: JobView, what: string, when: string, log: string): JobVerdict {
  return {
    state: 'FAILED',
    reason: 'job_failed',
    severity: 'critical',
    condition: 'job-result',
    message: `the run of ${job.seen.id} at ${when} ${what}`,
    next: log,
  }
}
