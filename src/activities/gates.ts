/** The activities of the gates that need no host, and the one that writes down what all gates said. They run where the state folder is. */

import { ApplicationFailure } from '@temporalio/common'
import type { FindingsReport } from '../domain/desk/messages.js'
import { pipelineGate } from '../domain/desk/pipeline-gate.js'
import { secondChannelGate } from '../domain/desk/second-channel.js'
import { type GateResult, type GatesDocument, gateFindings } from '../domain/gates.js'
import type { HostRoute } from '../domain/proof/types.js'
import { type WatcherOrder, watchersOf } from '../domain/relay/watcher.js'
import { RunbookErrors } from '../runbooks/index.js'
import type { StateDeps } from './monitor.js'
import { routeOf } from './vzdump.js'

export type GateActivities = ReturnType<typeof createGateActivities>

export interface GatesPlan {
  readonly estate: string
  readonly rulesDigest: string
  readonly routes: readonly HostRoute[]
  /** Hosts of email-relay.yaml: those whose way of mail has to be the declared one. */
  readonly relayHosts?: readonly string[]
  /** alerts.yaml names one. */
  readonly hasSecondChannel?: boolean
  readonly watchers?: readonly { readonly order: WatcherOrder; readonly route: HostRoute }[]
}

export interface GateDeps extends StateDeps {
  readonly now: () => Date
}

export function createGateActivities(deps: GateDeps) {
  const { state } = deps
  return {
    /** What there is to look at: the Proxmox hosts and the watchers, and by which way. */
    async planGates(): Promise<GatesPlan> {
      const { set } = await deps.runbooks.refresh().catch((error: unknown) => {
        if (error instanceof RunbookErrors) throw ApplicationFailure.nonRetryable(error.message, 'InvalidRunbooks')
        throw error
      })
      const hosts = set.estate.hosts.filter((host) => host.kind === 'proxmox')
      const routes = hosts.map((host) => routeOf(set, host.name))
      return {
        estate: set.estate.id,
        rulesDigest: set.digest,
        routes,
        watchers: watchersOf(set).map((order) => ({ order, route: routeOf(set, order.host) })),
        hasSecondChannel: set.alerts.secondChannel !== undefined,
        relayHosts: (set.emailRelay?.hosts ?? []).map(({ host }) => host),
      }
    },

    async gateOfPipeline(): Promise<GateResult> {
      return pipelineGate({ status: state.readStatus(), desk: state.desk.snapshot(), now: deps.now().toISOString() })
    },

    async gateOfSecondChannel(): Promise<GateResult> {
      return secondChannelGate({ desk: state.desk.snapshot(), now: deps.now().toISOString() })
    },

    /** Publishes what the gates said, and makes of it what the alert desk is to be told. */
    async writeGates(args: { runId: string; gates: readonly GateResult[]; sites: Readonly<Record<string, string>> }): Promise<FindingsReport> {
      const { set } = await deps.runbooks.current()
      const takenAt = deps.now().toISOString()
      const document: GatesDocument = { schema: 'nightshift.gates/1', estate: set.estate.id, takenAt, gates: args.gates }
      state.putGates(document)
      const findings = gateFindings(args.gates, (gate) => args.sites[gate.id.split('/')[1] ?? ''] ?? set.estate.id)
      return { scope: 'gates', passId: args.runId, takenAt, periodSeconds: 86_400, findings }
    },
  }
}
