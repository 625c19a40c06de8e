import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openState, type Proof, type StateFolder } from '../../../src/state/index.js'

let root: string
let state: StateFolder

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'nightshift-state-'))
  state = await openState({ dir: join(root, 'state'), estateId: 'lab' })
})

afterEach(() => {
  state.close()
  rmSync(root, { recursive: true, force: true })
})

const KEY = {
  site: 'shop',
  volid: 'tank-backups:backup/vzdump-qemu-211-2026_11_21-02_00_04.vma.zst',
  sizeBytes: 874_512_384,
  modifiedAt: '2026-11-21T07:04:10.000Z',
}
const PROOF: Proof = { ...KEY, level: 2, sha256: 'ab'.repeat(32), provenAt: '2026-11-21T08:00:00.000Z' }

describe('the proofs', () => {
  it('are kept for exactly that artifact: another size or time under the same name has none', () => {
    state.proofs.put(PROOF)
    expect(state.proofs.get(KEY)).toEqual(PROOF)
    expect(state.proofs.get({ ...KEY, sizeBytes: KEY.sizeBytes + 1 })).toBeUndefined()
    expect(state.proofs.get({ ...KEY, modifiedAt: '2026-11-21T07:04:11.000Z' })).toBeUndefined()
    expect(state.proofs.get({ ...KEY, site: 'home' })).toBeUndefined()
  })

  it('are never lowered by a lesser look, and keep the checksum of the better one', () => {
    state.proofs.put(PROOF)
    state.proofs.put({ ...PROOF, level: 1, sha256: null, provenAt: '2026-11-22T08:00:00.000Z' })
    expect(state.proofs.get(KEY)).toEqual(PROOF)
    state.proofs.put({ ...PROOF, level: 3, sha256: null, provenAt: '2026-11-23T08:00:00.000Z' })
    expect(state.proofs.get(KEY)).toMatchObject({ level: 3, sha256: PROOF.sha256 })
  })

  it('fall to nothing when the artifact is found damaged', () => {
    state.proofs.put(PROOF)
    state.proofs.putDamaged(KEY, '2026-11-24T08:00:00.000Z')
    expect(state.proofs.get(KEY)).toMatchObject({ level: 0, sha256: null })
  })
})

describe('the open enrollments', () => {
  const open = {
    host: 'pve',
    vmid: 211,
    job: 'backup-pve-daily',
    workflowId: 'enroll/pve/backup-pve-daily',
    expectedBySeconds: 1,
    overdueSinceSeconds: null,
    message: 'waits',
  }

  it('are one for each guest, and only the run that waits for a guest closes it', () => {
    state.enrollments.put(open)
    state.enrollments.put({ ...open, vmid: 212 })
    state.enrollments.put({ ...open, workflowId: 'enroll/pve/another' })
    expect(state.enrollments.list().map(({ vmid }) => vmid)).toEqual([211, 212])
    state.enrollments.remove('pve', 211, open.workflowId)
    expect(state.enrollments.list()).toHaveLength(2)
    state.enrollments.remove('pve', 211, 'enroll/pve/another')
    expect(state.enrollments.list().map(({ vmid }) => vmid)).toEqual([212])
  })
})
