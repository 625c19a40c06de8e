/** A removal of two archives, approved by a person: whatever happens, exactly these two are gone, each removed once. */
import { applyState } from '../../lab/estate/index.js'
import { makeRealArchives } from '../../lab/estate/real-archives.js'
import { workflowIds } from '../../src/domain/ids.js'
import type { RetentionPruneResult } from '../../src/workflows/retention-prune.js'
import type { FaultScenario } from '../fault-scenario.js'
import { endOf, PROXMOX_FOLDERS } from './common.js'

const HOST = 'pve'
const STORAGE = 'tank-backups'
const FOLDER = '/tank/backups/vzdump/dump'
const VMID = 211

export const retentionPruneFaults: FaultScenario = {
  hosts: [HOST],
  changes: { [HOST]: [...PROXMOX_FOLDERS, FOLDER] },
  workflows: ['retentionPrune', 'applyChange'],
  approver: 'ronny',
  async prepare(lab) {
    await applyState(lab, 'healthy')
    const host = lab.host(HOST)
    // The archives of the other guests are of natural size: nothing that could be put back before each run.
    await host.exec(['find', FOLDER, '-type', 'f', '-delete'])
    await makeRealArchives(host, { vmid: VMID, storage: STORAGE, folder: FOLDER, nightsAgo: [1, 2, 3, 4] })
  },
  start({ client, taskQueue }) {
    return client.workflow.start('retentionPrune', {
      workflowId: workflowIds.prune(HOST, STORAGE),
      taskQueue,
      args: [{ host: HOST, storage: STORAGE, guests: [VMID], mode: 'remove', requestedBy: 'ronny' }],
    })
  },
  async finalState({ lab }, result) {
    const { compliance } = result as RetentionPruneResult
    const { stdout } = await lab.host(HOST).exec(['find', FOLDER, '-type', 'f', '-printf', '%f %s\n'])
    const counted = compliance.map(({ kept, over, proven, provenLeft }) => ({ kept, over, proven, provenLeft }))
    const { proof: _withTimes, ...end } = endOf(result) as { proof: unknown }
    return { end, counted, files: stdout.split('\n').sort() }
  },
}
