/** The gate over one host's ways of mail: the reading of `emailRelay`, judged, and nothing changed. */
import { proxyActivities } from '@temporalio/workflow'
import type { RelayActivities } from '../activities/email-relay.js'
import type { GateResult } from '../domain/gates.js'
import { atHome, atSite } from './routes.js'

/** @throws ActivityFailure when the host or the runbook files could not be read: then the gate is unknown */
export async function relayGate(host: string): Promise<GateResult> {
  const retry = { maximumAttempts: 3, initialInterval: '2 seconds', nonRetryableErrorTypes: ['InvalidInput', 'InvalidRunbooks'] }
  const home = proxyActivities<RelayActivities>({ ...atHome(), startToCloseTimeout: '1 minute', retry })
  const opened = await home.openRelay.executeWithOptions({ summary: `Which way may ${host} send?` }, [{ host }])
  const { route, relay, estate, today } = opened
  const site = proxyActivities<RelayActivities>({ ...atSite(route), startToCloseTimeout: '4 minutes', retry })
  const packed = await site.observeRelay.executeWithOptions({ summary: `Read every way by which ${host} sends mail` }, [{ route, relay, estate }])
  return await home.gateOfRelay.executeWithOptions({ summary: `Does every way of mail of ${host} lead through the relay?` }, [{ host, today, packed }])
}
