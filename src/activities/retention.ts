/**
 * The activities of the prune: `observeRetention` reads the host and needs SSH only; the others run beside the state folder.
 * Nothing here changes anything.
 */
import { gunzipSync, gzipSync } from 'node:zlib'
import { ApplicationFailure, cancellationSignal, heartbeat } from '@temporalio/activity'
import { sealPlan } from '../domain/change/plan.js'
import type { RunbookSet } from '../domain/estate.js'
import type { HostObservation, HostProbePlan } from '../domain/observation.js'
import type { HostRoute } from '../domain/proof/types.js'
import { redactDeep } from '../domain/redact.js'
import { type ProofOnRecord, viewRetention } from '../domain/retention/groups.js'
import { complianceTable, planRetention } from '../domain/retention/plan.js'
import { parseReading, type RetentionReading, renderReader } from '../domain/retention/reader.js'
import type { OpenedRetention, PlannedRetention } from '../domain/retention/run.js'
import type { VzdumpRunbook } from '../domain/vzdump-runbook.js'
import { RunbookErrors } from '../runbooks/index.js'
import { observeHost } from './host-probe.js'
import type { ReadingDeps, StateDeps } from './monitor.js'

export type RetentionActivities = ReturnType<typeof createRetentionSiteActivities> & ReturnType<typeof createRetentionStateActivities>

/** Listing every storage takes a few Proxmox processes of half a second; a hung share costs one time limit. */
const READING_DEADLINE_MS = 150_000
const HEARTBEAT_EVERY_MS = 3_000
const MOST_OUTPUT_BYTES = 16 * 1024 * 1024

interface Seen {
  readonly seen: HostObservation
  readonly reading: RetentionReading
}

export function createRetentionSiteActivities(deps: ReadingDeps) {
  return {
    /**
     * Reads jobs, guests, storages and archives of one host, and what the host itself would remove. Gzip'd JSON in base64, for `planPrune`.
     * @throws ApplicationFailure `HostUnread` (retryable) naming why the host could not be read
     */
    async observeRetention(args: { route: HostRoute; probe: HostProbePlan; storages: readonly string[] | null }): Promise<string> {
      const { route, probe } = args
      const beating = setInterval(() => heartbeat({ host: route.host }), HEARTBEAT_EVERY_MS)
      try {
        const ssh = deps.ssh(route.sshAlias)
        const seen = await observeHost(ssh, probe, { now: deps.now, signal: cancellationSignal() })
        if (!seen.outcome.ok) throw ApplicationFailure.retryable(deps.redact(`${route.host} (${seen.outcome.reason}): ${seen.outcome.message}`), 'HostUnread')
        const answer = await ssh.run(route.sshAlias, {
          argv: ['perl', '-'],
          stdin: renderReader({ node: route.node, storages: args.storages }),
          sudo: route.sudo,
          deadlineMs: READING_DEADLINE_MS,
          maxOutputBytes: MOST_OUTPUT_BYTES,
          signal: cancellationSignal(),
          okExitCodes: 'any',
        })
        if (answer.exitCode !== 0) {
          const said = answer.stderrText.trim().split('\n').at(-1) ?? ''
          throw ApplicationFailure.retryable(
            deps.redact(`reading the storages of ${route.host} ended with ${answer.exitCode}: ${said.slice(0, 300)}`),
            'HostUnread',
          )
        }
        return pack(redactDeep({ seen, reading: readingOf(answer.stdoutText) }, deps.redact))
      } finally {
        clearInterval(beating)
      }
    },
  }
}

function readingOf(text: string): RetentionReading {
  try {
    return parseReading(text)
  } catch (error) {
    throw ApplicationFailure.retryable(error instanceof Error ? error.message : String(error), 'HostUnread')
  }
}

