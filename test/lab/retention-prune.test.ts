/** retentionPrune end to end: real sshd, the emulated Proxmox, archives that can really be read, the compiled program, answers by a person. */
import type { Client, WorkflowHandle } from '@temporalio/client'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { makeRealArchives } from '../../lab/estate/real-archives.js'
import type { LabHost } from '../../lab/host.js'
import type { RetentionPruneResult } from '../../src/workflows/retention-prune.js'
import { testLab } from '../support/lab.js'
import { nightshift, startUp } from '../support/nightshift.js'
import { answer, clientOf, type RunningPlace, startPlace, waitingPlan } from '../support/place.js'
import { eventually } from '../support/polling.js'

const lab = await testLab('retention-prune', { hosts: ['pve'] })
const STORAGE = 'tank-backups'
const FOLDER = '/tank/backups/vzdump/dump'
const VMID = 211
const LEDGER = '/var/lib/nightshift-lab/ledger.jsonl'
const HOLD = '/var/lib/nightshift-lab/hold-after-effect'
const HELD = '/var/lib/nightshift-lab/held-after-effect'

const undo: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step()
})

let pve: LabHost
let shared: RunningPlace
let ofDarkHost: ReturnType<typeof nightshift>
beforeAll(async () => {
  pve = lab.host('pve')
  shared = await startPlace(lab)
  // The lab has no such host. What gives up on it waits between its attempts, while other tests run.
  ofDarkHost = nightshift(shared.place, ['run', 'retentionPrune', '{"host":"proxmox-home"}', '--json'])
})
afterAll(async () => await shared?.stop())

/** Four nights of one guest, newest first; the storage keeps two. */
async function fourNights(): Promise<readonly [string, string, string, string]> {
  const volids = await makeRealArchives(pve, { vmid: VMID, storage: STORAGE, folder: FOLDER, nightsAgo: [1, 2, 3, 4] })
  expect(volids).toHaveLength(4)
  await pve.exec(['sh', '-c', `: > ${LEDGER}`])
  return volids as unknown as readonly [string, string, string, string]
}

const path = (volid: string) => `${FOLDER}/${volid.slice(volid.lastIndexOf('/') + 1)}`
const sh = (command: string) => pve.exec(['sh', '-c', command])

async function there(): Promise<string[]> {
  const { stdout } = await sh(`ls -1 ${FOLDER} | grep -- '-${VMID}-' | sort -r`)
  return stdout
    .split('\n')
    .filter((name) => name.endsWith('.vma.zst'))
    .map((name) => `${STORAGE}:backup/${name}`)
}

/** What was really removed on the host, by its own ledger. */
async function removals(): Promise<string[]> {
  const { stdout } = await sh(`cat ${LEDGER}`)
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as { effect: string; subject: string })
    .filter(({ effect }) => effect === 'archive.remove')
    .map(({ subject }) => subject)
}

async function startRemoval(client: Client): Promise<WorkflowHandle> {
  return await client.workflow.start('retentionPrune', {
    workflowId: `prune/pve/${STORAGE}`,
    taskQueue: `nightshift-${lab.name}`,
    args: [{ host: 'pve', storage: STORAGE, guests: [VMID], mode: 'remove', requestedBy: 'ronny' }],
  })
}

