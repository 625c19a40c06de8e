/**
 * The activities of `vzdumpJobs`: `observeVzdump` reads a host and needs SSH only; the others run beside the runbook files.
 * Nothing here changes anything.
 */
import { gunzipSync, gzipSync } from 'node:zlib'
import { ApplicationFailure, cancellationSignal } from '@temporalio/activity'
import { sealPlan } from '../domain/change/plan.js'
import type { RunbookSet } from '../domain/estate.js'
import { localDate } from '../domain/judge/zone.js'
import type { HostRoute } from '../domain/proof/types.js'
import { redactDeep } from '../domain/redact.js'
import type { ProofOnRecord } from '../domain/retention/groups.js'
import { baselineOf } from '../domain/vzdump/baseline.js'
import type { VzdumpObservation, VzdumpQuestions } from '../domain/vzdump/observation.js'
import { planVzdumpJobs } from '../domain/vzdump/plan.js'
import { NotBelieved, parseVzdumpReading, renderVzdumpReader } from '../domain/vzdump/reader.js'
import type { OpenedJobs, PlannedJobs } from '../domain/vzdump/run.js'
import { questionsOf } from '../domain/vzdump/wanted.js'
import type { VzdumpHost, VzdumpRunbook } from '../domain/vzdump-runbook.js'
import { RunbookErrors } from '../runbooks/index.js'
import type { SshRunner } from './host-probe.js'
import type { ReadingDeps, StateDeps } from './monitor.js'

export type VzdumpActivities = ReturnType<typeof createVzdumpSiteActivities> & ReturnType<typeof createVzdumpStateActivities>

/** A few Proxmox processes of half a second each; a hung share costs one time limit. */
const READING_DEADLINE_MS = 150_000
const MOST_OUTPUT_BYTES = 16 * 1024 * 1024

/**
 * Runs a reading program (Perl) on a host.
 * @returns what it printed, on standard output
 * @throws Error when the program failed; SshError on the way
 */
export async function runReader(ssh: SshRunner, route: HostRoute, what: string, program: string, signal?: AbortSignal): Promise<string> {
  const answer = await ssh.run(route.sshAlias, {
    argv: ['perl', '-'],
    stdin: program,
    sudo: route.sudo,
    deadlineMs: READING_DEADLINE_MS,
    maxOutputBytes: MOST_OUTPUT_BYTES,
    okExitCodes: 'any',
    ...(signal === undefined ? {} : { signal }),
  })
  if (answer.exitCode === 0) return answer.stdoutText
  const said = answer.stderrText.trim().split('\n').at(-1) ?? ''
  throw new Error(`reading the ${what} of ${route.host} ended with ${answer.exitCode}: ${said.slice(0, 300)}`)
}

/**
 * Reads jobs, guests, storages, archives and what the host itself says about schedules and retention.
 * @throws NotBelieved when what it answers cannot be the truth; Error when it cannot be read; SshError on the way
 */
export async function readVzdump(ssh: SshRunner, route: HostRoute, questions: VzdumpQuestions, signal?: AbortSignal): Promise<VzdumpObservation> {
  return parseVzdumpReading(route.host, route.node, await runReader(ssh, route, 'jobs', renderVzdumpReader(route.node, questions), signal))
}

/**
 * An activity that only reads a host.
 * @returns what was read, redacted, as gzip'd JSON in base64: a history keeps it
 * @throws ApplicationFailure `HostUnread` (retryable), or `NotBelieved` (asking again does not help)
 */
export async function observed(deps: ReadingDeps, route: HostRoute, read: (ssh: SshRunner, signal: AbortSignal) => Promise<unknown>): Promise<string> {
  try {
    const seen = await read(deps.ssh(route.sshAlias), cancellationSignal())
    return gzipSync(JSON.stringify(redactDeep(seen, deps.redact))).toString('base64')
  } catch (error) {
    if (error instanceof NotBelieved) throw ApplicationFailure.nonRetryable(error.message, 'NotBelieved')
    cancellationSignal().throwIfAborted()
    throw ApplicationFailure.retryable(deps.redact(error instanceof Error ? error.message : String(error)), 'HostUnread')
  }
}

export function createVzdumpSiteActivities(deps: ReadingDeps) {
  return {
    /** @throws ApplicationFailure as `observed` */
    async observeVzdump({ route, questions }: { route: HostRoute; questions: VzdumpQuestions }): Promise<string> {
      return await observed(deps, route, (ssh, signal) => readVzdump(ssh, route, questions, signal))
    },
  }
}

