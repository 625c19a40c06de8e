/** A removal of two archives, approved by a person: whatever happens to the worker, exactly these two are gone, each removed once. */
import { setTimeout as delay } from 'node:timers/promises'
import { makeRealArchives } from '../../lab/estate/real-archives.js'
import { openLab } from '../../lab/lab.js'
import { workflowIds } from '../../src/domain/ids.js'
import type { PlanView } from '../../src/workflows/approval.js'
import type { RetentionPruneResult } from '../../src/workflows/retention-prune.js'
import type { FaultScenario } from '../fault-scenario.js'

const STORAGE = 'tank-backups'
const FOLDER = '/tank/backups/vzdump/dump'
const VMID = 211

/** One for all runs: the archives of each have the same names, so that effects can be compared. */
const NOW_SECONDS = Math.floor(Date.now() / 1000)

export const retentionPruneFaults: FaultScenario = {
  hosts: ['pve'],
  async prepare({ lab }) {
    const pve = (await openLab(lab.name)).host('pve')
    await makeRealArchives(pve, { vmid: VMID, storage: STORAGE, folder: FOLDER, nightsAgo: [1, 2, 3, 4], nowSeconds: NOW_SECONDS })
  },
  start({ client, taskQueue }) {
    return client.workflow.start('retentionPrune', {
      workflowId: workflowIds.prune('pve', STORAGE),
      taskQueue,
      args: [{ host: 'pve', storage: STORAGE, guests: [VMID], mode: 'remove', requestedBy: 'ronny' }],
    })
  },
  async drive(_place, handle) {
    for (;;) {
      const view = await handle.query<PlanView>('plan')
      const digest = view.plans[0]?.digest
      if (digest !== undefined && view.state === 'waiting for approval') {
        await handle.executeUpdate('approve', { args: [{ digest, approver: 'ronny', reason: 'room for the next month' }] })
        return
      }
      await delay(200)
    }
  },
  async finalState({ lab }, result) {
    const { state, planDigest, steps, compliance } = result as RetentionPruneResult
    const { stdout } = await (await openLab(lab.name)).host('pve').exec(['find', FOLDER, '-name', `vzdump-*-${VMID}-*`, '-printf', '%f\n'])
    const counted = compliance.map(({ kept, over, proven, provenLeft }) => ({ kept, over, proven, provenLeft }))
    return { state, planDigest, steps: steps.map(({ id, outcome }) => [id, outcome]), counted, files: stdout.split('\n').sort() }
  },
}