describe('retentionPrune', () => {
  it('previews; then reads what stays to its end, asks, and removes exactly what was approved', async () => {
    const [newest, second, third, oldest] = await fourNights()
    const { place, client } = shared
    const run = await nightshift(place, ['run', 'retentionPrune', JSON.stringify({ host: 'pve', storage: STORAGE, guests: [VMID] }), '--json'])
    expect(run.exitCode, run.stderr).toBe(0)
    const previewed = (JSON.parse(run.stdout) as { result: RetentionPruneResult }).result
    expect(previewed).toMatchObject({ state: 'done', receipt: { number: expect.any(Number) } })
    expect(previewed.steps.map(({ id }) => id)).toEqual([`remove ${oldest}`, `remove ${third}`])
    expect(previewed.compliance).toMatchObject([
      { storage: STORAGE, vmid: VMID, wanted: 2, kept: 4, over: 2, under: 0, proven: 0, provenWanted: 2, goes: 2, provenLeft: 2 },
    ])
    expect(await there()).toEqual([newest, second, third, oldest])

    const handle = await startRemoval(client)
    const asked = await waitingPlan(handle)
    expect(asked.plans[0]?.steps.map(({ id }) => id)).toEqual([`remove ${oldest}`, `remove ${third}`])
    expect(asked.plans[0]?.facts.guests).toMatchObject([{ proven: 2, provenLeft: 2, oldestLeft: expect.any(String), newestLeft: expect.any(String) }])
    expect(JSON.stringify(asked.plans[0]?.facts.archives)).toContain('it is the newest proven one (level 2)')
    expect(asked.plans[0]?.warnings.map(({ code }) => code)).toContain('two_bad_nights')
    expect(await removals()).toEqual([])
    await answer(handle, 'approve', asked.digest)
    const result = (await handle.result()) as RetentionPruneResult
    expect(result).toMatchObject({ state: 'done', planDigest: asked.digest, approval: { answers: [{ approver: 'ronny', proof: 'claimed' }] } })
    expect(result.compliance).toMatchObject([{ kept: 2, over: 0, under: 0, proven: 2, goes: 0 }])
    expect(await there()).toEqual([newest, second])
    expect(await removals()).toEqual([oldest, third])
    const receipt = await nightshift(place, ['receipts', 'show', String(result.receipt?.number), '--json'])
    expect(receipt.stdout).toContain(oldest)
    expect((await nightshift(place, ['receipts', 'verify'])).exitCode).toBe(0)
    expect(await (await startRemoval(client)).result()).toMatchObject({ state: 'already_so' })
  })

  it('removes nothing by an approval when an archive is another one than planned: altered, replaced, protected', async () => {
    const nights = await fourNights()
    const [, , third] = nights
    const handle = await startRemoval(shared.client)
    let { digest } = await waitingPlan(handle)
    for (const [change, stillGoes] of [
      [`printf x >> ${path(third)}`, true],
      [`touch -d yesterday ${path(third)}`, true],
      [`touch ${path(third)}.protected`, false],
    ] as const) {
      await sh(change)
      await answer(handle, 'approve', digest)
      const again = await waitingPlan(handle, digest)
      expect(again.notes.join(' ')).toContain('is void')
      expect(again.plans[0]?.steps.some(({ id }) => id === `remove ${third}`)).toBe(stillGoes)
      digest = again.digest
    }
    expect(await removals()).toEqual([])
    await answer(handle, 'reject', digest)
    expect(await handle.result()).toMatchObject({ state: 'rejected' })
    expect(await there()).toEqual([...nights])
  })

  it('stops at the first surprise: what was altered while the run removes stays, and so does everything after it', async () => {
    const [newest, second, third, oldest] = await fourNights()
    const { client } = shared
    const handle = await startRemoval(client)
    const { digest } = await waitingPlan(handle)
    // The host does not answer for the first removal until the second archive is another file.
    await sh(`rm -f ${HELD}; echo 'block archive.remove *' > ${HOLD}`)
    undo.push(() => sh(`rm -f ${HOLD} ${HELD}`))
    await answer(handle, 'approve', digest)
    await eventually('the first archive is removed', async () => (await removals()).length === 1)
    await sh(`printf x >> ${path(third)}; rm -f ${HOLD} ${HELD}`)
    const result = (await handle.result()) as RetentionPruneResult
    expect(result.state).toBe('failed')
    expect(result.message).toContain('the world moved since the plan')
    expect(await removals()).toEqual([oldest])
    expect(await there()).toEqual([newest, second, third])
  })

  it('does not count a copy that cannot be read to its end, and keeps an older one in its place', async () => {
    const [newest, second, third, oldest] = await fourNights()
    // The end of the file is lost, its size and everything beside it stay as they were.
    await sh(`f=${path(newest)}; s=$(stat -c %s $f); m=$(stat -c %Y $f); truncate -s $((s - 5000)) $f; truncate -s $s $f; touch -d @$m $f`)
    const { client } = shared
    const handle = await startRemoval(client)
    const asked = await waitingPlan(handle)
    expect(asked.plans[0]?.warnings.find(({ code }) => code === 'damaged')?.message).toContain(newest)
    expect(asked.plans[0]?.steps.map(({ id }) => id)).toEqual([`remove ${oldest}`])
    await answer(handle, 'approve', asked.digest)
    expect(await handle.result()).toMatchObject({ state: 'done' })
    expect(await there()).toEqual([newest, second, third])
  })

  it('ends as unknown, with exit code 3 and a receipt, when the host cannot be read', async () => {
    const run = await ofDarkHost
    expect(run.exitCode, run.stderr).toBe(3)
    const { outcome, result } = JSON.parse(run.stdout) as { outcome: string; result: RetentionPruneResult }
    expect(outcome).toBe('unknown')
    expect(result).toMatchObject({ state: 'unknown', steps: [], receipt: { number: expect.any(Number) } })
    expect(result.message).toMatch(/^proxmox-home could not be read, so nothing is changed: /)
  })

  it('survives kill -9 in the middle of a removal: nothing is removed twice, nothing that was not approved', async () => {
    const [newest, second, third, oldest] = await fourNights()
    const { place, up, client } = shared
    const handle = await startRemoval(client)
    const { digest } = await waitingPlan(handle)
    await sh(`rm -f ${HELD}; echo 'block archive.remove *' > ${HOLD}`)
    undo.push(() => sh(`rm -f ${HOLD} ${HELD}`))
    await answer(handle, 'approve', digest)
    await eventually('the first archive is removed', async () => (await removals()).length === 1)
    await up.kill()
    await sh(`rm -f ${HOLD} ${HELD}`)
    const revived = await startUp(place, [], 'worker is up', up)
    undo.push(() => revived.stop())
    const again = await clientOf(revived, lab.name)
    undo.push(again.close)
    expect(await again.client.workflow.getHandle(handle.workflowId).result()).toMatchObject({ state: 'done' })
    expect(await removals()).toEqual([oldest, third])
    expect(await there()).toEqual([newest, second])
  })
})