export function createVzdumpStateActivities(deps: ReadingDeps & StateDeps) {
  return {
    /** @throws ApplicationFailure `InvalidInput` for a host without an entry, `InvalidRunbooks` when vzdump.yaml is missing or broken */
    async openJobs(args: { host: string }): Promise<OpenedJobs> {
      const { set, vzdump } = await runbooksOf(deps)
      const entry = entryOf(vzdump, args.host)
      return {
        route: routeOf(set, args.host),
        policy: vzdump.approval,
        runbookDigest: vzdump.digest,
        questions: questionsOf(entry),
        today: localDate(deps.now().getTime() / 1000, set.estate.timezone),
      }
    },

    /** From what was seen and what the files say now. @throws ApplicationFailure as `openJobs`, and `PlanRefused` for more steps than people can read */
    async planJobs(args: { host: string; today: string; packed: string }): Promise<PlannedJobs> {
      const { set, vzdump } = await runbooksOf(deps)
      entryOf(vzdump, args.host)
      const seen = JSON.parse(gunzipSync(Buffer.from(args.packed, 'base64')).toString('utf8')) as VzdumpObservation
      try {
        const { draft, enrollments } = planVzdumpJobs(seen, set, args.today, proofsOf(deps.state, routeOf(set, args.host).site))
        return redactDeep({ plan: sealPlan(draft), enrollments, warnings: draft.warnings, baseline: baselineOf(seen) }, deps.redact)
      } catch (error) {
        if (error instanceof RangeError) throw ApplicationFailure.nonRetryable(error.message, 'PlanRefused')
        throw error
      }
    },
  }
}

async function runbooksOf(deps: StateDeps): Promise<{ readonly set: RunbookSet; readonly vzdump: VzdumpRunbook }> {
  try {
    const { set, problem } = await deps.runbooks.refresh()
    // A change by files that are broken now would be a change that nobody wants any more.
    if (problem !== undefined) throw ApplicationFailure.nonRetryable(problem.errors.join('; '), 'InvalidRunbooks')
    if (set.vzdump === undefined) {
      throw ApplicationFailure.nonRetryable('there is no vzdump.yaml beside estate.yaml: it says which jobs are wanted and who approves', 'InvalidRunbooks')
    }
    return { set, vzdump: set.vzdump }
  } catch (error) {
    if (error instanceof RunbookErrors) throw ApplicationFailure.nonRetryable(error.message, 'InvalidRunbooks')
    throw error
  }
}

function entryOf(vzdump: VzdumpRunbook, host: string): VzdumpHost {
  const entry = vzdump.hosts.find((each) => each.host === host)
  if (entry !== undefined) return entry
  const known = vzdump.hosts.map((each) => each.host).join(', ')
  throw ApplicationFailure.nonRetryable(`vzdump.yaml has no entry for host ${host} (there: ${known})`, 'InvalidInput')
}

/** What is on record about the archives of a site. */
export function proofsOf(state: StateDeps['state'], site: string): ProofOnRecord[] {
  return state.proofs.list(site).map(({ volid, sizeBytes, modifiedAt, level, provenAt }) => ({
    volid,
    sizeBytes,
    modifiedAtSeconds: Math.floor(Date.parse(modifiedAt) / 1000),
    level,
    provenAt,
  }))
}

/** How a Proxmox host is reached: all that a site's worker needs to know. @throws ApplicationFailure `InvalidInput` for a host that is none of the estate's */
export function routeOf(set: RunbookSet, name: string): HostRoute {
  const host = set.estate.hosts.find((each) => each.name === name && each.kind === 'proxmox')
  if (host === undefined) {
    const known = set.estate.hosts.filter(({ kind }) => kind === 'proxmox').map((each) => each.name)
    throw ApplicationFailure.nonRetryable(`${name} is no Proxmox host of estate.yaml (there: ${known.join(', ')})`, 'InvalidInput')
  }
  const taskQueue = set.estate.sites.find(({ id }) => id === host.site)?.taskQueue
  const { site, sshAlias, sudo } = host
  return { host: host.name, site, sshAlias, sudo, node: host.node ?? host.name, ...(taskQueue === undefined ? {} : { taskQueue }) }
}