export function createRetentionStateActivities(deps: ReadingDeps & StateDeps) {
  return {
    /** @throws ApplicationFailure `InvalidInput` for a host that is no Proxmox host, `InvalidRunbooks` when vzdump.yaml is missing or broken */
    async openRetention(args: { host: string }): Promise<OpenedRetention> {
      const set = await runbooksOf(deps)
      const vzdump = vzdumpOf(set)
      const host = set.estate.hosts.find(({ name, kind }) => name === args.host && kind === 'proxmox')
      if (!host) {
        const known = set.estate.hosts.filter(({ kind }) => kind === 'proxmox').map(({ name }) => name)
        throw ApplicationFailure.nonRetryable(`${args.host} is no Proxmox host of estate.yaml (there: ${known.join(', ')})`, 'InvalidInput')
      }
      const node = host.node ?? host.name
      const taskQueue = set.estate.sites.find(({ id }) => id === host.site)?.taskQueue
      return {
        route: { host: host.name, site: host.site, sshAlias: host.sshAlias, sudo: host.sudo, node, ...(taskQueue === undefined ? {} : { taskQueue }) },
        probe: {
          host: host.name,
          site: host.site,
          kind: host.kind,
          sshAlias: host.sshAlias,
          sudo: host.sudo,
          deadlineMs: set.estate.monitor.hostDeadlineSeconds * 1000,
          directories: [],
          producers: [],
          proxmox: { node },
        },
        policy: vzdump.retention.policy,
        runbookDigest: vzdump.digest,
      }
    },

    /**
     * Decides what goes, by what was seen, what is proven and what the runbooks want.
     * @throws ApplicationFailure `InvalidInput` for a storage or guest that is not there; `HostUnread` when the answers are not to be believed
     */
    async planPrune(args: {
      route: HostRoute
      storage: string | null
      guests: readonly number[] | null
      counting: 'proven' | 'if-proven'
      packed: string
    }): Promise<PlannedRetention> {
      const set = await runbooksOf(deps)
      const { seen, reading } = JSON.parse(gunzipSync(Buffer.from(args.packed, 'base64')).toString('utf8')) as Seen
      const { host, site, node } = args.route
      if (args.storage !== null && !reading.storages.some(({ id }) => id === args.storage)) {
        throw ApplicationFailure.nonRetryable(`${host} has no storage ${args.storage} (pvesm status lists them)`, 'InvalidInput')
      }
      const world = {
        runbooks: set,
        vzdump: vzdumpOf(set),
        host,
        seen,
        reading,
        proofs: proofsOf(deps, site),
        memory: deps.state.readMemory(),
        nowSeconds: deps.now().getTime() / 1000,
      }
      const view = viewOf(world)
      const { draft, compliance, toProve } = planRetention(world, view, { node, guests: args.guests, counting: args.counting })
      const absent = (args.guests ?? []).filter((vmid) => !compliance.some((line) => line.vmid === vmid))
      if (absent.length > 0)
        throw ApplicationFailure.nonRetryable(
          `no archive of guest ${absent.join(', ')} was found on ${args.storage ?? `any storage of ${host}`}`,
          'InvalidInput',
        )
      return redactDeep({ plan: sealPlan(draft), compliance, toProve, table: complianceTable(compliance, view.view.clockSeconds) }, deps.redact)
    },
  }
}

async function runbooksOf(deps: StateDeps): Promise<RunbookSet> {
  try {
    const { set, problem } = await deps.runbooks.refresh()
    if (problem === undefined) return set
    throw ApplicationFailure.nonRetryable(
      `the runbook files are broken, and nothing is removed by old ones: ${problem.errors.join('; ').slice(0, 1000)}`,
      'InvalidRunbooks',
    )
  } catch (error) {
    if (error instanceof RunbookErrors) throw ApplicationFailure.nonRetryable(error.message, 'InvalidRunbooks')
    throw error
  }
}

function vzdumpOf(set: RunbookSet): VzdumpRunbook {
  if (set.vzdump) return set.vzdump
  throw ApplicationFailure.nonRetryable('there is no vzdump.yaml: it says who approves a prune, and how many proven copies always stay', 'InvalidRunbooks')
}

function viewOf(world: Parameters<typeof viewRetention>[0]): ReturnType<typeof viewRetention> {
  try {
    return viewRetention(world)
  } catch (error) {
    throw ApplicationFailure.nonRetryable(error instanceof Error ? error.message : String(error), 'HostUnread')
  }
}

function proofsOf(deps: StateDeps, site: string): ProofOnRecord[] {
  return deps.state.proofs.list(site).map(({ volid, sizeBytes, modifiedAt, level, provenAt }) => ({
    volid,
    sizeBytes,
    modifiedAtSeconds: Math.floor(Date.parse(modifiedAt) / 1000),
    level,
    provenAt,
  }))
}

const pack = (value: unknown): string => gzipSync(JSON.stringify(value)).toString('base64')
