/**
 * The activities of the prune: `observeRetention` reads the host and needs SSH only; the others run beside the state folder.
 * Nothing here changes anything.
 */
import { gunzipSync } from 'node:zlib'
import { ApplicationFailure } from '@temporalio/activity'
import { sealPlan } from '../domain/change/plan.js'
import type { RunbookSet } from '../domain/estate.js'
import type { HostObservation, HostProbePlan } from '../domain/observation.js'
import type { HostRoute } from '../domain/proof/types.js'
import { redactDeep } from '../domain/redact.js'
import { viewRetention } from '../domain/retention/groups.js'
import { complianceTable, planRetention } from '../domain/retention/plan.js'
import { parseReading, type RetentionReading, renderReader } from '../domain/retention/reader.js'
import type { OpenedRetention, PlannedRetention } from '../domain/retention/run.js'
import type { VzdumpRunbook } from '../domain/vzdump-runbook.js'
import { RunbookErrors } from '../runbooks/index.js'
import { observeHost } from './host-probe.js'
import type { ReadingDeps, StateDeps } from './monitor.js'
import { observed, proofsOf, routeOf, runReader } from './vzdump.js'

export type RetentionActivities = ReturnType<typeof createRetentionSiteActivities> & ReturnType<typeof createRetentionStateActivities>

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
    async observeRetention({ route, probe, storages }: { route: HostRoute; probe: HostProbePlan; storages: readonly string[] | null }): Promise<string> {
      return await observed(deps, route, async (ssh, signal): Promise<Seen> => {
        const seen = await observeHost(ssh, probe, { now: deps.now, signal })
        if (!seen.outcome.ok) throw new Error(`${route.host} (${seen.outcome.reason}): ${seen.outcome.message}`)
        const program = renderReader({ node: route.node, storages })
        return { seen, reading: parseReading(await runReader(ssh, route, 'storages', program, signal)) }
      })
    },
  }
}

export function createRetentionStateActivities(deps: ReadingDeps & StateDeps) {
  return {
    /** @throws ApplicationFailure `InvalidInput` for a host that is no Proxmox host, `InvalidRunbooks` when vzdump.yaml is missing or broken */
    async openRetention(args: { host: string }): Promise<OpenedRetention> {
      const set = await runbooksOf(deps)
      const vzdump = vzdumpOf(set)
      const route = routeOf(set, args.host)
      return {
        route,
        probe: {
          host: route.host,
          site: route.site,
          kind: 'proxmox',
          sshAlias: route.sshAlias,
          sudo: route.sudo,
          deadlineMs: set.estate.monitor.hostDeadlineSeconds * 1000,
          directories: [],
          producers: [],
          proxmox: { node: route.node },
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
        proofs: proofsOf(deps.state, site),
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
