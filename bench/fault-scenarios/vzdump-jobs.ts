/** The jobs of proxmox-home, from as they were found to as vzdump.yaml wants them: eight steps, five of them on the host. */
import { applyState } from '../../lab/estate/index.js'
import type { FaultScenario } from '../fault-scenario.js'
import { endOf, PROXMOX_FOLDERS, proxmoxFiles, runbookFiles } from './common.js'

const HOST = 'proxmox-home'

export const vzdumpJobsFaults: FaultScenario = {
  hosts: [HOST],
  changes: { [HOST]: PROXMOX_FOLDERS },
  // The enrollments that it starts go on for days.
  workflows: ['vzdumpJobs', 'applyChange'],
  approver: 'ronny',
  prepare: (lab) => applyState(lab, 'as-found'),
  start({ client, taskQueue }) {
    return client.workflow.start('vzdumpJobs', { workflowId: `jobs/${HOST}`, taskQueue, args: [{ host: HOST, requestedBy: 'ronny' }] })
  },
  async finalState(place, result) {
    const host = place.lab.host(HOST)
    const enrollments: string[] = []
    for await (const { workflowId } of place.client.workflow.list({ query: "WorkflowType='vzdumpEnrollment' AND ExecutionStatus='Running'" }))
      enrollments.push(workflowId)
    return { end: endOf(result), files: await proxmoxFiles(host), runbooks: await runbookFiles(place), enrollments: enrollments.sort() }
  },
}
