/** One pass over two healthy hosts. It must change nothing on them, whatever happens. */
import { applyState } from '../../lab/estate/index.js'
import { workflowIds } from '../../src/domain/ids.js'
import type { StatusDocument } from '../../src/domain/status.js'
import { readStatusFile } from '../../src/state/index.js'
import type { FaultScenario } from '../fault-scenario.js'

export const backupMonitorFaults: FaultScenario = {
  hosts: ['pve', 'nas'],
  changes: {},
  workflows: ['backupMonitor'],
  prepare: (lab) => applyState(lab, 'healthy'),
  start({ client, estateId, taskQueue }) {
    // Its ends are local activities: their worker's death is noticed when the workflow task is late.
    const workflowTaskTimeout = '2 seconds'
    return client.workflow.start('backupMonitor', { workflowId: workflowIds.monitor(estateId), taskQueue, args: [{}], workflowTaskTimeout })
  },
  async finalState({ stateDir }) {
    const status = readStatusFile(stateDir)
    return status === undefined ? 'no status' : judgedOnly(status)
  },
}

/** States and reasons by subject: what two passes over the same hosts must agree on. */
function judgedOnly(status: StatusDocument): unknown {
  const rows = [...status.targets, ...status.guests, ...status.jobs, ...status.storages, ...status.hosts] as {
    state: string
    reason: string
    severity: string
    id?: string
    host?: string
    vmid?: number
  }[]
  return {
    verdict: status.verdict,
    expected: status.expected,
    seen: status.seen,
    rows: rows.map(({ state, reason, severity, id, host, vmid }) => [host ?? null, id ?? vmid ?? null, state, reason, severity]),
    findings: status.findings.map(({ subject, condition, reason, severity }) => [subject, condition, reason, severity]),
  }
}
